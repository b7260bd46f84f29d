"""A socket that is attached to somebody else's live session (``/attach``): sees all, hears both, and may command.

It shares the session's lock, for each calls the other.
"""

from __future__ import annotations

import base64
from typing import Optional

from realtime_sync.server.checks import anything, one_of, record, string_up_to
from realtime_sync.server.live.session import TwinSession, error_event
from realtime_sync.server.live.settings import format_of
from realtime_sync.server.live.shapes import check_message
from realtime_sync.server.live.sound import BYTES_PER_MS, at_24_khz
from realtime_sync.server.served import ServedSession
from realtime_sync.server.traffic import Upgrade
from realtime_sync.server.wire import Json, Refused, new_id

_TOLD_AGAIN_MS = 10_000.0  # so much of the timeline is told again to who attaches
_KEY = record({"type": anything, "event_id": string_up_to(512), "event": one_of(*"0123456789*#ABCD")}, ["event"])
_MORE = {"transport.dtmf.send": _KEY}
_NOT_HERE = ("session.start", "session.input_audio.append")


class TwinSideband(ServedSession):
    """One such socket; also the record of what it has sent and received."""

    def __init__(self, session: TwinSession, upgrade: Upgrade) -> None:
        super().__init__(session.settings, upgrade)
        self.lock = session.lock
        self.session = session

    def on_open(self) -> None:
        """See ``Handler``: the last seconds are told again, under their own ids."""
        assert self.connection is not None
        with self.lock:
            self.connection.delay = self._delay
            self._schedule_ping()
            since = self.session.model_ms - _TOLD_AGAIN_MS
            for at_ms, event in self.session.history:
                if at_ms >= since:
                    self.send_as_it_is(event)
            self.session.watchers.append(self)
            if self.session.has_ended:
                self.close(None)

    def on_end(self, code: int, reason: str, *, by_client: bool) -> None:
        """See ``Handler``: the session goes on without this socket."""
        with self.lock:
            self.is_over = True
            self._cancel_timers()
            if self in self.session.watchers:
                self.session.watchers.remove(self)
        self.note_closed(code, reason, by_client)

    def _handle(self, message: Json) -> None:
        if message.get("type") in _NOT_HERE:
            raise Refused("invalid_event", f"'{message['type']}' is not supported on a sideband connection.", "type")
        check_message(message, _MORE)
        if message["type"] == "transport.dtmf.send":
            self.session.press(message)
        else:
            self.session.command(message)

    def _refuse(self, refusal: Refused, event_id: Optional[str]) -> None:
        with self.lock:
            rules = self.session.rules
            named = {"client_event_id": event_id} if event_id and rules.echoes_ids else {}
            event = error_event(refusal, named.get("client_event_id"), rules)
            self.send_as_it_is({"event_id": new_id("event"), **event, **named})

    # What it is told of the session; under the lock --------------------------------------------------------------

    def on_event(self, text: str, event: Json) -> None:
        """See ``Watcher``."""
        if not self.is_over:
            self._send_text(text, event)
            if event.get("type") == "session.closed":
                self.close(None)

    def on_input_audio(self, audio: bytes, start_ms: float) -> None:
        """See ``Watcher``: it comes without its times."""
        sound = at_24_khz(audio, format_of(self.session.session))
        self.send_as_it_is({"type": "session.input_audio.append", "audio": base64.b64encode(sound).decode()})

    def on_output_audio(self, audio: bytes, start_ms: float) -> None:
        """See ``Watcher``."""
        sound = at_24_khz(audio, format_of(self.session.session))
        times = {"start_ms": round(start_ms), "end_ms": round(start_ms + len(sound) / BYTES_PER_MS)}
        told = {"type": "session.output_audio.delta", "delta": base64.b64encode(sound).decode(), **times}
        self.send_as_it_is(told)
