"""Whose a response is, on servers that repeat a request's metadata and on those that do not, or only at times."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Callable

import pytest

from realtime_sync import ConversationResponseOptions, ConversationSessionOptions, ServerError, function_tool
from tests.core.answers import ACTIVE, ASIDE, idle
from tests.core.harness import House, Running, until
from tests.core.imitator import Imitator, Message, Said, added, call, created, done, one_after_another, piece

Repeat = Callable[[Message], dict[str, Any]]
"""The fields of a response that tell the metadata of its request."""


def faithful(message: Message) -> dict[str, Any]:
    return {"metadata": (message.get("response") or {}).get("metadata")}


def null(message: Message) -> dict[str, Any]:
    return {"metadata": None}


def absent(message: Message) -> dict[str, Any]:
    return {}


def foreign(message: Message) -> dict[str, Any]:
    return {"metadata": {"gateway": "its own"}}


def sometimes() -> Repeat:
    kinds: Iterator[Repeat] = iter([faithful, null, absent, faithful, absent] * 9)
    return lambda message: next(kinds)(message)


SERVERS: dict[str, Callable[[], Repeat]] = {
    "repeats them": lambda: faithful,
    "null": lambda: null,
    "absent": lambda: absent,
    "others": lambda: foreign,
    "sometimes": sometimes,
}


def service(repeat: Repeat, *, beside: Callable[[int, Message], list[Said]] = lambda number, message: []) -> Imitator:
    """Calls ``add`` when it is asked, and says the result when it has it; ``beside`` comes before each response."""
    numbers = iter(range(99))

    def respond(message: Message) -> list[Said]:
        number = next(numbers)
        name = f"resp_{number}"
        fields = {"conversation_id": "conv_1", **repeat(message)}
        given = server.heard[-2].get("item", {}) if len(server.heard) > 1 else {}
        if "add" in str(given.get("content")):
            said: list[Said] = [{"type": "response.output_item.done", "response_id": name, "output_index": 0}]
            item = call(call_id=f"call_{number}", id=f"item_{number}")
            said = [{**said[0], "item": item}, done(name, output=[item], **fields)]  # type: ignore[dict-item]
        else:
            said = [piece(str(given.get("output") or "Hello"), name), done(name, **fields)]
        return [*beside(number, message), created(name, **fields), *said]

    told: Said = {"type": "session.updated", "session": {}}
    server = Imitator({"session.update": [told], "conversation.item.create": added, "response.create": respond})
    return server


def outputs(server: Imitator) -> list[str]:
    items = [message.get("item", {}) for message in list(server.heard)]
    return [item["output"] for item in items if item.get("type") == "function_call_output"]


@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize("whose", ["the session's", "the question's"])
def test_tools_run_once_and_the_answer_is_the_askers(plain: House, kind: str, whose: str) -> None:
    made: list[tuple[int, int]] = []

    @function_tool
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        made.append((a, b))
        return a + b

    server = service(SERVERS[kind]())
    from_session = whose == "the session's"
    session = plain.raw(server, start={"options": ConversationSessionOptions(tools=[add])} if from_session else None)
    for number in range(3):
        assert session.ask("add", tools=None if from_session else [add], timeout=5).text == "5"
        assert (made, outputs(server)) == ([(2, 3)] * (number + 1), ["5"] * (number + 1))
        assert idle(session)
    assert server.types().count("response.create") == 6


@pytest.mark.parametrize("kind", SERVERS)
def test_pieces_are_heard_as_they_come(plain: House, kind: str) -> None:
    """But for the first without metadata, of a server that has repeated them before: it may be another's."""
    repeat = SERVERS[kind]() if kind != "sometimes" else null
    fields: list[dict[str, Any]] = []

    def begin(message: Message) -> list[Said]:
        fields.append(repeat(message))
        return [created("resp_1", **fields[-1]), piece("One ")]

    server = Imitator({"conversation.item.create": added, "response.create": begin})
    session = plain.raw(server)
    for _ in range(2):
        with session.respond("Hi", timeout=5) as response:
            deltas = response.text_deltas(timeout=5)
            assert next(deltas) == "One "
            server.say(piece("two"), done("resp_1", **fields[-1]))
            assert list(deltas) == ["two"]


@pytest.mark.parametrize("stray", ["null", "absent", "others"])
def test_a_response_of_another_beside_it_is_not_taken_for_ours(plain: House, stray: str) -> None:
    def beside(number: int, message: Message) -> list[Said]:
        return [done("ghost"), created(f"stray_{number}", **SERVERS[stray]()(message))]

    session = plain.raw(service(faithful, beside=beside))
    assert [session.ask("Hi", timeout=5).text for _ in range(3)] == ["Hello"] * 3


