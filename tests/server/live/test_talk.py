"""What the model hears and answers by itself: recordings that it knows, what it delegates, and when it goes silent."""

from __future__ import annotations

import base64
import threading
import wave
from pathlib import Path
from typing import Any, Callable, Iterator

import attrs
import pytest

from realtime_sync.server import DelegateWork, LiveFaults, LiveRules, ResponderBrain, RulesBrain, Turn
from realtime_sync.server.speech import Speech
from realtime_sync.server.speech.protocols import Hints, Recognition
from realtime_sync.server.speech.recorded import recorded_speech
from realtime_sync.server.speech.without_models import LetterSynthesizer
from realtime_sync.server.vad import EnergyDetector
from tests.harness import until
from tests.server.live.conftest import Call, said, until_planned
from tests.server.sounds import silence, tone

Json = dict[str, Any]
OpenCall = Callable[..., Call]
AUDIO = Path(__file__).parents[3] / "examples" / "audio"
RULES = LiveRules(brain=ResponderBrain(RulesBrain()))


def recording(name: str) -> bytes:
    with wave.open(str(AUDIO / f"{name}.wav")) as file:
        return file.readframes(file.getnframes())


def is_output(event: Json) -> bool:
    return bool(event["type"] == "session.output_transcript.delta")


def converse(call: Call, text: str, seconds: float = 6.0) -> None:
    """Say this to the twin, and hear what it says to it."""
    call.twin.hear(text)
    call.silence(0.065 * len(text) + 1.3)
    until_planned(call)
    call.silence(seconds)


def test_the_rules_answer_what_was_heard(open_call: OpenCall) -> None:
    call = open_call(RULES)
    converse(call, "What is 2 plus 3?")
    assert said(call) == "2 plus 3 is 5."
    converse(call, "My name is Ada.")
    converse(call, "What is my name?")
    assert said(call) == "2 plus 3 is 5.Nice to meet you, Ada.Your name is Ada."


def test_words_of_two_breaths_are_one_question(open_call: OpenCall) -> None:
    call = open_call(LiveRules(brain=lambda turn: turn.text_of(turn.items[-1])))
    call.twin.hear("Please tell me,")
    converse(call, "my friend, all.")
    assert said(call) == "Please tell me, my friend, all."


def test_words_that_are_told_late_are_answered_later(open_call: OpenCall) -> None:
    call = open_call(attrs.evolve(RULES, faults=LiveFaults(late_words_ms=1500)))
    call.twin.hear("What is 2 plus 3?")
    call.silence(5.0)
    until_planned(call)
    call.silence(3.0)
    assert said(call) == "2 plus 3 is 5."


def test_the_brain_knows_the_history_that_the_session_was_given(open_call: OpenCall) -> None:
    told = {"role": "user", "content": [{"type": "input_text", "text": "My name is Ada."}]}
    call = open_call(RULES, input=[told])
    converse(call, "What is my name?")
    assert said(call) == "Your name is Ada."


def test_what_is_to_be_checked_is_delegated(open_call: OpenCall) -> None:
    call = open_call(RULES)
    converse(call, "Please check the status of my order.", 3.0)
    created = call.twin.wait_for_sent("session.delegation.created")
    words = [each for each in call.twin.sent if each["type"] == "session.input_transcript.delta"]
    assert created["offset_ms"] == words[-1]["start_ms"]
    assert said(call) == "Sure, checking that now."


def test_a_tool_s_name_is_work_for_a_responses_backend(open_call: OpenCall) -> None:
    tool = {"type": "function", "name": "tell_fortune", "parameters": {"type": "object", "properties": {}}}
    backend = {"type": "responses", "responses": {"model": "gpt-6-luna", "tools": [tool]}}
    call = open_call(RULES, server={"responder": RulesBrain()}, delegation=backend)
    converse(call, "Please tell me my fortune.", 1.0)
    done = call.twin.wait_for_sent(lambda each: (each.get("event") or {}).get("type") == "response.output_item.done")
    assert done["event"]["item"]["name"] == "tell_fortune"


def test_without_a_brain_nothing_is_said_by_itself(open_call: OpenCall) -> None:
    call = open_call()
    converse(call, "What is 2 plus 3?")
    assert said(call) == ""


