"""Who reads which update: what belongs to a question is the question's, all else is the reader's, in order, once."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from realtime_sync import (
    ConversationSessionOptions,
    ConversationUpdate,
    ErrorUpdate,
    ResponseDoneUpdate,
    ServerError,
    TurnDetectionOptions,
    WaitTimeoutError,
    function_tool,
)
from realtime_sync.server import FunctionCall, Reply, Turn
from realtime_sync.server.voice import speak
from tests.core.answers import ASIDE, Gate
from tests.core.harness import House, Running, until

TEXT = ConversationSessionOptions(content_modalities=["text"])


def open_written(house: House, **start: Any) -> Any:
    return house.open(start={"options": TEXT, **start})


def waiting(session: Any) -> list[str]:
    """The types of all that waits for the reader."""
    found = []
    try:
        while True:
            found.append(session.receive_update(0).type)
    except WaitTimeoutError:
        return found


def texts_of(done: ConversationUpdate) -> list[str]:
    assert isinstance(done, ResponseDoneUpdate)
    return [part.text or "" for item in done.response.output for part in getattr(item, "content", ())]


# What belongs to a question ------------------------------------------------------------------------------------------


def test_the_readmes_first_block_reads_the_second_answer(house: House) -> None:
    session = open_written(house)
    assert str(session.ask("What is the tallest tree?")) == "You said: What is the tallest tree?"
    session.add_item("And the oldest?")
    session.start_response()
    text = ""
    for update in session.updates(raise_errors=True):
        text += getattr(update, "text", None) or "" if update.type == "response.output_text.delta" else ""
        if update.kind == "response.done":
            break
    assert text == "You said: And the oldest?"


def test_waiting_for_an_answer_after_two_questions_means_the_next_one(plain: House) -> None:
    session = open_written(plain)
    session.ask("one")
    session.ask("two")
    with pytest.raises(WaitTimeoutError):
        session.wait_for("response.done", 0)
    session.add_item("three")
    session.start_response()
    assert texts_of(session.wait_for("response.done", 10)) == ["You said: three"]


def test_nothing_of_many_questions_is_left_to_the_reader(plain: House) -> None:
    session = open_written(plain)
    for number in range(30):
        session.ask(str(number))
    left = waiting(session)
    assert left[:1] == ["session.created"]
    assert {kind for kind in left if kind.startswith(("response.", "conversation.item"))} == set()


def test_the_reader_sees_the_sessions_first_message_though_a_question_came_before(plain: House) -> None:
    session = open_written(plain)
    session.ask("one")
    assert session.receive_update(5).type == "session.created"
    assert session.receive_update(5).type == "session.updated"


@pytest.mark.parametrize("leave", ["at the end", "before the end"])
def test_what_respond_began_is_its_own_whether_it_is_read_to_the_end_or_not(plain: House, leave: str) -> None:
    gate = Gate()
    plain.serve(responder=gate)
    session = open_written(plain)
    with session.respond("one") as response:
        if leave == "at the end":
            gate.opened.set()
            response.wait(10)
    gate.opened.set()
    session.ask(None)  # behind all that the first one's end brings
    assert {kind for kind in waiting(session) if kind.startswith(("response.", "conversation.item"))} == set()


def test_an_answer_out_of_band_is_its_askers(plain: House) -> None:
    session = open_written(plain)
    session.ask("aside", ASIDE)
    session.add_item("end").wait()
    left = waiting(session)
    assert not any(kind.startswith("response.") for kind in left)
    assert left.count("conversation.item.added") == 1  # of what was added by hand


def test_what_the_tools_of_a_question_bring_is_the_questions(plain: House) -> None:
    @function_tool
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    replies: list[Any] = [Reply(function_calls=[FunctionCall("add", '{"a": 1, "b": 2}')]), "3"]
    plain.serve(responder=lambda turn: replies.pop(0))
    session = open_written(plain)
    assert session.ask("1 + 2?", tools=[add]).text == "3"
    assert {kind for kind in waiting(session) if kind.startswith(("response.", "conversation.item"))} == set()


def test_the_refusal_of_a_question_is_its_own_and_another_error_is_the_readers(plain: House) -> None:
    session = open_written(plain)
    session.send_message({"type": "nonsense", "event_id": "mine"})
    refused = {"type": "message", "id": "x" * 100, "role": "user", "content": []}
    item = ConversationUpdate.from_json('{"type": "x"}')  # only to have the imports used alike
    assert item.type == "x"
    from realtime_sync.protocol.items import MessageItem

    with pytest.raises(ServerError):
        session.ask(MessageItem(id=refused["id"], role="user"))
    found = session.wait_for(ErrorUpdate, 5)
    assert found.failed_event_id == "mine"
    with pytest.raises(WaitTimeoutError):
        session.wait_for(ErrorUpdate, 0)


# What is the reader's ------------------------------------------------------------------------------------------------


def test_what_nobody_asked_for_is_the_readers_while_questions_are_asked(plain: House) -> None:
    """What is spoken is answered by voice activity detection; its answer is nobody's question."""
    options = ConversationSessionOptions(
        content_modalities=["text"], turn_detection_options=TurnDetectionOptions.server_vad(silence_duration_ms=200)
    )
    session = plain.open(start={"options": options})
    session.ask("one")
    session.send_audio(speak("two"), trailing_silence_ms=600)
    done = session.wait_for("response.done", 20)
    session.ask("three")
    assert "seconds of audio" in "".join(texts_of(done))
    assert session.wait_for("input_audio_buffer.committed", 5)
    with pytest.raises(WaitTimeoutError):
        session.wait_for("response.done", 0)


