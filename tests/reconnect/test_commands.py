"""Commands of a session that survives: what is sent again, what waits how long, and what is told."""

from __future__ import annotations

import json
import threading
from typing import Any

import attrs
import pytest

from realtime_sync import (
    AzureOpenAIClient,
    BudgetExceededError,
    ConnectionReplacedError,
    ConversationItem,
    ConversationSessionOptions,
    ConversationUpdate,
    InputTranscriptionOptions,
    OpenAIClient,
    ServerError,
    SessionReconnectedUpdate,
    TranscriptionSessionOptions,
    WaitTimeoutError,
    function_tool,
)
from realtime_sync.core.ask import Question
from realtime_sync.deadline import Deadline
from realtime_sync.server import Faults, FunctionCall, Reply, Turn, faults
from realtime_sync.server.client_secrets import Configuration
from tests.core.answers import Gate, received
from tests.core.harness import CALM, House, Running, until
from tests.mcp import remote
from tests.reconnect.test_reconnecting import (
    BY_HAND,
    DOWN,
    QUICKLY,
    TEXT,
    come_back,
    drop,
    heard,
    ours,
    surviving,
    texts,
)

pytestmark = pytest.mark.medium

# Whoever waits for the new connection instead of for its own time-out waits longer than any test.
PATIENT = attrs.evolve(QUICKLY, give_up_after=120)


def silenced(house: House) -> None:
    """The server hears nothing of what follows."""
    house.live.inject(faults.silence())
    until(lambda: house.live.connection and not house.live.connection._reading)


# What is sent again ---------------------------------------------------------------------------------------------------


def test_the_update_tells_what_is_sent_again(plain: House) -> None:
    session = surviving(plain)
    stream = session.subscribe()
    silenced(plain)
    session.add_item("Do you hear me?")
    session.delete_item("item_of_yesterday")
    session.cancel_response("resp_1")
    drop(plain)
    assert come_back(session, stream).sent_again == ("conversation.item.create", "conversation.item.delete")


def test_what_was_acknowledged_is_neither_kept_nor_sent_again(plain: House) -> None:
    session = surviving(plain)
    stream = session.subscribe()
    for number in range(20):
        session.add_item(f"{number} " + "x" * 100_000).wait()
    assert session._engine.recovery._outbox.waiting() == []
    drop(plain)
    told = come_back(session, stream)
    assert (told.losses, told.sent_again) == ((), ())
    session.add_item("end").wait()
    assert ours(session) == texts(plain.live)


def test_a_response_that_was_asked_for_by_hand_with_strange_metadata_hangs_nobody(plain: House) -> None:
    session = surviving(plain)
    silenced(plain)
    session.send_message({"type": "response.create", "event_id": "event_mine", "response": {"metadata": 5}})
    drop(plain)
    assert session.ask("two", timeout=20).completed


def test_ctrl_c_behind_a_commands_turn_does_not_ask_twice(plain: House) -> None:
    session = surviving(plain)
    stream = session.subscribe()
    connection = session._engine.connection.transport
    write = connection.write

    def interrupted(*arguments: Any) -> None:
        write(*arguments)
        raise KeyboardInterrupt

    connection.write = interrupted
    with pytest.raises(KeyboardInterrupt):
        session.start_response()
    connection.write = write
    stream.wait_for("response.done", 10)
    drop(plain)
    assert come_back(session, stream).sent_again == ()
    session.add_item("now").wait()
    assert received(plain.live, "response.create") == []


class HeldUp:
    """A listener that holds the reader up, as a snapshot of a long conversation does, or a busy machine."""

    def __init__(self) -> None:
        self.begun, self.over = threading.Event(), threading.Event()

    def deliver(self, update: ConversationUpdate) -> None:
        self.begun.set()
        assert self.over.wait(20)

    def end(self, end: Any) -> None:
        pass


@pytest.mark.parametrize("what", ["command", "audio"])
def test_who_sends_is_not_told_of_an_end_where_the_session_goes_on(plain: House, what: str) -> None:
    session = surviving(plain, options=BY_HAND, timeouts=attrs.evolve(CALM, close=0.2))
    stream, reader, connection = session.subscribe(), HeldUp(), session._engine.connection.transport
    plain.stack.callback(reader.over.set)
    with session._engine.listening(reader):
        plain.live.emit({"type": "rate_limits.updated", "rate_limits": []})
        assert reader.begun.wait(5)
        plain.live.inject(faults.drop())
        sent = 0
        while connection._duplex.error is None:
            if what == "audio":
                session.send_audio(bytes(4800))
            else:
                session.add_item(str(sent))
            sent += 1
        reader.over.set()
        come_back(session, stream)
    session.add_item("end").wait()
    if what == "audio":
        assert heard(plain.live) == bytes(4800 * sent)
    else:
        assert texts(plain.live) == [*map(str, range(sent)), "end"]


