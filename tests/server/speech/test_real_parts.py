"""The real parts by themselves: what is spoken is understood, and what is no speech is not heard as such."""

from __future__ import annotations

import array
import math
import random
from collections.abc import Iterator

import pytest

from realtime_sync.audio import g711
from realtime_sync.server.speech import Hints, Speech
from realtime_sync.server.speech.hibari import _PITCHES
from realtime_sync.server.vad import SpeechStarted, SpeechStopped, VoiceDetector
from tests.server.speech.spoken import SENTENCES, Tongue, recorded, silence, word_error_rate, word_errors

pytestmark = pytest.mark.slow
FEW = SENTENCES[:3]
RECORDED = {
    "hello.wav": "Hello, can you hear me?",
    "what_is_the_tallest_tree.wav": "What is the tallest tree in the world?",
    "what_is_the_weather.wav": "What is the weather like in Paris today?",
}


@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_question_is_understood(name: str, tongue: Tongue) -> None:
    assert word_errors(RECORDED[name], tongue.understand(recorded(name))) == 0


@pytest.mark.parametrize("kind", ["audio/pcm", "audio/pcmu", "audio/pcma"])
def test_what_is_spoken_is_understood(kind: str, tongue: Tongue) -> None:
    heard = [(text, tongue.understand(tongue.say(text, kind), kind)) for text in SENTENCES]
    assert word_error_rate(heard) <= 0.1, heard


@pytest.mark.parametrize("voice", [*_PITCHES, "a voice that nobody knows"])
def test_each_voice_is_understood(voice: str, tongue: Tongue) -> None:
    heard = [(text, tongue.understand(tongue.say(text, voice=voice))) for text in FEW]
    assert word_error_rate(heard) <= 0.1, heard


@pytest.mark.parametrize("speed", [0.25, 0.7, 1.5])
def test_each_speed_is_understood(speed: float, tongue: Tongue) -> None:
    heard = [(text, tongue.understand(tongue.say(text, speed=speed))) for text in FEW]
    assert word_error_rate(heard) <= 0.1, heard


def test_speed_changes_the_length_and_the_voice_does_not(tongue: Tongue) -> None:
    natural = len(tongue.say(FEW[0]))
    assert len(tongue.say(FEW[0], speed=1.5)) < 0.8 * natural < natural / 0.7 < 1.1 * len(tongue.say(FEW[0], speed=0.7))
    assert 0.85 * natural < len(tongue.say(FEW[0], voice="ash")) < 1.15 * natural
    assert tongue.say(FEW[0], voice="ash") != tongue.say(FEW[0])


def test_the_same_text_sounds_the_same(tongue: Tongue) -> None:
    assert tongue.say(FEW[0]) == tongue.say(FEW[0])


def test_a_sentence_is_spoken_before_the_next_is_known(tongue: Tongue) -> None:
    asked: list[int] = []

    def texts() -> Iterator[str]:
        for index, text in enumerate(["One is here", ". And ", "two follows. ", "Then three."]):
            asked.append(index)
            yield text

    spoken = tongue.speech.synthesizer.speak(texts(), voice="alloy", speed=1.0, rate=24_000)
    first = next(spoken)
    assert ("".join(first.deltas), asked) == ("One is here. ", [0, 1])
    assert ["".join(piece.deltas) for piece in spoken] == ["And two follows. ", "Then three."]


def test_nothing_is_understood_where_nothing_was_said(tongue: Tongue) -> None:
    noise = random.Random(7)
    white = array.array("h", (noise.randrange(-3000, 3000) for _ in range(24_000))).tobytes()
    for sound in (b"", bytes(100), silence(2000), white):
        assert tongue.understand(sound) == ""


def test_the_likelihood_of_each_word_is_told_where_it_is_wanted(tongue: Tongue) -> None:
    words = tongue.speech.recognizer.recognize(recorded("hello.wav"), 24_000, Hints(logprobs=True)).words
    assert [word.text for word in words] == [" Hello,", " can", " you", " hear", " me?"]
    assert all(-5 < word.logprob <= 0 for word in words)


def test_a_prompt_helps_to_recognise_its_words(tongue: Tongue) -> None:
    pcm = tongue.say("The package is called hibari.")
    assert "hibari" in tongue.speech.recognizer.recognize(pcm, 24_000, Hints(prompt="hibari")).text.lower()


def test_long_speech_is_understood_to_its_end(tongue: Tongue) -> None:
    text = " ".join(SENTENCES[:7])  # some 22 s: more than the short window
    assert word_error_rate([(text, tongue.understand(tongue.say(text)))]) <= 0.1


def test_all_instances_share_the_models() -> None:
    Speech().load()  # would take seconds, and another 200 MB, each time
    first, second = Speech(), Speech()
    assert first.detector.listen(24_000)._model is second.detector.listen(24_000)._model  # type: ignore[attr-defined]


# Voice activity ---------------------------------------------------------------------------------------------------


def turns(tongue: Tongue, audio: bytes, kind: str = "audio/pcm", silence_ms: int = 500) -> list[tuple[str, int]]:
    detector = VoiceDetector(0.5, silence_ms, kind, detector=tongue.speech.detector)
    size = 960 if kind == "audio/pcm" else 160
    events = (event for start in range(0, len(audio), size) for event in detector.feed(audio[start : start + size]))
    return [(type(event).__name__, event.at_ms) for event in events]


@pytest.mark.parametrize("kind", ["audio/pcm", "audio/pcmu", "audio/pcma"])
def test_speech_starts_and_stops_where_it_does(kind: str, tongue: Tongue) -> None:
    speech = tongue.say(FEW[0], kind)
    length = len(speech) // (48 if kind == "audio/pcm" else 8)
    audio = silence(1000, kind) + speech + silence(1000, kind)
    (_, start), (_, stop) = turns(tongue, audio, kind)
    # hibari begins with some 250 ms of silence, and ends with as much.
    assert 950 <= start <= 1500
    assert 1000 + length - 500 <= stop - 500 <= 1000 + length + 150


def test_three_utterances_are_three_turns(tongue: Tongue) -> None:
    audio = b"".join(silence(600) + tongue.say(text) + silence(900) for text in FEW)
    kinds = [SpeechStarted.__name__, SpeechStopped.__name__]
    assert [kind for kind, _ in turns(tongue, audio)] == 3 * kinds


@pytest.mark.parametrize("kind", ["audio/pcm", "audio/pcmu"])
def test_silence_noise_tones_and_clicks_are_no_speech(kind: str, tongue: Tongue) -> None:
    noise, rate = random.Random(7), 24_000 if kind == "audio/pcm" else 8_000
    seconds = range(10 * rate)
    sounds = {
        "silence": [0 for _ in seconds],
        "white noise": [noise.randrange(-3000, 3000) for _ in seconds],
        "a tone": [int(8000 * math.sin(2 * math.pi * 440 * n / rate)) for n in seconds],
        "clicks": [20_000 if n % (rate // 2) < 20 else 0 for n in seconds],
    }
    for name, samples in sounds.items():
        pcm = array.array("h", samples).tobytes()
        assert turns(tongue, pcm if kind == "audio/pcm" else g711.encode(pcm, kind), kind) == [], name
