"""Speech without models: the sample recordings are understood, and answered in recorded speech."""

from __future__ import annotations

import array
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import attrs
import pytest

from realtime_sync import (
    ConfigurationError,
    ConversationSessionOptions,
    InputTranscriptionOptions,
    OpenAIClient,
    RealtimeConversationSession,
    TurnDetectionOptions,
)
from realtime_sync.audio import g711
from realtime_sync.server import RealtimeServer
from realtime_sync.server.speech import Hints, Recognition, Speech, available_speech, recorded_speech
from realtime_sync.server.speech.fingerprints import fingerprint
from realtime_sync.server.speech.recorded import ANSWERS, FOLDER, LIMITS, QUESTIONS, RecordedSynthesizer, recording_of
from realtime_sync.server.speech.sentences import sentences
from realtime_sync.server.voice import narrow, speak
from tests.server.speech.spoken import Tongue, recorded, silence, word_errors

pytestmark = pytest.mark.medium

SAMPLES = {
    "hello.wav": "Hello, can you hear me?",
    "what_is_the_tallest_tree.wav": "What is the tallest tree in the world?",
    "what_is_the_weather.wav": "What is the weather like in Paris today?",
}
ANSWERED = {
    "hello.wav": "Hello! Yes, I can hear you.",
    "what_is_the_tallest_tree.wav": (
        "The tallest tree is Hyperion, a coast redwood in California. It is 116 metres tall."
    ),
    "what_is_the_weather.wav": "I do not know the weather: I have no tool for it.",
}


def understood(pcm: bytes, rate: int = 24_000) -> Recognition:
    return recorded_speech().recognizer.recognize(pcm, rate, Hints())


def spoken(text: str) -> bytes:
    """The recordings that say a text, one after the other."""
    found = [recording_of(sentence) for sentence in sentences([text])]
    return b"".join(pcm for pcm in found if pcm is not None)


@contextmanager
def asking(server: RealtimeServer, **options: Any) -> Iterator[RealtimeConversationSession]:
    client = OpenAIClient("any-key", endpoint=server.url).get_realtime_conversation_client("gpt-realtime-2.1")
    told = ConversationSessionOptions(
        input_transcription_options=InputTranscriptionOptions(),
        **{"turn_detection_options": TurnDetectionOptions.server_vad(silence_duration_ms=500), **options},
    )
    with client, client.start_conversation_session(told) as session:
        yield session


@attrs.define
class Heard:
    """What comes back for a turn."""

    question: str = ""
    answer: str = ""
    audio: bytes = b""


def heard(session: RealtimeConversationSession) -> Heard:
    """The next answer, to its end, and the transcript of what it answers."""
    back = Heard()
    done = False
    while not (done and back.question):
        update: Any = session.receive_update(20)
        assert update.type != "error", update.raw_content
        if update.type == "conversation.item.input_audio_transcription.completed":
            back.question = update.transcript
        elif update.type == "response.output_audio.delta":
            back.audio += update.audio_bytes
        elif update.type == "response.output_audio_transcript.done":
            back.answer = update.transcript
        done = done or update.type == "response.done"
    return back


