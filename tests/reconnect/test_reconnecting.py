"""``reconnect=``: the session goes on over a new connection, and what is lost with the old one is told."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from realtime_sync import (
    AudioNotHeldError,
    AuthenticationError,
    ConfigurationError,
    ConnectionClosedError,
    ConnectionLostError,
    ConnectionReplacedError,
    ConsumerTooSlowError,
    ConversationItem,
    ConversationSessionOptions,
    ConversationUpdate,
    ConversationUpdateKind,
    InvalidInputError,
    QueueLimits,
    RateLimitedError,
    Reconnect,
    ReconnectFailedError,
    ServerError,
    SessionDisconnectedUpdate,
    SessionExpiredError,
    SessionNotOpenError,
    SessionReconnectedUpdate,
    UpdateStream,
    WaitTimeoutError,
    function_tool,
)
from realtime_sync.server import Act, Faults, FunctionCall, Refusal, Reply, Turn, faults
from realtime_sync.server.connection import ServerConnection
from tests.core.answers import ASIDE, WRITTEN, Gate, received
from tests.core.harness import House, Running, client_threads, descriptors, until, within

pytestmark = pytest.mark.medium

QUICKLY = Reconnect(base_delay=0.05, max_delay=0.1, give_up_after=10, renew_before=None)
TEXT = ConversationSessionOptions(instructions="be kind", content_modalities=["text"])
DOWN = Faults(refuse=Refusal(503))
SECOND = bytes(48_000)


def surviving(house: House, policy: Any = QUICKLY, options: Any = TEXT, **others: Any) -> Any:
    return house.open(start={"options": options, "reconnect": policy}, **others)


def drop(house: House) -> None:
    house.live.inject(faults.drop())


def come_back(session: Any, stream: Any) -> SessionReconnectedUpdate:
    found: SessionReconnectedUpdate = stream.wait_for(SessionReconnectedUpdate, 10)
    return found


def of_connection(number: int, perform: Callable[[ServerConnection], None]) -> Callable[[ServerConnection], None]:
    """What is performed on the connection of this number only."""
    numbers = itertools.count(1)
    return lambda connection: perform(connection) if next(numbers) == number else None


def texts(live: Any) -> list[str]:
    """What the server's conversation holds, in order."""
    return [
        part.get("text") or part.get("transcript") or ""
        for item in live.conversation
        for part in item.wire.get("content", [])
    ]


def ours(session: Any) -> list[str]:
    return [part.text or part.transcript or "" for item in session.conversation.items for part in item.content]


# What goes on --------------------------------------------------------------------------------------------------------


def test_a_conversation_goes_on_after_its_connection_was_lost(house: House) -> None:
    session = surviving(house)
    stream = session.subscribe()
    session.ask("one")
    drop(house)
    assert session.ask("two").text == "You said: two"
    told = come_back(session, stream)
    assert isinstance(told.reason, ConnectionLostError)
    assert told.losses == ()
    assert told.kind is ConversationUpdateKind.SESSION_RECONNECTED
    assert (told.attempts, told.seconds > 0) == (1, True)
    assert ours(session) == texts(house.live) == ["one", "You said: one", "two", "You said: two"]
    assert house.live.options["instructions"] == "be kind"
    assert len(house.server.sessions) == 2


def test_a_loss_is_told_when_it_is_noticed_with_what_is_tried_and_when(plain: House) -> None:
    session = surviving(plain, Reconnect(base_delay=60, max_delay=60, give_up_after=100))
    stream = session.subscribe()
    before = time.monotonic()
    drop(plain)
    loss = stream.wait_for(SessionDisconnectedUpdate, 10)
    assert loss.kind is ConversationUpdateKind.SESSION_DISCONNECTED
    assert isinstance(loss.reason, ConnectionLostError)
    assert before < loss.lost_at < time.monotonic()
    assert 0 < loss.retry_in <= 60
    assert 99 < loss.give_up_after <= 100
    session.close()
    assert list(stream) == []


