"""Servers that leave out the ids of responses, or their items at the end: found out, for everyone who needs them."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import pytest

from realtime_sync import ResponseDoneUpdate
from realtime_sync.core.normalizer import ResponseNormalizer, is_made_up
from realtime_sync.core.response_router import ResponseRouter
from realtime_sync.protocol import codec
from tests.core.answers import idle
from tests.core.harness import House, Running, until
from tests.core.imitator import Answer, Imitator, Said, added, call, created, done, one_after_another, piece, without

BARE_CREATED: Said = {"type": "response.created"}
BARE_DONE: Said = {"type": "response.done"}
BARE_PIECE = without(piece(), "response_id", "item_id", "output_index", "content_index")

LEFT_OUT: dict[str, Sequence[Said]] = {
    "pieces without it": [created(), without(piece(), "response_id"), done()],
    "pieces of null": [created(), {**piece(), "response_id": None}, done()],
    "bare pieces": [created(), BARE_PIECE, done()],
    "an end without it": [created(), piece(), BARE_DONE],
    "a beginning without it": [BARE_CREATED, piece(), done()],
    "a beginning of null": [{"type": "response.created", "response": {"id": None}}, piece(), done()],
    "a beginning and an end": [BARE_CREATED, piece(), BARE_DONE],
    "nothing has one": [BARE_CREATED, BARE_PIECE, BARE_DONE],
}


@pytest.mark.parametrize("name", LEFT_OUT)
def test_an_answer_without_ids_arrives_and_leaves_the_conversation_free(plain: House, name: str) -> None:
    answers: dict[str, Answer] = {"conversation.item.create": added, "response.create": LEFT_OUT[name]}
    session = plain.raw(Imitator(answers))
    turns = session.turns(timeout=10)
    for _ in range(2):
        answer = session.ask("Hi", timeout=10)
        assert answer.text == "Hello"
        assert answer.id
        turn = next(turns)
        assert (turn.text, turn.response_id) == ("Hello", answer.id)
    assert idle(session)
    assert {response.status for response in session.conversation.responses} <= {"completed", None}


def test_speech_without_ids_is_heard(plain: House) -> None:
    audio = piece(base64.b64encode(b"\1\0" * 8).decode(), kind="audio")
    said = [created(), without(audio, "response_id"), without(piece(kind="audio_transcript"), "response_id"), done()]
    answer = plain.raw(Imitator({"response.create": said})).ask("Hi", timeout=10)
    assert (answer.transcript, answer.audio) == ("Hello", b"\1\0" * 8)


def test_the_pieces_of_two_responses_are_not_guessed_at(plain: House) -> None:
    nameless = without(piece("whose?"), "response_id")
    both = [created(), created("resp_2"), piece("one"), nameless, piece("two", "resp_2"), done(), done("resp_2")]
    answer = plain.raw(Imitator({"response.create": both})).ask("Hi", timeout=10)
    assert answer.text == "one"


def test_a_response_without_an_id_is_cancelled_without_one(plain: House) -> None:
    server = Imitator({"response.create": [BARE_CREATED], "response.cancel": [BARE_DONE]})
    session = plain.raw(server)
    with session.respond("Hi", timeout=10) as response:
        assert is_made_up(response.id)
    until(lambda: idle(session))
    assert "response_id" not in server.heard[-1]


# Calls that the end does not tell -------------------------------------------------------------------------------------


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


ITEM_DONE = {"type": "response.output_item.done", "response_id": "resp_1", "output_index": 0, "item": call()}
ARGUMENTS = {"type": "response.function_call_arguments.done", "item_id": "item_call", "response_id": "resp_1"}
ARGUMENTS |= {"call_id": "call_1", "name": "add", "arguments": '{"a": 2, "b": 3}'}

CALLS: dict[str, Sequence[Said]] = {
    "as an item": [created(), ITEM_DONE, done()],
    "as an item without the response's id": [created(), without(ITEM_DONE, "response_id"), done(output=None)],
    "by its arguments": [created(), ARGUMENTS, done()],
    "by its arguments alone (xAI)": [created(), without(ARGUMENTS, "item_id", "response_id"), done(output=[])],
    "both ways": [created(), ARGUMENTS, ITEM_DONE, ARGUMENTS, done()],
    "beside speech": [created(), piece(kind="audio_transcript"), ARGUMENTS, done()],
}


def calling(first: Sequence[Said] = ()) -> Imitator:
    turns = one_after_another(*([first] if first else []), [created("resp_2"), piece("5", "resp_2"), done("resp_2")])
    told: Said = {"type": "session.updated", "session": {}}
    return Imitator({"session.update": [told], "conversation.item.create": added, "response.create": turns})


def outputs(server: Imitator) -> list[tuple[str, str]]:
    items = [message.get("item", {}) for message in list(server.heard)]
    return [(item["call_id"], item["output"]) for item in items if item.get("type") == "function_call_output"]


@pytest.mark.parametrize("name", CALLS)
def test_a_call_that_the_end_does_not_tell_is_made_once(plain: House, name: str) -> None:
    server = calling(CALLS[name])
    assert plain.raw(server).ask("2 and 3?", tools=[add], timeout=10).text == "5"
    assert outputs(server) == [("call_1", "5")]


@pytest.mark.parametrize("name", CALLS)
def test_run_tools_serves_it_and_the_turn_has_it(plain: House, name: str) -> None:
    server = calling()
    session = plain.raw(server)
    turns = session.turns(timeout=10)
    serving = Running(lambda: session.run_tools([add]))
    until(lambda: "session.update" in server.types())
    server.say(*CALLS[name])  # nobody asked: voice activity detection did
    turn = next(turns)
    assert ([found.name for found in turn.function_calls], turn.text) == (["add"], "5")
    assert outputs(server) == [("call_1", "5")]
    session.close()
    serving.result()


def test_the_answer_and_the_conversation_have_the_items(plain: House) -> None:
    session = plain.raw(Imitator({"response.create": CALLS["as an item"]}))
    answer = session.ask("Hi", timeout=10)
    assert [found.call_id for found in answer.function_calls] == ["call_1"]
    assert [item.type for item in session.conversation.responses[-1].output] == ["function_call"]


def test_what_the_end_tells_is_all_there_is(plain: House) -> None:
    said = [created(), ITEM_DONE, done(output=[call(call_id="call_7")])]
    answer = plain.raw(Imitator({"response.create": said})).ask("Hi", timeout=10)
    assert [found.call_id for found in answer.function_calls] == ["call_7"]


# What cannot be told --------------------------------------------------------------------------------------------------


def test_late_pieces_go_to_nobody_else(plain: House) -> None:
    late = [created(), done(), without(piece("late"), "response_id")]
    turns = one_after_another(late, [created("resp_2"), piece("two", "resp_2"), done("resp_2")])
    session = plain.raw(Imitator({"response.create": turns}))
    assert [session.ask("Hi", timeout=10).text for _ in range(2)] == ["", "two"]


def test_what_was_told_of_very_many_responses_that_never_end_is_forgotten(plain: House) -> None:
    told = {"type": "response.output_item.done", "output_index": 0}
    begun = [created(f"resp_{number}") for number in range(1000)]
    items = [{**told, "response_id": name, "item": call(id=f"item_of_{name}")} for name in ("resp_0", "resp_999")]
    said = [begun[0], items[0], *begun[1:], items[1], done("resp_0"), done("resp_999")]
    session = plain.raw(Imitator({"response.create": said}))
    stream = session.subscribe()
    session.start_response()
    ended: dict[str, int] = {}
    while len(ended) < 2:
        update = stream.receive(10)
        if isinstance(update, ResponseDoneUpdate):
            ended[update.response_id or ""] = len(update.response.output)
    assert ended == {"resp_0": 0, "resp_999": 1}


def test_complete_updates_are_left_as_they_are() -> None:
    registry = ResponseRouter()
    completion = ResponseNormalizer(registry)
    for said in (created(), piece(), {"type": "session.updated", "session": {}}, piece(response_id="resp_7"), done()):
        update = codec.decode(codec.to_text(said))
        assert completion.complete(update) is update
        registry.route(update, None)


def test_what_is_completed_still_says_what_was_missing() -> None:
    registry = ResponseRouter()
    completion = ResponseNormalizer(registry)
    registry.route(completion.complete(codec.decode(codec.to_text(created()))), None)
    update = codec.decode(codec.to_text(BARE_PIECE))
    completed = completion.complete(update)
    assert completed.response_id == "resp_1"  # type: ignore[attr-defined]
    assert (completed.faults, completed.raw_content) == (update.faults, update.raw_content)
    assert "missing $.response_id" in completed.faults
