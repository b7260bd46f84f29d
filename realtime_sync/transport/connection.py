"""An open connection: messages in, messages out, and one end for every thread."""

from __future__ import annotations

import codecs
import struct
import threading
from typing import Mapping, Optional, Union

from websocket import ABNF

from realtime_sync.errors import CloseInfo, ConnectionClosedError, InvalidInputError, MessageTooBigError
from realtime_sync.secret import Redactor, reportable
from realtime_sync.transport.duplex import NOT_UTF8, PROTOCOL_ERROR, TOO_BIG, Duplex, closed
from realtime_sync.transport.frames import text_frame

_Utf8Decoder = codecs.getincrementaldecoder("utf-8")
_NO_CODE = 1005
# A 64 MiB message in frames of a kilobyte. Without it, empty fragments would gather for ever.
_MOST_FRAGMENTS = 65536


@reportable
class Connection:
    """A WebSocket connection for one reading thread and any number of sending ones.

    ``receive`` is also what answers pings and notices a dead peer, so one thread should always be in it.
    ``subprotocol`` is what the server selected, or None. ``response_headers`` are its answer's, names in lower
    case, without cookies. ``redactor`` knows the secrets in use: it has replaced them in the headers, and does so in a
    close reason; messages are as they came. ``url``: what it was made to, for people to read; set by the maker.
    """

    def __init__(
        self, duplex: Duplex, subprotocol: Optional[str], response_headers: Mapping[str, str], redactor: Redactor
    ) -> None:
        self.subprotocol = subprotocol
        self.response_headers = response_headers
        self.redactor = redactor
        self.url = ""
        self._duplex = duplex
        self._max_message_bytes = duplex.room
        # The message being gathered from fragments: its opcode (0 is none), its parts, and for text its decoder,
        # which finds bytes that are not UTF-8 in the fragment that holds them.
        self._opcode = 0
        self._parts: list[Union[str, bytes]] = []
        self._decoder = _Utf8Decoder()

    def __repr__(self) -> str:
        return f"<Connection {self.close_info or 'open'}>"

    @property
    def close_info(self) -> Optional[CloseInfo]:
        """How the connection ended; None while it is open."""
        error = self._duplex.error
        return None if error is None else error.close_info

    def receive(self) -> Union[str, bytes]:
        """The next message: str for text, bytes for binary. Waits as long as the peer lives; one thread only.

        At the end it raises a ConnectionClosedError, the same one each time: with the peer's code and reason after
        its close frame (PeerUnresponsiveError, SendStalledError) if the connection broke,
        ProtocolViolationError (MessageTooBigError) if the peer broke the rules, or what ``abort`` was given.
        """
        duplex = self._duplex
        try:
            while True:
                if not self._opcode:
                    text = duplex.recv_text()
                    if text is not None:
                        return text.decode()
                frame = duplex.recv_frame()
                opcode: int = frame.opcode
                data: bytes = frame.data  # type: ignore[assignment]  # theirs may be str before it is sent
                if opcode == ABNF.OPCODE_PING:
                    duplex.answer_ping(data)
                elif opcode == ABNF.OPCODE_CLOSE:
                    raise self._on_close(data)
                elif frame.fin and opcode in (ABNF.OPCODE_TEXT, ABNF.OPCODE_BINARY) and not self._opcode:
                    return data.decode() if opcode == ABNF.OPCODE_TEXT else data
                elif opcode != ABNF.OPCODE_PONG:
                    message = self._gather(opcode, data, bool(frame.fin))
                    if message is not None:
                        return message
        except ConnectionClosedError:
            raise
        except UnicodeDecodeError as exc:
            raise self._not_utf8(exc) from exc
        except BaseException as exc:  # an interrupt in the middle of a frame: its bytes are gone
            duplex.end(duplex.loss("Receiving was interrupted", exc))
            raise

    def _not_utf8(self, exc: UnicodeDecodeError) -> ConnectionClosedError:
        return self._duplex.violation(NOT_UTF8, f"text that is not UTF-8 ({exc.reason} at byte {exc.start})")

    def _gather(self, opcode: int, data: bytes, last: bool) -> Union[str, bytes, None]:
        """Add a fragment; the whole message after the last one."""
        if bool(opcode) == bool(self._opcode):
            what = "a new message inside of a fragmented one" if opcode else "a continuation of nothing"
            raise self._duplex.violation(PROTOCOL_ERROR, what)
        if len(self._parts) == _MOST_FRAGMENTS:
            what = f"a message in more than {_MOST_FRAGMENTS} fragments"
            raise self._duplex.violation(TOO_BIG, what, MessageTooBigError)
        self._opcode = opcode or self._opcode
        if self._duplex.room is not None:
            self._duplex.room -= len(data)
        if self._opcode == ABNF.OPCODE_BINARY:
            self._parts.append(data)
        else:
            self._parts.append(self._decoder.decode(data, last))
        if not last:
            return None
        parts, text = self._parts, self._opcode == ABNF.OPCODE_TEXT
        self._parts, self._opcode, self._duplex.room = [], 0, self._max_message_bytes
        return "".join(parts) if text else b"".join(parts)  # type: ignore[arg-type]  # all parts are of one kind

    def _on_close(self, data: bytes) -> ConnectionClosedError:
        try:
            reason = self.redactor.all(data[2:].decode("utf-8"))
        except UnicodeDecodeError as exc:
            return self._not_utf8(exc)
        code = struct.unpack("!H", data[:2])[0] if data else _NO_CODE
        info = self._duplex.begin_close(CloseInfo(code, reason, "remote"))
        error = closed(info)
        if info.initiator == "remote":
            # The peer waits for our answer with its code. A writer in the middle of a frame may finish it first.
            self._duplex.write_close(data[:2], error, self._duplex.timeouts.close)
        return self._duplex.end(error)

    def send_text(self, text: Union[str, bytes]) -> None:
        """Send one text message, in one frame; bytes must be UTF-8 already. Any thread, any number of them.

        Blocks while the peer takes bytes too slowly.

        Raises:
            InvalidInputError: the text has no UTF-8 form; nothing was sent.
            SendStalledError: the peer took no byte for ``Timeouts.send`` seconds.
            ConnectionClosedError: the connection has ended.
        """
        frame = text_frame(text)
        taken = False
        try:
            with self.turn:
                taken = True
                self.write(frame)
        finally:
            if taken:
                self.after_turn()

    @property
    def turn(self) -> threading.Lock:
        """The turn on the wire: frames go out in the order in which threads take this lock.

        The lock itself, and no context manager around it, so that an exception at any bytecode gives it back. Hold it
        for one ``write``, whose frames ``text_frame`` has made before; call ``after_turn`` once it is given back::

            taken = False
            try:
                with connection.turn:
                    taken = True
                    ...  # short; what it raises leaves the connection as it is
                    connection.write(frame)
            finally:
                if taken:
                    connection.after_turn()
        """
        return self._duplex.lock

    def write(self, frame: Union[bytes, bytearray]) -> None:
        """Write this frame, or several as one. If an interrupt comes before the first byte, nothing is sent.

        One that comes between the first byte and the last is the connection's end, also between two frames. The caller
        holds ``turn``.

        Raises:
            SendStalledError: the peer took no byte for ``Timeouts.send`` seconds.
            ConnectionClosedError: the connection has ended.
        """
        self._duplex.write_frame(frame)

    @property
    def written(self) -> int:
        """How often ``write`` has written all that it was given: an interrupt may come behind the last byte."""
        return self._duplex.written

    def after_turn(self) -> None:
        """Write what the reader could not while the turn was taken, and raise why the socket broke in it, if it did.

        Raises:
            ConnectionClosedError: what the reader found at the connection's end, the better reason.
        """
        self._duplex.after_turn()

    def send_within(self, text: Union[str, bytes], within: float) -> bool:
        """Send one text message in ``within`` seconds at most; False if it could not be sent. Any thread."""
        sent = self._duplex.write_within(text_frame(text), within)
        if sent:
            self._duplex.write_control()  # what the reader could not, without waiting as ``after_turn`` does
        return sent

    def start_close(self, code: int = 1000, reason: str = "", within: Optional[float] = None) -> None:
        """Send a close frame; ``receive`` then ends when the peer has answered. Any thread, idempotent.

        Returns within ``within`` seconds (None: ``Timeouts.close``; 0: only what can be written at once), and does not
        wait for the answer. If the frame cannot be written in that time, the connection ends at once. ``reason`` is
        for the peer's eyes, at most 123 bytes of UTF-8;
        InvalidInputError if it is longer, or ``code`` is not one to send.
        """
        payload = reason.encode("utf-8", "replace")
        if len(payload) > 123 or not (3000 <= code <= 4999 or code in (*range(1000, 1004), *range(1007, 1015))):
            raise InvalidInputError("A close code is 1000-1003, 1007-1014 or 3000-4999; its reason up to 123 bytes.")
        info = CloseInfo(code, reason, "local")
        if self._duplex.error is not None or self._duplex.begin_close(info) is not info:
            return
        error = closed(info)
        within = self._duplex.timeouts.close if within is None else within
        if not self._duplex.write_close(struct.pack("!H", code) + payload, error, within):
            self._duplex.end(error)

    def abort(self, error: Optional[ConnectionClosedError] = None) -> None:
        """End the connection at once, with no frame: the reader and every blocked sender raise ``error``.

        None stands for a ConnectionLostError, or for the close that ``start_close`` began. Any thread, idempotent.
        """
        self._duplex.end(error or self._duplex.loss("The connection was aborted"))

    def dispose(self) -> None:
        """Release every descriptor. Any thread, idempotent; a send or receive then raises the connection's error."""
        self._duplex.release()

    def forget(self) -> None:
        """After a fork, in the child: close its copies of the descriptors; the parent's connection goes on."""
        self._duplex.forget()
