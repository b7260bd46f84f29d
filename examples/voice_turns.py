"""Ask recorded questions as a microphone would, one after the other, and print each turn with its timeline.

    .venv/bin/pip install -e ".[voice]"
    .venv/bin/python examples/voice_turns.py [question.wav ...]

With the extra server in the place of voice, a server without a key understands the recordings of examples/audio only.

Voice activity detection finds where a question ends, so the files are sent as fast as they play, with silence behind.
"""

from __future__ import annotations

import sys
import time
import wave
from collections.abc import Iterator
from pathlib import Path

import attrs
from demo_client import demo_client

from realtime_sync import (
    ConversationSessionOptions,
    InputTranscriptionOptions,
    RealtimeConversationSession,
    Turn,
    TurnDetectionOptions,
)

AUDIO = Path(__file__).parent / "audio"
SECONDS_OF_SILENCE = 1.0
CHUNK = 4800  # bytes: 100 ms at 24,000 Hz


def main() -> None:
    questions = [Path(name) for name in sys.argv[1:]] or [AUDIO / "hello.wav", AUDIO / "what_is_the_weather.wav"]
    options = ConversationSessionOptions(
        turn_detection_options=TurnDetectionOptions.server_vad(silence_duration_ms=500),
        input_transcription_options=InputTranscriptionOptions(model="gpt-transcribe"),
    )
    with demo_client(speech=True) as client, client.start_conversation_session(options) as session:
        turns = session.turns(timeout=30)
        for question in questions:
            speak(session, question)
            show(next(turns))


def speak(session: RealtimeConversationSession, question: Path) -> None:
    """Send a recording and some silence at the pace of speech."""
    with wave.open(str(question)) as file:
        recording = file.readframes(file.getnframes())
    session.send_audio(paced(recording + bytes(int(SECONDS_OF_SILENCE * 48_000))))


def paced(audio: bytes) -> Iterator[bytes]:
    """The audio in pieces of 100 ms, each when it would have been spoken."""
    begun = time.monotonic()
    for number, start in enumerate(range(0, len(audio), CHUNK)):
        time.sleep(max(0.0, begun + number * 0.1 - time.monotonic()))
        yield audio[start : start + CHUNK]


def show(turn: Turn) -> None:
    print(f"You    {turn.user_transcript}")
    print(f"Model  {turn.transcript}{' [interrupted]' if turn.interrupted else ''}")
    for moment, seconds in attrs.asdict(turn.timeline).items():
        if seconds is not None:
            print(f"  {seconds:7.3f} s  {moment}")
    waited = turn.timeline.speech_stopped_to_first_audio
    if waited is not None:
        print(f"  The answer could be heard {waited * 1000:.0f} ms after the end of speech was noticed.")


if __name__ == "__main__":
    main()
