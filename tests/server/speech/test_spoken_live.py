"""A spoken conversation in full duplex: a caller with a voice, the embedded server, a delegate, an interruption."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Callable

import pytest

from realtime_sync import DelegationRequest, LiveSession, LiveTurn, OpenAIClient, Timeouts
from realtime_sync.server import RealtimeServer, RulesBrain, Turn
from realtime_sync.server.speech import Speech
from tests.server.speech.spoken import Tongue, word_error_rate, word_errors

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]
CALM = Timeouts(connect=30, greeting=30, acknowledge=30, ping_interval=60, ping=60)
WAIT = 60.0
NUMBERS = ("One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten")
COUNTING = " ".join(f"{number} is a number." for number in NUMBERS)


def counts(turn: Turn) -> Any:
    """The rules, but for a long answer to who asks for counting."""
    return COUNTING if turn.last and "count" in turn.text_of(turn.last).lower() else RulesBrain()(turn)


@contextmanager
def conversing(server: RealtimeServer, delegate: Callable[[DelegationRequest], str]) -> Iterator[LiveSession]:
    service = OpenAIClient("any-key", endpoint=server.url, timeouts=CALM)
    with (
        service.get_realtime_conversation_client("gpt-realtime-2.1") as client,
        client.start_live_session(delegate=delegate) as session,
    ):
        yield session


def test_who_interrupts_is_heard_and_what_is_delegated_meanwhile_is_said(tongue: Tongue) -> None:
    asked: list[str] = []

    def look_up(request: DelegationRequest) -> str:
        asked.append(request.text)
        return "The delivery arrives on Friday."

    turns: list[LiveTurn] = []
    with RealtimeServer(speech=Speech(), responder=counts) as server, conversing(server, look_up) as session:
        reading = threading.Thread(target=lambda: turns.extend(session.turns()))
        reading.start()
        session.send_audio(tongue.say("Please count for me."))
        until_said(session, "Three")
        session.send_audio(tongue.say("Please check my delivery.", voice="verse"))
        until_said(session, "Friday")
        session.send_audio(bytes(48 * 2500))  # the last turn's end
    reading.join(WAIT)
    heard = " ".join(turn.text for turn in turns if turn.speaker == "user")
    counting, *results = [turn for turn in turns if turn.speaker == "assistant"]
    interruption = next(turn for turn in turns if "delivery" in turn.text and turn.speaker == "user")

    assert word_errors("Please count for me. Please check my delivery.", heard) <= 1, heard
    assert [word_errors("Please count for me. Please check my delivery.", text) <= 1 for text in asked] == [True], asked
    assert counting.text.startswith("One is a number. Two is a number.")
    assert "Ten" not in counting.text, "the model fell silent when the caller spoke"
    assert counting.start_ms < interruption.start_ms < counting.end_ms + 1000
    said = " ".join(turn.text for turn in results)
    assert word_errors("Sure, checking that now. The delivery arrives on Friday.", said) == 0, said
    sound = [(turn.text, tongue.understand(turn.audio or b"")) for turn in [counting, *results]]
    assert word_error_rate(sound) <= 0.15, sound


def until_said(session: LiveSession, word: str) -> None:
    """Wait until the model has said this word."""
    deadline = time.monotonic() + WAIT
    said = ""
    while word not in said:
        said += str(session.wait_for("session.output_transcript.delta", deadline - time.monotonic()).delta)
