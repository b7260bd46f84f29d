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
    "model": "gpt-realtime-2.1",
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


def _answer() -> str:
    """A text answer of two deltas, a message a line. To be replaced: NUMBER, "LAST" (an item's id), "METADATA"."""
    response = {**_RESPONSE, "id": "resp_NUMBER", "metadata": "METADATA"}
    begun = {**response, "status": "in_progress", "output": [], "usage": None}
    item = {**_RESPONSE["output"][0], "id": "item_NUMBER"}
    empty = {**item, "status": "in_progress", "content": []}
    text = item["content"][0]["text"]
    output = {"response_id": "resp_NUMBER", "output_index": 0}
    part = {**output, "item_id": "item_NUMBER", "content_index": 0}
    events: list[tuple[str, dict[str, Any]]] = [
        ("response.created", {"response": begun}),
        ("response.output_item.added", {**output, "item": empty}),
        ("conversation.item.added", {"previous_item_id": "LAST", "item": empty}),
        ("response.content_part.added", {**part, "part": {"type": "text", "text": ""}}),
        ("response.output_text.delta", {**part, "delta": text[:24]}),
        ("response.output_text.delta", {**part, "delta": text[24:]}),
        ("response.output_text.done", {**part, "text": text}),
        ("response.content_part.done", {**part, "part": {"type": "text", "text": text}}),
        ("conversation.item.done", {"previous_item_id": "LAST", "item": item}),
        ("response.output_item.done", {**output, "item": item}),
        ("response.done", {"response": {**response, "output": [item]}}),
    ]
    return "\n".join(_event(kind, event_id=f"event_NUMBER_{at}", **rest) for at, (kind, rest) in enumerate(events))


ANSWER = _answer()
"""All that a service sends for a request; ``_answer`` says what is to be replaced in it."""


def frame(text: str) -> bytes:
    """A text frame as servers send it: not masked. At most 65,535 bytes."""
    data = text.encode()
    size = struct.pack("!B", len(data)) if len(data) < 126 else struct.pack("!BH", 126, len(data))
    return b"\x81" + size + data