def test_tools_that_run_in_the_background_answer_over_the_new_connection(plain: House) -> None:
    running, go_on = threading.Event(), threading.Event()

    @function_tool
    def measure() -> int:
        """Measure the tree."""
        running.set()
        assert go_on.wait(20)
        return 7

    def responder(turn: Turn) -> Any:
        if (turn.last or {}).get("type") == "function_call_output":
            return f"It says {(turn.last or {})['output']}"
        return Reply(function_calls=[FunctionCall("measure", {})])

    plain.serve(responder=responder)
    session = surviving(plain)
    stream = session.subscribe()
    serving = Running(lambda: session.run_tools([measure]))
    until(lambda: len(received(plain.live, "session.update")) == 2)
    session.add_item("go")
    session.start_response()
    assert running.wait(10)
    drop(plain)
    come_back(session, stream)
    go_on.set()
    assert stream.wait_for("response.output_text.done", 10).text == "It says 7"
    session.close()
    assert serving.join() is None


# Settings -------------------------------------------------------------------------------------------------------------


def test_settings_that_are_refused_on_the_new_connection_alone_are_told_as_lost(plain: House) -> None:
    session = surviving(plain)
    stream = session.subscribe()
    silenced(plain)
    handle = session.configure_session(ConversationSessionOptions(output_speed=9.0))
    drop(plain)
    with pytest.raises(ConnectionReplacedError):
        handle.wait()
    (loss,) = come_back(session, stream).losses
    assert loss.startswith("session.update: the settings that were not acknowledged before were refused now")
    assert session.ask("two").completed
    assert plain.live.options["instructions"] == TEXT.instructions


def test_settings_by_hand_of_a_preview_transcription_are_applied_again(plain: House) -> None:
    azure = AzureOpenAIClient(plain.server.azure_endpoint, "k", api_version="2025-04-01-preview", timeouts=CALM)
    client = plain.stack.enter_context(azure.get_realtime_conversation_client("m"))
    whisper = TranscriptionSessionOptions(input_transcription_options=InputTranscriptionOptions(model="whisper-1"))
    session = plain.stack.enter_context(client.start_transcription_session(whisper, reconnect=QUICKLY))
    stream = session.subscribe()
    settings = {"input_audio_transcription": {"model": "whisper-1", "language": "de"}}
    session.send_message({"type": "transcription_session.update", "session": settings}).wait()
    assert '"de"' in json.dumps(plain.live.options)
    drop(plain)
    assert come_back(session, stream).losses == ()
    assert len(plain.server.sessions) == 2
    assert '"de"' in json.dumps(plain.live.options)


def test_a_preview_session_survives_one_loss_after_the_other(plain: House) -> None:
    azure = AzureOpenAIClient(plain.server.azure_endpoint, "k", api_version="2025-04-01-preview", timeouts=CALM)
    client = plain.stack.enter_context(azure.get_realtime_conversation_client("m"))
    session = plain.stack.enter_context(client.start_conversation_session(TEXT, reconnect=QUICKLY))
    stream = session.subscribe()
    for number in range(3):
        assert session.ask(str(number)).text == f"You said: {number}"
        drop(plain)
        assert come_back(session, stream).losses == ()
    assert session.ask("end").completed
    assert ours(session) == texts(plain.live)


# Whoever waits --------------------------------------------------------------------------------------------------------


def test_a_question_that_waits_for_its_turn_keeps_its_time_out_in_an_outage(plain: House) -> None:
    gate = Gate()
    plain.serve(responder=gate)
    session = surviving(plain, PATIENT)
    session.respond("one")
    asking = Running(lambda: session.ask("two", timeout=1.5))
    until(lambda: session._engine.responses._changed._waiting)
    plain.server.faults = DOWN
    drop(plain)
    assert isinstance(asking.join(20), WaitTimeoutError)
    plain.server.faults = Faults()
    gate.opened.set()
    assert session.ask("three").completed


