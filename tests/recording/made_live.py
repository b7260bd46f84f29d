"""Recordings of live sessions, made by hand: both sides speak, at times at once, and work is delegated."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from realtime_sync.errors import CloseInfo
from realtime_sync.recording import Recording, RecordingWriter
from tests.recording.made import tone

SESSION = {"id": "live_1", "model": "gpt-live-1.1", "audio": {"format": {"type": "audio/pcm", "rate": 24000}}}
BEGIN = 1000.0


class MadeLive:
    """Frames at moments of one's choosing, in seconds; they are written in their order by ``done``."""

    def __init__(self, path: Path, **options: Any) -> None:
        self.path = path
        self.writer = RecordingWriter(path, **options)
        self.frames: list[tuple[float, str, str]] = []
        self.count = 0
        self.spoken: list[tuple[str, float, float, float]] = []  # who, from when to when, how loud

    def told(self, at: float, wire_type: str, **fields: Any) -> MadeLive:
        self.count += 1
        return self._add(at, "in", {"type": wire_type, "event_id": f"event_{self.count}", **fields})

    def sent(self, at: float, wire_type: str, **fields: Any) -> MadeLive:
        return self._add(at, "out", {"type": wire_type, **fields})

    def says(self, speaker: str, at: float, words: str, loudness: float = 8000) -> MadeLive:
        """Words with their sound, spoken from this moment on, one each 200 ms; silence is sent and comes elsewhere."""
        for index, word in enumerate(words.split()):
            begin = at + 0.2 * index
            start_ms = round((begin - 1.0) * 1000)  # the first audio is sent at 1.0
            direction = {"user": "input", "assistant": "output"}[speaker]
            times = {"start_ms": start_ms, "end_ms": start_ms + 200}
            self.told(begin + 0.75, f"session.{direction}_transcript.delta", delta=f" {word}", **times)
        self.spoken.append((speaker, at, at + 0.2 * len(words.split()), loudness))
        return self

    def tracks(self, end: float) -> MadeLive:
        """100 ms of both sides, each 100 ms: from 1.0 on what is sent, 0.8 s later what comes."""
        for step in range(round((end - 1.0) * 10)):
            at = 1.0 + step / 10
            self.sent(at, "session.input_audio.append", audio=self._sound("user", at))
            delta = {"type": "session.output_audio.delta", "delta": self._sound("assistant", at)}
            self._add(at + 0.8, "in", delta)
        return self

    def _sound(self, speaker: str, at: float) -> str:
        for who, start, end, loudness in self.spoken:
            if who == speaker and start - 0.01 <= at < end - 0.01:
                return base64.b64encode(tone(0.1, 200 if who == "user" else 120, loudness)).decode()
        return base64.b64encode(bytes(4800)).decode()

    def _add(self, at: float, direction: str, message: dict[str, Any]) -> MadeLive:
        self.frames.append((at, direction, json.dumps(message)))
        return self

    def done(self) -> Recording:
        self.writer.connected("wss://api.openai.com/v1/live/sessions", protocol="live", at=BEGIN)
        for at, direction, text in sorted(self.frames, key=lambda frame: frame[0]):
            add = self.writer.received if direction == "in" else self.writer.sent
            add(text, at=BEGIN + at)
        self.writer.disconnected(CloseInfo(1005, "", "remote"), at=BEGIN + max(frame[0] for frame in self.frames))
        self.writer.close()
        assert self.writer.error is None
        return Recording.read(self.path)


def live_session(path: Path, **options: Any) -> Recording:
    """A question, the model's word into it, delegated work with its result, an append that never lands."""
    made = MadeLive(path, **options)
    made.sent(0.0, "session.start", session={"model": "gpt-live-1.1"})
    made.told(0.6, "session.started", session=SESSION)
    made.says("user", 2.0, "Where is my parcel? It should have been here by now.")
    made.says("assistant", 3.4, "One moment please, I am looking.")
    made.told(5.1, "session.delegation.created", offset_ms=3800, delegation={"id": "item_1", "target": "client"})
    made.sent(8.0, "session.commentary.append", delegation_id="item_1", content="It is in Utrecht.")
    made.told(8.75, "session.commentary.appended", start_ms=7600, end_ms=7800)
    made.says("assistant", 8.6, "It is in Utrecht.")
    made.told(9.0, "session.usage.updated", usage={"seconds": 8}, context_window={"usage_ratio": 0.0125})
    made.sent(11.5, "session.thinking.append", delegation_id=None, content="The caller is in a hurry.")
    made.sent(12.0, "session.close")
    error = {"type": "server_error", "code": "context_injection_incomplete", "message": "It was too late."}
    made.tracks(12.0)
    made.told(12.2, "error", error=error)
    return made.told(12.9, "session.closed", reason="close_requested", usage={"seconds": 12}, session=SESSION).done()
