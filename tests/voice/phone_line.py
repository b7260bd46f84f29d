"""A telephone provider's side of a media stream: what it plays, and which marks it sends back. It has no clock.

Time is given to each method, in seconds since the call began, so that a test has an hour pass at once, or lets it pass
in real time.
"""

from __future__ import annotations

import base64
import json
from collections import deque
from typing import Any, Optional, Union

from realtime_sync.errors import InvalidInputError
from realtime_sync.testing.calls.telephone_messages import Provider, TelephoneMessages

_RATE = 8000
_SILENCE = 0xFF  # of µ-law
FRAME_SECONDS = 0.02
"""How much of the caller's sound is in one message."""
FRAME_BYTES = round(_RATE * FRAME_SECONDS)


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
        parameters: Optional[dict[str, str]] = None,
        buffer_seconds: float = 0.0,
        **names: str,
    ) -> None:
        """``buffer_seconds``: so long the provider waits before it plays what comes after a pause."""
        self.heard = bytearray()
        self.clears: list[int] = []
        self.waiting = 0
        self._twilio = provider == "twilio"
        self._messages = TelephoneMessages(provider, parameters=parameters or {}, **names)
        self._buffer_seconds = buffer_seconds
        self._queue: deque[Union[bytes, str]] = deque()  # sound, and the names of marks
        self._played_until = 0.0

    # To the application ---------------------------------------------------------------------------------------------

    def connected(self) -> str:
        return json.dumps(self._messages.connected())

    def started(self) -> str:
        return json.dumps(self._messages.started())

    def media(self, samples: bytes) -> str:
        """What the caller says next, one frame of µ-law."""
        return json.dumps(self._messages.media(samples))

    def pressed(self, digit: str) -> str:
        return json.dumps(self._messages.pressed(digit))

    def stopped(self) -> str:
        return json.dumps(self._messages.stopped())

    # From the application -------------------------------------------------------------------------------------------

    def obey(self, message: str, now: float) -> list[str]:
        """Do what it says. Raises ``InvalidInputError`` for what a provider would end the stream for."""
        back = self.play(now)
        try:
            told = json.loads(message)
            if self._twilio and told["streamSid"] != self._messages.stream_id:
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
        return json.dumps(self._messages.mark(name))


def silence(seconds: float) -> bytes:
    """Silence of a caller, in µ-law."""
    return bytes([_SILENCE]) * round(seconds * _RATE)
