"""The messages of a telephone provider's media stream: Twilio's, and those that are like them (Telnyx's, SignalWire's).

JSON in text messages. From the provider: ``connected``, ``start``, ``media``, ``mark``, ``dtmf``, ``stop``; to it:
``media``, ``mark`` and ``clear``. Twilio's names are ``streamSid`` and ``customParameters``, Telnyx's ``stream_id`` and
``custom_parameters``; both are read, and a stream is answered in its own.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any, Optional, Union

import attrs

from realtime_sync.audio.formats import ALAW, MULAW, SampleFormat
from realtime_sync.errors import AudioFormatError

_FORMATS = {"audio/x-mulaw": MULAW, "pcmu": MULAW, "audio/x-alaw": ALAW, "pcma": ALAW}


@attrs.frozen(kw_only=True)
class StreamStart:
    """Who calls, as the provider's ``start`` message tells it. Anybody may say so: see ``MediaStream``.

    Attributes:
        stream_id: The stream's name.
        call_id: The call's: Twilio's ``callSid``, Telnyx's ``call_control_id``.
        parameters: What your application gave the stream (``<Parameter>``), such as a ticket that proves where it comes
            from.
        format: Of the sound, in both directions: ``MULAW`` or ``ALAW``.
        message: The whole message.
    """

    stream_id: str
    call_id: str
    parameters: Mapping[str, str] = attrs.field(repr=False)
    format: SampleFormat
    message: Mapping[str, Any] = attrs.field(repr=False)

    @classmethod
    def of(cls, message: Mapping[str, Any]) -> StreamStart:
        """Read it. Raises ``AudioFormatError`` for sound that is not G.711 at 8,000 Hz."""
        start = _mapping(message.get("start"))
        sound = _mapping(_first(start, "mediaFormat", "media_format"))
        encoding = str(sound.get("encoding", "audio/x-mulaw"))
        rate = str(_first(sound, "sampleRate", "sample_rate") or MULAW.rate)
        format = _FORMATS.get(encoding.lower())
        if format is None or rate != str(format.rate):
            raise AudioFormatError(
                f"the telephone's stream is of {encoding!r:.40} at {rate:.20} Hz, and only G.711 at 8,000 Hz is "
                "understood. Have the provider send PCMU (µ-law) or PCMA (A-law)"
            )
        parameters = _mapping(_first(start, "customParameters", "custom_parameters"))
        return cls(
            stream_id=str(_first(message, "streamSid", "stream_id") or start.get("streamSid", "")),
            call_id=str(_first(start, "callSid", "call_control_id") or ""),
            parameters={str(name): str(value) for name, value in parameters.items()},
            format=format,
            message=message,
        )


class Wording:
    """Writes messages for one stream, in its provider's words."""

    def __init__(self, start: StreamStart) -> None:
        self._stream = {"streamSid" if "streamSid" in start.message else "stream_id": start.stream_id}

    def media(self, samples: bytes) -> str:
        """Sound to be played behind the rest."""
        return self._message("media", media={"payload": base64.b64encode(samples).decode()})

    def mark(self, name: str) -> str:
        """Comes back when all sound before it was played, or dropped."""
        return self._message("mark", mark={"name": name})

    def clear(self) -> str:
        """Drop what was not played."""
        return self._message("clear")

    def _message(self, event: str, **fields: object) -> str:
        return json.dumps({"event": event, **self._stream, **fields}, separators=(",", ":"))


def read(message: Union[str, bytes, None]) -> tuple[str, Mapping[str, Any]]:
    """The event of a message, and the message. ``""`` for what is none: it is nobody's business to send it."""
    try:
        told = json.loads(message or "")
    except (ValueError, TypeError, RecursionError):
        return "", {}
    event = told.get("event") if isinstance(told, dict) else None
    return (event, told) if isinstance(event, str) else ("", {})


def sound(message: Mapping[str, Any]) -> tuple[bytes, Optional[float]]:
    """What the caller has said, from a ``media`` message, and when, in seconds of the stream; None if it is not told.

    Nothing for what is not the caller's sound.
    """
    media = _mapping(message.get("media"))
    if media.get("track", "inbound") != "inbound":
        return b"", None
    try:
        samples = base64.b64decode(media["payload"], validate=True)
    except (KeyError, TypeError, ValueError):
        return b"", None
    try:
        return samples, int(media["timestamp"]) / 1000
    except (KeyError, TypeError, ValueError, OverflowError):
        return samples, None


def mark_name(message: Mapping[str, Any]) -> str:
    """The name of a ``mark``."""
    return str(_mapping(message.get("mark")).get("name"))


def digit(message: Mapping[str, Any]) -> str:
    """The key that a ``dtmf`` message tells of."""
    return str(_mapping(message.get("dtmf")).get("digit", ""))


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _first(message: Mapping[str, Any], *names: str) -> Any:
    return next((message[name] for name in names if message.get(name) is not None), None)
