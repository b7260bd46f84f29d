"""One WebSocket of the server: all its socket calls on one thread, frames of any thread through one queue.

An SSL object bears one thread at a time, so nobody but ``run()`` touches the socket or wsproto. Whoever sends puts
work into the queue and wakes that thread; frames leave in the order in which they were queued, which lets the session
queue its events under its own lock without doing any I/O there. What an operation asks for is done in its place, not
behind what others have queued meanwhile.
"""

from __future__ import annotations

import collections
import selectors
import socket
import ssl
import struct
import threading
import time
from typing import Any, Callable, Iterator, Optional, Union

import attrs
from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Ping, Pong, TextMessage
from wsproto.frame_protocol import LOCAL_ONLY_CLOSE_REASONS, CloseReason
from wsproto.utilities import RemoteProtocolError

from realtime_sync.errors import InvalidInputError

_CHUNK = 65536
# A sender of bulk (a response's deltas) waits while more than this is queued: "as fast as the client reads".
_HIGH_WATER = 512 * 1024
# While more than this waits for the peer, nothing is read from it: what it says could be answered without end.
_MOST_UNSENT = 16 * 1024 * 1024
# What comes unasked, such as the sound of a live session, is not held back: a peer that leaves more unread is dropped.
_MOST_QUEUED = 64 * 1024 * 1024
_MOST_OF_MESSAGE = 32 * 1024 * 1024  # the largest append that the service takes has 20 MiB
_MOST_FRAMES = 16_384  # of one message: empty ones would have no end
_STALL_TIMEOUT = 60.0  # seconds that the peer may take nothing of what waits for it
_CLOSE_PATIENCE = 2.0  # seconds that the peer has for its side of the close handshake

Op = Callable[["ServerConnection"], None]


@attrs.frozen
class _InTurn:
    """An operation that is done once all that was queued before it has been written to the socket."""

    op: Op

    def __call__(self, connection: ServerConnection) -> None:
        self.op(connection)


def check_close_code(code: int) -> None:
    """Raise ``InvalidInputError`` for what a close frame cannot hold."""
    if not 0 <= code <= 0xFFFF or code in LOCAL_ONLY_CLOSE_REASONS:
        message = (
            f"{code} cannot be sent as a close code: those of servers are 1000 to 4999, without 1005, 1006 and 1015, "
            "which say that no code came (faults.eof() and faults.drop() end a connection without one)"
        )
        raise InvalidInputError(message)


class Handler:
    """What a connection reports to; all called on the connection's own thread."""

    connection: Optional[ServerConnection] = None

    def on_open(self) -> None:
        """The handshake has been answered."""

    def on_text(self, text: str) -> None:
        """A whole text message came."""

    def on_binary(self, data: bytes) -> None:
        """A whole binary message came."""

    def on_end(self, code: int, reason: str, *, by_client: bool) -> None:
        """The connection has ended; 1006 if there was no close frame."""


def accept(headers: list[tuple[bytes, bytes]], path: str, subprotocol: Optional[str]) -> tuple[WSConnection, bytes]:
    """An accepted WebSocket, and the answer to its handshake. Raises wsproto's ``RemoteProtocolError``."""
    websocket = WSConnection(ConnectionType.SERVER)
    websocket.initiate_upgrade_connection(headers, path)
    for _ in websocket.events():
        pass
    return websocket, websocket.send(AcceptConnection(subprotocol=subprotocol))


