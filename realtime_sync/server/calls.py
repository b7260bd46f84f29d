"""Calls (WebRTC and SIP): made or placed, accepted, watched from any number of sockets, ended. No media is carried.

A call's session has no socket of its own; any number of sockets attach to it and command it.

The caller's leg is played by the test: ``Call.say`` is what the caller says, ``Call.heard`` what it was told.
"""

from __future__ import annotations

import base64
import threading
import time
from typing import Callable, Mapping, Optional, Protocol, TypeVar

from realtime_sync.errors import UsageError
from realtime_sync.secret import reportable
from realtime_sync.server.auth import Flavour
from realtime_sync.server.client_secrets import Configuration
from realtime_sync.server.connection import Handler, ServerConnection
from realtime_sync.server.session import ServerSession
from realtime_sync.server.settings import SessionSettings
from realtime_sync.server.shapes import CALL_TYPES, check_message
from realtime_sync.server.traffic import Traffic, Upgrade
from realtime_sync.server.wire import Json, Refused, new_id

_KEPT = 1000  # calls that are over


def call_not_found() -> Refused:
    """No call has this id, or none that is in the state that was asked for."""
    return Refused("call_id_not_found", "No session found for the provided call_id", "call_id", status=404)


class CallSession(ServerSession):
    """Lives from the call's acceptance to its end. A socket that attaches gets what comes from then on, and may send
    commands.

    ``views``: the sockets that have attached, live or past. As with the live service's calls, audio goes to the
    caller and not to the sockets, which are told ``output_audio_buffer.started``, ``.stopped`` and ``.cleared``
    in its place. The caller hears as fast as it is said. ``caller_heard``: that audio.
    """

    def __init__(self, flavour: Flavour, settings: SessionSettings, upgrade: Upgrade) -> None:
        super().__init__(flavour, settings, upgrade)
        self.views: list[CallView] = []
        self.caller_heard = bytearray()
        self._playing = ""  # the id of the response that the caller is hearing

    # The caller's leg -----------------------------------------------------------------------------------------

    def on_end(self, code: int, reason: str, *, by_client: bool) -> None:
        """See ``Handler``; here it is the call's end."""
        super().on_end(code, reason, by_client=by_client)
        if not self._keep:
            self.caller_heard.clear()

    def caller_says(self, audio: bytes) -> None:
        """Audio of the caller's, in the session's input format."""
        with self.lock:
            if audio and not self.is_over:
                self._hearing.append(base64.b64encode(audio).decode())

    def caller_presses(self, key: str) -> None:
        """A key of the telephone: ``0`` to ``9``, ``*``, ``#``, ``A`` to ``D``."""
        with self.lock:
            # The one event without an id of its own (schemas, 2026-08).
            kind = "input_audio_buffer.dtmf_event_received"
            self.send_as_it_is({"type": kind, "event": key, "received_at": int(time.time())})

    # The sockets ------------------------------------------------------------------------------------------------

    def attach(self, view: CallView) -> None:
        """A socket sees what comes from now on."""
        with self.lock:
            self.views.append(view)
            if view.connection is not None:
                view.connection.delay = self._delay
                if self.is_over:
                    view.connection.close(1000, "")
            self._run_due_acts()

    def _connections(self) -> list[ServerConnection]:
        return [view.connection for view in self.views if view.connection is not None and view.close_code is None]

    def emit(self, event: Json) -> None:
        """See ``ServerSession.emit``."""
        with self.lock:
            kind = event["type"]
            if kind == "response.output_audio.delta":
                self.caller_heard += base64.b64decode(event["delta"])
                if self._playing != event["response_id"]:
                    self._playing = str(event["response_id"])
                    self.emit({"type": "output_audio_buffer.started", "response_id": self._playing})
                return
            super().emit(event)
            if kind == "response.done" and event["response"]["id"] == self._playing:
                self._stop_playing("cleared" if event["response"]["status"] == "cancelled" else "stopped")

    def close(self, code: Optional[int] = 1000, reason: str = "") -> None:
        """End the call: every socket is closed with this code and reason."""
        with self.lock:
            if self.is_over:
                return
            for connection in self._connections():
                connection.close(code, reason)
            self.on_end(code or 1000, reason, by_client=False)

    def _handle(self, message: Json) -> None:
        check_message(message, supported=CALL_TYPES)
        if message["type"] == "output_audio_buffer.clear":
            self._stop_playing("cleared")
        else:
            super()._handle(message)

    def _stop_playing(self, how: str) -> None:
        response_id, self._playing = self._playing, ""
        if response_id:
            self.emit({"type": f"output_audio_buffer.{how}", "response_id": response_id})


