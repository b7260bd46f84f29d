"""Recordings made by hand, with times of one's choosing."""

from __future__ import annotations

import array
import base64
import json
import math
import os
from pathlib import Path
from typing import Any

from realtime_sync.errors import CloseInfo
from realtime_sync.recording import Recording, RecordingWriter

SESSION = {"type": "realtime", "id": "s", "model": "gpt-realtime-2.1"}


def tone(seconds: float, frequency: float = 220.0, loudness: float = 9000.0, rate: int = 24000) -> bytes:
    turn = 2 * math.pi * frequency / rate
    count = round(seconds * rate)
    return array.array("h", (int(loudness * math.sin(index * turn)) for index in range(count))).tobytes()


def writer_that_fails(path: Path) -> RecordingWriter:
    """One whose file takes nothing, which shows when it is written: a pipe whose reader has gone."""
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    writer = RecordingWriter(path)
    os.close(reader)
    return writer


class Made:
    """A recording in the making; ``at`` moves with ``wait``."""

    def __init__(self, path: Path, start: float = 1000.0, **options: Any) -> None:
        self.path = path
        self.at = start
        self.writer = RecordingWriter(path, **options)
        self.writer.connected("wss://api.openai.com/v1/realtime?model=gpt-realtime-2.1", at=start)

    def wait(self, seconds: float) -> Made:
        self.at += seconds
        return self

    def told(self, wire_type: str, **fields: Any) -> Made:
        self.writer.received(json.dumps({"type": wire_type, "event_id": "event_1", **fields}), at=self.at)
        return self

    def sent(self, wire_type: str, **fields: Any) -> Made:
        self.writer.sent(json.dumps({"type": wire_type, **fields}), at=self.at)
        return self

    def says(self, samples: bytes) -> Made:
        return self.sent("input_audio_buffer.append", audio=base64.b64encode(samples).decode())

    def answers(self, samples: bytes, item_id: str = "a", response_id: str = "r", index: int = 0) -> Made:
        place = {"response_id": response_id, "item_id": item_id, "output_index": 0, "content_index": index}
        return self.told("response.output_audio.delta", delta=base64.b64encode(samples).decode(), **place)

    def done(self) -> Recording:
        self.writer.disconnected(CloseInfo(1000, "", "local"), at=self.at)
        self.writer.close()
        assert self.writer.error is None
        return Recording.read(self.path)


def spoken_conversation(path: Path, turns: int, **options: Any) -> Recording:
    """Turns of some seconds each: every third is interrupted, every fourth calls a function, the user has a sound."""
    made = Made(path, **options).told("session.created", session=SESSION)
    heard_ms = 0
    for number in range(turns):
        item, answer, response = f"u{number}", f"a{number}", f"r{number}"
        length = 1.0 + 0.7 * (number % 4)
        for step in range(round(length / 0.1)):
            made.says(tone(0.1, 180 + 20 * (number % 5), 4000 + 900 * (step % 7))).wait(0.1)
            if step == 2:
                made.told("input_audio_buffer.speech_started", item_id=item, audio_start_ms=heard_ms + 100)
        for _ in range(5):
            made.says(bytes(4800)).wait(0.1)
        made.told("input_audio_buffer.speech_stopped", item_id=item, audio_end_ms=heard_ms + int(length * 1000))
        heard_ms += int(length * 1000) + 500
        message = {"id": item, "type": "message", "role": "user", "status": "completed"}
        content = [{"type": "input_audio", "transcript": None}]
        made.told("input_audio_buffer.committed", item_id=item, previous_item_id=None)
        made.told("conversation.item.added", item={**message, "content": content}, previous_item_id=None)
        place = {"item_id": item, "content_index": 0}
        said = f"What is the height of the tallest tree number {number + 1}?"
        made.wait(0.02).told("response.created", response=_response(response, "in_progress"))
        made.wait(0.3).told("conversation.item.input_audio_transcription.completed", transcript=said, **place)
        _answer(made, number, answer, response)
        made.wait(0.8)
    return made.done()


def _answer(made: Made, number: int, item_id: str, response_id: str) -> None:
    words = ["It ", "is a ", "coast ", "redwood, ", "and it ", "is tall."]
    output: list[dict[str, Any]] = []
    if number % 4 == 3:
        call = {"id": f"f{number}", "type": "function_call", "name": "look_up", "call_id": "c", "arguments": "{}"}
        made.told("response.output_item.done", response_id=response_id, output_index=1, item=call)
    for step, word in enumerate(words):
        place = {"response_id": response_id, "item_id": item_id, "output_index": 0, "content_index": 0}
        made.told("response.output_audio_transcript.delta", delta=word, **place)
        made.answers(tone(0.4, 110 + 10 * step, 6000 + 1500 * (step % 3)), item_id, response_id).wait(0.05)
    said = [{"type": "output_audio", "transcript": "".join(words)}]
    output.append({"id": item_id, "type": "message", "role": "assistant", "status": "completed", "content": said})
    interrupted = number % 3 == 2
    end = {"status_details": {"type": "cancelled", "reason": "turn_detected"}} if interrupted else {}
    if interrupted:
        made.wait(0.6).sent("response.cancel")
        made.sent("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=900)
        made.wait(0.03).told("conversation.item.truncated", item_id=item_id, content_index=0, audio_end_ms=900)
    status = "cancelled" if interrupted else "completed"
    made.told("response.done", response={**_response(response_id, status), "output": output, **end})
    made.wait(0.2 if interrupted else 2.1)


def _response(response_id: str, status: str) -> dict[str, Any]:
    return {"id": response_id, "object": "realtime.response", "status": status, "conversation_id": "c", "output": []}
