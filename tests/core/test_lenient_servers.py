"""What a user gets from servers that imitate the protocol and leave things out: the answer, or a clear error in time.

Each test plays what some server does; ``imitator.py`` names them.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

import attrs
import pytest

from realtime_sync import (
    ConnectionClosedError,
    ConversationItem,
    ConversationSessionOptions,
    HandshakeError,
    ResponseFailedError,
    ServerError,
    WaitTimeoutError,
)
from realtime_sync.protocol.dialects import Dialect
from tests.core.answers import idle
from tests.core.harness import CALM, House, Running, until
from tests.core.imitator import (
    GREETING,
    Answer,
    Imitator,
    Message,
    Said,
    added,
    call,
    created,
    done,
    one_after_another,
    piece,
    without,
)
from tests.transport.peer import BINARY, CLOSE, TEXT, close_frame, frame

HASTY = attrs.evolve(CALM, acknowledge=0.3, greeting=0.3, close=0.5)
MESSAGE: Message = {
    "id": "item_of_resp_1",
    "type": "message",
    "role": "assistant",
    "content": [{"type": "text", "text": "Hello"}],
}


def asked(house: House, *said: Said, **options: Any) -> Any:
    """A session with a server that answers each ``response.create`` so."""
    return house.raw(Imitator({"conversation.item.create": added, "response.create": said}), **options)


# An answer, whatever it lacks ----------------------------------------------------------------------------------------

COMPLETE: dict[str, Sequence[Said]] = {
    "no metadata, no conversation, no usage": [created(), piece(), done()],
    "no output, no status_details": [created(), piece(), done(output=[])],
    "null everywhere": [
        created(),
        piece(event_id=None, obfuscation=None),
        done(output=None, usage=None, status_details=None, conversation_id=None, event_id=None, metadata=None),
    ],
    "no indexes": [created(), without(piece(), "content_index", "output_index"), done()],
    "no item id": [created(), without(piece(), "content_index", "output_index", "item_id"), done()],
    "a delta of null": [created(), piece(delta=None), piece(), done()],
    "preview's names": [created(modalities=["text"]), piece(kind="text"), done(modalities=["text"])],
    "incomplete from the beginning (speaches)": [created(status="incomplete"), piece(kind="text"), done()],
    "no deltas but the item": [
        created(),
        {"type": "response.output_item.done", "response_id": "resp_1", "item": MESSAGE},
        done(),
    ],
    "no deltas but the whole response": [created(), done(output=[MESSAGE])],
    "an end without an id": [created(), piece(), {"type": "response.done", "response": {"status": "completed"}}],
    "an end without anything": [created(), piece(), {"type": "response.done"}],
    "unknown fields and messages": [
        {"type": "ping", "timestamp": 1},
        created(x_engine={"a": [1]}),
        {"type": "emotion", "emotion": "happy"},
        piece(x_token_id=7),
        done(x_timings={"ms": 12}),
    ],
    "no JSON, no object, no type, and a binary frame between": [
        created(),
        "not JSON",
        "[1]",
        '{"no": "type"}',
        frame(BINARY, b"\0\1"),
        piece(),
        done(),
    ],
    "an unnamed error first (speaches on metadata)": [
        {"type": "error", "error": {"type": "invalid_request_error", "message": "not supported", "event_id": None}},
        created(),
        piece(),
        done(),
    ],
    "event ids that repeat (LocalAI)": [
        {**created(), "event_id": "event_TODO"},
        piece("Hel", event_id="event_TODO"),
        piece("lo", event_id="event_TODO"),
        {**done(), "event_id": "event_TODO"},
    ],
}


@pytest.mark.parametrize("name", COMPLETE)
def test_an_answer_arrives_whatever_the_server_leaves_out(plain: House, name: str) -> None:
    session = asked(plain, *COMPLETE[name])
    assert session.ask("Hi", timeout=10).text == "Hello"
    assert idle(session)
    with session.respond(timeout=10) as response:  # under the same ids
        assert response.wait(10).text == "Hello"


@pytest.mark.parametrize("dialect", list(Dialect))
@pytest.mark.parametrize("kind", ["audio", "output_audio"])
def test_speech_is_heard_under_either_name_in_either_dialect(plain: House, dialect: Dialect, kind: str) -> None:
    said = [
        created(),
        piece("Hello", kind=f"{kind}_transcript"),
        piece(base64.b64encode(b"\1\0" * 8).decode(), kind=kind),
        done(),
    ]
    answer = asked(plain, *said, dialect=dialect).ask("Hi", timeout=10)
    assert (answer.transcript, answer.audio) == ("Hello", b"\1\0" * 8)


def test_an_answer_whose_id_is_used_again_is_not_mixed_with_the_first(plain: House) -> None:
    turns = one_after_another([created(), piece("one"), done()], [created(), piece("two"), done()])
    session = plain.raw(Imitator({"conversation.item.create": added, "response.create": turns}))
    assert [session.ask("Hi", timeout=10).text for _ in range(2)] == ["one", "two"]


# An answer that fails, or never comes --------------------------------------------------------------------------------

NEVER: dict[str, Sequence[Said]] = {
    "nothing at all": [],
    "an error that names nobody": [{"type": "error", "error": {"type": "server_error", "message": "out of memory"}}],
    "an error that is a text (vLLM)": [{"type": "error", "error": "Unknown event type", "code": "unknown_event"}],
    "a beginning and an error (LocalAI)": [created(), {"type": "error", "error": {"message": "backend error"}}],
    "a beginning and pieces": [created(), piece()],
    "another one's end": [created(), piece(), done("resp_7")],
}


@pytest.mark.parametrize("name", NEVER)
def test_an_answer_that_does_not_end_is_a_time_out_and_the_session_goes_on(plain: House, name: str) -> None:
    session = asked(plain, *NEVER[name], timeouts=HASTY)
    with pytest.raises(WaitTimeoutError):
        session.ask("Hi", timeout=0.5)
    assert session.receive_update(5).type == "session.created"
    assert not session.closed


def test_a_failure_without_details_is_a_failure(plain: House) -> None:
    with pytest.raises(ResponseFailedError) as caught:
        asked(plain, created(), piece("Hel"), done(status="failed")).ask("Hi", timeout=10)
    assert caught.value.answer.text == "Hel"


@pytest.mark.parametrize("status", ["cancelled", "incomplete", "whatever"])
def test_a_status_of_any_kind_is_told(plain: House, status: str) -> None:
    answer = asked(plain, created(), piece("Hel"), done(status=status)).ask("Hi", timeout=10)
    assert (answer.text, answer.status, answer.completed) == ("Hel", status, False)


def test_a_refusal_that_names_the_question_is_raised_at_once(plain: House) -> None:
    def refuse(message: Message) -> list[Message]:
        return [{"type": "error", "error": {"type": "tool_choice_not_supported", "event_id": message["event_id"]}}]

    session = plain.raw(Imitator({"response.create": refuse}))
    with pytest.raises(ServerError, match="tool_choice_not_supported"):
        session.ask("Hi", timeout=30)
    assert idle(session)


# Greetings -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "greeting",
    [
        [],
        [{"type": "conversation.created", "conversation": {"id": "conv_1", "object": "realtime.conversation"}}],
        [{"type": "session.created", "id": "sess_1", "created": 1}],
        [{"type": "session.created", "session": None}],
        [{"type": "transcription_session.created", "session": {}}],
        [{"type": "ping", "timestamp": 1}],
    ],
    ids=["nothing", "a conversation (xAI)", "no session (vLLM)", "null", "another kind of session", "a ping (xAI)"],
)
def test_a_session_starts_whatever_the_greeting(plain: House, greeting: Sequence[Said]) -> None:
    answers: dict[str, Answer] = {"conversation.item.create": added, "response.create": [created(), piece(), done()]}
    session = plain.raw(Imitator(answers, greeting), timeouts=HASTY)
    assert session.ask("Hi", timeout=10).text == "Hello"
    assert session.session is None or not session.session.model
    assert repr(session)
    assert session._repr_html_()


def test_a_refusal_by_a_close_without_a_reason_is_an_error(plain: House) -> None:
    def refuse(link: Any) -> None:
        link.send(close_frame(1008))
        link.read_to_end()

    with pytest.raises(HandshakeError, match="no reason given"):
        plain.raw(refuse)


# Commands ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "session_told", [{"session": {"instructions": "x"}}, {"session": {}}, {"session": None}, {}], ids=str
)
def test_settings_are_acknowledged_by_whatever_update_comes(plain: House, session_told: Message) -> None:
    session = plain.raw(Imitator({"session.update": [{"type": "session.updated", **session_told}]}))
    assert session.configure_session(ConversationSessionOptions(instructions="x")).wait(10).type == "session.updated"


@pytest.mark.parametrize(
    "said",
    [
        [],
        [{"type": "error", "error": {"type": "invalid_request_error", "message": "bad voice"}}],
        [{"type": "error", "event_id": "event_TODO", "error": {"message": "bad voice", "event_id": "event_TODO"}}],
        [{"type": "error", "error": "Missing required field: model", "code": "invalid_event"}],
    ],
    ids=["nothing", "unnamed", "a name that is nobody's (LocalAI)", "a text (vLLM)"],
)
def test_settings_that_nothing_acknowledges_time_out_and_the_rest_works(plain: House, said: Sequence[Said]) -> None:
    answers: dict[str, Answer] = {
        "session.update": said,
        "conversation.item.create": added,
        "response.create": [created(), piece(), done()],
    }
    session = plain.raw(Imitator(answers))
    handle = session.configure_session(ConversationSessionOptions(voice="nobody"))
    with pytest.raises(WaitTimeoutError, match=r"session\.update was not acknowledged"):
        handle.wait(0.3)
    assert session.ask("Hi", timeout=10).text == "Hello"


ITEMS: dict[str, Answer] = {
    "never told (vLLM's bridges)": lambda message: [],
    "created": lambda message: [{"type": "conversation.item.created", "item": message["item"]}],
    "added and created and done": lambda message: [
        {"type": f"conversation.item.{word}", "item": message["item"]} for word in ("created", "added", "done")
    ],
    "done alone": lambda message: [{"type": "conversation.item.done", "item": message["item"]}],
    "under another id": lambda message: [
        {"type": "conversation.item.added", "item": {**message["item"], "id": "item_theirs"}}
    ],
    "without an id": lambda message: [{"type": "conversation.item.added", "item": without(message["item"], "id")}],
    "without the item": lambda message: [{"type": "conversation.item.created", "item_id": message["item"]["id"]}],
    "after the answer (Hugging Face)": lambda message: [],
}


@pytest.mark.parametrize("name", ITEMS)
def test_a_question_is_answered_however_its_item_is_told(plain: House, name: str) -> None:
    answers: dict[str, Answer] = {
        "conversation.item.create": ITEMS[name],
        "response.create": [created(), piece(), done()],
    }
    session = plain.raw(Imitator(answers))
    assert session.ask("Hi", timeout=10).text == "Hello"
    assert session.ask([ConversationItem.create_user_message("one"), "two"], timeout=10).text == "Hello"


@pytest.mark.parametrize("name", ["created", "added and created and done"])
def test_an_item_is_acknowledged_and_in_the_conversation_once(plain: House, name: str) -> None:
    session = plain.raw(Imitator({"conversation.item.create": ITEMS[name]}))
    session.add_item("Hi").wait(10)
    until(lambda: session.receive_update(5).type == f"conversation.item.{'created' if name == 'created' else 'done'}")
    assert [item.content[0].text for item in session.conversation.items] == ["Hi"]


# Tools ---------------------------------------------------------------------------------------------------------------


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


CALLS: dict[str, Sequence[Said]] = {
    "in the response alone": [created(), done(output=[call()])],
    "as an item and in the response": [
        created(),
        {"type": "response.output_item.done", "response_id": "resp_1", "output_index": 0, "item": call()},
        done(output=[call()]),
    ],
    "without a status": [created(), {"type": "response.done", "response": {"id": "resp_1", "output": [call()]}}],
    "without an id": [created(), done(output=[without(call(), "id")])],
}


def calling(said: Sequence[Said]) -> Imitator:
    """A server whose first answer is a call; a call of VAD's where the client asks for tools."""
    turns = one_after_another(said, [created("resp_2"), piece("5", "resp_2"), done("resp_2")])
    return Imitator(
        {
            "session.update": [{"type": "session.updated", "session": {}}],
            "conversation.item.create": added,
            "response.create": turns,
        }
    )