def test_questions_that_wait_for_their_turn_are_said_in_their_turn_on_the_new_connection_too(plain: House) -> None:
    gate = Gate()

    def answer(turn: Turn) -> Any:
        said = turn.text_of(turn.items[-1])
        return gate(turn) if said == "hold" else f"You said: {said}"

    plain.serve(responder=answer)
    session = surviving(plain, PATIENT)
    session.respond("hold")
    asking = {word: Running(lambda word=word: session.ask(word)) for word in ("one", "two", "three", "four")}  # type: ignore[misc]
    until(lambda: len(session._engine.responses._changed._waiting) == len(asking))
    drop(plain)
    for word, running in asking.items():
        assert running.result(20).text == f"You said: {word}"


@pytest.mark.parametrize("overtaken", [True, False])
def test_a_question_that_is_asked_again_is_the_last_thing_said(plain: House, overtaken: bool) -> None:
    """Which thread has its turn first on the new connection is chance; here it is another one."""
    session = surviving(plain, PATIENT)
    engine, items = session._engine, [ConversationItem.create_user_message("one")]
    question = Question(engine, items, None, Deadline(None))
    question.say(engine.connection)
    stream = session.subscribe()
    drop(plain)
    come_back(session, stream)
    before = []
    if overtaken:
        session.ask("two")
        before = ["two", "You said: two"]
    for _ in range(2):  # the second time nothing is to be said
        question.say(engine.connection)
        until(lambda: texts(plain.live) == [*before, "one"])
    session.add_item("end").wait()
    assert ours(session) == texts(plain.live) == [*before, "one", "end"]


def test_an_interruption_in_an_outage_says_at_once_that_there_is_nothing_to_interrupt(plain: House) -> None:
    plain.serve(responder=lambda turn: Reply("one two three", bytes(48_000)))
    session = surviving(plain, PATIENT, ConversationSessionOptions())
    session.ask("speak")
    plain.server.faults = DOWN
    drop(plain)
    until(lambda: session._engine.reconnecting)
    interruption = Running(lambda: session.interrupt(heard_ms=500)).result(20)
    assert not interruption.truncated
    assert "reconnecting" in str(interruption.reason)
    plain.server.faults = Faults()
    assert session.ask("again").completed


def test_a_budget_that_is_passed_right_before_an_outage_ends_the_session_soon(plain: House) -> None:
    """It is passed by an answer aside, while another one is in progress that cannot be cancelled any more."""
    client = OpenAIClient("k", endpoint=plain.server.url, timeouts=CALM).get_realtime_conversation_client(
        "gpt-realtime-2.1"
    )
    session = plain.stack.enter_context(
        plain.stack.enter_context(client).start_conversation_session(TEXT, reconnect=PATIENT, budget=0.0)
    )
    stream = session.subscribe()
    answer = {"id": "resp_1", "object": "realtime.response", "status": "in_progress", "output": []}
    plain.live.emit({"type": "response.created", "response": {**answer, "conversation_id": "conv_1"}})
    stream.wait_for("response.created", 5)
    usage: dict[str, Any] = {"total_tokens": 20, "input_tokens": 10, "output_tokens": 10}
    usage |= {"input_token_details": {"text_tokens": 10}, "output_token_details": {"text_tokens": 10}}
    aside = {**answer, "id": "resp_2", "status": "completed", "conversation_id": None, "usage": usage}
    plain.server.faults = DOWN
    plain.live.inject(faults.eof(after_sent=plain.live.sent_count + 1))
    plain.live.emit({"type": "response.done", "response": aside})
    with pytest.raises(BudgetExceededError):
        Running(lambda: list(stream)).result(20)
    assert session.closed


# Remote tools, and calls ----------------------------------------------------------------------------------------------


def test_lists_of_remote_tools_are_no_loss_and_are_made_anew(plain: House) -> None:
    plain.serve(mcp_servers={"docs": ["search"]})
    session = surviving(plain, options=remote.options())
    stream = session.subscribe()
    until(lambda: any(item.type == "mcp_list_tools" and item.tools for item in session.conversation.items))
    drop(plain)
    assert come_back(session, stream).losses == ()
    stream.wait_for("mcp_list_tools.completed", 10)
    until(lambda: any(item.type == "mcp_list_tools" and item.tools for item in session.conversation.items))


