"""The messages that the benchmarks speak of, as a service sends them."""

from __future__ import annotations

import base64
import json
import random
import struct
from typing import Any

# 100 ms of 16 bit mono at 24,000 Hz: the size of the pieces in which audio goes both ways.
CHUNK = random.Random(1).randbytes(4800)

IDS: dict[str, Any] = {
    "event_id": "event_CCXGRxsAimPAs8kS2Wc7Z",
    "response_id": "resp_CCXGQ4e1ht4cOraEYcuR2",
    "item_id": "item_CCXGQoLh7m5WbMCV1PVvF",
    "output_index": 0,
    "content_index": 0,
}
_SESSION: dict[str, Any] = {
    "type": "realtime",
    "object": "realtime.session",
    "id": "sess_C9CiUVUzUzYIssh3ELY1d",
    "model": "gpt-realtime",
    "output_modalities": ["audio"],
    "instructions": "You are a friendly assistant.",
    "tools": [],
    "tool_choice": "auto",
    "max_output_tokens": "inf",
    "tracing": None,
    "truncation": "auto",
    "prompt": None,
    "expires_at": 1756324625,
    "audio": {
        "input": {
            "format": {"type": "audio/pcm", "rate": 24000},
            "transcription": None,
            "noise_reduction": None,
            "turn_detection": {"type": "server_vad", "threshold": 0.5, "create_response": True},
        },
        "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "marin", "speed": 1.0},
    },
    "include": None,
}
_RESPONSE: dict[str, Any] = {
    "object": "realtime.response",
    "id": IDS["response_id"],
    "status": "completed",
    "status_details": None,
    "output": [
        {
            "id": IDS["item_id"],
            "type": "message",
            "status": "completed",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "The tallest tree is a coast redwood named Hyperion."}],
        }
    ],
    "conversation_id": "conv_CCXGPIe5SnDWyWvkvVdGY",
    "output_modalities": ["text"],
    "max_output_tokens": "inf",
    "usage": {
        "total_tokens": 253,
        "input_tokens": 132,
        "output_tokens": 121,
        "input_token_details": {"text_tokens": 119, "audio_tokens": 13, "image_tokens": 0, "cached_tokens": 64},
        "output_token_details": {"text_tokens": 30, "audio_tokens": 91},
    },
    "metadata": None,
}


def _event(wire_type: str, **fields: Any) -> str:
    return json.dumps({"type": wire_type, **fields}, separators=(",", ":"))


EVENTS = {
    "text": _event("response.output_text.delta", **IDS, delta=" coast redwood"),
    "audio": _event("response.output_audio.delta", **IDS, delta=base64.b64encode(CHUNK).decode()),
    "done": _event("response.done", event_id=IDS["event_id"], response=_RESPONSE),
    "created": _event("session.created", event_id=IDS["event_id"], session=_SESSION),
}
"""Texts of events by short names."""

BEGUN = _event("response.created", event_id=IDS["event_id"], response={"id": IDS["response_id"], "output": []})
"""What comes before the deltas."""


def frame(text: str) -> bytes:
    """A text frame as servers send it: not masked. At most 65,535 bytes."""
    data = text.encode()
    size = struct.pack("!B", len(data)) if len(data) < 126 else struct.pack("!BH", 126, len(data))
    return b"\x81" + size + data
