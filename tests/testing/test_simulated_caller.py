"""Somebody who calls: what is said into a session, what is heard, and how it fails."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Optional

import pytest

from realtime_sync import (
    AudioFormatError,
    ConfigurationError,
    ConversationSessionOptions,
    InvalidInputError,
    LiveSessionOptions,
    OpenAIClient,
    RealtimeConversationSession,
    TurnDetectionOptions,
    UsageError,
    WaitTimeoutError,
    function_tool,
)
from realtime_sync.audio.formats import MULAW, pcm_at
from realtime_sync.server import RealtimeServer, Reply
from realtime_sync.server.speech import Hints, Recognition, recorded_speech
from realtime_sync.server.speech.packages import require
from realtime_sync.server.voice import LETTER_MS, speak
from realtime_sync.testing import (
    AwaitAnswer,
    AwaitHangUp,
    CallFailed,
    FallSilent,
    HangUp,
    Interrupt,
    Press,
    Say,
    SimulatedCaller,
)
from realtime_sync.testing.calls import clips
from realtime_sync.testing.calls.sound import is_loud
from tests.harness import Running

pytestmark = pytest.mark.medium

AUDIO = Path(__file__).parents[2] / "examples" / "audio"
HELLO, TREE, WEATHER = (AUDIO / f"{name}.wav" for name in ("hello", "what_is_the_tallest_tree", "what_is_the_weather"))
PACE = 8.0


@function_tool
def get_weather(city: str) -> dict[str, str]:
    """Tells the weather in a city."""
    return {"city": city, "sky": "clear"}


class Ears:
    """A ``Recognizer`` that says how long the sound is."""

    def load(self) -> None:
        pass

    def recognize(self, pcm: bytes, rate: int, hints: Hints) -> Recognition:
        return Recognition(f" {len(pcm) / 2 / rate:.1f} s ")


class House:
    """A server that hears and speaks, and sessions with it."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self.server = RealtimeServer()

    def serve(self, responder: Any = None) -> RealtimeServer:
        self.server = self._stack.enter_context(RealtimeServer(responder=responder, speech=recorded_speech()))
        return self.server

    def open(self, **options: Any) -> RealtimeConversationSession:
        detection = TurnDetectionOptions.server_vad(silence_duration_ms=400)
        model = OpenAIClient("any-key", endpoint=self.server.url, proxy=False)
        client = model.get_realtime_conversation_client("gpt-realtime-2.1")
        wanted = ConversationSessionOptions(turn_detection_options=detection, **options)
        return self._stack.enter_context(client.start_conversation_session(wanted))

    def caller(self, script: Any, **settings: Any) -> SimulatedCaller:
        return SimulatedCaller(script, **{"server": self.server, "pace": PACE, **settings})


@pytest.fixture
def house() -> Iterator[House]:
    with ExitStack() as stack:
        yield House(stack)


def test_a_question_is_answered_and_a_tool_runs(house: House) -> None:
    house.serve()
    report = house.caller([HELLO, WEATHER]).call(house.open(tools=[get_weather]).talk)
    assert [(each.who, each.words) for each in report.utterances] == [
        ("caller", "Hello, can you hear me?"),
        ("application", "Hello! Yes, I can hear you."),
        ("caller", "What is the weather like in Paris today?"),
        ("application", "Here is the answer: city: Paris, sky: clear."),
    ]
    [run] = report.tools
    assert (run.name, run.arguments, run.result) == (
        "get_weather",
        {"city": "Paris"},
        {"city": "Paris", "sky": "clear"},
    )
    assert report.utterances[2].ended < run.at <= report.utterances[3].began
    assert min(each.after or 0 for each in report.answers) > 0.4  # the silence that ends a turn
    report.assert_answered_within(60)  # of 7.5 real ones
    assert report.ended_by == "caller"
    # What was said and heard stands in the two tracks where the report says.
    assert len(report.caller_sound) == len(report.application_sound)
    for each, track in zip(report.utterances, (report.caller_sound, report.application_sound) * 2, strict=True):
        begins = 2 * round(each.began * report.rate)
        assert not is_loud(track[max(0, begins - 9600) : begins])
        assert is_loud(track[begins : begins + 960])