def test_a_brain_may_say_and_delegate(open_call: OpenCall) -> None:
    def brain(turn: Turn) -> Iterator[str | DelegateWork]:
        assert turn.last is not None
        yield f"You want {turn.text_of(turn.last)!r}."
        yield DelegateWork()

    call = open_call(LiveRules(brain=brain, acknowledgement=""))
    converse(call, "something")
    assert said(call) == "You want 'something'."
    assert call.twin.wait_for_sent("session.delegation.created")


def test_a_brain_that_fails_says_nothing_and_the_session_goes_on(open_call: OpenCall) -> None:
    call = open_call(LiveRules(brain=lambda turn: 1 / 0))  # type: ignore[arg-type,return-value]
    converse(call, "Hello.")
    assert said(call) == ""
    assert call.hang_up() == 1005


def test_the_model_goes_silent_when_the_user_speaks_on_and_no_event_tells_of_it(open_call: OpenCall) -> None:
    call = open_call(RULES)
    call.twin.say("This is a very long sentence that nobody wants to hear to its very end.")
    call.silence(2.0)
    call.twin.hear("Wait, what is 2 plus 3?")
    call.silence(3.0)
    until_planned(call)
    call.silence(4.0)
    call.hang_up()
    assert call.peer.text("output").startswith("This is a")
    assert call.peer.text("output").endswith("2 plus 3 is 5.")
    assert "its very end" not in call.peer.text("output")
    kinds = {each["type"] for each in call.peer.events}
    assert kinds == {
        "session.started",
        "session.closed",
        "session.input_transcript.delta",
        "session.output_transcript.delta",
    }


def test_a_word_in_between_silences_nobody(open_call: OpenCall) -> None:
    call = open_call(LiveRules(brain=lambda turn: []))
    call.twin.say("This is a sentence that goes on to its end.")
    call.silence(2.0)
    call.twin.hear("Yes")
    call.silence(4.0)
    assert said(call) == "This is a sentence that goes on to its end."


def test_who_does_not_yield_speaks_over_the_user(open_call: OpenCall) -> None:
    call = open_call(LiveRules(brain=lambda turn: [], yields=False))
    call.twin.say("This is a sentence that goes on to its end.")
    call.silence(1.0)
    call.twin.hear("Wait, please, I have something to tell.")
    call.silence(5.0)
    assert said(call) == "This is a sentence that goes on to its end."


# With ears -----------------------------------------------------------------------------------------------------------

KNOWN = [
    ("what_is_the_tallest_tree", {"type": "audio/pcm", "rate": 24000}, 48, b"\0"),
    ("hello_16khz", {"type": "audio/pcm", "rate": 16000}, 32, b"\0"),
]


@pytest.mark.parametrize(("name", "told", "size", "quiet"), KNOWN)
def test_a_recording_that_is_known_is_understood_and_answered_aloud(
    open_call: OpenCall, name: str, told: Json, size: int, quiet: bytes
) -> None:
    call = open_call(server={"speech": recorded_speech()}, audio={"format": told})
    call.audio(quiet * size * 1000 + recording(name) + quiet * size * 1000, bytes_per_ms=size)
    until_planned(call)
    call.audio(quiet * size * 1500, bytes_per_ms=size)
    until_planned(call)
    call.audio(quiet * size * 12_000, bytes_per_ms=size)
    call.hang_up()
    heard = [each for each in call.peer.events if each["type"] == "session.input_transcript.delta"]
    expected = {
        "what_is_the_tallest_tree": ("What is the tallest tree in the world?", "Hyperion"),
        "hello_16khz": ("Hello, can you hear me?", "Yes, I can hear you."),
    }
    text, answer = expected[name]
    assert call.peer.text("input") == text
    assert answer in call.peer.text("output")
    end = 1000 + len(recording(name)) / size
    assert 900 <= heard[0]["start_ms"] <= heard[-1]["end_ms"] <= end + 200
    assert any(call.peer.sound)


