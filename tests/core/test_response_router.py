"""``ResponseRouter`` and ``Response`` by themselves: fed with updates, without a connection."""

from __future__ import annotations

import base64
import functools
import json
import random
import threading
from collections.abc import Callable
from typing import Any, Optional

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime_sync import ConnectionClosedError, ConversationUpdate, ServerError, WaitTimeoutError
from realtime_sync.core.response import Response
from realtime_sync.core.response_router import ResponseRouter
from realtime_sync.deadline import Deadline
from realtime_sync.protocol.options import AudioFormat
from tests.core.harness import Running, until, within

NOW = Deadline(0)


def response() -> Response:
    return Response(
        cancel=lambda response_id: None, check=lambda: None, audio_format=AudioFormat(type="audio/pcm"), model=None
    )


def update(wire_type: str, **fields: Any) -> ConversationUpdate:
    return ConversationUpdate.from_json(json.dumps({"type": wire_type, "event_id": "event_1", **fields}))


def told(step: str, response_id: str, conversation: Optional[str] = "c", **fields: Any) -> ConversationUpdate:
    return update(f"response.{step}", response={"id": response_id, "conversation_id": conversation, **fields})


def delta(response_id: str, kind: str, piece: str) -> ConversationUpdate:
    place = {"response_id": response_id, "item_id": "i", "output_index": 0, "content_index": 0}
    return update(f"response.{kind}.delta", **place, delta=piece)


def refusal(event_id: str) -> ConversationUpdate:
    return update("error", error={"message": "no", "event_id": event_id})


@attrs.define
class Told:
    """One response as the server tells it: what shall come of it, and its updates, each with the command it settles."""

    number: int
    asked: bool
    pieces: list[tuple[str, bytes]]

    @property
    def event_id(self) -> str:
        return f"event_of_{self.number}"

    def updates(self) -> list[tuple[ConversationUpdate, Optional[str]]]:
        name = f"resp_{self.number}"
        said: list[ConversationUpdate] = []
        for kind, piece in self.pieces:
            text = base64.b64encode(piece).decode() if kind == "output_audio" else piece.hex()
            said.append(delta(name, kind, text))
        begun = told("created", name, None), self.event_id if self.asked else None
        return [begun, *((one, None) for one in said), (told("done", name, None, status="completed"), None)]

    def joined(self, kind: str) -> bytes:
        return b"".join(piece for name, piece in self.pieces if name == kind)


KINDS = st.sampled_from(["output_text", "output_audio", "output_audio_transcript"])
PIECES = st.lists(st.tuples(KINDS, st.binary(max_size=9)), max_size=12)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.booleans(), PIECES), min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_however_the_pieces_of_several_answers_are_mixed_each_has_its_own(
    drawn: list[tuple[bool, list[tuple[str, bytes]]]], chance: random.Random
) -> None:
    everyone = [Told(number, asked, pieces) for number, (asked, pieces) in enumerate(drawn)]
    router = ResponseRouter()
    answers = {one.number: response() for one in everyone if one.asked}
    for number, answer in answers.items():
        router.request(everyone[number].event_id, answer, True, NOW)
    ways = [one.updates() for one in everyone]
    while any(ways):
        router.see(*chance.choice([way for way in ways if way]).pop(0))
    assert router.idle
    for number, answer in answers.items():
        one, came = everyone[number], answer.wait(0)
        assert came.id == f"resp_{number}"
        assert came.audio == b"".join(answer.audio_chunks()) == one.joined("output_audio")
        assert bytes.fromhex(came.text) == bytes.fromhex("".join(answer.text_deltas())) == one.joined("output_text")
        assert bytes.fromhex("".join(answer.transcript_deltas())) == one.joined("output_audio_transcript")


