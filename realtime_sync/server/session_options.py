"""A session's settings: the service's defaults, and how an update is laid over them."""

from __future__ import annotations

import copy
from typing import Any

from realtime_sync.models import find_model
from realtime_sync.server.shapes import check_session
from realtime_sync.server.wire import Json, Refused, given

DEFAULT_INSTRUCTIONS = (
    "You are the embedded test server of realtime_sync. You have no language model: you answer by simple rules, "
    "and echo what no rule is for."
)
_SERVER_VAD: Json = {
    "type": "server_vad",
    "threshold": 0.5,
    "prefix_padding_ms": 300,
    "silence_duration_ms": 200,
    "idle_timeout_ms": None,
    "create_response": True,
    "interrupt_response": True,
}
_SEMANTIC_VAD: Json = {"type": "semantic_vad", "eagerness": "auto", "create_response": True, "interrupt_response": True}
_OF_RESPONSES = ("create_response", "interrupt_response", "idle_timeout_ms")  # a transcription has none
_TURN_DETECTION = {"server_vad": _SERVER_VAD, "semantic_vad": _SEMANTIC_VAD}
_PCM: Json = {"type": "audio/pcm", "rate": 24000}
_OF_REALTIME: Json = {
    "output_modalities": ["audio"],
    "instructions": DEFAULT_INSTRUCTIONS,
    "tools": [],
    "tool_choice": "auto",
    "max_output_tokens": "inf",
    "tracing": None,
    "truncation": "auto",
    "prompt": None,
}


def _audio_input(turn_detection: Json) -> Json:
    return {"format": _PCM, "transcription": None, "noise_reduction": None, "turn_detection": turn_detection}


def new_session(session_type: str, session_id: str, model: str, expires_at: int) -> Json:
    """The whole session object as ``session.created`` tells it (live OpenAI and Azure, 2026)."""
    # The fields stand in the service's order.
    head = {"id": session_id, "expires_at": expires_at}
    session: Json = {"type": session_type}
    if session_type == "transcription":
        vad = {key: value for key, value in _SERVER_VAD.items() if key not in _OF_RESPONSES}
        kind = "realtime.transcription_session"
        session |= {"object": kind, **head, "audio": {"input": _audio_input(vad)}, "include": None}
    elif session_type == "translation":
        audio = {"input": {"transcription": None, "noise_reduction": None}, "output": {"language": "en"}}
        session |= {**head, "model": model, "audio": audio}
    else:
        output = {"format": _PCM, "voice": "alloy", "speed": 1.0}
        audio = {"input": _audio_input(_SERVER_VAD), "output": output}
        session |= {"object": "realtime.session", "id": session_id, "model": model, **_OF_REALTIME}
        session |= {"expires_at": expires_at, "audio": audio, "include": None}
    return copy.deepcopy(session)


def check_voice(session: Json, voice: object, *, audio_has_been_said: bool) -> None:
    """Raise ``Refused`` if another voice is wanted (None: none is) once the session's has spoken."""
    if audio_has_been_said and voice is not None and voice != _get(session, "audio", "output", "voice"):
        message = "Cannot update a conversation's voice if assistant audio is present."
        raise Refused("cannot_update_voice", message)


def updated_session(session: Json, update: Json, *, audio_has_been_said: bool) -> Json:
    """The session with the update laid over it. Raises ``Refused``; the session itself is never changed, so that a
    refused update is discarded whole.
    """
    check_session(update, session["type"])
    # A session's model is the connection's: the service takes the field and keeps its own (2026).
    update = {key: value for key, value in update.items() if key != "model"}
    check_voice(session, _get(update, "audio", "output", "voice"), audio_has_been_said=audio_has_been_said)
    merged = _merged(session, update)
    if merged.get("reasoning") is None:
        merged.pop("reasoning", None)  # unlike the others, it is told only if it is set
    audio_input = merged.get("audio", {}).get("input", {})
    if session["type"] == "transcription" and not _detects_turns(audio_input):
        if _get(update, "audio", "input", "turn_detection") is not None:
            message = "Turn detection is not supported for this transcription model."
            raise Refused("invalid_value", message, "session.audio.input.turn_detection")
        audio_input["turn_detection"] = None
    detection = audio_input.get("turn_detection")
    if isinstance(detection, dict):
        audio_input["turn_detection"] = _complete_detection(detection, session)
    if isinstance(audio_input.get("transcription"), dict) and session["type"] != "translation":
        told = audio_input["transcription"]
        audio_input["transcription"] = {**told, "language": told.get("language"), "prompt": told.get("prompt")}
    return merged


def _detects_turns(audio_input: Json) -> bool:
    """Whether the model that transcribes works with turn detection (live, 2026-08)."""
    model = find_model(_get(audio_input, "transcription", "model"))
    return model is None or model.detects_turns


def _complete_detection(detection: Json, session: Json) -> Json:
    """The detection with the defaults of its type for what was not told."""
    known = _TURN_DETECTION[detection["type"]]
    left_out = _OF_RESPONSES if session["type"] == "transcription" else ()
    defaults = {key: value for key, value in known.items() if key not in left_out}
    return {**defaults, **{key: value for key, value in given(detection).items() if key in known}}


# Objects that an update replaces rather than adds to: what they held belongs to their old type.
_WHOLE = frozenset(
    {"format", "tool_choice", "tracing", "truncation", "voice", "transcription", "turn_detection", "prompt"}
)

# What null switches off. Any other null leaves the setting as it was.
_OFF_BY_NULL = frozenset(
    {"transcription", "turn_detection", "noise_reduction", "prompt", "tracing", "include", "reasoning"}
)


def _merged(old: Json, update: Json) -> Json:
    merged = copy.deepcopy(old)
    for key, value in update.items():
        if value is None and key not in _OFF_BY_NULL:
            continue
        if key in _WHOLE or not (isinstance(value, dict) and isinstance(merged.get(key), dict)):
            same_type = key == "turn_detection" and _get(old, key, "type") == _get(update, key, "type") is not None
            whole = {**merged[key], **value} if same_type else value
            merged[key] = copy.deepcopy(given(whole))
        else:
            merged[key] = _merged(merged[key], value)
    return merged


def _get(session: Json, *path: str) -> Any:
    value: Any = session
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value