def test_each_loss_is_told_once_however_many_attempts_it_takes(plain: House) -> None:
    session = surviving(plain, QUICKLY)
    stream = session.subscribe()
    plain.server.faults = DOWN
    drop(plain)
    until(lambda: session._engine.recovery._attempt > 2)
    plain.server.faults = Faults()
    told = come_back(session, stream)
    assert told.attempts > 2
    session.close()
    assert sum(isinstance(update, SessionDisconnectedUpdate) for update in session.updates()) == 1


def test_the_items_keep_their_ids_so_that_they_can_still_be_spoken_of(plain: House) -> None:
    session = surviving(plain)
    session.ask("one")
    ids = [item.id for item in session.conversation.items]
    drop(plain)
    session.ask("two")
    assert [item.id for item in session.conversation.items][:2] == ids
    session.delete_item(ids[0]).wait()
    assert ours(session) == texts(plain.live) == ["You said: one", "two", "You said: two"]


def test_consumers_see_a_loss_and_its_end_and_nothing_of_the_replay(plain: House) -> None:
    session = surviving(plain)
    session.ask("one")
    stream = session.subscribe()
    drop(plain)
    session.ask("two")
    session.close()
    kinds = [update.type for update in stream]
    assert kinds[:2] == ["realtime_sync.session.disconnected", "realtime_sync.session.reconnected"]
    assert kinds.count("realtime_sync.session.reconnected") == 1
    assert not {"session.created", "session.updated"} & set(kinds)
    assert kinds.count("conversation.item.added") == 2  # of the second question and its answer


def test_later_settings_are_applied_again_but_not_those_that_were_refused(plain: House) -> None:
    session = surviving(plain)
    session.configure_session(ConversationSessionOptions(output_speed=1.25)).wait()
    with pytest.raises(ServerError):
        session.configure_session(ConversationSessionOptions(output_speed=9.0, instructions="be rude")).wait()
    session.send_message({"type": "session.update", "session": {"type": "realtime", "max_output_tokens": 77}})
    session.ask("one")
    drop(plain)
    session.ask("two")
    options = plain.live.options
    assert options["instructions"] == "be kind"
    assert options["audio"]["output"]["speed"] == 1.25
    assert options["max_output_tokens"] == 77


def test_a_long_history_is_carried_over_in_order(plain: House) -> None:
    session = surviving(plain)
    for handle in session.add_history([ConversationItem.create_user_message(f"{n}") for n in range(1100)])[-1:]:
        handle.wait(20)
    drop(plain)
    session.ask("last", timeout=30)
    assert texts(plain.live) == [*map(str, range(1100)), "last", "You said: last"]