@pytest.mark.parametrize("seed", range(5))
def test_readers_in_a_hurry_miss_nothing_and_see_nothing_twice(seed: int) -> None:
    chance, router = random.Random(seed), ResponseRouter()
    everyone = [Told(number, True, [("output_audio", chance.randbytes(6)) for _ in range(300)]) for number in range(4)]
    answers = [response() for _ in everyone]
    for one, answer in zip(everyone, answers, strict=True):
        router.request(one.event_id, answer, True, NOW)
    readers = [
        Running(lambda answer=answer: b"".join(answer.audio_chunks(5)))  # type: ignore[misc]
        for answer in answers
        for _ in range(3)
    ]
    ways = [one.updates() for one in everyone]
    while any(ways):
        router.see(*chance.choice([way for way in ways if way]).pop(0))
    for number, reader in enumerate(readers):
        assert reader.result() == everyone[number // 3].joined("output_audio")


# Whose turn it is ----------------------------------------------------------------------------------------------------


def occupied() -> ResponseRouter:
    router = ResponseRouter()
    router.see(told("created", "by_voice"), None)
    return router


def test_one_request_at_a_time_for_the_conversation_and_any_number_beside_it() -> None:
    router = ResponseRouter()
    router.request("first", response(), False, NOW)
    for name in "abc":
        router.request(name, response(), True, NOW)
    with pytest.raises(WaitTimeoutError):
        router.request("second", response(), False, NOW)


@pytest.mark.parametrize(
    "frees",
    [
        lambda router: router.withdraw("first"),
        lambda router: router.see(refusal("first"), "first"),
        lambda router: [router.see(told(step, "r"), "first") for step in ("created", "done")],
    ],
    ids=["it was not sent", "it was refused", "it is done"],
)
def test_the_next_goes_on_as_soon_as_the_conversation_is_free(frees: Callable[[ResponseRouter], object]) -> None:
    router = ResponseRouter()
    first, second = response(), response()
    router.request("first", first, False, NOW)
    waiting = Running(lambda: router.request("second", second, False, Deadline(5)))
    until(lambda: router._changed._waiters)  # type: ignore[attr-defined]
    assert waiting.alive
    frees(router)
    with within(1):
        waiting.result()
    router.withdraw("second")
    assert router.idle


def test_a_claim_is_held_from_asking_to_the_end() -> None:
    router = ResponseRouter()
    router.request("first", response(), False, NOW)
    for step in ("created", "in between"):
        if step == "created":
            router.see(told("created", "r"), "first")
        with pytest.raises(WaitTimeoutError):
            router.request("second", response(), False, NOW)
    router.see(told("done", "r"), None)
    router.request("second", response(), False, NOW)


def test_responses_of_others_occupy_the_conversation_if_they_are_in_it() -> None:
    with pytest.raises(WaitTimeoutError):
        occupied().request("mine", response(), False, NOW)
    router = ResponseRouter()
    router.see(told("created", "aside", None), None)
    router.request("mine", response(), False, NOW)


def test_a_server_that_does_not_tell_the_conversation_knows_no_other() -> None:
    router = ResponseRouter()
    router.see(update("response.created", response={"id": "r"}), None)
    with pytest.raises(WaitTimeoutError):
        router.request("mine", response(), False, NOW)


def test_a_refusal_of_another_command_is_none_of_ours() -> None:
    router = ResponseRouter()
    mine = response()
    router.request("mine", mine, False, NOW)
    router.see(refusal("theirs"), "theirs")
    router.see(update("error", error={"message": "no"}), None)
    assert not mine.done
    router.see(refusal("mine"), "mine")
    with pytest.raises(ServerError):
        mine.wait(0)


def test_odd_messages_do_no_harm() -> None:
    router = ResponseRouter()
    mine = response()
    router.request("mine", mine, False, NOW)
    router.see(update("response.created", response={}), None)
    router.see(update("response.done", response={}), None)
    router.see(told("done", "never begun"), None)
    router.see(delta("never begun", "output_text", "x"), None)
    router.see(told("created", "r"), "mine")
    router.see(told("created", "r"), None)  # once more
    router.see(told("done", "r"), None)
    router.see(told("done", "r"), None)
    assert mine.wait(0).id == "r"
    assert router.idle


def test_the_end_of_the_connection_is_the_end_of_all() -> None:
    router = occupied()
    begun, waiting_to_begin, late = response(), response(), response()
    router.request("begun", begun, True, NOW)
    router.see(told("created", "r", None), "begun")
    router.request("waiting", waiting_to_begin, True, NOW)
    in_line = [
        Running(functools.partial(router.request, f"line {number}", response(), False, Deadline(5)))
        for number in range(3)
    ]
    until(lambda: len(router._changed._waiters) == 3)  # type: ignore[attr-defined]
    router.end(ConnectionClosedError("over"))
    for waiting in in_line:
        waiting.result(1)
    router.request("late", late, False, NOW)
    for one in (begun, waiting_to_begin, late):
        with pytest.raises(ConnectionClosedError, match="over"):
            one.wait(0)
        one.fail(ConnectionClosedError("once more"))
    router.withdraw("late")
    assert router.idle


def test_many_threads_never_hold_the_conversation_together() -> None:
    router, inside, most = ResponseRouter(), [0], [0]
    lock = threading.Lock()  # guards inside and most

    def ask(thread: int) -> None:
        for number in range(50):
            name = f"{thread}/{number}"
            router.request(name, response(), False, Deadline(10))
            with lock:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
            router.see(told("created", name), name)
            with lock:
                inside[0] -= 1
            router.see(told("done", name), None)

    for one in [Running(functools.partial(ask, thread)) for thread in range(6)]:
        one.result(20)
    assert most == [1]
    assert router.idle


def test_a_usage_that_is_told_beside_the_response_is_the_answers() -> None:
    """So does xAI, with an empty one inside (2026-07)."""
    router, answer = ResponseRouter(), response()
    router.request("first", answer, False, NOW)
    router.see(told("created", "r"), "first")
    body = {"id": "r", "conversation_id": "c", "status": "completed", "usage": {}}
    router.see(update("response.done", response=body, usage={"input_tokens": 20, "output_tokens": 10}), None)
    usage = answer.wait(0).usage
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens) == (20, 10)
