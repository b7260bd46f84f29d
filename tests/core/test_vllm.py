"""A session with vLLM's realtime endpoint, which has its own shapes and knows transcription alone (2026-08)."""

from __future__ import annotations

import base64
import wave

from realtime_sync import ErrorUpdate, TranscriptionDeltaUpdate, TranscriptionDoneUpdate
from tests.core.harness import House, until
from tests.core.imitator import Imitator
from tests.transcribing.serving import AUDIO


def test_its_session_has_an_id_and_its_errors_reach_the_caller(plain: House) -> None:
    greeting = {"type": "session.created", "id": "sess-1", "created": 1}
    refusal = {"type": "error", "error": "Unknown event type: response.create", "code": "unknown_event"}
    session = plain.raw(Imitator({"response.create": [refusal]}, [greeting]))
    session.start_response()
    error = session.wait_for(ErrorUpdate, 10)
    assert (session.id, error.code) == ("sess-1", "unknown_event")
    assert "Unknown event type" in error.message


def test_it_is_sent_audio_at_its_rate_which_it_does_not_tell(plain: House) -> None:
    server = Imitator({}, [{"type": "session.created", "id": "sess-1", "created": 1}])
    session = plain.raw(server)
    session.send_audio(AUDIO / "hello_16khz.wav")  # taken as it is
    session.send_message({"type": "input_audio_buffer.commit", "final": True})
    until(lambda: server.types()[-1:] == ["input_audio_buffer.commit"])
    sent = b"".join(base64.b64decode(message["audio"]) for message in server.heard[:-1])
    with wave.open(str(AUDIO / "hello_16khz.wav")) as file:
        assert sent == file.readframes(file.getnframes())


def test_what_it_hears_can_be_read(plain: House) -> None:
    pieces = [{"type": "transcription.delta", "delta": text} for text in ("Hel", "lo")]
    whole = {"type": "transcription.done", "text": "Hello", "usage": {"prompt_tokens": 7, "total_tokens": 9}}
    session = plain.raw(Imitator({"input_audio_buffer.commit": [*pieces, whole]}))
    transcripts = session.transcripts()
    session.send_message({"type": "session.update", "model": "voxtral"})
    session.send_message({"type": "input_audio_buffer.commit", "final": True})
    done = session.wait_for("transcription.done", 10)
    assert isinstance(done, TranscriptionDoneUpdate)
    assert (done.text, done.usage.prompt_tokens, done.oddities) == ("Hello", 7, ())
    assert [session.wait_for(TranscriptionDeltaUpdate, 10).delta for _ in range(2)] == ["Hel", "lo"]
    assert next(transcripts).text == "Hello"
