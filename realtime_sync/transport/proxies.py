"""Through a proxy: HTTP CONNECT on our own channel, SOCKS by the python-socks package on the same channel."""

from __future__ import annotations

import base64
import ssl
from typing import Any, Optional
from urllib.parse import unquote, urlsplit

import attrs

from realtime_sync.errors import (
    ConfigurationError,
    ConnectCancelledError,
    ConnectionFailedError,
    ConnectTimeoutError,
    HandshakeError,
    ProxyError,
)
from realtime_sync.extras import install
from realtime_sync.transport.answer import IncomingAnswer
from realtime_sync.transport.channel import Channel
from realtime_sync.transport.dialing import resolve, timed_out
from realtime_sync.values import Value

_PORTS = {"http": 80, "https": 443, "socks4": 1080, "socks4a": 1080, "socks5": 1080, "socks5h": 1080}


@attrs.frozen(repr=False, eq=False)
class Proxy(Value):
    """A proxy's URL taken apart; credentials are percent-decoded and in no repr."""

    scheme: str
    host: str
    port: int
    user: Optional[str] = attrs.field(default=None, repr=False)
    password: Optional[str] = attrs.field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str) -> Proxy:
        """Read ``scheme://[user:password@]host[:port]``; no scheme means http. Raises ConfigurationError."""
        try:
            parts = urlsplit(url if "://" in url else f"http://{url}")
            host, port, scheme = parts.hostname, parts.port, parts.scheme.lower()
        except ValueError:
            host, port, scheme = None, None, ""
        if not host or scheme not in _PORTS or not all("!" <= char <= "~" for char in host):
            # The URL itself may hold a password, so it is not shown.
            raise ConfigurationError(
                f"The proxy must be a URL such as http://host:3128; its scheme one of {', '.join(_PORTS)}."
            )
        user = unquote(parts.username) if parts.username is not None else None
        password = unquote(parts.password) if parts.password is not None else None
        if scheme.startswith("socks") and not all(_fits_socks(part) for part in (user, password)):
            raise ConfigurationError("A SOCKS proxy's user and password must be ASCII of at most 255 characters.")
        return cls(scheme, host, port or _PORTS[scheme], user, password)

    @property
    def place(self) -> str:
        """Host and port, for messages."""
        return f"{self.host}:{self.port}"


def _fits_socks(text: Optional[str]) -> bool:
    return text is None or (len(text) < 256 and text.isascii())


def open_tunnel(channel: Channel, proxy: Proxy, host: str, port: int, context: Optional[ssl.SSLContext]) -> None:
    """Connect ``channel`` to ``host:port`` through ``proxy``; afterwards the channel talks to the target.

    ``context`` verifies an https:// proxy. Raises ProxyError, TLSError, ConnectTimeoutError.
    """
    try:
        channel.dial(proxy.host, proxy.port)
        if proxy.scheme == "https":
            assert context is not None
            channel.start_tls(context, proxy.host)
        channel.doing = f"waiting for the proxy {proxy.place}"
        if proxy.scheme.startswith("socks"):
            _socks(channel, proxy, host, port)
        else:
            _connect_method(channel, proxy, host, port)
        if channel.received:  # a server waits for us to speak first
            raise ProxyError(
                f"The proxy {proxy.place} sent more than its answer, before the server could send anything. Check it."
            )
    except (ConnectTimeoutError, ConnectCancelledError, ProxyError):
        raise
    except ConnectionFailedError as exc:
        if type(exc) not in (ConnectionFailedError, HandshakeError):  # TLSError says it better
            raise
        raise ProxyError(f"The proxy {proxy.place} could not be used: {exc}") from exc.__cause__


def _connect_method(channel: Channel, proxy: Proxy, host: str, port: int) -> None:
    target = f"[{host}]:{port}" if ":" in host else f"{host.encode('idna').decode()}:{port}"
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if proxy.user is not None:
        pair = f"{proxy.user}:{proxy.password or ''}".encode()
        lines.append(f"Proxy-Authorization: Basic {base64.b64encode(pair).decode()}")
    channel.sendall("\r\n".join([*lines, "", ""]).encode())
    response = IncomingAnswer.read(channel, "it", "CONNECT")
    if response.status == 407:
        raise ProxyError(
            f"The proxy {proxy.place} wants credentials (407): http://user:password@host:port, percent-encoded. "
            "Only the Basic scheme is supported."
        )
    if not 200 <= response.status < 300:
        raise ProxyError(f"The proxy {proxy.place} refused to connect to {host}:{port}: HTTP {response.status}.")


def _socks(channel: Channel, proxy: Proxy, host: str, port: int) -> None:
    try:
        import python_socks
        from python_socks.sync import Proxy as SocksProxy
    except ImportError as exc:
        raise ProxyError(f"A {proxy.scheme}:// proxy needs the package python-socks: {install('socks')}") from exc
    remote_names = proxy.scheme in ("socks4a", "socks5h")
    if not remote_names:  # here and not in the package, which would look up without a deadline
        host = str(resolve(host, port, channel.deadline, channel.cancellation)[0][4][0])
    kind = python_socks.ProxyType.SOCKS4 if proxy.scheme.startswith("socks4") else python_socks.ProxyType.SOCKS5
    # ``forward`` is the package's way to reach a proxy through another; we use it to bring our own connection,
    # so that its reads and writes obey our deadline and our cancellation.
    forward: Any = _Forward(channel)
    names = (proxy.host, proxy.port, proxy.user, proxy.password)
    try:
        by_package = SocksProxy(kind, *names, rdns=remote_names, forward=forward)
    except TypeError as exc:
        raise ProxyError(f"python-socks is older than 3.0, which this library needs: {install('socks')}") from exc
    try:
        by_package.connect(host, port, timeout=channel.deadline.remaining)
    except ConnectionFailedError:
        raise
    except TimeoutError as exc:  # the package's name for our deadline's error
        raise timed_out(channel.deadline, channel.doing) from exc
    except Exception as exc:  # its own errors, and ValueError or IndexError on an answer that makes no sense
        reason = str(exc) if isinstance(exc, python_socks.ProxyError) else f"its answer makes no sense ({exc!r})"
        raise ProxyError(f"The proxy {proxy.place} refused to connect to {host}:{port}: {reason}") from exc


class _Forward:
    """Stands where python-socks wants a proxy to go through, and hands out the channel."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def connect(self, **_: object) -> Channel:
        return self._channel