def test_a_request_for_approval_that_went_down_with_its_connection_is_told(plain: House) -> None:
    plain.serve(responder=remote.calling((remote.SEARCH,)), mcp_servers={"docs": ["search"]})
    session = surviving(plain, options=remote.options())
    stream = session.subscribe()
    session.add_item("Go")
    session.start_response()
    (request,) = until(lambda: [item for item in session.conversation.items if item.type == "mcp_approval_request"])
    stream.wait_for("response.done", 10)
    drop(plain)
    losses = come_back(session, stream).losses
    assert any(loss.startswith("mcp_approval_request") for loss in losses)
    with pytest.raises(ServerError, match="does not exist"):
        session.add_item(ConversationItem.create_mcp_approval_response(request.id, True)).wait()


def test_a_call_is_joined_again_and_nothing_is_replayed(plain: House) -> None:
    call_id = plain.server.place_call()
    plain.server.call(call_id).accept(Configuration.from_client(None))
    session = plain.open(start={"call_id": call_id, "reconnect": QUICKLY})
    stream = session.subscribe()
    session.add_item("one").wait()
    session._engine.connection.transport.abort()
    assert stream.wait_for(SessionReconnectedUpdate, 10).losses == ()
    session.add_item("two").wait()
    assert ours(session) == texts(plain.live) == ["one", "two"]
    assert len(received(plain.live, "conversation.item.create")) == 2


def test_a_commit_that_was_not_acknowledged_is_told_as_sent_again(plain: House) -> None:
    session = surviving(plain, options=BY_HAND)
    stream = session.subscribe()
    silenced(plain)
    session.send_audio(bytes(24_000))
    handle = session.commit_pending_audio()
    drop(plain)
    assert come_back(session, stream).sent_again == ("input_audio_buffer.commit",)
    assert until(lambda: handle.sent_again).wait().item_id


# A promise is kept, or not given -------------------------------------------------------------------------------------


def test_a_command_that_is_given_up_is_not_said_to_be_sent_again(plain: House) -> None:
    """It was sent on three connections, and none outlived it."""
    deaf = faults.silence(after_received=2)  # the settings and the audio are heard
    plain.serve(faults=Faults(acts=[deaf]))
    session = surviving(plain, options=BY_HAND)
    stream = session.subscribe()
    session.send_audio(bytes(9600), chunk_ms=200)
    handle, told = session.commit_pending_audio(), []
    for _ in range(3):
        drop(plain)
        with pytest.raises(ConnectionReplacedError) as caught:
            handle.wait(10)
        told.append(caught.value.sent_again)
        losses = come_back(session, stream).losses
        if told[-1]:
            handle = until(lambda handle=handle: handle.sent_again)
    assert told == [True, True, False]
    assert any(loss.startswith("input_audio_buffer.commit") for loss in losses)
    assert handle.sent_again is None


def test_settings_that_were_not_acknowledged_have_the_handle_of_those_that_the_next_connection_got(
    plain: House,
) -> None:
    session = surviving(plain)
    stream = session.subscribe()
    silenced(plain)
    handles = [session.configure_session(ConversationSessionOptions(instructions=word)) for word in ("one", "two")]
    drop(plain)
    for handle in handles:
        with pytest.raises(ConnectionReplacedError) as caught:
            handle.wait(5)
        assert caught.value.sent_again
    come_back(session, stream)
    for handle in handles:
        assert handle.sent_again.wait().session.instructions == "two"


def test_settings_that_the_next_connection_refuses_have_the_refusal(plain: House) -> None:
    session = surviving(plain)
    stream = session.subscribe()
    silenced(plain)
    handle = session.configure_session(ConversationSessionOptions(extra={"no_such_setting": 1}))
    drop(plain)
    assert any(loss.startswith("session.update") for loss in come_back(session, stream).losses)
    assert isinstance(handle.sent_again.error, ServerError)


def test_beyond_the_bound_the_oldest_command_is_told_as_lost(plain: House) -> None:
    session = surviving(plain, attrs.evolve(QUICKLY, hold_commands=5_500))
    stream = session.subscribe()
    silenced(plain)
    handles = [session.add_item(f"{number} " + "x" * 1000) for number in range(4)]
    drop(plain)
    told = come_back(session, stream)
    assert len(told.losses) == 1
    assert "hold_commands" in told.losses[0]
    assert [handle.error.sent_again for handle in handles] == [False, True, True, True]
    for handle in handles[1:]:
        until(lambda handle=handle: handle.sent_again).wait()
    assert [text[:1] for text in texts(plain.live)] == ["1", "2", "3"]


def test_what_came_in_silence_is_not_kept_once_it_is_delivered(plain: House) -> None:
    session = surviving(plain)
    stream = session.subscribe()
    drop(plain)
    come_back(session, stream)
    assert session._engine.connection.deferred == []
