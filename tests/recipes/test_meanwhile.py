"""A word while a tool takes long: never after the answer, never without need, and never in the way of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Union

from realtime_sync import ConversationSessionOptions, RealtimeConversationSession, function_tool
from realtime_sync.server import FunctionCall, Turn
from tests.core.answers import Gate, errors, received
from tests.core.harness import House, Running, until
from tests.recipes.guide import recipe

WORD = "One moment."


class Model:
    """Calls the tool when it is asked, says what it is told to say (``word``), and tells what the tool has found."""

    def __init__(self, word: Union[Gate, str] = WORD) -> None:
        self.word = word
        self.said: list[str] = []

    def __call__(self, turn: Turn) -> Any:
        if turn.params.get("instructions"):
            self.said.append("word")
            return self.word(turn) if isinstance(self.word, Gate) else self.word
        last = turn.items[-1]
        if last.get("role") == "user":
            return FunctionCall("look_up")
        self.said.append("answer")
        return f"It is {last['output']}."


def asking(house: House, model: Model, work: Callable[[], object], after: float) -> RealtimeConversationSession:
    meanwhile = recipe("meanwhile").meanwhile

    @function_tool
    def look_up() -> str:
        """Looks it up."""
        with meanwhile(session, WORD, after):
            work()
        return "found"

    house.serve(responder=model)
    options = ConversationSessionOptions(tools=[look_up], content_modalities=["text"])  # type: ignore[list-item]
    session = house.open(start={"options": options})
    return session


def timers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]


def test_a_tool_that_is_quicker_needs_no_word(plain: House) -> None:
    model = Model()
    session = asking(plain, model, lambda: None, after=30)
    assert session.ask("Look it up.").text == "It is found."
    assert model.said == ["answer"]
    until(lambda: not timers())


def test_the_word_comes_first_and_the_answer_behind_it(plain: House) -> None:
    """The tool returns while the word is being said: the answer is not refused, and not mixed with it."""
    word = Gate("One ", "moment.")
    model = Model(word)

    def until_the_word_is_begun() -> None:
        until(lambda: model.said)

    session = asking(plain, model, until_the_word_is_begun, after=0.01)
    asked = Running(lambda: session.ask("Look it up."))
    until(lambda: received(plain.live, "conversation.item.create")[1:] or model.said)
    time.sleep(0.1)  # the answer would begin now; what must not happen has no event
    assert model.said == ["word"]
    word.opened.set()
    assert asked.result().text == "It is found."
    assert model.said == ["word", "answer"]
    assert errors(plain.live) == []
    assert [item.text for item in session.conversation.items if hasattr(item, "text")][1:] == [
        "One moment.",
        "It is found.",
    ]


def test_a_word_that_comes_too_late_is_refused_and_not_said_behind_the_answer(plain: House) -> None:
    """The timer strikes as the answer begins."""
    answer = Gate("It ", "is found.")
    model = Model()

    def call_or_answer(turn: Turn) -> Any:
        if turn.params.get("instructions") or turn.items[-1].get("role") == "user":
            return model(turn)
        return answer(turn)

    plain.serve(responder=call_or_answer)
    session = plain.open(start={"options": ConversationSessionOptions(content_modalities=["text"])})
    asked = Running(lambda: session.ask("Look it up.", tools=[function_tool(look_up)]))
    until(lambda: any(message["type"] == "response.output_text.delta" for message in list(plain.live.sent)))
    with recipe("meanwhile").meanwhile(session, WORD, 0.0):
        until(lambda: errors(plain.live))
    answer.opened.set()
    assert asked.result().text == "It is found."
    assert model.said == []


def look_up() -> str:
    """Looks it up."""
    return "found"


def test_a_session_that_has_ended_meanwhile_is_told_nothing(plain: House) -> None:
    """The timer's thread has nobody to whom it could raise an error."""
    failed: list[Any] = []
    session = asking(plain, Model(), lambda: None, after=30)
    session.close()
    before, threading.excepthook = threading.excepthook, failed.append
    try:
        with recipe("meanwhile").meanwhile(session, WORD, 0.0):
            until(lambda: not timers())
    finally:
        threading.excepthook = before
    assert failed == []