class CallView(Traffic, Handler):
    """One socket that is attached to a call; its record tells how it was opened and closed."""

    def __init__(self, session: CallSession, upgrade: Upgrade) -> None:
        super().__init__(upgrade, keep=False)
        self.session = session

    def on_open(self) -> None:
        """See ``Handler``."""
        self.session.attach(self)

    def on_text(self, text: str) -> None:
        """See ``Handler``."""
        self.session.on_text(text)

    def on_binary(self, data: bytes) -> None:
        """See ``Handler``."""
        self.session.on_binary(data)

    def on_end(self, code: int, reason: str, *, by_client: bool) -> None:
        """The call goes on without this socket."""
        self.note_closed(code, reason, by_client)


Begin = Callable[[str, Configuration], CallSession]


@reportable
class Call:
    """One call.

    ``id``: ``rtc_...``. ``sip_headers``: name and value each, as the webhook tells them; empty for WebRTC.
    ``reject_status``: the SIP status with which it was rejected, else None. ``referred_to``: the URI to which it was
    referred, else None. ``session``: what it was accepted into, live or past; None before.
    """

    def __init__(self, sip_headers: list[Json], begin: Begin) -> None:
        self.id = new_id("rtc", 32)
        self.sip_headers = sip_headers
        self.reject_status: Optional[int] = None
        self.referred_to: Optional[str] = None
        self.session: Optional[CallSession] = None
        self._begin = begin
        self._lock = threading.Lock()  # guards the passage from one state to the next

    def __repr__(self) -> str:
        return f"<Call {self.id} {self.state}>"

    @property
    def state(self) -> str:
        """``incoming``, ``rejected``, ``active`` or ``ended``."""
        if self.reject_status is not None:
            return "rejected"
        if self.session is None:
            return "incoming"
        return "ended" if self.session.is_over else "active"

    @property
    def heard(self) -> bytes:
        """The audio that the caller has been told so far, in the session's output format."""
        return bytes(self._active().caller_heard) if self.session is not None else b""

    def say(self, audio: bytes) -> None:
        """The caller says this, in the session's input format. Raises ``UsageError`` if the call is not active."""
        self._active().caller_says(audio)

    def press(self, key: str) -> None:
        """The caller presses a key of the telephone. Raises ``UsageError`` if the call is not active."""
        self._active().caller_presses(key)

    def hang_up(self) -> None:
        """End it, from either side; nothing if it has ended."""
        with self._lock:
            if self.session is None and self.reject_status is None:
                self.reject_status = 487  # SIP's "request terminated": the caller gave up before an answer
        if self.session is not None:
            self.session.close(1000, "")

    # What the REST operations do; raise Refused -------------------------------------------------------------------

    def accept(self, configuration: Configuration) -> CallSession:
        """Begin its session."""
        with self._lock:
            self._require("incoming")
            self.session = self._begin(self.id, configuration)
            return self.session

    def reject(self, status: int) -> None:
        """Decline it with a SIP status."""
        with self._lock:
            self._require("incoming")
            self.reject_status = status

    def active_session(self) -> CallSession:
        """Its session, which goes on."""
        self._require("active")
        return self._active()

    def _require(self, state: str) -> None:
        if self.state != state:
            raise call_not_found()

    def refer(self, target: str) -> None:
        """Transfer it, which ends the session here."""
        with self._lock:
            self._require("active")
            self.referred_to = target
        self.hang_up()

    def _active(self) -> CallSession:
        if self.session is None:
            raise UsageError(f"The call {self.id} is {self.state}: it has no session before it is accepted.")
        return self.session


class KeptCall(Protocol):
    """A call of either protocol, as far as it is kept."""

    id: str

    @property
    def state(self) -> str:
        """``"rejected"`` or ``"ended"`` once it is over."""


C = TypeVar("C", bound=KeptCall)


def keep_call(calls: dict[str, C], call: C) -> None:
    """Add a call to those that a server knows, and forget the oldest of many that are over. Their lock is held."""
    calls[call.id] = call
    over = [known.id for known in calls.values() if known.state in ("rejected", "ended")]
    for call_id in over[: max(0, len(over) - _KEPT)]:
        del calls[call_id]


class CallRegistry:
    """The calls of a server, by id. Of those that are over, the oldest are forgotten."""

    def __init__(self, begin: Begin) -> None:
        self._begin = begin
        self._lock = threading.Lock()  # guards _calls
        self._calls: dict[str, Call] = {}

    def place(self, sip_headers: Mapping[str, str]) -> Call:
        """A new incoming call."""
        call = Call([{"name": name, "value": value} for name, value in sip_headers.items()], self._begin)
        with self._lock:
            keep_call(self._calls, call)
        return call

    def get(self, call_id: str) -> Call:
        """The call with this id. Raises ``Refused``."""
        with self._lock:
            call = self._calls.get(call_id)
        if call is None:
            raise call_not_found()
        return call

    def close(self) -> None:
        """End every call."""
        with self._lock:
            calls = list(self._calls.values())
        for call in calls:
            call.hang_up()
