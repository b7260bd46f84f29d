"""Calls of live sessions: a browser's (WebRTC), a telephone's that comes in or is dialled (SIP). Nothing is carried.

The other end of the line is played by the test: ``TwinCall.say`` is what is said there, ``TwinCall.heard`` what came.
As on a line, sound comes all the time, silence if nobody speaks: the timeline of such a session does not stand.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Optional, Protocol

from realtime_sync.errors import UsageError
from realtime_sync.secret import reportable
from realtime_sync.server.auth import LiveDoor, Policy
from realtime_sync.server.live.faults import LiveRules
from realtime_sync.server.live.session import TwinSession
from realtime_sync.server.live.settings import resolved
from realtime_sync.server.live.sound import BYTES_PER_MS
from realtime_sync.server.settings import SessionSettings
from realtime_sync.server.traffic import Upgrade
from realtime_sync.server.wire import Json, Refused, new_id

_PIECE_MS = 100
_PIECE = _PIECE_MS * BYTES_PER_MS
_UNTIL_ANSWERED = 0.5  # seconds that it rings, if it is answered by itself
_MOST_RINGING = 180.0
NO_ANSWER = "no_answer"


def session_not_found() -> Refused:
    """No session has this id, or none that is in the state that was asked for."""
    told = "No session found for the provided session_id"
    return Refused("session_id_not_found", told, "session_id", status=404)


class TwinCallSession(TwinSession):
    """The session of a call, which has no socket of its own: any number of sidebands attach to it.

    ``heard``: what came at the other end, PCM16 at 24,000 Hz. ``keys``: the tones that came there.
    """

    def __init__(
        self,
        session_id: str,
        door: LiveDoor,
        policy: Policy,
        rules: LiveRules,
        settings: SessionSettings,
        *,
        by_telephone: bool,
    ) -> None:
        path = f"{'/openai' if door.azure else ''}/v1/live/sessions"
        super().__init__(door, policy, rules, settings, Upgrade(path, {}, {}))
        self.id = session_id
        self.heard = bytearray()
        self.keys = ""
        self._by_telephone = by_telephone
        self._said = bytearray()  # what waits to be said at the other end
        self._next_at = 0.0
        self.watchers.append(self)

    def connect(self) -> None:
        """The line stands: sound flows from now on."""
        with self.lock:
            self._next_at = self.clock.monotonic()
            self._flow()

    def _flow(self) -> None:
        with self.lock:
            if self.has_ended:
                return
            piece = bytes(self._said[:_PIECE])
            del self._said[:_PIECE]
            self.take_audio(piece.ljust(_PIECE, b"\0"))
            self._next_at += _PIECE_MS / 1000
            wait = max(0.001, self._next_at - self.clock.monotonic())
            self._timers["line"] = self.clock.call_later(wait, self._flow)

    def _end_if_silent(self) -> None:
        """A telephone may ring for longer than a session goes without sound; once it is answered, sound comes."""

    def caller_says(self, audio: bytes) -> None:
        """Sound of the other end's, PCM16 at 24,000 Hz."""
        with self.lock:
            self._said += audio

    def press(self, message: Json) -> None:
        """See ``TwinSession``."""
        if not self._by_telephone:
            super().press(message)
        self.keys += message["event"]
        self.emit({"type": "transport.dtmf.sent", "event": message["event"]}, message.get("event_id"))

    def close(self, code: Optional[int] = 1000, reason: str = "") -> None:
        """End the call; those who are attached are told, if they have not been."""
        with self.lock:
            if not self.is_over:
                self.on_end(code or 1000, reason, by_client=False)

    # What the other end hears: a Watcher --------------------------------------------------------------------------

    def on_event(self, text: str, event: Json) -> None:
        """See ``Watcher``."""

    def on_input_audio(self, audio: bytes, start_ms: float) -> None:
        """See ``Watcher``."""

    def on_output_audio(self, audio: bytes, start_ms: float) -> None:
        """See ``Watcher``."""
        if self._keep:
            self.heard += audio


class BeginCall(Protocol):
    """Makes the session of a call."""

    def __call__(self, session_id: str, azure: bool, by_telephone: bool) -> TwinCallSession:
        """A session that has not started."""


