"""An HTTP/1.1 answer, read from a channel: to a handshake, to a proxy's CONNECT, to a REST request.

http.client's own reader is not used: it passes over one kind of interim answer (100) and takes the others (102, 103)
for the final one, and it reads the former for as long as they come. Here the channel's deadline and cancellation hold
for each read, and all heads together have a bound.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Optional

import attrs

from realtime_sync.deadline import Deadline
from realtime_sync.errors import ConnectionFailedError, HandshakeError
from realtime_sync.transport.channel import CHUNK, Channel
from realtime_sync.values import Value

# An answer's head and all interim ones before it; usual ones have some kilobytes.
_MAX_HEAD_BYTES = 65536
_MAX_CHUNK_LINE = 4096
_STATUS_LINE = re.compile(rb"HTTP/1\.\d[ \t]+(\d{3})(?!\d)")
_LINE = re.compile(rb"\n")
_BLANK_LINE = re.compile(rb"(?:\A|\n)\r?\n")
_MOST_HEADERS = 100
_LINE_ENDING = re.compile(r"\r\n?|\n")
_FOLD = re.compile(r"(?:\r\n?|\n)[ \t]+")
_HEADER = re.compile(r"([!-9;-~]+):(.*)", re.DOTALL)
# Fifteen digits are more than there is. More than 4300, Python does not read.
_LENGTH = re.compile(r"[0-9]{1,15}")
_CHUNK_LENGTH = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,15})[ \t]*[;\r\n]")


@attrs.frozen(repr=False, eq=False)
class IncomingAnswer(Value):
    """A final answer, whose body is still to be read from ``channel``. ``headers``: names in lower case.

    ``who`` and ``asked`` are for messages: who answers, and what.
    """

    channel: Channel = attrs.field(repr=False)
    who: str
    asked: str
    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)

    @classmethod
    def read(cls, channel: Channel, who: str, asked: str) -> IncomingAnswer:
        """Read the head of the final answer; interim ones (1xx, but for 101) are passed over.

        Raises ConnectionFailedError if the stream ends before or within it, HandshakeError if it is not HTTP.
        """
        room = _MAX_HEAD_BYTES
        while True:
            line = _read_to(channel, _LINE, room)
            status_line = _STATUS_LINE.match(line)
            if not line:
                raise ConnectionFailedError(
                    f"{who} closed the connection without answering {asked}. Check the port and the path, and whether "
                    "it wants TLS (https://, wss://)."
                )
            if not line.endswith(b"\n") and len(line) < room and line[:7] == b"HTTP/1."[: len(line)]:
                raise _cut(who, asked)
            if not status_line:
                first = room == _MAX_HEAD_BYTES
                why = "what it sent is something else" if first else "interim answers and no final one"
                raise _no_http(who, asked, why)
            head = _read_to(channel, _BLANK_LINE, room - len(line))
            room -= len(line) + len(head)
            if not _BLANK_LINE.search(head):
                if room > 0:
                    raise _cut(who, asked)
                raise _no_http(who, asked, f"more than {_MAX_HEAD_BYTES} bytes of headers")
            status = int(status_line[1])
            if status == 101 or not 100 <= status < 200:
                return cls(channel, who, asked, status, _headers(head, who, asked))

    def pieces(self, deadline: Optional[Deadline] = None) -> Iterator[bytes]:
        """The body, as it comes. Raises ConnectionFailedError if it is cut off or makes no sense."""
        if self.status in (204, 304):
            return
        length = self.headers.get("content-length", "")
        if self.headers.get("transfer-encoding", "").lower().endswith("chunked"):
            yield from self._chunks(deadline)
        elif _LENGTH.fullmatch(length):
            yield from self._exactly(int(length), deadline)
        else:  # to the end of the stream, also if the length makes no sense
            while piece := self.channel.recv(CHUNK, deadline):
                yield piece

    def _chunks(self, deadline: Optional[Deadline]) -> Iterator[bytes]:
        while True:
            line = _read_to(self.channel, _LINE, _MAX_CHUNK_LINE, deadline)
            size = _CHUNK_LENGTH.match(line)
            if not size or not line.endswith(b"\n"):
                raise ConnectionFailedError(f"{self.who} answered with chunks that make no sense, or cut them off.")
            length = int(size[1], 16)
            if not length:
                return
            yield from self._exactly(length, deadline)
            _read_to(self.channel, _LINE, 2, deadline)

    def _exactly(self, count: int, deadline: Optional[Deadline]) -> Iterator[bytes]:
        while count:
            piece = self.channel.recv(min(count, CHUNK), deadline)
            if not piece:
                raise _cut(self.who, self.asked)
            count -= len(piece)
            yield piece


def _headers(head: bytes, who: str, asked: str) -> dict[str, str]:
    """Without lines that are no header. By hand, because ``http.client`` brings the reader of mail: 9 ms of import."""
    found = list(filter(None, map(_HEADER.fullmatch, _LINE_ENDING.split(_FOLD.sub(" ", head.decode("latin-1"))))))
    if len(found) > _MOST_HEADERS:
        raise _no_http(who, asked, "too many headers")
    headers: dict[str, str] = {}
    for header in found:
        name, value = header[1].lower(), header[2].strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _read_to(channel: Channel, ending: re.Pattern[bytes], most: int, deadline: Optional[Deadline] = None) -> bytes:
    """All bytes to ``ending``, which is included; without it if the stream ends, or ``most`` bytes came, before it."""
    data = bytearray()
    while len(data) < most:
        piece = channel.recv(most - len(data), deadline)
        if not piece:
            break
        data += piece
        found = ending.search(data, max(0, len(data) - len(piece) - 3))
        if found:
            channel.received = bytes(data[found.end() :]) + channel.received
            return bytes(data[: found.end()])
    return bytes(data)


def _cut(who: str, asked: str) -> ConnectionFailedError:
    return ConnectionFailedError(
        f"{who} closed the connection in the middle of its answer to {asked}. Try again, or check the server and "
        "what is between."
    )


def _no_http(who: str, asked: str, why: str) -> HandshakeError:
    return HandshakeError(
        f"{who} did not answer {asked} in HTTP ({why}). Check the port, and whether it wants TLS (https://, wss://)."
    )
