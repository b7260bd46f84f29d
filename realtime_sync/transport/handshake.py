"""The WebSocket opening handshake (RFC 6455, 4.1), on a channel that has a deadline.

websocket-client's own handshake is not used: it follows redirects with the key, loses the status of a chunked or
cut refusal, refuses a server that selects none of the offered subprotocols (which the RFC allows) and logs the
offer then (it may hold a key), and keeps cookies for the whole process.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from typing import Mapping, Optional, Sequence
from urllib.parse import urlsplit

import attrs

from realtime_sync.errors import ConfigurationError, ConnectCancelledError, ConnectionFailedError, HandshakeError
from realtime_sync.secret import Redactor
from realtime_sync.transport.answer import IncomingAnswer
from realtime_sync.transport.channel import Channel
from realtime_sync.transport.refusal import MAX_BODY_BYTES, handshake_error, readable_headers
from realtime_sync.transport.urls import redactor
from realtime_sync.values import Value

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_OURS = ("upgrade", "connection", "content-length", "transfer-encoding")
# A refusal's body comes with its head or soon after; the status is not withheld for longer than this.
_BODY_SECONDS = 2.0


@attrs.frozen(repr=False, eq=False)
class ServerAddress(Value):
    """Where a URL leads."""

    secure: bool
    host: str
    port: int
    resource: str = attrs.field(repr=False)

    @classmethod
    def parse(cls, url: str, plain: str = "ws", secure: str = "wss") -> ServerAddress:
        """Take ``url`` apart, of one of the two schemes. Raises ConfigurationError, which does not show the query."""
        if not all("!" <= char <= "~" or char > "\x9f" for char in url):
            raise ConfigurationError("The URL holds a space or a control character; percent-encode it.")
        try:
            parts = urlsplit(url)
            _ = parts.port, (parts.hostname or "").encode("idna") if ":" not in (parts.hostname or "") else b""
        except ValueError:  # its text may quote the URL; UnicodeError is one, too
            raise ConfigurationError("The URL's host or port is not valid.") from None
        if parts.scheme not in (plain, secure) or not parts.hostname:
            raise ConfigurationError(
                f"The URL must begin with {plain}:// or {secure}:// and a host, not {parts.scheme!r}."
            )
        if parts.username is not None or parts.fragment:
            raise ConfigurationError("The URL must hold neither user:password nor a #fragment; send keys in headers.")
        resource = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if not resource.isascii():
            raise ConfigurationError("The URL's path and query must be ASCII; percent-encode the rest.")
        by_tls = parts.scheme == secure
        return cls(by_tls, parts.hostname, parts.port or (443 if by_tls else 80), resource)

    @property
    def host_header(self) -> str:
        """Host, and the port if it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host.encode("idna").decode()
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"


@attrs.frozen(repr=False, eq=False)
class UpgradeRequest(Value):
    """A checked handshake request, ready to be sent; its key is needed to check the answer."""

    target: ServerAddress
    headers: Mapping[str, str] = attrs.field(repr=False)
    subprotocols: Sequence[str] = attrs.field(repr=False)
    key: str = attrs.field(factory=lambda: base64.b64encode(os.urandom(16)).decode(), repr=False)

    def __attrs_post_init__(self) -> None:
        for name, value in self.headers.items():
            _check_header(name, value)
        for number, subprotocol in enumerate(self.subprotocols, 1):
            if not _TOKEN.match(subprotocol):
                raise ConfigurationError(f"Subprotocol {number} is not a token (letters, digits, some punctuation).")

    def encode(self) -> bytes:
        """The request's bytes: no Origin (a browser's header), no cookies but those in ``headers``."""
        lines = [f"GET {self.target.resource} HTTP/1.1"]
        if "host" not in {name.lower() for name in self.headers}:
            lines.append(f"Host: {self.target.host_header}")
        lines += ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
        lines.append(f"Sec-WebSocket-Key: {self.key}")
        if self.subprotocols:
            lines.append(f"Sec-WebSocket-Protocol: {', '.join(self.subprotocols)}")
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def redactor(self, proxy: Optional[str]) -> Redactor:
        """Replaces what is secret in it, and in the URL of the proxy that it goes through."""
        return redactor([self.target.resource, proxy or ""], self.headers.items())


def _check_header(name: str, value: str) -> None:
    if not _TOKEN.match(name):
        raise ConfigurationError(f"The header name {name!r} is not a token (letters, digits, some punctuation).")
    if name.lower() in _OURS or name.lower().startswith("sec-websocket-"):
        raise ConfigurationError(f"The header {name} belongs to the handshake and cannot be set.")
    # Pasted raw, a line break would begin a header of its own; the value may be a key, so it is not shown.
    if not all(" " <= char <= "~" or "\xa0" <= char <= "\xff" or char == "\t" for char in value):
        raise ConfigurationError(
            f"The value of the header {name} holds a control character (often a line break at the end of a key read "
            "from a file) or one outside Latin-1. Strip or encode it."
        )


def upgrade(channel: Channel, request: UpgradeRequest, redactor: Redactor) -> tuple[Optional[str], dict[str, str]]:
    """Carry out the handshake; the selected subprotocol (None if there is none) and the answer's headers.

    What the server sent right behind its answer stays in the channel; what it says of our secrets is replaced. Raises
    HandshakeError by status, ConnectionFailedError if the server does not answer in HTTP.
    """
    channel.doing = f"in the WebSocket handshake with {request.target.host}"
    channel.sendall(request.encode())
    answer = IncomingAnswer.read(channel, request.target.host, "the handshake")
    told = readable_headers({name: redactor.all(value) for name, value in answer.headers.items()})
    if answer.status != 101:
        body = redactor.all(_beginning(answer).decode("utf-8", "replace"))
        raise handshake_error(answer.status, told, body)
    return _accepted(request, answer.headers, told), told


def _beginning(answer: IncomingAnswer) -> bytes:
    """As much of a refusal's body as comes soon, whatever its framing, cut off or not: the status matters more."""
    body = b""
    try:
        for piece in answer.pieces(answer.channel.deadline.within(_BODY_SECONDS)):
            body += piece
            if len(body) >= MAX_BODY_BYTES:
                break
    except ConnectCancelledError:
        raise
    except ConnectionFailedError:
        pass
    return body[:MAX_BODY_BYTES]


def _accepted(request: UpgradeRequest, headers: Mapping[str, str], told: Mapping[str, str]) -> Optional[str]:
    expected = base64.b64encode(hashlib.sha1((request.key + _GUID).encode()).digest()).decode()
    subprotocol = headers.get("sec-websocket-protocol") or None
    if "websocket" not in _words(headers.get("upgrade")) or "upgrade" not in _words(headers.get("connection")):
        wrong = "it does not upgrade to WebSocket"
    elif headers.get("sec-websocket-accept") != expected:
        wrong = "its Sec-WebSocket-Accept is missing or wrong"
    elif headers.get("sec-websocket-extensions"):
        wrong = "it selects an extension, and none was offered"
    elif subprotocol is not None and subprotocol not in request.subprotocols:
        wrong = "it selects a subprotocol that was not offered"
    else:
        return subprotocol
    raise HandshakeError(
        f"{request.target.host} answered 101, but {wrong}. Check whether a proxy answers in its place.",
        status=101,
        headers=told,
    )


def _words(value: Optional[str]) -> Sequence[str]:
    return [word.strip().lower() for word in (value or "").split(",")]