def outputs(server: Imitator) -> list[str]:
    items = [message["item"] for message in list(server.heard) if message["type"] == "conversation.item.create"]
    return [item["output"] for item in items if item["type"] == "function_call_output"]


@pytest.mark.parametrize("name", CALLS)
def test_a_call_is_made_however_it_is_told(plain: House, name: str) -> None:
    server = calling(CALLS[name])
    assert plain.raw(server).ask("2 and 3?", tools=[add], timeout=10).text == "5"
    assert outputs(server) == ["5"]


@pytest.mark.parametrize("name", CALLS)
def test_run_tools_serves_a_call_however_it_is_told(plain: House, name: str) -> None:
    server = calling([created("resp_2"), piece("5", "resp_2"), done("resp_2")])
    session = plain.raw(server)
    serving = Running(lambda: session.run_tools([add]))
    until(lambda: "session.update" in server.types())
    server.say(*CALLS[name])  # nobody asked: voice activity detection did
    until(lambda: outputs(server) == ["5"])
    until(lambda: "response.create" in server.types())
    session.close()
    serving.result()


# Turns ---------------------------------------------------------------------------------------------------------------


def spoken(item_id: str = "item_user") -> list[Message]:
    """What voice activity detection tells, with what speaches and LiteLLM's bridges leave out."""
    return [
        {"type": "input_audio_buffer.speech_started", "item_id": item_id},
        {"type": "input_audio_buffer.speech_stopped", "item_id": item_id},
        {"type": "input_audio_buffer.committed", "item_id": item_id},
        {"type": "conversation.item.input_audio_transcription.completed", "item_id": item_id, "transcript": "Hi"},
    ]


