"""A WebSocket made safe for one reader and many writers, with and without TLS.

Why it is as it is: OpenSSL allows one thread at a time on a connection, and a blocking socket under a lock would
let a waiting reader keep all writers out. So the socket is non-blocking, ``_io`` is held for each single call on
it, and all waiting happens in a ``Waiter`` outside of every lock but the one that keeps frames whole.

    reader      recv_text or _frame -> (_io) socket.recv    waits in _reading; keeps alive; writes pings and pongs
    writers     send_frame -> lock -> (_io) socket.send     wait in _writing, at most Timeouts.send without progress
    any thread  end(error): sets the first error and wakes all; release(): the last one out closes descriptors

Order of locks: ``lock``, then ``_io`` or ``_state``; the latter two are never held together, nor while waiting.
"""

from __future__ import annotations

import socket
import ssl
import struct
import threading
import time
from typing import Optional, Union

import websocket
from websocket import ABNF

from realtime_sync.errors import (
    CloseInfo,
    ConnectionClosedError,
    ConnectionLostError,
    MessageTooBigError,
    PeerUnresponsiveError,
    ProtocolViolationError,
    SendStalledError,
)
from realtime_sync.interrupts import Flag
from realtime_sync.timeouts import Timeouts
from realtime_sync.transport.frames import client_frame
from realtime_sync.transport.nested_tls import Stream
from realtime_sync.transport.waiting import READ, WRITE, Waiter, WakeUp

# How much is read and written at once. To read lets other threads in, which costs more than to read, so: much; but of
# messages that come alone little, for half a megabyte is made by the system each time (13 µs of the 17 of a message).
READ_SIZES, WRITE_SIZE = (65536, 524288), 262144
# One TLS record. OpenSSL takes a larger write as all or nothing, which would hide progress from the stall deadline; it
# reads no more at once.
RECORD = 16384

_NOTHING = memoryview(b"")

_WHOLE_TEXT = 0x80 | ABNF.OPCODE_TEXT

PROTOCOL_ERROR, NOT_UTF8, TOO_BIG = 1002, 1007, 1009