def test_what_came_before_it_was_clear_is_handed_over_all_the_same(plain: House) -> None:
    audio = piece("AAAA", "resp_2", kind="output_audio")
    script = one_after_another()

    def respond(message: Message) -> list[Said]:
        if server.types().count("response.create") == 1:
            return [created("resp_1", **faithful(message)), piece(), done("resp_1", **faithful(message))]
        return [created("resp_2", metadata=None), audio, piece("two", "resp_2"), done("resp_2")]

    server = Imitator({"response.create": respond, "conversation.item.create": script})
    session = plain.raw(server)
    assert session.ask("Hi", timeout=5).text == "Hello"
    answer = session.ask("Hi", timeout=5)
    assert (answer.text, answer.audio) == ("two", b"\0\0\0")


@pytest.mark.parametrize("kind", ["null", "absent"])
@pytest.mark.parametrize("known", [False, True])
def test_a_refusal_shows_that_the_response_was_another_ones(plain: House, kind: str, known: bool) -> None:
    """Voice activity detection, or another client, began one in that very moment; it is asked again afterwards."""
    fields = SERVERS[kind]()({})

    def respond(message: Message) -> list[Said]:
        number = server.types().count("response.create")
        if number == 1 + known:
            error = {"type": "invalid_request_error", "code": ACTIVE, "event_id": message["event_id"]}
            other = [created("other", **fields), {"type": "error", "error": error}]
            return [*other, piece("for another", "other"), done("other", **fields)]
        return [created(f"r{number}", **fields), piece("ours", f"r{number}"), done(f"r{number}", **fields)]

    server = Imitator({"conversation.item.create": added, "response.create": respond})
    session = plain.raw(server)
    assert [session.ask("Hi", timeout=5).text for _ in range(1 + known)] == ["ours"] * (1 + known)


@pytest.mark.parametrize("kind", ["null", "absent"])
def test_the_answer_to_the_users_speech_is_not_taken_for_ours(plain: House, kind: str) -> None:
    fields = SERVERS[kind]()({})
    detects = {"type": "session.created", "session": {"audio": {"input": {"turn_detection": {"type": "server_vad"}}}}}
    committed = {"type": "input_audio_buffer.committed", "item_id": "spoken"}

    def respond(message: Message) -> list[Said]:
        if server.types().count("response.create") == 1:
            error = {"code": ACTIVE, "event_id": message["event_id"]}
            spoken = [committed, created("spoken", **fields), piece("I heard you", "spoken")]
            return [*spoken, {"type": "error", "error": error}, done("spoken", **fields)]
        return [created("ours", **fields), piece("Hello", "ours"), done("ours", **fields)]

    server = Imitator({"conversation.item.create": added, "response.create": respond}, greeting=[detects])
    assert plain.raw(server).ask("Hi", timeout=5).text == "Hello"


def test_two_answers_out_of_band_are_told_apart_by_their_order(plain: House) -> None:
    def respond(message: Message) -> list[Said]:
        if server.types().count("response.create") < 2:
            return []
        both: list[Said] = [created("one", metadata=None), created("two", metadata=None)]
        return [*both, piece("second", "two"), piece("first", "one"), done("two"), done("one")]

    server = Imitator({"response.create": respond})
    session = plain.raw(server)
    first = Running(lambda: session.ask("1", ASIDE, timeout=5).text)
    until(lambda: "response.create" in server.types())
    assert session.ask("2", ASIDE, timeout=5).text == "second"
    assert first.result() == "first"


@pytest.mark.parametrize("kind", SERVERS)
def test_a_response_by_hand_with_metadata_is_acknowledged(plain: House, kind: str) -> None:
    session = plain.raw(service(SERVERS[kind]()))
    for number in range(3):
        handle = session.start_response(ConversationResponseOptions(metadata={"n": str(number)}))
        assert handle.wait(5).response.id == f"resp_{number}"
        session.wait_for("response.done", 5)


@pytest.mark.parametrize("kind", SERVERS)
def test_a_server_that_says_everything_twice_is_understood(plain: House, kind: str) -> None:
    repeat = SERVERS[kind]()
    numbers = iter(range(9))

    def respond(message: Message) -> list[Said]:
        name, fields = f"r{next(numbers)}", repeat(message)
        begun = created(name, **fields)
        return [begun, begun, piece("Hello", name), done(name, **fields), done(name, **fields)]

    session = plain.raw(Imitator({"conversation.item.create": added, "response.create": respond}))
    assert [session.ask("Hi", timeout=5).text for _ in range(3)] == ["Hello"] * 3
    assert idle(session)


def test_a_refusal_of_what_was_begun_already_is_raised(plain: House) -> None:
    def respond(message: Message) -> list[Said]:
        return [created(), {"type": "error", "error": {"code": "no", "message": "no", "event_id": message["event_id"]}}]

    session = plain.raw(Imitator({"response.create": respond}))
    with pytest.raises(ServerError, match="no"):
        session.ask("Hi", timeout=5)