def test_items_whose_ids_the_service_would_refuse_get_others(plain: House) -> None:
    long = "item_" + "x" * 36
    item = {"id": long, "type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}
    added = {"type": "conversation.item.added", "previous_item_id": None, "item": item}
    session = surviving(plain, options=None)
    stream = session.subscribe()
    plain.live.send_as_it_is(added)
    until(lambda: ours(session) == ["Hi"])
    drop(plain)
    come_back(session, stream)
    session.add_item("more").wait()
    assert ours(session) == texts(plain.live) == ["Hi", "more"]
    new = session.conversation.items[0].id
    assert len(new) <= 32
    session.delete_item(new).wait()


def test_a_second_and_a_third_loss_are_survived_too(house: House) -> None:
    session = surviving(house)
    for number in range(4):
        assert session.ask(str(number)).text == f"You said: {number}"
        drop(house)
    assert session.ask("end").completed
    assert len(ours(session)) == 10


def test_a_loss_while_the_history_is_replayed_is_one_more_attempt(plain: House) -> None:
    session = surviving(plain)
    stream = session.subscribe()
    for text in ("one", "two"):
        session.ask(text)
    before = plain.live
    plain.server.faults = Faults(acts=[faults.drop(after_received=3)])  # in the middle of the replay
    before.inject(faults.drop())
    until(lambda: len(plain.server.sessions) >= 3)
    plain.server.faults = Faults()
    assert session.ask("three").completed
    assert come_back(session, stream).attempts >= 2
    assert ours(session) == texts(plain.live)


def test_an_attempt_that_finds_the_service_busy_is_followed_by_others(house: House) -> None:
    session = surviving(house)
    stream = session.subscribe()
    session.ask("one")
    house.server.faults = Faults(refuse=Refusal(503, times=2))
    drop(house)
    assert session.ask("two").text == "You said: two"
    assert come_back(session, stream).attempts == 3


@pytest.mark.parametrize(("code", "goes_on"), [(1001, True), (1011, True), (1012, True), (1000, False), (1008, False)])
def test_a_close_by_the_server_is_survived_where_it_is_no_verdict(plain: House, code: int, goes_on: bool) -> None:
    session = surviving(plain)
    session.ask("one")
    plain.live.close(code)
    if goes_on:
        assert session.ask("two").completed
    else:
        until(lambda: session.closed)
        with pytest.raises(ConnectionClosedError):
            session.ask("two")


# Answers -------------------------------------------------------------------------------------------------------------


class Once:
    """A responder that says ``first`` and then waits to be cut off; from the second time on it answers."""

    def __init__(self, *first: str) -> None:
        self.first = first
        self.waiting = threading.Event()
        self.again = False

    def __call__(self, turn: Turn) -> Iterator[str]:
        if self.again:
            yield "the answer"
            return
        self.again = True
        yield from self.first
        self.waiting.set()
        turn.cancelled.wait(10)


@pytest.mark.parametrize("options", [None, ASIDE], ids=["in the conversation", "out of band"])
def test_ask_asks_again_where_nothing_of_the_answer_had_come(house: House, options: Any) -> None:
    responder = Once()
    house.serve(responder=responder)
    session = surviving(house)
    asking = Running(lambda: session.ask("Well?", options))
    assert responder.waiting.wait(5)
    drop(house)
    assert asking.result().text == "the answer"
    assert len(received(house.live, "response.create")) == 1
    assert ours(session) == ([] if options else ["Well?", "the answer"])


def test_an_answer_that_was_cut_off_raises_at_once_and_what_had_come_is_kept(house: House) -> None:
    responder = Once("half an ")
    house.serve(responder=responder)
    session = surviving(house)
    stream = session.subscribe()
    asking = Running(lambda: session.ask("Well?"))
    stream.wait_for("response.output_text.delta", 5)
    house.server.faults = DOWN  # nobody waits for the new connection
    drop(house)
    error = asking.join()
    assert isinstance(error, ConnectionReplacedError)
    assert "the session goes on" in str(error)
    house.server.faults = Faults()
    told = come_back(session, stream)
    assert any("it was cut off" in loss for loss in told.losses)
    assert ours(session)[0] == "Well?"
    assert "half an answer".startswith(ours(session)[1].strip())
    assert session.conversation.responses[0].status == "incomplete"
    assert session.ask("And?").text == "the answer"


def test_a_response_in_progress_gives_what_has_come_and_then_raises(plain: House) -> None:
    responder = Once("half ")
    plain.serve(responder=responder)
    session = surviving(plain)
    with session.respond("Well?") as response:
        pieces = response.text_deltas(5)
        assert next(pieces) == "half "
        drop(plain)
        with pytest.raises(ConnectionReplacedError):
            list(pieces)
    assert session.ask("And?").completed


def test_an_ask_that_is_lost_twice_raises(plain: House) -> None:
    def never(turn: Turn) -> Iterator[str]:
        turn.cancelled.wait(10)
        yield from ()

    plain.serve(responder=never)
    session = surviving(plain)
    stream = session.subscribe()
    asking = Running(lambda: session.ask("Well?"))
    for _ in range(2):
        stream.wait_for("response.created", 5)
        drop(plain)
    assert isinstance(asking.join(), ConnectionReplacedError)


def test_tools_go_on_running_and_their_results_reach_the_new_connection(house: House) -> None:
    running, go_on = threading.Event(), threading.Event()

    @function_tool
    def measure() -> int:
        """Measure the tree."""
        running.set()
        assert go_on.wait(10)
        return 0

    def responder(turn: Turn) -> Any:
        if (turn.last or {}).get("type") == "function_call_output":
            return f"It says {turn.last['output']}"
        return Reply(function_calls=[FunctionCall("measure", {})])

    house.serve(responder=responder)
    session = surviving(house)
    stream = session.subscribe()
    asking = Running(lambda: session.ask("How tall?", tools=[measure]))
    assert running.wait(5)
    drop(house)
    come_back(session, stream)
    go_on.set()
    assert asking.result().text == "It says 0"
    kinds = [item.type for item in session.conversation.items]
    assert kinds == ["message", "function_call", "function_call_output", "message"]
    assert [item.wire["type"] for item in house.live.conversation] == kinds


def test_turns_go_on_across_a_loss(plain: House) -> None:
    responder = Once("half ")
    plain.serve(responder=responder)
    session = surviving(plain)
    turns = session.turns(5)
    asking = Running(lambda: session.ask("one"))
    assert responder.waiting.wait(5)
    until(lambda: "half " in ours(session))
    drop(plain)
    asking.join()
    session.ask("two")
    first, second = next(turns), next(turns)
    assert (first.user_text, first.status, first.reason) == ("one", "incomplete", "connection_lost")
    assert (second.user_text, second.text, second.status) == ("two", "the answer", "completed")


# Commands ------------------------------------------------------------------------------------------------------------


def test_a_command_that_was_not_acknowledged_ends_at_once_and_is_sent_again(house: House) -> None:
    session = surviving(house)
    stream = session.subscribe()
    house.live.inject(faults.silence())
    handle = session.add_item("Do you hear me?")
    cancelling = session.cancel_response("resp_1")
    raw = session.send_message({"type": "something.new", "event_id": "event_mine"})
    house.live.inject(faults.drop())
    with pytest.raises(ConnectionReplacedError) as caught:
        handle.wait(5)
    assert caught.value.sent_again
    for other in (cancelling, raw):
        with pytest.raises(ConnectionReplacedError) as caught:
            other.wait(5)
        assert not caught.value.sent_again
    told = come_back(session, stream)
    assert told.losses == ("something.new: it was not acknowledged, and is not sent again",)
    assert until(lambda: handle.sent_again).wait().item.content[0].text == "Do you hear me?"
    assert cancelling.sent_again is None
    assert texts(house.live) == ours(session) == ["Do you hear me?"]


def test_commands_wait_for_the_new_connection(house: House) -> None:
    session = surviving(house)
    house.server.faults = DOWN
    drop(house)
    until(lambda: session._engine.reconnecting)
    adding = Running(lambda: session.add_item("later").wait())
    assert adding.alive
    house.server.faults = Faults()
    assert adding.result().item.content[0].text == "later"


def test_a_question_waits_for_the_new_connection_no_longer_than_its_timeout(plain: House) -> None:
    session = surviving(plain)
    plain.server.faults = DOWN
    drop(plain)
    until(lambda: session._engine.reconnecting)
    with within(4), pytest.raises(TimeoutError, match="reconnecting"):
        session.ask("anybody?", timeout=0.3)
    plain.server.faults = Faults()
    assert session.ask("anybody?").completed


# Audio ---------------------------------------------------------------------------------------------------------------

BY_HAND = ConversationSessionOptions(turn_detection_options=None, content_modalities=["text"])


def heard(live: Any) -> bytes:
    """All audio that the server was sent."""
    return b"".join(base64.b64decode(message["audio"]) for message in received(live, "input_audio_buffer.append"))


def samples(seconds: float, first: int = 0) -> bytes:
    return b"".join((first + n).to_bytes(2, "little") for n in range(int(24_000 * seconds)))


def test_audio_that_is_sent_meanwhile_is_held_and_sent_in_order(house: House) -> None:
    session = surviving(house, options=BY_HAND)
    stream = session.subscribe()
    before, meanwhile, after = samples(0.5), samples(0.7, 1000), samples(0.2, 3000)
    session.send_audio(before)
    house.server.faults = DOWN
    drop(house)
    until(lambda: session._engine.reconnecting)
    session.send_audio(meanwhile)
    house.server.faults = Faults()
    assert come_back(session, stream).losses == ()
    session.send_audio(after)
    session.commit_pending_audio().wait()
    assert heard(house.live) == before + meanwhile + after


def test_audio_that_a_message_was_made_of_is_not_sent_again(plain: House) -> None:
    session = surviving(plain, options=BY_HAND)
    stream = session.subscribe()
    session.send_audio(SECOND)
    session.commit_pending_audio().wait()
    session.send_audio(samples(0.3))
    drop(plain)
    come_back(session, stream)
    session.commit_pending_audio().wait()
    assert heard(plain.live) == samples(0.3)


def test_audio_that_was_cleared_is_not_sent_again(plain: House) -> None:
    session = surviving(plain, options=BY_HAND)
    stream = session.subscribe()
    session.send_audio(SECOND)
    session.clear_input_audio()
    session.send_audio(samples(0.3))
    drop(plain)
    come_back(session, stream)
    session.commit_pending_audio().wait()
    assert heard(plain.live) == samples(0.3)


def test_a_commit_that_was_not_acknowledged_is_sent_again_behind_its_audio(plain: House) -> None:
    session = surviving(plain, options=BY_HAND)
    plain.live.inject(faults.silence())
    session.send_audio(samples(0.4))
    handle = session.commit_pending_audio()
    plain.live.inject(faults.drop())
    until(lambda: handle.sent_again).wait()
    assert heard(plain.live) == samples(0.4)


def test_audio_beyond_the_bound_is_refused_and_nothing_is_lost_in_silence(plain: House) -> None:
    session = surviving(plain, Reconnect(base_delay=0.05, max_delay=0.1, hold_audio=1.0), BY_HAND)
    plain.server.faults = DOWN
    drop(plain)
    until(lambda: session._engine.reconnecting)
    session.send_audio(samples(0.9))
    with pytest.raises(AudioNotHeldError, match="reconnecting"):
        session.send_audio(samples(0.5), chunk_ms=500)
    plain.server.faults = Faults()
    session.commit_pending_audio().wait()
    assert heard(plain.live) == samples(0.9)


def test_audio_that_is_too_old_to_be_kept_is_told_as_lost(plain: House) -> None:
    session = surviving(plain, Reconnect(base_delay=0.05, hold_audio=1.0), BY_HAND)
    stream = session.subscribe()
    session.send_audio(bytes(3 * 48_000))
    drop(plain)
    assert come_back(session, stream).losses == (
        "audio: 2.0 s that were not committed and are too old to be sent again",
    )


def test_audio_is_refused_meanwhile_where_that_was_chosen(plain: House) -> None:
    session = surviving(plain, Reconnect(base_delay=0.05, max_delay=0.1, hold_audio=0), BY_HAND)
    plain.server.faults = DOWN
    drop(plain)
    until(lambda: session._engine.reconnecting)
    with pytest.raises(AudioNotHeldError):
        session.send_audio(SECOND)


def test_silence_that_voice_activity_detection_heard_is_not_sent_again(
    plain: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("realtime_sync.reconnect.outbox._JUDGED_SECONDS", 0)
    session = surviving(plain)
    stream = session.subscribe()
    session.send_audio(bytes(5 * 48_000))
    session.add_item("it heard all of it").wait()
    drop(plain)
    assert come_back(session, stream).losses == ()
    session.add_item("now").wait()
    assert len(heard(plain.live)) <= 48_000


def begin_an_answer(send: Callable[[str], None]) -> None:
    """Have the client receive the beginning of an answer, and a piece of it."""
    piece = {"response_id": "resp_x", "item_id": "item_x", "output_index": 0, "content_index": 0, "delta": "Hi"}
    send(json.dumps({"type": "response.created", "response": {"id": "resp_x", "conversation_id": "conv_x"}}))
    send(json.dumps({"type": "response.output_text.delta", **piece}))


def test_a_piece_of_an_answer_says_that_the_service_has_heard_what_came_before(
    plain: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("realtime_sync.reconnect.outbox._JUDGED_SECONDS", 0)
    session = surviving(plain)
    stream = session.subscribe()
    begin_an_answer(plain.live.connection.send)
    stream.wait_for("response.output_text.delta", 5)
    session.send_audio(bytes(5 * 48_000))
    begin_an_answer(lambda text: plain.live.connection.send(text) if "delta" in text else None)
    stream.wait_for("response.output_text.delta", 5)
    drop(plain)
    come_back(session, stream)
    session.add_item("now").wait()
    assert len(heard(plain.live)) <= 48_000


def test_a_piece_that_comes_while_the_history_is_sent_is_not_delivered(plain: House) -> None:
    too_soon = of_connection(2, lambda connection: begin_an_answer(connection.send))
    plain.serve(faults=Faults(acts=[Act("an answer", too_soon, after_received=2)]))
    session = surviving(plain)
    session.ask("one")
    stream = session.subscribe()
    drop(plain)
    come_back(session, stream)
    session.add_item("now").wait()
    assert [update.type for update in stream_so_far(stream) if "delta" in update.type] == []
    assert [item.id for item in session.conversation.items if item.id == "item_x"] == []


def stream_so_far(stream: UpdateStream) -> Iterator[ConversationUpdate]:
    """The updates that have come."""
    with contextlib.suppress(WaitTimeoutError):
        while True:
            yield stream.receive(0)


# Giving up, and being closed -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("refusal", "cause"),
    [
        (Refusal(401, body='{"error": {"code": "invalid_api_key", "message": "no"}}'), AuthenticationError),
        (Refusal(429, body='{"error": {"code": "insufficient_quota", "message": "no"}}'), RateLimitedError),
    ],
    ids=["bad key", "no quota"],
)
def test_a_fatal_refusal_ends_the_session_with_its_reason(house: House, refusal: Refusal, cause: type) -> None:
    session = surviving(house)
    session.ask("one")
    stream = session.subscribe()
    house.server.faults = Faults(refuse=refusal)
    drop(house)
    with within(5), pytest.raises(ReconnectFailedError) as caught:
        list(stream)
    assert isinstance(caught.value.__cause__, cause)
    assert str(caught.value.__cause__) in str(caught.value)
    assert "pen a new session" not in str(caught.value)
    with pytest.raises(ReconnectFailedError):
        session.ask("two")
    assert session.closed
    assert ours(session) == ["one", "You said: one"]


def test_it_gives_up_in_time_and_says_what_was_lost(house: House) -> None:
    session = surviving(house, Reconnect(base_delay=0.05, max_delay=0.1, give_up_after=0.5))
    house.live.inject(faults.silence())
    session.send_message({"type": "something.new", "event_id": "event_mine"})
    adding = None
    house.server.faults = DOWN
    house.live.inject(faults.drop())
    until(lambda: session._engine.reconnecting)
    adding = Running(lambda: session.add_item("never"))
    with within(5), pytest.raises(ReconnectFailedError) as caught:
        list(session.updates())
    assert any("something.new" in loss for loss in caught.value.losses)
    assert isinstance(adding.join(), ReconnectFailedError)


def test_a_session_that_goes_on_does_not_say_that_a_new_one_is_needed(house: House) -> None:
    session = surviving(house)
    session.ask("one")
    house.live.inject(faults.silence())
    handle = session.add_item("two")
    drop(house)
    with pytest.raises(ConnectionReplacedError) as caught:
        handle.wait(5)
    lost = session.wait_for(SessionDisconnectedUpdate, 5)
    told = f"{caught.value} {caught.value.__cause__} {lost.reason}"
    assert "pen a new session" not in told


def test_without_time_for_an_attempt_the_loss_is_told_once(house: House) -> None:
    session = surviving(house, Reconnect(give_up_after=0))
    session.ask("one")
    drop(house)
    with within(5), pytest.raises(ReconnectFailedError, match="no time for an attempt") as caught:
        list(session.updates())
    assert str(caught.value).count("onnection broke") + str(caught.value).count("onnection ended") == 1


def test_the_callers_close_is_no_loss(house: House) -> None:
    session = surviving(house)
    session.ask("one")
    session.close()
    assert len(house.server.sessions) == 1
    with pytest.raises(SessionNotOpenError):
        session.ask("two")


@pytest.mark.parametrize("closers", [1, 2])
def test_close_ends_the_attempts_at_once(house: House, closers: int) -> None:
    session = surviving(house, Reconnect(base_delay=60, max_delay=60))
    stream = session.subscribe()
    house.server.faults = DOWN
    drop(house)
    until(lambda: session._engine.reconnecting)
    asking = Running(lambda: session.ask("anybody?"))
    with within(2):
        for closing in [Running(session.close) for _ in range(closers)]:
            closing.join()
    assert [type(update) for update in stream] == [SessionDisconnectedUpdate]  # and an orderly end
    assert isinstance(asking.join(), SessionNotOpenError)
    assert session.closed
    until(lambda: not client_threads())


def test_close_while_a_connection_is_being_opened_ends_that_too(plain: House) -> None:
    session = surviving(plain)
    plain.server.faults = Faults(slow_handshake=0.2)
    drop(plain)
    until(lambda: session._engine.reconnecting)
    with within(2.5):
        session.close()
    until(lambda: not client_threads())


def test_close_from_a_callback_while_it_reconnects_is_fine(plain: House) -> None:
    session = surviving(plain)
    session.on(SessionReconnectedUpdate, lambda update: session.close())
    running = Running(session.run)
    session.ask("one")
    drop(plain)
    assert running.join() is None
    assert session.closed


def test_the_client_closes_its_reconnecting_sessions(plain: House) -> None:
    client = plain.client()
    session = client.start_conversation_session(reconnect=Reconnect(base_delay=60))
    drop(plain)
    until(lambda: session._engine.reconnecting)
    with within(4):
        client.close()
    assert session.closed


def test_a_consumer_that_is_too_slow_is_no_loss_of_the_connection(plain: House) -> None:
    session = surviving(plain, limits=QueueLimits(queued=20_000))
    stream = session.subscribe()
    for _ in range(2):  # one alone may be of any size
        plain.live.send_as_it_is({"type": "huge", "padding": "x" * 40_000})
    until(lambda: session.closed)  # before anything is taken
    with pytest.raises(ConsumerTooSlowError):
        list(stream)


def test_no_thread_and_no_descriptor_is_left_after_many_losses(plain: House) -> None:
    session = surviving(plain)
    session.ask("0")
    drop(plain)
    session.ask("1")
    until(lambda: len(client_threads()) == 1)
    threads, before = len(threading.enumerate()), descriptors()
    for number in range(10):
        drop(plain)
        session.ask(str(number))
    until(lambda: len(client_threads()) == 1 and len(threading.enumerate()) <= threads)
    until(lambda: descriptors() <= before + 2)


def test_the_interpreter_ends_while_a_session_reconnects() -> None:
    code = """
import time
from realtime_sync import OpenAIClient, Reconnect
from realtime_sync.server import RealtimeServer, faults
server = RealtimeServer()
client = OpenAIClient("k", endpoint=server.url).get_realtime_conversation_client("m")
session = client.start_conversation_session(reconnect=Reconnect(base_delay=60))
server.close()
while not session._engine.reconnecting:
    time.sleep(0.01)
print("over")
"""
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert (done.stdout, done.returncode) == ("over\n", 0), done.stderr
    assert time.monotonic() - started < 20


@pytest.mark.parametrize("wrong", [1, "yes", None])
def test_what_is_no_policy_is_refused(plain: House, wrong: object) -> None:
    with pytest.raises(InvalidInputError, match="reconnect"):
        surviving(plain, wrong)
    with pytest.raises(ConfigurationError, match="give_up_after"):
        Reconnect(give_up_after=-1)


# Expiry --------------------------------------------------------------------------------------------------------------


def expire(house: House) -> None:
    """What the service does at its limit."""
    error = {"type": "invalid_request_error", "code": "session_expired", "message": "Your session hit the limit."}
    house.live.emit({"type": "error", "error": {**error, "param": None, "event_id": None}})
    house.live.close(1001)


def test_the_time_limit_is_survived(house: House) -> None:
    session = surviving(house)
    stream = session.subscribe()
    session.ask("one")
    expire(house)
    assert session.ask("two").text == "You said: two"
    assert isinstance(come_back(session, stream).reason, SessionExpiredError)


@pytest.mark.parametrize("house", ["ws", pytest.param("wss", marks=pytest.mark.slow)], indirect=True)
def test_the_connection_is_renewed_ahead_of_the_limit_and_nothing_is_lost(house: House) -> None:
    house.serve(session_seconds=3600)
    session = surviving(house, Reconnect(base_delay=0.05, renew_before=3599))
    stream = session.subscribe()
    assert session.ask("one").completed
    assert len(house.server.sessions) == 1  # a tenth of the time, at the latest
    session.close()
    house.serve(session_seconds=5)
    session = surviving(house, Reconnect(base_delay=0.05, renew_before=4.5))
    stream = session.subscribe()
    session.ask("one")
    told = come_back(session, stream)
    assert isinstance(told.reason, SessionExpiredError)
    assert told.losses == ()
    assert session.ask("two").text == "You said: two"
    assert ours(session) == texts(house.live)
    assert house.server.sessions[-2].close_code == 1000


def test_an_answer_in_progress_is_not_cut_off_by_the_renewal(plain: House) -> None:
    gate = Gate()
    plain.serve(session_seconds=5, responder=gate)
    session = surviving(plain, Reconnect(base_delay=0.05, renew_before=4.9))
    stream = session.subscribe()
    response = session.respond("Well?")
    with pytest.raises(WaitTimeoutError):  # it would have been renewed half a second after its beginning
        plain.live.wait_until_closed(2)
    gate.opened.set()
    assert response.wait(5).completed
    assert session.ask("more", WRITTEN).completed
    assert come_back(session, stream).losses == ()


def test_what_the_user_said_without_a_transcript_is_lost_and_told_unless_it_is_kept(plain: House) -> None:
    for keep in (False, True):
        policy = Reconnect(base_delay=0.05, keep_audio=keep)
        session = surviving(plain, policy, BY_HAND)
        stream = session.subscribe()
        session.send_audio(samples(0.4))
        session.commit_pending_audio().wait()
        item = session.wait_for("conversation.item.done", 5).item
        session.start_response()
        session.wait_for("response.done", 5)
        drop(plain)
        told = come_back(session, stream)
        session.add_item("and this").wait()
        if keep:
            assert told.losses == ()
            assert next(iter(plain.live.conversation)).audio[0] == samples(0.4)
        else:
            assert told.losses == (f"message {item.id}: part 0 is audio without transcript, and was not kept",)
            assert ours(session)[-1] == "and this"
            assert len(ours(session)) == 2
            assert texts(plain.live) == ours(session)


def test_kept_speech_is_what_voice_activity_detection_cut_out_of_the_stream(plain: House) -> None:
    session = surviving(plain, Reconnect(base_delay=0.05, keep_audio=True), TEXT)
    stream = session.subscribe()
    loud = b"".join((12_000 if n // 40 % 2 else -12_000).to_bytes(2, "little", signed=True) for n in range(24_000))
    whole = bytes(48_000) + loud + bytes(2 * 48_000)
    session.send_audio(whole)
    stopped = stream.wait_for("input_audio_buffer.speech_stopped", 5)
    session.wait_for("response.done", 10)
    (item,) = [item for item in session.conversation.items if item.role == "user"]
    started = session.wait_for("input_audio_buffer.speech_started", 5)
    assert session.conversation.audio(item.id) == whole[started.audio_start_ms * 48 : stopped.audio_end_ms * 48]