# What is understood ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("before", [0, 1, 77, 120, 333, 24_000 * 5], ids=lambda samples: f"{samples} before")
@pytest.mark.parametrize("after", [0, 11, 24_000 * 5], ids=lambda samples: f"{samples} after")
def test_a_sample_recording_is_understood_whatever_silence_is_around_it(name: str, before: int, after: int) -> None:
    pcm = recorded(name)
    assert understood(bytes(2 * before) + pcm + bytes(2 * after)).text == SAMPLES[name]
    speech = pcm[2 * 7000 : -2 * 16_000]  # as voice activity detection may cut it
    assert understood(bytes(2 * before) + speech + bytes(2 * after)).text == SAMPLES[name]


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("law", ["audio/pcmu", "audio/pcma"])
@pytest.mark.parametrize("shift", range(3))
def test_a_sample_recording_is_understood_on_the_telephone(name: str, law: str, shift: int) -> None:
    wire = g711.encode(narrow(bytes(2 * shift) + recorded(name)), law)
    assert understood(g711.decode(wire, law), 8000).text == SAMPLES[name]


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_recording_is_understood_however_loud_it_is(name: str) -> None:
    samples = g711.samples_of(recorded(name))
    for numerator, denominator in ((1, 10), (1, 2), (4, 3)):
        louder = array.array("h", (sample * numerator // denominator for sample in samples))
        assert understood(g711.pcm_of(louder)).text == SAMPLES[name]


def changed(pcm: bytes) -> dict[str, bytes]:
    samples = g711.samples_of(pcm)
    slow = array.array("h", (samples[index * 9 // 10] for index in range(len(samples) * 10 // 9)))
    return {
        "backwards": g711.pcm_of(samples[::-1]),
        "slower": g711.pcm_of(slow),
        "twice": pcm + pcm,
        "its first half": pcm[: len(pcm) // 4 * 2],
        "its second half": pcm[len(pcm) // 4 * 2 :],
    }


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("how", list(changed(b"")))
def test_what_is_another_recording_is_not_understood(name: str, how: str) -> None:
    assert not understood(changed(recorded(name))[how]).understood


@pytest.mark.parametrize(
    "pcm",
    [b"", b"\0", bytes(48_000), b"\x10\x20" * 40_000, speak("Hello, can you hear me?"), bytes(48_000 * 61)],
    ids=["nothing", "half a sample", "silence", "a constant", "tones", "a minute"],
)
def test_what_is_no_speech_is_not_understood(pcm: bytes) -> None:
    assert understood(pcm) == Recognition(f"[{len(pcm) / 48_000:.1f} seconds of audio]", understood=False)


def test_a_recording_of_more_than_a_minute_is_not_looked_at() -> None:
    assert understood(recorded("hello.wav") + bytes(48_000 * 50)).understood
    assert not understood(recorded("hello.wav") + bytes(48_000 * 60)).understood


def test_the_fingerprints_are_those_of_the_sample_recordings() -> None:
    """If not, make both again: examples/audio/make_speech.py."""
    known = json.loads((FOLDER / QUESTIONS).read_text(encoding="utf-8"))
    assert known == {text: fingerprint(recorded(name), 24_000) for name, text in SAMPLES.items()}


# What is said ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_recording_is_answered_in_recorded_speech(name: str) -> None:
    with RealtimeServer(speech=recorded_speech()) as server, asking(server) as session:
        session.send_audio(recorded(name))
        told = heard(session)
    assert (told.question, told.answer) == (SAMPLES[name], ANSWERED[name])
    assert told.audio == spoken(ANSWERED[name])
    assert len(told.audio) > 48_000


def test_on_the_telephone_too() -> None:
    form = {"format": {"type": "audio/pcmu"}}
    telephone = {"extra": {"audio": {"input": form, "output": form}}}
    with RealtimeServer(speech=recorded_speech()) as server, asking(server, **telephone) as session:
        session.send_audio(g711.encode(narrow(recorded("hello.wav")), "audio/pcmu"))
        told = heard(session)
    assert (told.question, told.answer) == (SAMPLES["hello.wav"], ANSWERED["hello.wav"])
    said = [narrow(recording_of(sentence) or b"") for sentence in ("Hello!", "Yes, I can hear you.")]
    assert told.audio == g711.encode(b"".join(said), "audio/pcmu")


def test_other_speech_is_answered_by_why_it_was_not_understood() -> None:
    with RealtimeServer(speech=recorded_speech()) as server, asking(server) as session:
        session.send_audio(changed(recorded("hello.wav"))["backwards"] + silence(1000))
        told = heard(session)
    assert told.question.endswith("seconds of audio]")
    assert told.answer == f"I did not understand any words. {LIMITS}"
    assert len(told.audio) > 48_000  # in tones


def test_a_transcript_that_is_a_note_is_not_taken_for_words() -> None:
    by_hand = {"turn_detection_options": TurnDetectionOptions.disabled()}
    with RealtimeServer(speech=recorded_speech()) as server, asking(server, **by_hand) as session:
        session.send_audio(b"\x10\x20" * 24_000)
        session.commit_pending_audio().wait()
        noted: Any = session.wait_for("conversation.item.input_audio_transcription.completed", timeout=20)
        assert noted.transcript == "[1.0 seconds of audio]"
        assert session.respond().wait(20).transcript.startswith("I did not understand any words.")


def test_a_text_with_a_sentence_that_is_not_recorded_is_spoken_in_tones() -> None:
    def said(text: str) -> bytes:
        pieces = RecordedSynthesizer().speak([text], voice="alloy", speed=1.0, rate=24_000)
        return b"".join(piece.audio for piece in pieces)

    assert said("Hello! It is raining.") == speak("Hello! It is raining.", "alloy")
    assert said("Hello!") == recording_of("Hello!") != speak("Hello!", "alloy")


def test_each_recording_is_of_an_answer() -> None:
    """If not, make them again: examples/audio/make_speech.py."""
    answers = json.loads((FOLDER / ANSWERS).read_text(encoding="utf-8"))
    assert list(answers) == [sentence.strip() for answer in ANSWERED.values() for sentence in sentences([answer])]
    assert {*answers.values(), ANSWERS, QUESTIONS} == {path.name for path in FOLDER.iterdir()}


# Which of both it is --------------------------------------------------------------------------------------------------


def test_without_the_extra_voice_the_available_speech_is_the_recorded_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hibari", None)
    assert available_speech().limits == LIMITS
    assert "pip install 'realtime-sync[voice]'" in LIMITS


def test_if_the_models_cannot_be_loaded_the_available_speech_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("hibari", reason="needs the extra voice")
    pytest.importorskip("faster_whisper", reason="needs the extra voice")

    def fail(speech: Speech) -> None:
        raise ConfigurationError("the model file is missing")

    monkeypatch.setattr(Speech, "load", fail)
    assert available_speech().limits.endswith("by heart, because the model file is missing")


# With models ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_available_speech_is_real_if_it_can_be(tongue: Tongue) -> None:
    assert available_speech().limits == ""


@pytest.mark.slow
def test_the_recordings_say_what_they_should(tongue: Tongue) -> None:
    for sentence in json.loads((FOLDER / ANSWERS).read_text(encoding="utf-8")):
        heard = tongue.understand(recording_of(sentence) or b"").replace("meters", "metres")
        assert word_errors(sentence, heard) == 0, (sentence, heard)


@pytest.mark.slow
@pytest.mark.parametrize("voice", ["alloy", "verse", "shimmer"])
def test_what_sounds_alike_is_not_understood(voice: str, tongue: Tongue) -> None:
    near = [
        "Hello, can you see me?",
        "Hello, can you hear this?",
        "What is the tallest man in the world?",
        "What is the weather like in Rome today?",
    ]
    assert [text for text in near if understood(tongue.say(text, voice=voice)).understood] == []
