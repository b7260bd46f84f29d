"""What a telephone provider sends in a media stream: Twilio's messages, or Telnyx's, as they document them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Literal

from realtime_sync.audio.formats import MULAW

Provider = Literal["twilio", "telnyx"]
Told = dict[str, Any]


class TelephoneMessages:
    """Of one call. Each method makes the next message; ``parameters``: what the application has given the stream."""

    def __init__(
        self,
        provider: Provider = "twilio",
        *,
        stream_id: str = "MZ" + "0" * 31 + "1",
        call_id: str = "CA" + "0" * 31 + "1",
        parameters: Mapping[str, str],
    ) -> None:
        self.stream_id = stream_id
        self._twilio = provider == "twilio"
        self._parameters = dict(parameters)
        self._call = {"accountSid": "AC" + "0" * 31 + "1", "callSid": call_id}
        if not self._twilio:
            self._call = {"call_control_id": call_id}
        self._number = self._chunks = self._samples = 0

    def connected(self) -> Told:
        """The first message."""
        return {"event": "connected", **({"protocol": "Call"} if self._twilio else {}), "version": "1.0.0"}

    def started(self) -> Told:
        """Who calls."""
        start: Told = {**self._call}
        if self._twilio:
            start |= {"streamSid": self.stream_id, "tracks": ["inbound"], "customParameters": self._parameters}
            start["mediaFormat"] = {"encoding": "audio/x-mulaw", "sampleRate": MULAW.rate, "channels": 1}
        else:
            start["custom_parameters"] = self._parameters
            start["media_format"] = {"encoding": "PCMU", "sample_rate": MULAW.rate, "channels": 1}
        return self._message("start", start=start)

    def media(self, samples: bytes) -> Told:
        """What the caller says next, in µ-law; 20 ms each, as providers send it."""
        self._chunks += 1
        media = {
            "track": "inbound",
            "chunk": str(self._chunks),
            "timestamp": str(self._samples * 1000 // MULAW.rate),
            "payload": base64.b64encode(samples).decode(),
        }
        self._samples += len(samples)
        return self._message("media", media=media)

    def pressed(self, key: str) -> Told:
        """The caller has pressed a key."""
        return self._message("dtmf", dtmf={**({"track": "inbound_track"} if self._twilio else {}), "digit": key})

    def mark(self, name: str) -> Told:
        """A mark goes back: what was sent before it was played, or dropped."""
        return self._message("mark", mark={"name": name})

    def stopped(self) -> Told:
        """The call is over."""
        return self._message("stop", stop=self._call)

    def _message(self, event: str, **fields: object) -> Told:
        self._number += 1
        if self._twilio:
            return {"event": event, "sequenceNumber": str(self._number), **fields, "streamSid": self.stream_id}
        return {"event": event, "sequence_number": str(self._number), "stream_id": self.stream_id, **fields}
