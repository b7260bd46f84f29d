"""What is other people's code in a live session: it holds nobody up, comes in order, and ends with the session."""

from __future__ import annotations

import threading
from typing import Any, Callable, Iterable, Iterator

import pytest

from realtime_sync.server import DelegateWork, LiveRules, RealtimeServer, Reply, Turn
from realtime_sync.server.live.brain import LivePiece
from realtime_sync.server.speech import Speech
from realtime_sync.server.speech.protocols import Spoken
from realtime_sync.server.speech.without_models import LetterSynthesizer, speech_without_models
from tests.harness import Running, until
from tests.server.live.conftest import Call, LivePeer, said, until_planned

OpenCall = Callable[..., Call]
BACKEND = {"type": "responses", "responses": {"model": "gpt-6-luna"}}


class SlowVoice:
    """A voice that waits for ``go`` before it says the first text, and fails at "fail"."""

    def __init__(self) -> None:
        self.go, self.asked = threading.Event(), threading.Event()

    def load(self) -> None:
        """Nothing is needed."""

    def speak(self, texts: Iterable[str], *, voice: str, speed: float, rate: int) -> Iterator[Spoken]:
        for text in texts:
            if not self.asked.is_set():
                self.asked.set()
                assert self.go.wait(10)
            if text == "fail":
                raise ValueError("no voice")
            yield from LetterSynthesizer().speak([text], voice=voice, speed=speed, rate=rate)


@pytest.fixture
def voice() -> Iterator[SlowVoice]:
    slow = SlowVoice()
    yield slow
    slow.go.set()


def speech(voice: SlowVoice) -> dict[str, Any]:
    without_models = speech_without_models(lambda audio, rate: "")
    detector, recognizer = without_models.detector, without_models.recognizer
    return {"speech": Speech(detector=detector, recognizer=recognizer, synthesizer=voice, understands=False)}


def test_own_words_are_found_without_the_session_s_lock(open_call: OpenCall) -> None:
    def in_own_words(content: str) -> str:
        return f"At {Running(lambda: int(call.twin.timeline_ms)).result(5)}: {content}"

    call = open_call(LiveRules(in_own_words=in_own_words))
    call.commentary("Done.")
    until_planned(call)
    call.silence(3.0)
    assert said(call) == "At 0: Done."


def test_own_words_that_are_no_text_are_those_of_the_commentary(
    open_call: OpenCall, caplog: pytest.LogCaptureFixture
) -> None:
    call = open_call(LiveRules(in_own_words=len))  # type: ignore[arg-type]
    call.commentary("Done.")
    until_planned(call)
    call.silence(3.0)
    assert said(call) == "Done."
    assert "in_own_words failed" in caplog.text


def test_what_a_slow_voice_says_comes_in_order(open_call: OpenCall, voice: SlowVoice) -> None:
    call = open_call(server=speech(voice))
    for text in ("One,", "two,", "fail", "three."):
        call.commentary(text)
    assert voice.asked.wait(5)
    voice.go.set()
    until_planned(call)
    call.silence(5.0)
    assert said(call) == "One,two,three."


def test_who_is_hushed_does_not_say_what_the_voice_is_late_with(open_call: OpenCall, voice: SlowVoice) -> None:
    call = open_call(server=speech(voice))
    call.commentary("One,")
    call.commentary("two.")
    assert voice.asked.wait(5)
    call.twin.hush()
    voice.go.set()
    until_planned(call)
    call.commentary("Three.")
    until_planned(call)
    call.silence(5.0)
    assert said(call) == "Three."


def test_a_backend_that_takes_its_time_ends_with_the_session() -> None:
    with RealtimeServer(live=LiveRules(backend=lambda turn: Reply("Late.", delay=60))) as server:
        peer = LivePeer(server)
        peer.start(delegation=BACKEND)
        twin = server.wait_for_live_session()
        twin.delegate(after_last_fragment=False)
        peer.until("response.event")
        peer.ws.shutdown()
        twin.wait_until_closed()
        until(lambda: not any(thread.is_alive() for thread in twin.threads))


def test_a_brain_learns_that_the_session_has_ended_and_delegates_no_more(open_call: OpenCall) -> None:
    asked, worked = threading.Event(), threading.Event()
    over: list[bool] = []

    def brain(turn: Turn) -> Iterator[LivePiece]:
        asked.set()
        over.append(turn.cancelled.wait(10))
        yield DelegateWork()

    def backend(turn: Turn) -> str:
        worked.set()
        return ""

    call = open_call(LiveRules(brain=brain, backend=backend), delegation=BACKEND)
    call.twin.hear("Well?")
    call.silence(2.0)
    assert asked.wait(5)
    call.peer.ws.shutdown()
    call.twin.wait_until_closed()
    until_planned(call)
    call.twin.delegate(after_last_fragment=False)
    until_planned(call)
    assert over == [True]
    assert not worked.is_set()


class BrokenStream:
    """Fails at each sound."""

    frame_ms, release = 20, 0.0

    def feed(self, pcm: bytes) -> Iterable[float]:
        raise ValueError("no ears")


class BrokenDetector:
    """Its streams fail."""

    def load(self) -> None:
        """Nothing is needed."""

    def listen(self, rate: int) -> BrokenStream:
        return BrokenStream()


def test_a_call_goes_on_though_its_voice_detector_has_failed(caplog: pytest.LogCaptureFixture) -> None:
    without_models = speech_without_models(lambda audio, rate: "")
    recognizer, synthesizer = without_models.recognizer, without_models.synthesizer
    speech = Speech(detector=BrokenDetector(), recognizer=recognizer, synthesizer=synthesizer)
    with RealtimeServer(speech=speech) as server:  # by the real clock, whose thread is that of all sessions
        call = server.live_call(server.place_live_call())
        call.accept({"model": "gpt-live-1.1"})
        until(lambda: call.heard)
    assert caplog.text.count("can hear nothing any more") == 1


def test_a_session_that_is_over_keeps_no_sound(open_call: OpenCall) -> None:
    call = open_call(server={"record": False}, delegation=BACKEND)
    call.peer.say("session.input_audio.append", audio="AAAA" * 400)
    until(lambda: call.twin.timeline.has_begun)
    call.twin.say("What is said for so long that it is in the air when the connection is lost. " * 10)
    call.peer.say("response.item.create", item={"type": "message", "role": "user", "content": "Look: " + "x" * 10_000})
    until(lambda: call.twin.target.items)  # type: ignore[attr-defined]
    assert call.twin.schedule.pending()
    call.clock.advance(1.0)
    assert not call.twin.track.is_silent
    call.peer.ws.shutdown()
    call.twin.wait_until_closed()
    assert not call.twin.schedule.pending()
    assert call.twin.track.is_silent
    assert not call.twin.history
    assert not call.twin.target.items  # type: ignore[attr-defined]