def test_an_answer_is_interrupted_and_the_rest_was_not_heard(house: House) -> None:
    server = house.serve()
    script = [Say(TREE), Interrupt(HELLO, after=1.5), AwaitAnswer()]
    report = house.caller(script, pace=2.0).call(house.open().talk)  # a busy machine has two seconds to fall silent
    _, cut, interruption, answer = report.utterances
    assert cut.words.startswith("The tallest tree")
    assert cut.words.endswith(" ...")
    report.assert_not_said("116 metres")
    assert interruption.interrupts
    assert interruption.began == pytest.approx(cut.began + 1.5, abs=0.03)
    report.assert_silent_within(4)
    assert answer.words == "Hello! Yes, I can hear you."
    [told] = [message for message in server.sessions[0].received if message["type"] == "conversation.item.truncate"]
    assert -0.1 < told["audio_end_ms"] / 1000 - cut.seconds < 1.2  # the silence around the speech


def test_it_interrupts_after_so_many_words(house: House) -> None:
    house.serve()
    script = [Say(TREE), Interrupt(HELLO, words_heard=6), AwaitAnswer()]
    report = house.caller(script, pace=2.0).call(house.open().talk)
    assert 6 <= len(report.utterances[1].words.split()) - 1 <= 12


@pytest.mark.parametrize(
    ("seconds", "match"), [(3, r"for [12]\.\d\d s; 0.5 s are allowed"), (9, "to the end of the call")]
)
def test_an_application_that_goes_on_speaking_is_found(seconds: int, match: str) -> None:
    def goes_on(microphone: Any, speaker: Any) -> None:
        speaker.write("greeting", 0, speak("a" * round(seconds * 1000 / LETTER_MS)))
        deque(microphone, 0)

    script = [Interrupt(HELLO, after=0.5), FallSilent(2)]
    report = SimulatedCaller(script, pace=PACE, ears=Ears()).call(goes_on)
    with pytest.raises(AssertionError, match=rf"the application went on {match}"):
        report.assert_silent_within(0.5)


def test_a_function_says_what_to_do_next_from_what_it_heard(house: House) -> None:
    house.serve()
    heard: list[str] = []

    def script(told: str) -> Any:
        heard.append(told)
        return {1: HELLO, 2: [FallSilent(0.5), Say(TREE), AwaitAnswer()]}.get(len(heard))

    report = house.caller(script).call(house.open().talk)
    assert heard[:2] == ["", "Hello! Yes, I can hear you."]
    assert heard[2].startswith("The tallest tree is Hyperion")
    assert report.ended_by == "caller"


def test_it_hangs_up_in_the_middle_of_an_answer_and_hears_nothing_more(house: House) -> None:
    house.serve()
    started = time.monotonic()
    report = house.caller([Say(TREE), HangUp(after=1.0)]).call(house.open().talk)
    assert report.utterances[-1].seconds == pytest.approx(1.0, abs=0.1)
    assert report.ended_by == "caller"
    assert time.monotonic() - started < 10  # nobody waits until the rest is played


def test_an_answer_that_does_not_come_fails_the_call_with_what_was_heard(house: House) -> None:
    house.serve(responder=lambda turn: Reply("Hello!") if len(turn.items) == 1 else Reply("Later.", delay=60))
    caller = house.caller([HELLO, Say(TREE), AwaitAnswer(timeout=0.5)])
    session = house.open()
    with pytest.raises(CallFailed) as failed:
        caller.call(session.talk)
    first, _, head, *lines = str(failed.value).splitlines()
    assert first.startswith("The call failed after ")
    assert "no answer was heard within 0.5 s (in the step AwaitAnswer(timeout=0.5" in first
    assert head.endswith("; it failed.")
    assert [
        line[24 : 24 + len(want)]
        for line, want in zip(lines, ("Hello, can you hear me?", "Hello!", "What is the tallest tree"), strict=True)
    ] == ["Hello, can you hear me?", "Hello!", "What is the tallest tree"]
    with pytest.raises(CallFailed):  # also where the application has swallowed it
        caller.report()