def test_a_turn_is_told_though_half_of_its_fields_are_missing(plain: House) -> None:
    server = Imitator({})
    session = plain.raw(server)
    turns = session.turns(timeout=10)
    transcript = without(piece(kind="audio_transcript"), "output_index", "content_index")
    server.say(*spoken(), created(), transcript, done(output=[]))
    turn = next(turns)
    assert (turn.user_transcript, turn.transcript, turn.status) == ("Hi", "Hello", "completed")
    assert turn.timeline.speech_seconds is not None


# Everything as it comes ----------------------------------------------------------------------------------------------


def test_updates_shows_all_that_came_and_says_what_was_odd(plain: House) -> None:
    odd: list[Said] = [
        {"type": "error", "error": ["boom"]},
        {"type": "error"},
        {"type": "error", "error": None},
        {"type": "response.done", "response": "r"},
        {"type": "response.created", "response": None},
        {"type": "conversation.item.added", "item": []},
        {"type": "rate_limits.updated", "rate_limits": None},
        {"type": "never.heard.of", "delta": "Hi"},
        {"type": None},
        frame(BINARY, b"\xff"),
    ]
    server = Imitator({}, [GREETING, *odd])
    session = plain.raw(server)
    seen = [session.receive_update(5) for _ in range(1 + len(odd))]
    assert [update.raw_content for update in seen[1:-1]] == [json.dumps(said) for said in odd[:-1]]
    assert all(update.oddities for update in seen[1:])
    assert [item.type for item in session.conversation.items] == [""]


