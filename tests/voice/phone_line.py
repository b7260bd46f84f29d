"""A telephone provider's side of a media stream, for tests: its messages, and what it plays. Pure: it has no clock.

Twilio's messages, or Telnyx's, as they document them. Time is given to each method, in seconds since the call began, so
that a test has an hour pass at once, or lets it pass in real time.
"""

from __future__ import annotations

import base64
import json
from collections import deque
from typing import Any, Literal, Optional, Union

from realtime_sync.errors import InvalidInputError

_RATE = 8000
_SILENCE = 0xFF  # of µ-law
FRAME_SECONDS = 0.02
"""How much of the caller's sound is in one message."""
FRAME_BYTES = round(_RATE * FRAME_SECONDS)

Provider = Literal["twilio", "telnyx"]


class PhoneLine:
    """One call. What ``connected``, ``started``, ``media``, ``pressed`` and ``stopped`` return goes to the application.

    What comes from there goes to ``obey``, and ``play`` has time pass; both return the marks that go back.

    Attributes:
        heard: What the caller has heard so far, in µ-law, without the silence between.
        clears: Of each ``clear``: how many bytes the caller had heard by then.
        waiting: Bytes that are still to be played.
    """

    def __init__(
        self,
        provider: Provider = "twilio",
        *,
        stream_id: str = "MZ00000000000000000000000000000001",
        call_id: str = "CA00000000000000000000000000000001",
        parameters: Optional[dict[str, str]] = None,
        buffer_seconds: float = 0.0,
    ) -> None:
        """``buffer_seconds``: so long the provider waits before it plays what comes after a pause."""
        self.heard = bytearray()
        self.clears: list[int] = []
        self.waiting = 0
        self._twilio = provider == "twilio"
        self._stream_id = stream_id
        self._call_id = call_id
        self._parameters = dict(parameters or {})
        self._buffer_seconds = buffer_seconds
        self._sequence = 0
        self._chunks = 0
        self._queue: deque[Union[bytes, str]] = deque()  # sound, and the names of marks
        self._played_until = 0.0

    # To the application ---------------------------------------------------------------------------------------------

    def connected(self) -> str:
        """The first message."""
        protocol = {"protocol": "Call"} if self._twilio else {}
        return json.dumps({"event": "connected", **protocol, "version": "1.0.0"})

    def started(self) -> str:
        """Who calls."""
        if self._twilio:
            start: dict[str, Any] = {
                "accountSid": "AC00000000000000000000000000000001",
                "streamSid": self._stream_id,
                "callSid": self._call_id,
                "tracks": ["inbound"],
                "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": _RATE, "channels": 1},
                "customParameters": self._parameters,
            }
        else:
            start = {
                "call_control_id": self._call_id,
                "media_format": {"encoding": "PCMU", "sample_rate": _RATE, "channels": 1},
                "custom_parameters": self._parameters,
            }
        return self._message("start", start=start)

    def media(self, samples: bytes) -> str:
        """What the caller says next, one frame of µ-law."""
        self._chunks += 1
        timestamp = round((self._chunks - 1) * FRAME_SECONDS * 1000)
        payload = base64.b64encode(samples).decode()
        told = {"track": "inbound", "chunk": str(self._chunks), "timestamp": str(timestamp), "payload": payload}
        return self._message("media", media=told)

    def pressed(self, digit: str) -> str:
        """The caller has pressed a key."""
        track = {"track": "inbound_track"} if self._twilio else {}
        return self._message("dtmf", dtmf={**track, "digit": digit})

    def stopped(self) -> str:
        """The call is over."""
        return self._message("stop", stop={"callSid" if self._twilio else "call_control_id": self._call_id})

    # From the application -------------------------------------------------------------------------------------------

    def obey(self, message: str, now: float) -> list[str]:
        """Do what it says. Raises ``InvalidInputError`` for what a provider would end the stream for."""
        back = self.play(now)
        try:
            told = json.loads(message)
            if self._twilio and told["streamSid"] != self._stream_id:
                raise InvalidInputError(f"that is another stream's: {message:.200}")
            self._obey(told, now, back)
        except (ValueError, TypeError, KeyError) as error:
            raise InvalidInputError(f"that is no message of a media stream: {message!r:.200}") from error
        return back

    def _obey(self, told: dict[str, Any], now: float, back: list[str]) -> None:
        if told["event"] == "media":
            samples = base64.b64decode(told["media"]["payload"], validate=True)
            if not self.waiting:
                self._played_until = now + self._buffer_seconds
            self._queue.append(samples)
            self.waiting += len(samples)
        elif told["event"] == "mark":
            if self.waiting:
                self._queue.append(str(told["mark"]["name"]))
            else:
                back.append(self._mark(told["mark"]["name"]))
        elif told["event"] == "clear":
            self.clears.append(len(self.heard))
            back += [self._mark(name) for name in self._queue if isinstance(name, str)]
            self._queue.clear()
            self.waiting = 0
        else:
            raise ValueError(told["event"])

    def play(self, now: float) -> list[str]:
        """Play until then."""
        back = []
        while self._queue:
            first = self._queue[0]
            if isinstance(first, str):
                back.append(self._mark(first))
                self._queue.popleft()
                continue
            samples = min(len(first), int((now - self._played_until) * _RATE + 1e-6))
            if samples <= 0:
                break
            self.heard += first[:samples]
            self.waiting -= samples
            self._played_until += samples / _RATE
            if samples == len(first):
                self._queue.popleft()
            else:
                self._queue[0] = first[samples:]
        return back

    def _mark(self, name: str) -> str:
        return self._message("mark", mark={"name": name})

    def _message(self, event: str, **fields: object) -> str:
        self._sequence += 1
        if self._twilio:
            return json.dumps(
                {"event": event, "sequenceNumber": str(self._sequence), **fields, "streamSid": self._stream_id}
            )
        return json.dumps(
            {"event": event, "sequence_number": str(self._sequence), "stream_id": self._stream_id, **fields}
        )


def silence(seconds: float) -> bytes:
    """Silence of a caller, in µ-law."""
    return bytes([_SILENCE]) * round(seconds * _RATE)