@reportable
class TwinCall:
    """One call.

    ``id``: the session's, ``live_...``. ``sip_headers``: name and value each, as the webhook tells them; empty if it
    did not come in. ``number``: which one is dialled, else None. ``reject_status``: the SIP status with which it was
    rejected, else None. ``referred_to``: the URI to which it was referred, else None. ``session``: live or past; None
    before it was accepted.
    """

    def __init__(
        self, begin: BeginCall, *, azure: bool = False, sip_headers: Optional[Mapping[str, str]] = None
    ) -> None:
        self.id = new_id("live", 28)
        self.sip_headers = [{"name": name, "value": value} for name, value in (sip_headers or {}).items()]
        self.number: Optional[str] = None
        self.reject_status: Optional[int] = None
        self.referred_to: Optional[str] = None
        self.session: Optional[TwinCallSession] = None
        self._came_in = sip_headers is not None
        self._event: Json = {"id": new_id("evt"), "object": "event", "created_at": int(time.time())}
        self._rings = False
        self._azure = azure
        self._begin = begin
        self._lock = threading.RLock()  # guards the passage from one state to the next

    def __repr__(self) -> str:
        return f"<TwinCall {self.id} {self.state}>"

    @property
    def state(self) -> str:
        """``incoming``, ``rejected``, ``ringing``, ``active`` or ``ended``."""
        if self.reject_status is not None:
            return "rejected"
        if self.session is None:
            return "incoming"
        if self.session.is_over:
            return "ended"
        return "ringing" if self._rings else "active"

    @property
    def webhook(self) -> Json:
        """What the webhook is sent: of a call that comes in, or of a browser's that is connected.

        ``realtime_sync.web.webhooks.sign`` makes the signature.
        """
        kind, data = "connected", Json(type="webrtc", session_id=self.id)
        if self._came_in:
            kind, data = "incoming", Json(type="sip", session_id=self.id, sip_headers=self.sip_headers)
        return {**self._event, "type": f"live.transport.{kind}", "data": data}

    @property
    def heard(self) -> bytes:
        """The sound that has come at the other end so far, PCM16 at 24,000 Hz."""
        return bytes(self.session.heard) if self.session is not None else b""

    @property
    def keys(self) -> str:
        """The tones that have come at the other end so far."""
        return self.session.keys if self.session is not None else ""

    def say(self, audio: bytes) -> None:
        """The other end says this, PCM16 at 24,000 Hz. Raises ``UsageError`` if the call is not active."""
        self._active().caller_says(audio)

    def press(self, key: str) -> None:
        """The other end presses a key of the telephone. Raises ``UsageError`` if the call is not active."""
        self._active().emit({"type": "transport.dtmf.received", "event": key})

    def hang_up(self) -> None:
        """The other end hangs up; nothing if the call has ended."""
        with self._lock:
            if self.session is None and self.reject_status is None:
                self.reject_status = 487  # SIP's "request terminated": the caller gave up before an answer
            if self.session is not None:
                self.session.end("remote_hangup")

    def answer(self) -> None:
        """Whom it was dialled for answers; nothing if it does not ring."""
        with self._lock:
            if self.state == "ringing" and self.session is not None:
                self._rings = False
                self.session.emit({"type": "transport.answered", "session_id": self.id})
                self.session.connect()

    def fail(self, code: str = NO_ANSWER, message: str = "The call was not answered.") -> None:
        """It could not be set up; nothing if it does not ring."""
        with self._lock:
            if self.state == "ringing" and self.session is not None:
                error = {"type": "call_error", "code": code, "message": message, "param": None}
                self.session.emit({"type": "transport.failed", "session_id": self.id, "error": error})
                self.session.end("remote_hangup")

    # What the REST operations do; raise Refused -------------------------------------------------------------------

    def accept(self, settings: Json, original: Optional[TwinSession] = None) -> None:
        """Begin its session, and let sound flow. ``original``: the session that it is a fork of."""
        with self._lock:
            self._require("incoming")
            session = self._start(settings, by_telephone=self._came_in)
            if original is not None:
                session.talk.goes_on_from(original.talk)
            session.connect()

    def dial(self, number: str, settings: Json, *, is_answered: bool) -> None:
        """Begin its session, and let it ring at the other end. ``is_answered``: by itself, soon."""
        with self._lock:
            self.number, self._rings = number, True
            session = self._start(settings, by_telephone=True)
            session.emit({"type": "transport.ringing", "session_id": self.id})
            after, then = (_UNTIL_ANSWERED, self.answer) if is_answered else (_MOST_RINGING, self.fail)
            session.clock.call_later(after, then)

    def reject(self, status: int) -> None:
        """Decline it with a SIP status."""
        with self._lock:
            self._require("incoming")
            self.reject_status = status

    def refer(self, target: str) -> None:
        """Transfer it, which ends the session here."""
        with self._lock:
            self._require("active")
            self.referred_to = target
            self._active().end("close_requested")

    def _start(self, settings: Json, *, by_telephone: bool) -> TwinCallSession:
        session = self.session = self._begin(self.id, self._azure, by_telephone)
        told = resolved(settings, self.id, session.rules.session_seconds)
        session.begin({**told, **{name: settings[name] for name in ("client",) if name in settings}})
        return session

    def _require(self, state: str) -> None:
        if self.state != state:
            raise session_not_found()

    def _active(self) -> TwinCallSession:
        if self.session is None or self.state != "active":
            raise UsageError(f"The call {self.id} is {self.state}: nobody is on the line.")
        return self.session
