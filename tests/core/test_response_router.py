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

from realtime_sync import ConnectionClosedError, ConversationUpdate, ServerError, UsageError, WaitTimeoutError
from realtime_sync.core.acknowledgements import METADATA_KEY
from realtime_sync.core.response import Response
from realtime_sync.core.response_router import Owner, ResponseRouter, request_mark
from realtime_sync.deadline import Deadline
from realtime_sync.protocol.options import AudioFormat
from tests.core.harness import Running, until, within

NOW = Deadline(0)


def response(kind: type[Response] = Response) -> Response:
    return kind(
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


@pytest.mark.filterwarnings("ignore:text_deltas")
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
        router.route(*chance.choice([way for way in ways if way]).pop(0))
    assert router.idle
    for number, answer in answers.items():
        one, came = everyone[number], answer.wait(0)
        assert came.id == f"resp_{number}"
        assert came.audio == b"".join(answer.audio_chunks()) == one.joined("output_audio")
        assert bytes.fromhex(came.text) == bytes.fromhex("".join(answer.text_deltas())) == one.joined("output_text")
        assert bytes.fromhex("".join(answer.transcript_deltas())) == one.joined("output_audio_transcript")


def test_whoever_is_told_that_an_answer_is_done_may_ask_the_next_question_at_once() -> None:
    router = ResponseRouter()
    free = []

    class Watched(Response):
        def _feed(self, update: ConversationUpdate) -> None:
            free.append(router.idle)
            super()._feed(update)

    answer = response(Watched)
    router.request("event_of_1", answer, True, NOW)
    router.route(told("created", "r"), "event_of_1")
    router.route(told("done", "r", status="completed"), None)
    assert answer.done
    assert free == [False, True]


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
        router.route(*chance.choice([way for way in ways if way]).pop(0))
    for number, reader in enumerate(readers):
        assert reader.result() == everyone[number // 3].joined("output_audio")


# Whose turn it is ----------------------------------------------------------------------------------------------------


def occupied() -> ResponseRouter:
    router = ResponseRouter()
    router.route(told("created", "by_voice"), None)
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
        lambda router: router.route(refusal("first"), "first"),
        lambda router: [router.route(told(step, "r"), "first") for step in ("created", "done")],
    ],
    ids=["it was not sent", "it was refused", "it is done"],
)
def test_the_next_goes_on_as_soon_as_the_conversation_is_free(frees: Callable[[ResponseRouter], object]) -> None:
    router = ResponseRouter()
    first, second = response(), response()
    router.request("first", first, False, NOW)
    waiting = Running(lambda: router.request("second", second, False, Deadline(5)))
    until(lambda: router._changed._waiting)  # type: ignore[attr-defined]
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
            router.route(told("created", "r"), "first")
        with pytest.raises(WaitTimeoutError):
            router.request("second", response(), False, NOW)
    router.route(told("done", "r"), None)
    router.request("second", response(), False, NOW)


def test_responses_of_others_occupy_the_conversation_if_they_are_in_it() -> None:
    with pytest.raises(WaitTimeoutError):
        occupied().request("mine", response(), False, NOW)
    router = ResponseRouter()
    router.route(told("created", "aside", None), None)
    router.request("mine", response(), False, NOW)


def test_a_server_that_does_not_tell_the_conversation_knows_no_other() -> None:
    router = ResponseRouter()
    router.route(update("response.created", response={"id": "r"}), None)
    with pytest.raises(WaitTimeoutError):
        router.request("mine", response(), False, NOW)


def test_a_refusal_of_another_command_is_none_of_ours() -> None:
    router = ResponseRouter()
    mine = response()
    router.request("mine", mine, False, NOW)
    router.route(refusal("theirs"), "theirs")
    router.route(update("error", error={"message": "no"}), None)
    assert not mine.done
    router.route(refusal("mine"), "mine")
    with pytest.raises(ServerError):
        mine.wait(0)


def test_odd_messages_do_no_harm() -> None:
    router = ResponseRouter()
    mine = response()
    router.request("mine", mine, False, NOW)
    router.route(update("response.created", response={}), None)
    router.route(update("response.done", response={}), None)
    router.route(told("done", "never begun"), None)
    router.route(delta("never begun", "output_text", "x"), None)
    router.route(told("created", "r"), "mine")
    router.route(told("created", "r"), None)  # once more
    router.route(told("done", "r"), None)
    router.route(told("done", "r"), None)
    assert mine.wait(0).id == "r"
    assert router.idle


