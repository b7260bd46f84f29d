"""The session of a call: it has no socket of its own; any number of sockets attach to it and command it."""

from __future__ import annotations

import base64
import time

from realtime_sync.server.auth import Flavour
from realtime_sync.server.connection import Handler, ServerConnection
from realtime_sync.server.session import LiveSession
from realtime_sync.server.settings import SessionSettings
from realtime_sync.server.shapes import CALL_TYPES, check_message
from realtime_sync.server.traffic import Traffic, Upgrade
from realtime_sync.server.wire import Json


class CallSession(LiveSession):
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

    def begin(self) -> None:
        """The call has been accepted."""
        self._begin(None)

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
        """See ``LiveSession.emit``."""
        with self.lock:
            kind = event["type"]
            if kind == "response.output_audio.delta":
                self._play(str(event["response_id"]), base64.b64decode(event["delta"]))
                return
            super().emit(event)
            if kind == "response.done" and event["response"]["id"] == self._playing:
                self._stop_playing("cleared" if event["response"]["status"] == "cancelled" else "stopped")

    def close(self, code: int = 1000, reason: str = "") -> None:
        """End the call: every socket is closed with this code and reason."""
        with self.lock:
            if self.is_over:
                return
            for connection in self._connections():
                connection.close(code, reason)
            self.on_end(code, reason, by_client=False)

    def _handle(self, message: Json) -> None:
        check_message(message, supported=CALL_TYPES)
        if message["type"] == "output_audio_buffer.clear":
            self._stop_playing("cleared")
        else:
            super()._handle(message)

    def _play(self, response_id: str, audio: bytes) -> None:
        self.caller_heard += audio
        if self._playing != response_id:
            self._playing = response_id
            self.emit({"type": "output_audio_buffer.started", "response_id": response_id})

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