def test_each_update_goes_to_one_taker_in_order(plain: House) -> None:
    session = open_written(plain)
    taken: list[list[str]] = [[], []]

    def take(place: int) -> None:
        for update in session.updates():
            if update.type == "conversation.item.added":
                taken[place].append(update.item.id)

    readers = [Running(lambda place=place: take(place)) for place in (0, 1)]  # type: ignore[misc]
    added = [session.add_item(str(number)) for number in range(50)]
    ids = [handle.wait().item_id for handle in added]
    session.close()
    for reader in readers:
        reader.join()
    assert sorted(taken[0] + taken[1]) == sorted(ids)
    for mine in taken:
        assert mine == [id for id in ids if id in mine]


def test_a_subscription_sees_everything_and_takes_nothing(plain: House) -> None:
    session = open_written(plain)
    stream = session.subscribe()
    session.ask("one")
    session.add_item("two").wait()
    session.close()
    kinds = [update.type for update in stream]
    assert kinds.count("response.done") == 1
    assert kinds.count("conversation.item.added") == 3
    assert "conversation.item.added" in [update.type for update in session.updates()]


def test_run_observes_questions_too_from_the_moment_that_it_runs_and_all_that_nobody_has_taken(plain: House) -> None:
    session = open_written(plain)
    session.ask("before")
    seen: list[str] = []
    done = threading.Event()

    def note(update: ConversationUpdate) -> None:
        seen.append(update.type)
        if update.type == "response.done":
            done.set()

    session.on(ConversationUpdate, note)
    running = Running(session.run)
    until(lambda: "session.updated" in seen)  # what came before it ran, and nobody had taken
    session.ask("after")
    assert done.wait(10)
    session.close()
    assert running.join() is None
    assert seen[0] == "session.created"
    assert seen.count("response.done") == 1


def test_a_callback_may_ask_and_its_answer_is_observed_afterwards(plain: House) -> None:
    session = open_written(plain)
    answers: list[str] = []

    def ask(update: ConversationUpdate) -> None:
        if not answers:
            answers.append(session.ask("two").text)

    done: list[ConversationUpdate] = []

    def end(update: ConversationUpdate) -> None:
        done.append(update)
        if len(done) == 2:
            session.close()

    session.on("response.done", ask)
    session.on("response.done", end)
    session.add_item("one")
    session.start_response()
    assert Running(session.run).join(20) is None
    assert answers == ["You said: two"]
    assert [texts_of(update) for update in done] == [["You said: one"], ["You said: two"]]


def test_after_run_was_left_by_an_error_questions_are_their_own_again(plain: House) -> None:
    session = open_written(plain)

    def fail(update: ConversationUpdate) -> None:
        raise LookupError("no")

    session.on("session.created", fail)
    with pytest.raises(LookupError):
        session.run()
    session.ask("one")
    assert {kind for kind in waiting(session) if kind.startswith(("response.", "conversation.item"))} == set()
    assert isinstance(Turn, type)