def test_the_end_of_the_connection_is_the_end_of_all() -> None:
    router = occupied()
    begun, waiting_to_begin, late = response(), response(), response()
    router.request("begun", begun, True, NOW)
    router.route(told("created", "r", None), "begun")
    router.request("waiting", waiting_to_begin, True, NOW)
    in_line = [
        Running(functools.partial(router.request, f"line {number}", response(), False, Deadline(5)))
        for number in range(3)
    ]
    until(lambda: len(router._changed._waiting) == 3)  # type: ignore[attr-defined]
    router.end(ConnectionClosedError("over"))
    for waiting in in_line:
        waiting.result(1)
    router.request("late", late, False, NOW)
    for one in (begun, waiting_to_begin, late):
        with pytest.raises(ConnectionClosedError, match="over"):
            one.wait(0)
        one._fail(ConnectionClosedError("once more"))
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
            router.route(told("created", name), name)
            with lock:
                inside[0] -= 1
            router.route(told("done", name), None)

    for one in [Running(functools.partial(ask, thread)) for thread in range(6)]:
        one.result(20)
    assert most == [1]
    assert router.idle


def test_a_usage_that_is_told_beside_the_response_is_the_answers() -> None:
    """So does xAI, with an empty one inside (2026-07)."""
    router, answer = ResponseRouter(), response()
    router.request("first", answer, False, NOW)
    router.route(told("created", "r"), "first")
    body = {"id": "r", "conversation_id": "c", "status": "completed", "usage": {}}
    router.route(update("response.done", response=body, usage={"input_tokens": 20, "output_tokens": 10}), None)
    usage = answer.wait(0).usage
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens) == (20, 10)


# Whose it is -------------------------------------------------------------------------------------------------------


def asked(owner: Owner = Owner.SESSION, before: Optional[ResponseRouter] = None) -> ResponseRouter:
    """A registry with one response in progress, ``mine``, which answers the request ``event_mine``."""
    router = ResponseRouter(before)
    router.request("event_mine", response(), False, NOW, owner)
    assert router.route(told("created", "mine"), "event_mine")
    return router


def about(wire_type: str, item_id: str, **fields: Any) -> ConversationUpdate:
    item = {"id": item_id, "type": "message", "role": "assistant", "content": []}
    return update(wire_type, item=item, item_id=item_id, **fields)


def test_each_update_of_an_askers_response_is_the_askers() -> None:
    router = asked()
    place = {"response_id": "mine", "output_index": 0}
    for one in (
        delta("mine", "output_text", "x"),
        about("response.output_item.added", "item_a", **place),
        about("conversation.item.added", "item_a"),
        about("response.output_item.done", "item_a", **place),
        told("done", "mine", output=[{"id": "item_b", "type": "function_call", "call_id": "c", "name": "f"}]),
        delta("mine", "output_text", "late"),
        about("conversation.item.done", "item_a"),
        about("conversation.item.done", "item_b"),
        update("response.mcp_call.completed", item_id="item_a", output_index=0),
    ):
        assert router.route(one, None), one.type


def test_nothing_of_another_response_is_the_askers() -> None:
    router = asked()
    place = {"response_id": "theirs", "output_index": 0}
    for one in (
        told("created", "theirs", None),
        about("response.output_item.added", "item_x", **place),
        delta("theirs", "output_text", "x"),
        about("conversation.item.added", "item_x"),
        told("done", "theirs", None),
        about("conversation.item.done", "item_x"),
        delta("never begun", "output_text", "x"),
    ):
        assert not router.route(one, None), one.type


def test_what_answers_an_askers_commands_is_the_askers() -> None:
    router = asked()
    router.adopt("event_of_item")
    router.adopt("item_q")
    assert router.route(about("conversation.item.added", "item_q"), "event_of_item")
    assert router.route(about("conversation.item.done", "item_q"), None)
    assert router.route(refusal("event_of_item"), "event_of_item")
    assert router.route(refusal("event_mine"), None)
    where = {"item_id": "item_q", "content_index": 0}
    assert router.route(update("conversation.item.input_audio_transcription.delta", delta="a", **where), None)


def test_what_others_do_and_ask_is_theirs_even_if_it_is_about_an_askers_item() -> None:
    router = asked()
    router.adopt("item_q")
    assert not router.route(about("conversation.item.retrieved", "item_q"), "event_theirs")
    assert not router.route(update("conversation.item.deleted", item_id="item_q"), "event_theirs")
    assert not router.route(refusal("event_theirs"), "event_theirs")
    assert not router.route(update("error", error={"message": "about nothing in particular"}), None)
    assert not router.route(update("session.updated", session={"type": "realtime"}), "event_theirs")