def test_an_error_of_the_script_fails_the_call(house: House) -> None:
    house.serve()

    def script(told: str) -> Optional[Path]:
        if told:
            raise LookupError("no more words")
        return HELLO

    with pytest.raises(CallFailed, match=r"raised LookupError: no more words(?s:.)*Yes, I can hear you") as failed:
        house.caller(script).call(house.open().talk)
    assert isinstance(failed.value, AssertionError)


def test_an_application_that_hangs_up_fails_a_call_that_goes_on(house: House) -> None:
    house.serve()

    def hangs_up(microphone: Any, speaker: Any) -> None:
        for number, _ in enumerate(microphone):
            if number == 10:
                microphone.stop()

    with pytest.raises(
        CallFailed, match=r"hung up while the caller was at AwaitAnswer\((?s:.)*A call of 0\.2 s; the app"
    ):
        house.caller([AwaitAnswer()]).call(hangs_up)
    report = house.caller([FallSilent(0.1), AwaitHangUp()]).call(hangs_up)
    assert report.ended_by == "application"
    with pytest.raises(CallFailed, match="before the caller had begun"):
        house.caller([AwaitHangUp()]).call(lambda microphone, speaker: [microphone.stop(), *microphone])


def test_an_application_that_does_not_hang_up_is_found(house: House) -> None:
    house.serve()
    with pytest.raises(CallFailed, match=r"did not hang up within 0\.1 s"):
        house.caller([AwaitHangUp(timeout=0.1)]).call(lambda microphone, speaker: list(microphone))


def test_what_a_line_raises_is_told_with_what_was_heard(house: House) -> None:
    house.serve()

    def breaks(microphone: Any, speaker: Any) -> None:
        raise OSError("no line")

    with pytest.raises(CallFailed, match=r"^The line raised OSError: no line\n\nA call of 0.0 s"):
        house.caller([HELLO]).call(breaks)
    with pytest.raises(UsageError, match="has not listened"):
        house.caller([HELLO]).call(lambda microphone, speaker: None)


def test_the_devices_may_be_given_to_code_of_the_application(house: House) -> None:
    house.serve()
    caller, session = house.caller([HELLO]), house.open()
    with pytest.raises(WaitTimeoutError, match=r"not over within 0\.01 s"):
        caller.report(timeout=0.01)
    talking = Running(lambda: session.talk(caller.microphone, caller.speaker))
    report = caller.report(timeout=20)
    report.assert_said("I can hear you")
    talking.result()
    with pytest.raises(CallFailed, match="The line raised UsageError: This caller has made its call"):
        caller.call(session.talk)


def test_the_call_has_an_end(house: House) -> None:
    house.serve()
    with pytest.raises(CallFailed, match="it was not over after 2 s"):
        house.caller([FallSilent(100)], timeout=2).call(lambda microphone, speaker: list(microphone))


def test_an_answer_that_is_over_cannot_be_interrupted(house: House) -> None:
    house.serve()
    with pytest.raises(
        CallFailed, match=r"over after [12]\.\d s, before the caller could interrupt it \(in the step Int"
    ):
        house.caller([Say(HELLO), Interrupt(TREE, after=5)]).call(house.open().talk)


def test_a_session_by_g711_is_talked_to(house: House) -> None:
    house.serve()
    session = house.open(input_audio_format="g711_ulaw", output_audio_format="g711_ulaw")
    report = house.caller([HELLO], format=MULAW).call(session.talk)
    assert report.said("I can hear you")
    assert report.rate == 8000


@pytest.mark.slow
def test_calls_before_do_not_count(house: House) -> None:
    house.serve()
    session = house.open(tools=[get_weather])
    house.caller([WEATHER]).call(session.talk)
    assert house.caller([HELLO]).call(session.talk).tools == []


def test_keys_are_for_telephones(house: House) -> None:
    house.serve()
    with pytest.raises(CallFailed, match="no keys to press"):
        house.caller([Press("1")]).call(lambda microphone, speaker: list(microphone))


