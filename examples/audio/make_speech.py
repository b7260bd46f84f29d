"""Make the sample recordings beside this file, and the recorded answers to them that the embedded server carries.

    .venv/bin/pip install -e ".[voice]"
    .venv/bin/python examples/audio/make_speech.py

README.md in this folder says what is in each. The voice is "heart" of hibari-tts (Apache-2.0), with a fixed seed, so
that the same versions make the same recordings. The answers are what the server's brain of rules says to the questions:
one recording for each sentence, as the extra ``voice`` speaks it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import soxr
from hibari import Hibari

from realtime_sync import OpenAIClient
from realtime_sync.audio import g711
from realtime_sync.audio.formats import ALAW, MULAW, PCM, SampleFormat, pcm_at
from realtime_sync.audio.wav import WavWriter
from realtime_sync.server import RealtimeServer, RulesBrain
from realtime_sync.server.speech import HibariSynthesizer
from realtime_sync.server.speech.fingerprints import fingerprint
from realtime_sync.server.speech.recorded import ANSWERS, FOLDER, QUESTIONS
from realtime_sync.server.speech.sentences import sentences

HERE = Path(__file__).parent
TEXTS = {
    "hello": "Hello, can you hear me?",
    "what_is_the_tallest_tree": "What is the tallest tree in the world?",
    "what_is_the_weather": "What is the weather like in Paris today?",
}


def main() -> None:
    voice = Hibari("heart")
    questions = {name: pcm16(samples(voice, text)) for name, text in TEXTS.items()}
    for name, pcm in questions.items():
        save(HERE / f"{name}.wav", pcm, PCM)
    hello = samples(voice, TEXTS["hello"])
    narrow = pcm16(soxr.resample(hello, PCM.rate, 8000))
    save(HERE / "hello_ulaw.wav", g711.encode(narrow, MULAW.wire_type), MULAW)
    save(HERE / "hello_alaw.wav", g711.encode(narrow, ALAW.wire_type), ALAW)
    save(HERE / "hello_16khz.wav", pcm16(soxr.resample(hello, PCM.rate, 16000)), pcm_at(16000))

    FOLDER.mkdir(exist_ok=True)
    known = {TEXTS[name]: fingerprint(pcm, PCM.rate) for name, pcm in questions.items()}
    (FOLDER / QUESTIONS).write_text(json.dumps(known) + "\n", encoding="utf-8")
    answers = {}
    for sentence in spoken_answers():
        answers[sentence] = f"{re.sub('[^a-z0-9]+', '_', sentence.lower()).strip('_')}.wav"
        pieces = HibariSynthesizer().speak([sentence], voice="alloy", speed=1.0, rate=PCM.rate)
        save(FOLDER / answers[sentence], b"".join(piece.audio for piece in pieces), PCM)
    (FOLDER / ANSWERS).write_text(json.dumps(answers, indent=2) + "\n", encoding="utf-8")


def samples(voice: Any, text: str) -> Any:
    """Float samples at 24,000 Hz, with silence around them, at three quarters of full scale."""
    speech = voice(text, seed=2026)
    speech = 0.75 * speech / np.abs(speech).max()
    return np.concatenate([np.zeros(PCM.rate * 300 // 1000), speech, np.zeros(PCM.rate * 700 // 1000)])


def pcm16(speech: Any) -> bytes:
    return bytes((speech * 32767).round().astype("<i2").tobytes())


def save(path: Path, data: bytes, form: SampleFormat) -> None:
    with WavWriter(path, form) as wav:
        wav.write(data)


def spoken_answers() -> list[str]:
    """The sentences of the answers to the questions."""
    with RealtimeServer(responder=RulesBrain()) as server:
        client = OpenAIClient("any-key", endpoint=server.url).get_realtime_conversation_client("gpt-realtime-2.1")
        with client.start_conversation_session() as session:
            answers = [session.ask(text).transcript for text in TEXTS.values()]
    return [sentence.strip() for answer in answers for sentence in sentences([answer])]


if __name__ == "__main__":
    main()