class Counting:
    """A recogniser that hears one word in each half second."""

    def load(self) -> None:
        """Nothing is needed."""

    def recognize(self, pcm: bytes, rate: int, hints: Hints) -> Recognition:
        return Recognition(" ".join(f"w{number}" for number in range(len(pcm) // rate)))


def counting_speech() -> Speech:
    return Speech(detector=EnergyDetector(), recognizer=Counting(), synthesizer=LetterSynthesizer())


def heard(call: Call) -> list[str]:
    return [each["delta"].strip() for each in call.twin.sent if each["type"] == "session.input_transcript.delta"]


def speak(call: Call, seconds: int) -> None:
    """Something loud, which is listened to in time."""
    for _ in range(seconds * 10):
        call.audio(tone(100))
        until_planned(call)


def test_words_are_told_while_the_user_goes_on_speaking(open_call: OpenCall) -> None:
    call = open_call(LiveRules(brain=lambda turn: []), server={"speech": counting_speech()})
    call.silence(1.0)
    speak(call, 6)
    assert 5 <= len(heard(call)) <= 10
    call.silence(1.0)
    until_planned(call)
    call.silence(1.0)
    words = " ".join(heard(call)).split()
    assert words == [f"w{number}" for number in range(len(words))]
    assert 12 <= len(words) <= 14


def test_a_recogniser_that_fails_costs_the_words_and_not_the_session(
    open_call: OpenCall, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(Counting):
        def recognize(self, pcm: bytes, rate: int, hints: Hints) -> Recognition:
            raise OSError("out of order")

    speech = attrs.evolve(counting_speech(), recognizer=Failing())
    call = open_call(server={"speech": speech})
    speak(call, 2)
    call.silence(2.0)
    until_planned(call)
    assert heard(call) == []
    assert "speech could not be recognised" in caplog.text
    assert call.hang_up() == 1005


def test_what_is_recognised_late_is_told_before_what_was_said_after_it(open_call: OpenCall) -> None:
    second, lengths = threading.Event(), list[int]()

    class FirstIsSlow(Counting):
        def recognize(self, pcm: bytes, rate: int, hints: Hints) -> Recognition:
            lengths.append(len(pcm))
            if len(lengths) <= 2:  # the pause and the end of the first
                assert second.wait(10)
                return Recognition("First.")
            return Recognition("Second.")

    speech = attrs.evolve(counting_speech(), recognizer=FirstIsSlow())
    call = open_call(LiveRules(brain=lambda turn: ""), server={"speech": speech})
    call.audio(silence(500) + tone(400) + silence(1000) + tone(400) + silence(1500))
    until(lambda: len(lengths) == 4)
    late = call.twin.threads[:2]
    until(lambda: not any(thread.is_alive() for thread in call.twin.threads if thread not in late))
    second.set()
    until_planned(call)
    call.silence(3.0)
    assert heard(call) == ["First.", "Second."]


def test_a_muted_user_is_not_heard_however_loud(open_call: OpenCall) -> None:
    call = open_call(server={"speech": recorded_speech()})
    call.send("session.input_audio.mute")
    call.audio(recording("what_is_the_tallest_tree") + silence(1500))
    until_planned(call)
    call.silence(2.0)
    assert call.twin.threads == []
    call.hang_up()
    assert call.peer.text("input") == call.peer.text("output") == ""


def test_a_fixture_closes_the_model_s_ears(open_call: OpenCall) -> None:
    call = open_call(server={"speech": recorded_speech()})
    call.silence(0.1)
    clip = base64.b64encode(silence(5000)).decode()
    call.send("session.output_audio.fixture.play", audio=clip)
    call.audio(recording("what_is_the_tallest_tree") + silence(1500))
    assert call.twin.threads == []


def test_who_speaks_on_after_a_pause_is_answered_once(open_call: OpenCall) -> None:
    asked: list[str] = []

    def brain(turn: Turn) -> list[str]:
        asked.append(turn.text_of(turn.items[-1]))
        return []

    call = open_call(LiveRules(brain=brain), server={"speech": counting_speech()})
    speak(call, 2)
    call.silence(0.7)  # which is the end, as it seems
    until_planned(call)
    speak(call, 2)
    call.silence(1.0)
    until_planned(call)
    call.silence(1.0)
    until_planned(call)
    assert len(asked) == 1


def test_a_user_who_speaks_silences_the_model(open_call: OpenCall) -> None:
    call = open_call(server={"speech": recorded_speech()})
    call.twin.say("One two three four five six seven eight nine ten eleven twelve thirteen fourteen.")
    call.silence(1.5)
    call.audio(recording("what_is_the_tallest_tree"))
    call.silence(0.5)
    before = said(call)
    assert before.startswith("One two")
    assert "fourteen" not in before
    call.silence(0.2)
    until_planned(call)
    call.silence(1.5)
    until_planned(call)
    call.silence(8.0)
    assert "Hyperion" in said(call)
    assert "fourteen" not in said(call)