class Duplex(websocket.WebSocket):
    """websocket-client's frames on a socket of ours: ``recv_frame``, and ``send(payload, opcode)`` by ``send_frame``.

    Its ``connect``, ``recv`` and ``close`` are not to be used (its own ``sock`` stays None, so close does nothing).
    ``error`` is None while the connection is up, then the error for everyone, set once. ``closing`` says which side
    began the close handshake. ``room`` is how many bytes of payload the next data frame may have; None is no limit.
    """

    def __init__(
        self,
        sock: Stream,
        reading: Waiter,
        writing: Waiter,
        wake_up: WakeUp,
        received: bytes,
        timeouts: Timeouts,
        room: Optional[int],
    ) -> None:
        # skip_utf8_validation: theirs is a Python loop over bytes, 0.75 ms for a frame of 4 kB with the GIL held.
        super().__init__(enable_multithread=True, skip_utf8_validation=True)
        # ``self.lock`` is theirs: it keeps frames whole and is held while one is written (and waited for).
        self.timeouts = timeouts
        self.error: Optional[ConnectionClosedError] = None
        self.closing: Optional[CloseInfo] = None
        self.room = room
        self._ended = Flag()
        self._state = threading.Lock()  # guards error, closing, _users and _released
        self._io = threading.Lock()  # guards every call on _socket, its closing included
        self._socket = sock
        self._plain = type(sock) is socket.socket
        self._read_sizes, self._write_size = (READ_SIZES, WRITE_SIZE) if self._plain else ((RECORD, RECORD), RECORD)
        # Whether a read that gives less than it was asked for leaves nothing that a waiter does not see: TLS reads one
        # record at a time, but TLS inside of TLS keeps what has come behind it.
        self._empties = self._plain or isinstance(sock, ssl.SSLSocket)
        # Of the reader:
        self._short = 65535 if room is None else room  # how long a message of ``recv_text`` may be
        self._read_size = self._read_sizes[0]
        self._awaited = 0  # what to wait for before the next try to read; 0: nothing
        self._received = received
        self._position = 0
        self._pinged = False
        self._due = time.monotonic() + timeouts.ping_interval
        self._control: dict[int, bytearray] = {}  # opcode -> frame that is due; put by the reader, taken under lock
        # Of the thread that holds ``lock``:
        self._rest = _NOTHING  # of the frame being written
        self._sealed: Optional[Exception] = None  # why no frame may follow
        self._known = True  # how much of it was sent
        self.written = 0  # calls of ``write_frame`` that have written all
        self._drained = float("-inf")  # when the peer last made room that was waited for; the reader reads it
        # For waiting:
        self._wake_up = wake_up
        self._reading = reading
        self._writing = writing
        self._users = 1  # this connection, and each thread inside a waiter; at 0 the descriptors are closed
        self._released = False

    # Reading: one thread.

    def recv_text(self) -> Optional[bytes]:
        """A message of text in one frame below 64 KiB, as nearly all are, by a short way. None: ``recv_frame`` it.

        Not for what follows the first frame of a message. Raises the connection's error at its end.
        """
        if self.error is not None:
            raise self.error.with_traceback(None)
        if self._position == len(self._received):
            self._received, self._position = b"", 0  # not to be held while waiting
            self._received = self._fetch()
        data, at = self._received, self._position
        if data[at] != _WHOLE_TEXT or len(data) < at + 4:
            return None
        length, begin = data[at + 1], at + 2
        if length == 126:
            length, begin = data[begin] << 8 | data[begin + 1], at + 4
        elif length > 126:  # longer, or masked
            return None
        end = begin + length
        if end > len(data) or length > self._short:
            return None
        self._position = end
        return data[begin:end]

    def recv_frame(self) -> ABNF:
        """The next frame, whole and valid; answers nothing. Raises the connection's error at its end."""
        if self.error is not None:
            raise self.error.with_traceback(None)
        first, second = self._read(2)
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack("!H", self._read(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", self._read(8))
        fin, opcode = first >> 7, first & 0x0F
        if second & 0x80:
            raise self.violation(PROTOCOL_ERROR, "a masked frame")
        if opcode >= ABNF.OPCODE_CLOSE:
            if length > 125 or not fin:
                raise self.violation(PROTOCOL_ERROR, "a control frame that is fragmented or longer than 125 bytes")
        elif self.room is not None and length > self.room:  # before the payload is read: it may be a tebibyte
            raise self.violation(TOO_BIG, "a message larger than max_message_bytes", MessageTooBigError)
        frame = ABNF(fin, first >> 6 & 1, first >> 5 & 1, first >> 4 & 1, opcode, 0, b"")
        if first & 0x70 or opcode not in ABNF.OPCODES:  # before the payload: it is not to be waited for
            self._validate(frame)
        frame.data = self._read(length)
        if opcode == ABNF.OPCODE_CLOSE:
            self._validate(frame)
        return frame

    def _validate(self, frame: ABNF) -> None:
        try:
            frame.validate(skip_utf8_validation=True)
        except websocket.WebSocketProtocolException as exc:
            problem = str(exc)
        else:
            return
        raise self.violation(PROTOCOL_ERROR, problem)

    def _read(self, count: int) -> bytes:
        """The next ``count`` bytes, from a buffer: a system call for each header would cost more."""
        begin, end = self._position, self._position + count
        if end > len(self._received):
            return self._read_on(count)
        self._position = end
        return self._received[begin:end]

    def _read_on(self, count: int) -> bytes:
        parts = [self._received[self._position :]]
        missing = count - len(parts[0])
        while missing > 0:
            self._received, self._position = b"", 0  # not to be held while waiting
            self._received = self._fetch()
            parts.append(self._received[:missing])
            missing -= len(parts[-1])
        self._position = len(parts[-1])
        return b"".join(parts)

    def _fetch(self) -> bytes:
        # First try, then wait, as what TLS has decrypted is invisible to a waiter; unless it is known that there is
        # nothing: each try lets other threads in, and of a message alone it would be every second one.
        while self.error is None:
            if self._awaited and not self._wait_for_peer(self._awaited):
                continue
            size = self._read_size
            try:
                with self._io:
                    chunk = self._socket.recv(size)
            except (ssl.SSLWantReadError, BlockingIOError):
                self._awaited = READ
                continue
            except ssl.SSLWantWriteError:  # TLS has to answer something (a key update) before it can go on
                self._awaited = WRITE
                continue
            except OSError as exc:
                self._lose("The connection broke", exc)
                break
            if not chunk:
                self._lose("The connection ended without a close frame", EOFError("end of stream"))
                break
            self._heard()
            less = len(chunk) < size
            self._awaited, self._read_size = READ if less and self._empties else 0, self._read_sizes[not less]
            return chunk
        assert self.error is not None
        raise self.error.with_traceback(None)

    def _wait_for_peer(self, events: int) -> bool:
        """Wait for bytes, for room if a ping or pong is still to be written, or for the next keepalive moment.

        True if the socket is worth a try.
        """
        if (self._control or self._rest) and self.write_control():
            events |= WRITE
        if self._wait(self._reading, events, self._due - time.monotonic()):
            if events == READ:
                self._heard()  # also if the bytes are not a whole TLS record yet
            return True
        if self.error is None and time.monotonic() >= self._due:
            self._keep_alive()
        return False

    def _heard(self) -> None:
        self._pinged = False
        self._due = time.monotonic() + self.timeouts.ping_interval

    def _keep_alive(self) -> None:
        deadline = self.timeouts.ping if self._pinged else self.timeouts.ping_interval
        if time.monotonic() < self._drained + deadline:
            # No ping gets past a frame that is being written; that the peer takes it is a sign of life as good.
            self._due = self._drained + deadline
        elif self._pinged:
            silence = self.timeouts.ping_interval + self.timeouts.ping
            what = f"The server has been silent for {silence:g} s and answered no ping"
            self._lose(what, None, PeerUnresponsiveError)
        else:
            self._pinged = True
            self._due = time.monotonic() + self.timeouts.ping
            self._control[ABNF.OPCODE_PING] = client_frame(ABNF.OPCODE_PING, b"")

    def answer_ping(self, payload: bytes) -> None:
        """Send the pong; if it cannot be written yet, only the latest stays due (RFC 6455, 5.5.3)."""
        self._control[ABNF.OPCODE_PONG] = client_frame(ABNF.OPCODE_PONG, payload)
        self.write_control()

    # Writing: any thread.

    def send_frame(self, frame: ABNF) -> int:
        """Write one frame, whole or not at all; or never again anything: whatever cuts it ends the connection.

        Raises the connection's error; SendStalledError if the peer takes no byte for ``Timeouts.send`` seconds.
        """
        data = client_frame(frame.opcode, frame.data)  # type: ignore[arg-type]  # encoded by create_frame
        taken = False
        try:
            with self.lock:
                taken = True
                self.write_frame(data)
        finally:
            if taken:
                self.after_turn()
        return len(data)

    def write_frame(self, data: Union[bytes, bytearray], by: Optional[float] = None) -> None:
        """Write a frame's bytes, or those of several, after what is left from before.

        The caller holds ``lock``, and calls ``after_turn`` once it has given it back. ``by`` is a monotonic moment;
        None: each byte that is taken renews the deadline of ``Timeouts.send``.

        Raises the connection's error, or the socket's OSError, in whose place ``after_turn`` raises a better one.
        """
        if self._control or self._rest or self._sealed is not None:
            self._flush(wait=True, by=by)
        self._rest = frame = memoryview(data)
        try:
            self._write_rest(wait=True, by=by)
        finally:
            if self._rest is frame:  # it was interrupted before the first byte
                self._rest = _NOTHING
            elif self._sealed is None:
                self.written += 1

    def after_turn(self) -> None:
        """Write what the reader could not while ``lock`` was taken; raise the connection's error if the socket broke.

        For a thread that had the turn: one that was interrupted before it kept the reader from nothing.
        """
        while self._control and self.error is None:
            with self.lock:
                try:
                    self._flush(wait=True)
                except OSError:  # no failure of this thread's frame
                    break
        if isinstance(self._sealed, OSError) and not isinstance(self._sealed, ConnectionClosedError):
            # What the peer said before the socket broke (an error event, a close frame) may still be unread, and is
            # the better reason: the reader goes on to the end and sets the error.
            self._ended.wait(self.timeouts.close)
            raise self._lose("The connection broke", self._sealed).with_traceback(None)

    def write_control(self) -> bool:
        """The reader's way to write pings and pongs: never waits. True if it should come again when there is room.

        If a writer holds the lock, nothing needs to be done: the writer looks again after it has released it.
        """
        while self._control or self._rest:
            if not self.lock.acquire(blocking=False):
                return False
            try:
                if not self._flush(wait=False):
                    return True
            except OSError:  # broken or ended: the reader will see for itself
                return False
            finally:
                self.lock.release()
        return False

    def _flush(self, wait: bool, by: Optional[float] = None) -> bool:
        """Write what is left and then what is set in ``_control``; False if there is no room and no ``wait``."""
        assert self.lock.locked()
        if self._sealed is not None:
            self._control.clear()
            raise self._sealed.with_traceback(None)
        while self._write_rest(wait, by):
            if not self._control:
                return True
            self._rest = memoryview(self._control.popitem()[1])
        return False

    def _write_rest(self, wait: bool, by: Optional[float] = None) -> bool:
        assert self.lock.locked()
        limit = by
        try:
            while self._rest:
                if self.error is not None:
                    raise self.error.with_traceback(None)
                piece = self._rest[: self._write_size]
                wanted, self._known = WRITE, self._plain  # TLS is Python, and may hold back what it was given
                try:
                    with self._io:
                        # A call could be interrupted before its result is noted. What ``map`` gives is unpacked and
                        # noted without a call.
                        [sent] = map(self._socket.send, (piece,))
                        self._rest, self._known = self._rest[sent:], True
                except (ssl.SSLWantWriteError, BlockingIOError):
                    pass
                except ssl.SSLWantReadError:
                    wanted = READ
                else:
                    limit = by
                    continue
                if not wait:
                    return False
                limit = limit or time.monotonic() + self.timeouts.send
                self._wait_for_room(wanted, limit)
        except BaseException as exc:
            cut = 0 < len(self._rest) < len(self._rest.obj)  # type: ignore[arg-type]  # bytes
            if isinstance(exc, Exception) or cut or not self._known:
                self._seal(exc)
            raise
        self._rest, self._known = _NOTHING, True  # what was sent is not to be held
        return True

    def _wait_for_room(self, wanted: int, limit: float) -> None:
        seconds = limit - time.monotonic()
        if wanted == READ:  # the reader may take these very bytes, so this is not to be waited for long
            seconds = min(seconds, 0.05)
        if self._wait(self._writing, wanted, seconds):
            self._drained = time.monotonic()
        elif time.monotonic() >= limit and self.error is None:
            what = f"The server took no byte for {self.timeouts.send:g} s (Timeouts.send) in the middle of a frame"
            raise self.loss(what, None, SendStalledError)

    def _seal(self, cause: BaseException) -> None:
        """After a frame that was cut nothing can be written."""
        assert self.lock.locked()
        self._rest = _NOTHING
        if isinstance(cause, ConnectionClosedError):
            self._sealed = self.end(cause)
        elif isinstance(cause, OSError):
            self._sealed = cause
        else:
            self._sealed = self._lose("Sending was interrupted in the middle of a frame", cause)

    # Ending: any thread.

    def write_close(self, payload: bytes, then: ConnectionClosedError, within: float) -> bool:
        """Write a close frame, the last frame of all: a later send raises ``then``.

        Waits ``within`` seconds at most; False if it could not be written.
        """
        return self.write_within(client_frame(ABNF.OPCODE_CLOSE, payload), within, then)

    def write_within(self, frame: bytearray, within: float, then: Optional[ConnectionClosedError] = None) -> bool:
        """Write a frame in ``within`` seconds at most; False if it could not be written.

        ``then``: it is the last frame of all, and a later send raises this; None: it is not.
        """
        by = time.monotonic() + within
        taken: list[bool] = []
        try:
            taken.extend(map(self.lock.acquire, (True,), (within,)))  # in one step with noting it, see _write_rest
            if not any(taken):
                return False
            self.write_frame(frame, by)
            self._sealed = then or self._sealed
            return True
        except OSError:  # a connection that has ended already, or a stall
            return False
        finally:
            if True in taken:
                self.lock.release()

    def violation(
        self, code: int, what: str, kind: type[ProtocolViolationError] = ProtocolViolationError
    ) -> ConnectionClosedError:
        """End the connection because of what the peer sent; send ``code`` if that can be done without waiting."""
        error = kind(
            f"The server broke the WebSocket protocol: {what}. The connection was closed with code {code}.",
            close_info=CloseInfo(code, what, "local"),
        )
        if self.lock.acquire(blocking=False):
            try:
                self._control = {ABNF.OPCODE_CLOSE: client_frame(ABNF.OPCODE_CLOSE, struct.pack("!H", code))}
                self._flush(wait=False)
            except OSError:
                pass
            finally:
                self.lock.release()
        return self.end(error)

    def loss(
        self, what: str, cause: Optional[BaseException] = None, kind: type[ConnectionLostError] = ConnectionLostError
    ) -> ConnectionClosedError:
        """The error for a connection that broke; if either side had begun to close, it is that close's end."""
        error: ConnectionClosedError
        if self.closing is not None:
            error = closed(self.closing)
        else:
            why = f" ({cause})" if isinstance(cause, OSError) else ""
            error = kind(f"{what}{why}.", close_info=CloseInfo(1006))
        error.__cause__ = cause
        return error

    def _lose(
        self, what: str, cause: Optional[BaseException], kind: type[ConnectionLostError] = ConnectionLostError
    ) -> ConnectionClosedError:
        return self.end(self.loss(what, cause, kind))

    def begin_close(self, info: CloseInfo) -> CloseInfo:
        """Set the side that closes, unless one is set already; return the one that holds."""
        with self._state:
            if self.closing is None:
                self.closing = info
            return self.closing

    def end(self, error: ConnectionClosedError) -> ConnectionClosedError:
        """Set the error for everyone, unless one is set already; wake all; return the error that holds."""
        with self._state:
            if self.error is None:
                self.error = error
            error = self.error
            if self._users:  # else its descriptor was closed, and the number may be another's
                self._wake_up.set()
        self._ended.set()
        return error

    def release(self) -> None:
        """Close all descriptors: the socket now, the others when the last thread has left its waiter."""
        self._lose("The connection was disposed of", None)
        with self._state:
            first, self._released = not self._released, True
        if first:
            with self._io:  # so that no call on it is under way, and no later one finds another's descriptor
                self._socket.close()
            with self._state:
                self._users -= 1
                last = not self._users
            if last:
                self._close_waiters()

    def forget(self) -> None:
        """In a forked child: close its copies, in silence. Takes no lock, since a thread of the parent may hold it."""
        self.lock, self._io, self._state = threading.Lock(), threading.Lock(), threading.Lock()
        self._ended = Flag()
        self._released = True
        if self.error is None:
            self.error = ConnectionLostError("This connection belongs to the parent process; open one here.")
        self._socket.close()
        self._close_waiters()

    def _wait(self, waiter: Waiter, events: int, seconds: float) -> bool:
        entered = False
        try:
            with self._state:
                if self._released:
                    return False
                self._users += 1
                entered = True
            return waiter.wait(events, seconds)
        except OSError:  # the socket was closed meanwhile, and a selector cannot watch it
            if self.error is None:
                raise
            return False
        finally:
            if entered:
                with self._state:  # not in a function, at whose beginning an interrupt might come
                    self._users -= 1
                    last = not self._users
                if last:
                    self._close_waiters()

    def _close_waiters(self) -> None:
        self._reading.close()
        self._writing.close()
        self._wake_up.close()


def closed(info: CloseInfo) -> ConnectionClosedError:
    """The error for an end by close frame."""
    return ConnectionClosedError(f"The connection has ended: {info}.", close_info=info)
