"""Servers that acknowledge no settings, or no items."""

from __future__ import annotations

import logging
import threading

import attrs
import pytest

from realtime_sync import ConversationSessionOptions, WaitTimeoutError, function_tool
from tests.core.harness import CALM, House, Running, client_threads, until
from tests.core.imitator import Answer, Imitator, added, call, created, done, piece

HASTY = attrs.evolve(CALM, acknowledge=0.3, close=0.5)


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def outputs(server: Imitator) -> list[str]:
    items = [message.get("item", {}) for message in list(server.heard)]
    return [item["output"] for item in items if item.get("type") == "function_call_output"]


def test_run_tools_serves_calls_though_the_tools_were_not_acknowledged(
    plain: House, caplog: pytest.LogCaptureFixture
) -> None:
    answers: dict[str, Answer] = {"response.create": [created("resp_2"), piece("5", "resp_2"), done("resp_2")]}
    server = Imitator(answers)
    session = plain.raw(server, timeouts=HASTY)
    serving = Running(lambda: session.run_tools([add]))
    until(lambda: "session.update" in server.types())
    server.say(created(), done(output=[call()]))
    until(lambda: outputs(server) == ["5"])
    session.close()
    serving.result()
    assert [record.levelno for record in caplog.records if "the tools" in record.message] == [logging.WARNING]


@pytest.mark.parametrize("item", [[], added], ids=["never", "acknowledged"])
def test_dropped_results_need_no_acknowledgement(plain: House, item: Answer) -> None:
    server = Imitator(
        {"session.update": [{"type": "session.updated", "session": {}}], "conversation.item.create": item}
    )
    session = plain.raw(server, timeouts=HASTY)

    over = threading.Event()

    @function_tool(name="add")
    def slow(a: int, b: int) -> int:
        """Add two numbers, while the user begins to speak."""
        server.say({"type": "input_audio_buffer.speech_started", "item_id": "item_user"})
        over.wait(10)
        return a + b

    serving = Running(lambda: session.run_tools([slow], on_interruption="drop"))
    until(lambda: "session.update" in server.types())
    for calls in (1, 2):
        server.say(created(f"resp_{calls}"), done(f"resp_{calls}", output=[call(call_id=f"call_{calls}")]))
        until(lambda: len(outputs(server)) == calls)  # noqa: B023
    over.set()
    assert all("cancelled" in output for output in outputs(server))
    session.close()
    serving.result()


def test_options_that_nobody_acknowledges_are_an_error_that_says_what_to_do(plain: House) -> None:
    options = ConversationSessionOptions(instructions="Be brief.")
    with pytest.raises(WaitTimeoutError, match=r"without options .*configure_session\(options\)"):
        plain.raw(Imitator({}), timeouts=HASTY, start={"options": options})
    until(lambda: not client_threads())