def test_the_owner_is_known_from_the_beginning_until_after_the_end() -> None:
    router = asked(Owner.TOOLS | Owner.APPROVALS)
    assert router.open_ids == ["mine"]
    router.route(told("done", "mine"), None)
    assert router.owner_of("mine") == Owner.TOOLS | Owner.APPROVALS
    assert router.open_ids == []
    assert router.owner_of("never begun") is Owner.SESSION


def test_another_client_of_the_same_call_is_told_the_owner_by_the_metadata() -> None:
    router, mark = ResponseRouter(), request_mark("event_1", Owner.TOOLS | Owner.REMOTE_CALLS)
    assert mark == "event_1 tools remote_calls"
    assert not router.route(told("created", "r", metadata={METADATA_KEY: mark}), None)
    assert router.owner_of("r") == Owner.TOOLS | Owner.REMOTE_CALLS
    router.route(told("created", "s", metadata={METADATA_KEY: 5, "tools": "x"}), None)
    assert router.owner_of("s") is Owner.SESSION


def test_what_the_request_says_counts_more_than_metadata_that_a_server_mixed_up() -> None:
    router = ResponseRouter()
    router.request("event_mine", response(), True, NOW, Owner.TOOLS)
    router.route(
        update("response.created", response={"id": "r", "metadata": {METADATA_KEY: "other remote_calls"}}), "event_mine"
    )
    known = router.get("r")
    assert known is not None
    assert (known.owner, known.out_of_band) == (Owner.TOOLS, True)  # though the server told no conversation


def test_a_call_is_claimed_once_in_a_session_whatever_becomes_of_its_connection() -> None:
    router = ResponseRouter()
    assert [router.claim_call("call_1") for _ in range(3)] == [True, False, False]
    later = ResponseRouter(before=router)
    assert not later.claim_call("call_1")
    assert later.claim_call("call_2")
    assert not router.claim_call("call_2")
    assert all(router.claim_call(nameless) for nameless in (None, "", None))


def test_an_askers_items_are_the_askers_on_the_next_connection_too() -> None:
    first = asked()
    first.adopt("item_q")
    assert ResponseRouter(before=first).route(about("conversation.item.added", "item_q"), None)


def test_a_server_that_ends_nothing_does_not_fill_the_memory() -> None:
    router, forgotten = ResponseRouter(), response()
    router.request("event_mine", forgotten, True, NOW)
    router.route(told("created", "first", None), "event_mine")
    for number in range(5000):
        router.route(told("created", f"r{number}", None), None)
        router.claim_call(f"call_{number}")
        router.adopt(f"item_{number}")
    assert len(router.open_ids) == 512
    assert not router.claim_call("call_4999")
    with pytest.raises(UsageError, match="did not end this answer"):
        forgotten.wait(0)
    for number in range(5000):
        router.route(told("done", f"r{number}", None), None)
    assert router.idle
    assert router.open_ids == []


def test_what_a_loop_of_the_session_asks_for_is_told_to_all() -> None:
    router, answer = ResponseRouter(), response()
    router.request("event_loop", answer, False, NOW, Owner.FOR_ALL)
    place = {"response_id": "r", "output_index": 0}
    item = about("response.output_item.added", "item_a", **place)
    for one in (told("created", "r"), item, about("conversation.item.added", "item_a"), told("done", "r")):
        assert not router.route(one, "event_loop" if one.type == "response.created" else None), one.type
    assert answer.wait(0).id == "r"
    assert not router.route(refusal("event_loop"), None)


def test_a_server_that_uses_one_id_again_means_another_response() -> None:
    router = asked()
    router.route(told("done", "mine"), None)
    assert not router.route(told("created", "mine"), None)
    assert not router.route(delta("mine", "output_text", "not the asker's"), None)
    assert router.active == "mine"


def test_a_finished_answer_stays_as_it_is() -> None:
    router, answer = ResponseRouter(), response()
    router.request("event_mine", answer, True, NOW)
    for one in (told("created", "r"), delta("r", "output_text", "a"), told("done", "r")):
        router.route(one, "event_mine")
    for late in (delta("r", "output_text", "b"), told("done", "r", status="failed")):
        assert router.route(late, None)
    assert (answer.wait(0).text, "".join(answer.text_deltas(0))) == ("a", "a")