def test_errors_of_any_shape_can_be_raised_by_updates(plain: House) -> None:
    shapes: list[Said] = [{"type": "error", "error": error} for error in ({"message": "a"}, {}, None, "b", ["c"])]
    session = plain.raw(Imitator({}, [GREETING, *shapes]))
    updates = session.updates(raise_errors=True)
    assert next(updates).type == "session.created"
    for _ in shapes:
        with pytest.raises(ServerError):
            next(updates)


# Ends ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [None, 1000, 1001])
def test_a_close_without_a_reason_is_an_end(plain: House, code: Any) -> None:
    server = Imitator({"conversation.item.create": [close_frame(code) if code else frame(CLOSE)]})
    session = plain.raw(server)
    session.add_item("Hi")
    assert [update.type for update in session.updates()] == ["session.created"]
    assert session.close_info.reason == ""


def test_a_close_in_the_middle_of_an_answer_is_an_error_for_who_waits(plain: House) -> None:
    session = asked(plain, created(), piece("Hel"), close_frame(1000))
    with session.respond("Hi", timeout=10) as response, pytest.raises(ConnectionClosedError):
        response.wait(10)
    assert response.answer().text == "Hel"


def test_close_ends_a_session_whose_server_does_not_answer_it(plain: House) -> None:
    def silent(link: Any) -> None:
        link.send(frame(TEXT, json.dumps(GREETING)))
        link.read_to_end()

    session = plain.raw(silent, timeouts=HASTY)
    session.close()
    assert session.closed