class ServerConnection:
    """The server's end of a WebSocket. ``run()`` serves it until it ends; every other method may be called anywhere."""

    def __init__(
        self, sock: socket.socket, websocket: WSConnection, handler: Handler, *, pong_timeout: float = 20.0
    ) -> None:
        self._sock = sock
        self._handler = handler
        self._ws = websocket
        self._pong_timeout = pong_timeout
        self._lock = threading.Lock()  # guards _queue, _urgent, _asked, _queued, _woken and _finished
        self._room = threading.Condition(self._lock)
        self._queue: collections.deque[str | bytes | Op] = collections.deque()
        self._urgent: collections.deque[Op] = collections.deque()  # done before all that is queued
        self._asked: list[str | bytes | Op] = []  # by the operation that is being done
        self._operator: Optional[int] = None  # the connection's thread, while it does an operation
        self._queued = 0
        self._woken = self._finished = False
        self._wake_r, self._wake_w = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        # Below: only the connection's thread.
        self._out = bytearray()
        self._events: Optional[Iterator[object]] = None  # what came and has not been handled yet
        self._pieces: list[Any] = []  # of the message that is coming
        self._size = self._frames = 0  # of it
        self._reading = self._writing = True
        self._ping_sent: Optional[float] = None
        self._close_by: Optional[float] = None
        self._ending = self._by_client = False
        self._stalled_since: Optional[float] = None
        self._hold_until = 0.0
        self.delay = 0.0
        """Seconds that each message is held back before it is sent (a fault); 0 is none."""
        self.close_code = 1006
        self.close_reason = ""

    # From any thread ------------------------------------------------------------------------------------------

    def send(self, message: str | bytes) -> None:
        """Queue a text or binary message. Never blocks; dropped if the connection has ended, which it does if the peer
        leaves too much unread.
        """
        self._put(message)
        if self._queued > _MOST_QUEUED:
            self.abort()

    def send_raw(self, data: bytes) -> None:
        """Queue bytes that go to the socket as they are, which may break the protocol on purpose."""
        self._put(lambda connection: connection._out.extend(data))

    def ping(self) -> None:
        """Queue a ping, unless one is still unanswered."""
        self._put(ServerConnection._send_ping)

    def close(self, code: Optional[int] = 1000, reason: str = "") -> None:
        """Queue a close frame, wait for the peer's for two seconds (on the connection's thread), then end.

        ``code``: any that fits a frame, also those that the protocol forbids; None sends a frame without a code. Raises
        ``InvalidInputError`` for others.
        """
        if code is None:
            code = CloseReason.NO_STATUS_RCVD  # which wsproto does not write
        else:
            check_close_code(code)
        self._put(lambda connection: connection._start_close(code, reason))

    def perform(self, op: Op, *, urgent: bool = False, once_written: bool = False) -> None:
        """Have ``op`` called on the connection's thread: after what is queued, or at once if ``urgent``.

        ``once_written``: not before the socket has taken what is queued. What ``op`` sends and does by this object's
        methods comes before all that is queued behind it.
        """
        self._put(_InTurn(op) if once_written else op, urgent=op if urgent else None)

    def abort(self) -> None:
        """End at once, without a close frame."""
        self.perform(ServerConnection.end, urgent=True)

    def wait_for_room(self, timeout: float) -> bool:
        """Wait until the peer has taken enough of what is queued; False if it has not within ``timeout`` seconds,
        or if the connection has ended.
        """
        deadline = time.monotonic() + timeout
        with self._lock:
            while self._queued > _HIGH_WATER and not self._finished:
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self._room.wait(left)
            return not self._finished

    def _put(self, work: str | bytes | Op, urgent: Optional[Op] = None) -> None:
        with self._lock:
            if self._finished:
                return
            if urgent is not None:
                self._urgent.append(urgent)
            else:
                asked = threading.get_ident() == self._operator
                (self._asked if asked else self._queue).append(work)
                self._queued += len(work) if isinstance(work, (str, bytes)) else 0  # as it is taken out again
            wake, self._woken = not self._woken, True
            if wake:  # one byte of a socketpair that is empty: never blocks
                self._wake_w.send(b"\0")

    # On the connection's thread: operations ---------------------------------------------------------------------

    def stop_reading(self) -> None:
        """Take nothing more from the socket, so that the peer's sends stall (a fault)."""
        self._reading = False

    def go_silent(self) -> None:
        """Neither read nor write any more, while the connection stays open (a fault)."""
        self._reading = self._writing = False
        self._ping_sent = self._stalled_since = None

    def shut_down_sending(self) -> None:
        """Half-close: the peer sees the end of the stream without a close frame (a fault)."""
        self._flush()
        self._writing, self._stalled_since = False, None
        socket.socket.shutdown(self._sock, socket.SHUT_WR)  # an SSLSocket's own would drop its TLS state

    def reset(self) -> None:
        """Drop the connection with a TCP reset (a fault)."""
        self._flush()
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.end()

    def end(self) -> None:
        """Leave ``run()`` at its next turn."""
        self._ending = True

    def _send_ping(self) -> None:
        if self._ping_sent is None and self._writing and self._ws.state is ConnectionState.OPEN:
            self._out += self._ws.send(Ping(payload=b"realtime"))
            self._ping_sent = time.monotonic()

    def _start_close(self, code: int, reason: str) -> None:
        if self._ws.state is ConnectionState.OPEN:
            self._out += self._ws.send(CloseConnection(code=code, reason=reason))
            self.close_code, self.close_reason = int(code), reason
            self._close_by = time.monotonic() + _CLOSE_PATIENCE

    # The loop -------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Serve the connection until it ends; closes the socket."""
        try:
            self._sock.setblocking(False)
            self._wake_r.setblocking(False)
            self._selector.register(self._wake_r, selectors.EVENT_READ)
            self._handler.on_open()
            while not self._ending:
                self._turn()
        except OSError:  # includes ssl.SSLError: the connection is lost, which close_code says
            pass
        finally:
            self.discard()
            self._handler.on_end(self.close_code, self.close_reason, by_client=self._by_client)

    def discard(self) -> None:
        """Close the socket and let go of everything; to be called in place of ``run()``."""
        with self._lock:
            self._finished = True
            self._queue.clear()
            self._room.notify_all()
        self._selector.close()
        self._sock.close()
        self._wake_r.close()
        self._wake_w.close()

    def _turn(self) -> None:
        while self._take_queue():
            if len(self._out) >= _CHUNK:
                self._flush()
        self._flush()
        if self._ending:
            return
        if self._wants_more() and self._read():
            self._check_deadlines()  # or a peer that sends without a pause could not be closed
            return
        if self._out or not self._has_work():  # else there is room again for what waits in the queue
            self._sleep()

    def _has_work(self) -> bool:
        with self._lock:
            return bool(self._urgent or (self._queue and time.monotonic() >= self._hold_until))

    def _wants_more(self) -> bool:
        with self._lock:
            return self._reading and len(self._out) + self._queued <= _MOST_UNSENT

    def _take_queue(self) -> bool:
        """Turn queued work into bytes; False once there is no more to take now, or enough waits to be written."""
        while self._urgent:
            self._operate(self._urgent.popleft())
        if len(self._out) >= _CHUNK or self._ending or time.monotonic() < self._hold_until:
            return False
        with self._lock:
            if not self._queue or (self._out and self._writing and isinstance(self._queue[0], _InTurn)):
                return False
            work = self._queue.popleft()
            if isinstance(work, (str, bytes)):
                self._queued -= len(work)
                if self._queued <= _HIGH_WATER // 2:
                    self._room.notify_all()
        if self.delay and isinstance(work, (str, bytes)):
            self._hold(work)
        else:
            self._do(work)
        return True

    def _hold(self, message: str | bytes) -> None:
        """Back to the head of the queue, as an operation (which is not held), to be taken when its time has come."""
        with self._lock:
            self._queue.appendleft(lambda connection: connection._do(message))
        self._hold_until = time.monotonic() + self.delay

    def _do(self, work: str | bytes | Op) -> None:
        if callable(work):
            self._operate(work)
        elif self._ws.state is ConnectionState.OPEN:
            message = TextMessage(data=work) if isinstance(work, str) else BytesMessage(data=work)
            self._out += self._ws.send(message)

    def _operate(self, op: Op) -> None:
        self._operator = threading.get_ident()
        op(self)
        self._operator = None
        with self._lock:
            self._queue.extendleft(reversed(self._asked))
            self._asked.clear()

    def _flush(self) -> None:
        while self._out and self._writing:
            try:
                sent = self._sock.send(self._out[:_CHUNK])
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                self._stalled_since = self._stalled_since or time.monotonic()
                break
            del self._out[:sent]
            self._stalled_since = None
        if not self._out and self._ws.state is ConnectionState.CLOSED:
            self._ending = True

    def _read(self) -> bool:
        """Read once and handle what came, or what is left of it; False if there is nothing to read yet."""
        try:
            if self._events is None and not self._receive():
                return False
            for event in self._events or ():
                self._handle(event)
                if not self._wants_more():
                    return True  # the rest is handled when the answers have been taken
            self._events = None
        except RemoteProtocolError as error:
            hint = error.event_hint
            self._break_off(int(hint.code) if isinstance(hint, CloseConnection) else 1002, str(error))
        return True

    def _receive(self) -> bool:
        try:
            data = self._sock.recv(_CHUNK)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        if not data:
            self._ending = True
        elif self._ws.state in (ConnectionState.OPEN, ConnectionState.LOCAL_CLOSING):
            self._ws.receive_data(data)
            self._events = self._ws.events()
        return True

    def _handle(self, event: object) -> None:
        if isinstance(event, (TextMessage, BytesMessage)):
            self._take(event)
        elif isinstance(event, Ping):
            if self._ws.state is ConnectionState.OPEN:
                self._out += self._ws.send(event.response())
        elif isinstance(event, Pong):
            self._ping_sent = None
        elif isinstance(event, CloseConnection):
            self._answer_close(event)

    def _take(self, event: Union[TextMessage, BytesMessage]) -> None:
        """Put a piece of a message to those before it, and hand over the whole once it is there."""
        self._size += len(event.data)
        self._frames += event.frame_finished
        if self._size > _MOST_OF_MESSAGE or self._frames > _MOST_FRAMES:
            self._pieces.clear()
            self._start_close(1009, f"a message has at most {_MOST_OF_MESSAGE} bytes, in {_MOST_FRAMES} frames")
            return
        if event.data:
            self._pieces.append(event.data)
        if event.message_finished:
            pieces, self._pieces = self._pieces, []
            self._size = self._frames = 0
            if isinstance(event, TextMessage):
                self._handler.on_text("".join(pieces))
            else:
                self._handler.on_binary(b"".join(pieces))

    def _answer_close(self, event: CloseConnection) -> None:
        self._reading = False
        if self._ws.state is ConnectionState.REMOTE_CLOSING:
            # 1005 if the peer's frame held no code; it may not be echoed.
            self.close_code, self.close_reason = int(event.code), event.reason or ""
            self._by_client = True
            self._out += self._ws.send(event.response())
        elif self._ws.state is ConnectionState.OPEN:
            # wsproto tells by this event, too, that a frame broke the protocol. Such a peer is not waited for.
            self._break_off(int(event.code), event.reason or "")

    def _break_off(self, code: int, reason: str) -> None:
        """Close without waiting for the peer's side."""
        self._reading = False
        self._start_close(code, reason[:100])
        self._flush()
        self._ending = True

    def _sleep(self) -> None:
        """Wait until the socket or the queue has work, or a deadline passes."""
        self._watch()
        now = time.monotonic()
        due = [when for when, _ in self._deadlines()]
        if self._hold_until > now:
            due.append(self._hold_until)
        ready = self._selector.select(max(0.0, min(due, default=now + 60.0) - now))
        if any(key.fileobj is self._wake_r for key, _ in ready):
            self._wake_r.recv(4096)
            with self._lock:
                self._woken = False
        self._check_deadlines()

    def _watch(self) -> None:
        interest = selectors.EVENT_READ if self._wants_more() else 0
        if self._out and self._writing:
            interest |= selectors.EVENT_WRITE
        watched = self._selector.get_map().get(self._sock)
        if watched is None:
            if interest:
                self._selector.register(self._sock, interest)
        elif not interest:
            self._selector.unregister(self._sock)
        elif watched.events != interest:
            self._selector.modify(self._sock, interest)

    def _check_deadlines(self) -> None:
        for when, act in self._deadlines():
            if time.monotonic() >= when:
                act()

    def _deadlines(self) -> list[tuple[float, Callable[[], None]]]:
        """The moments until which the peer has time, and what is done then.

        The wire's health is measured in real time: a manual clock moves the service's hours, not the network's.
        """
        pong_by = None if self._ping_sent is None else self._ping_sent + self._pong_timeout
        taken_by = None if self._stalled_since is None else self._stalled_since + _STALL_TIMEOUT
        acts = ((self._close_by, self.end), (pong_by, self._miss_pong), (taken_by, self.end))
        return [(when, act) for when, act in acts if when is not None]

    def _miss_pong(self) -> None:
        self._ping_sent = None
        self._start_close(1011, "keepalive ping timeout")
