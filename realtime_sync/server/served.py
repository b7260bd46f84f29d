"""What every session of the server has in common: its record, faults, pings, threads, and the reading of messages.

Threads: the client's messages are handled on the connection's thread; what is other people's code, and may take its
time, runs on threads of the session's own (``start_thread``); timers run on the clock's thread.

Locks: ``lock`` guards all state of the session and what belongs to it, and events are queued under it, so that the
order on the wire is the order of the changes. It is taken before the record's and the connection's locks, and is never
held across I/O (the connection has its own thread and queue) nor across user code.
"""

from __future__ import annotations

import json
import logging
import threading
from typing import Callable, Optional

from realtime_sync.errors import InvalidInputError
from realtime_sync.server.clock import Cancel
from realtime_sync.server.connection import Handler, ServerConnection
from realtime_sync.server.faults import Act, Faults
from realtime_sync.server.settings import SessionSettings
from realtime_sync.server.traffic import Traffic, Upgrade
from realtime_sync.server.wire import Json, Refused, read_json, server_error
from realtime_sync.threads import start_thread

_log = logging.getLogger("realtime_sync.server")
_ROOM_TIMEOUT = 60.0


class ServedSession(Traffic, Handler):
    """One connection's session, live or past; also the record of what it has sent and received.

    A subclass says what it does with a message (``_handle``), what it sends in answer to a wrong one (``_refuse``), and
    what it sends at all (``send_as_it_is``).
    """

    def __init__(self, settings: SessionSettings, upgrade: Upgrade) -> None:
        super().__init__(upgrade, keep=settings.record)
        self.settings = settings
        self.clock = settings.clock
        # Guards all that follows, and the order of events. Re-entrant: handlers call each other.
        self.lock = threading.RLock()
        self._timers: dict[str, Cancel] = {}
        self._acts: list[Act] = []
        self._delay = 0.0
        self.threads: list[threading.Thread] = []
        self.is_over = False

    # For tests, from any thread --------------------------------------------------------------------------------

    def send_as_it_is(self, message: Json) -> None:
        """Send this message, unchanged and unchecked."""
        with self.lock:
            if self.is_over:
                return
            self._send_text(json.dumps(message, separators=(",", ":")), message)

    def _send_text(self, text: str, message: Json) -> None:
        """Queue a message, and put it down. Called under the lock."""
        for connection in self._connections():
            connection.send(text)
        self.note_sent(message)
        self._run_due_acts()

    def inject(self, act: Act) -> None:
        """Have a fault happen now, or when it is due. Raises ``InvalidInputError`` for what is no act."""
        if not isinstance(act, Act):
            raise InvalidInputError(f"What is injected is {act!r}, but must be an act, such as drop().")
        with self.lock:
            self._acts.append(act)
            self._run_due_acts()

    def set_faults(self, faults: Faults) -> None:
        """Take over new faults; acts that have not happened yet are forgotten."""
        with self.lock:
            self._delay, self._acts = faults.delay, list(faults.acts)
            for connection in self._connections():
                connection.delay = faults.delay
            self._run_due_acts()

    def close(self, code: Optional[int] = 1000, reason: str = "") -> None:
        """Close the connection from the server's side; None: without a code."""
        for connection in self._connections():
            connection.close(code, reason)

    def _connections(self) -> list[ServerConnection]:
        """Those that get what the session sends."""
        return [self.connection] if self.connection is not None else []

    # The connection's thread -----------------------------------------------------------------------------------

    def on_text(self, text: str) -> None:
        """See ``Handler``."""
        event_id: Optional[str] = None
        position = 0
        try:
            message = _parsed(text)
            position = self.note_received(message)
            told_id = message.get("event_id")
            event_id = told_id if isinstance(told_id, str) else None
            if self.settings.script is None:
                with self.lock:
                    self._handle(message)
        except Refused as refusal:
            self._refuse(refusal, event_id)
        except Exception:  # a defect of this server; the service, too, would say so and go on
            _log.exception("a client message could not be handled")
            self._refuse(server_error(), event_id)
        self.note_handled(position)
        with self.lock:
            self._run_due_acts()

    def on_binary(self, data: bytes) -> None:
        """See ``Handler``."""
        text = "Expected a text WebSocket message; binary frames are not supported."
        self._refuse(Refused("invalid_event", text), None)

    def _handle(self, message: Json) -> None:
        """Do what the client's message says. Called under the lock. Raises ``Refused``."""
        raise NotImplementedError

    def _refuse(self, refusal: Refused, event_id: Optional[str]) -> None:
        """Tell the client that its message, which had this id, is wrong."""
        raise NotImplementedError

    def _cancel_timers(self) -> None:
        for cancel in self._timers.values():
            cancel()

    # Threads, timers, faults ---------------------------------------------------------------------------------------

    def start_thread(self, work: Callable[[], None], name: str) -> None:
        """Run ``work`` on a daemon thread that belongs to the session."""
        with self.lock:
            thread = start_thread(work, f"realtime-server-{name}")
            self.threads = [known for known in self.threads if known.is_alive()] + [thread]

    def wait_for_room(self) -> None:
        """Wait until the client has read enough of what is queued; drops a client that reads nothing for a minute."""
        with self.lock:
            connections = self._connections()
        for connection in connections:
            if not connection.wait_for_room(_ROOM_TIMEOUT):
                connection.abort()

    def _schedule_ping(self) -> None:
        if self.settings.ping_interval is not None:
            self._timers["ping"] = self.clock.call_later(self.settings.ping_interval, self._ping)

    def _ping(self) -> None:
        with self.lock:
            if not self.is_over:
                for connection in self._connections():
                    connection.ping()
                self._schedule_ping()

    def _run_due_acts(self) -> None:
        connections = self._connections()
        for act in list(self._acts) if connections else ():
            if act.is_due(self.sent_count, self.received_count):
                self._acts.remove(act)
                counted = act.after_sent is not None
                at_once = not counted and act.after_received is None
                for connection in connections:
                    connection.perform(act.perform, urgent=act.urgent and at_once, once_written=counted)


def printable(name: str) -> str:
    """A client's word as a line of the log may hold it: a line break in it must not make another line."""
    return "".join(letter if letter.isprintable() else "?" for letter in name)[:80]


def _parsed(text: str) -> Json:
    try:
        message = read_json(text)
    except ValueError:
        raise Refused("invalid_json", "Could not parse your message as JSON.") from None
    if not isinstance(message, dict):
        raise Refused("invalid_event", "Expected a JSON object.")
    return message