def test_ears_hear_what_has_really_come() -> None:
    def echo(microphone: Any, speaker: Any) -> None:
        """Says what it has heard once it is silent, without the last 0.1 s."""
        heard: list[bytes] = []
        for piece in microphone:
            if any(piece):
                heard.append(piece)
            elif heard:
                speaker.write("echo", 0, b"".join(heard[:-5]))
                heard.clear()

    report = SimulatedCaller([HELLO, TREE], ears=Ears(), pace=PACE).call(echo)
    lengths = [each.seconds for each in report.utterances if each.who == "caller"]
    assert [each.words for each in report.answers] == [f"{each - 0.1:.1f} s" for each in lengths]
    assert [each.seconds for each in report.answers] == pytest.approx([each - 0.1 for each in lengths], abs=0.01)


def test_each_answer_is_awaited_once() -> None:
    def greets_twice(microphone: Any, speaker: Any) -> None:
        for number, _ in enumerate(microphone):
            if number in (0, 250):
                speaker.write(f"greeting {number}", 0, speak("aaaa"))

    report = SimulatedCaller([AwaitAnswer(), AwaitAnswer()], ears=Ears(), pace=PACE).call(greets_twice)
    assert [(each.words, each.after) for each in report.utterances] == [("0.3 s", None), ("0.3 s", None)]


def test_who_speaks_before_the_caller_has_finished_has_not_answered() -> None:
    def echo(microphone: Any, speaker: Any) -> None:
        for piece in microphone:
            speaker.write("echo", 0, piece)

    with pytest.raises(
        CallFailed, match=r"within 0\.3 s, but the application began to speak before the caller had finish"
    ):
        SimulatedCaller([Say(HELLO), AwaitAnswer(timeout=0.3)], ears=Ears(), pace=PACE).call(echo)


def test_a_text_needs_a_voice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clips, "_spoken", lambda *_: require("the speech synthesis", "no_such_package"))
    with pytest.raises(CallFailed, match=r"no_such_package(?s:.)*Or give it a recording") as failed:
        SimulatedCaller(["Hello?"], ears=None, server=RealtimeServer()).call(lambda m, s: list(m))
    assert isinstance(failed.value.__cause__, ConfigurationError)


@pytest.mark.parametrize(
    ("what", "match"),
    [(b"\0\0" * 2400, "nothing in it is loud enough"), (5, "says a text, the Path"), (object(), "says")],
)
def test_what_cannot_be_said_is_told(what: Any, match: str) -> None:
    voice = clips.CallerVoice("ash", None, 24_000)
    with pytest.raises(InvalidInputError, match=match):
        voice.clip(what, "")


def test_settings_are_checked() -> None:
    for wrong in ({"pace": 0}, {"quiet": -1}, {"timeout": "x"}):
        with pytest.raises(InvalidInputError):
            SimulatedCaller([], **wrong)  # type: ignore[arg-type]
    with pytest.raises(AudioFormatError, match="16,000"):
        SimulatedCaller([], format=pcm_at(16_000))
    with RealtimeServer(record=False) as server, pytest.raises(UsageError, match="record=False"):
        SimulatedCaller([], server=server)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_gpt_live_is_talked_to(house: House) -> None:
    server = house.serve()
    client = OpenAIClient("any-key", endpoint=server.url, proxy=False).get_realtime_conversation_client("gpt-live-1.1")
    options = LiveSessionOptions(instructions="Delegate questions about the weather.")
    with client.start_live_session(options, delegate=lambda request: "The weather in Paris: sunny.") as session:
        report = house.caller([WEATHER, Say(TREE), Interrupt(HELLO), AwaitAnswer()], pace=1.0).call(session.talk)
    assert report.tool("delegation").result == "The weather in Paris: sunny."
    report.assert_said("The weather in Paris: sunny")
    report.assert_said("I can hear you")
    report.assert_silent_within(3)
    report.assert_answered_within(3)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_any_text_is_said_and_recognised_by_ear() -> None:
    speech = pytest.importorskip("realtime_sync.server.speech")
    if not speech.is_voice_installed():
        pytest.skip("needs the extra voice")
    with RealtimeServer(speech=speech.available_speech()) as server, ExitStack() as stack:
        house = House(stack)
        house.server = server
        caller = SimulatedCaller(["What is seven times eight?", "What is the weather in Rome?"], voice="cedar")
        report = caller.call(house.open(tools=[get_weather]).talk)
    report.assert_said("56")
    report.assert_said("Rome")
    report.assert_answered_within(3)
    assert not report.knows_tools
