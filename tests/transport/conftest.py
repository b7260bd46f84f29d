"""What the transport's tests share: the scripted peer with and without TLS, and a connection to it."""

from __future__ import annotations

import os
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from functools import cached_property
from typing import Any, Callable, Optional

import pytest
import trustme

from realtime_sync.timeouts import Timeouts
from realtime_sync.transport import Connection, connect
from tests.transport.peer import Peer, Script

FAST = Timeouts(connect=5, send=5, close=1, ping_interval=5, ping=5)


class Bench:
    """One scheme, its certificates, and what a test opens on it; all is closed at the end."""

    def __init__(self, scheme: str, ca: trustme.CA, stack: ExitStack) -> None:
        self.scheme, self.ca, self._stack = scheme, ca, stack

    @cached_property
    def client_tls(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.ca.configure_trust(context)
        return context

    def server_tls(self, *names: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ca.issue_cert(*(names or ("127.0.0.1", "::1", "localhost"))).configure_cert(context)
        return context

    def without_tls(self) -> Bench:
        """The same for plain TCP: a proxy, or a server that does not speak TLS."""
        return Bench("ws", self.ca, self._stack)

    def serve(self, script: Script, **options: Any) -> Peer:
        tls = self.server_tls() if self.scheme == "wss" else None
        return self._stack.enter_context(Peer(script, tls, **options))

    def connect(self, to: Peer | str, timeouts: Timeouts = FAST, **options: Any) -> Connection:
        url = to if isinstance(to, str) else to.url
        options.setdefault("headers", {})
        options.setdefault("ssl_context", self.client_tls)
        connection = connect(url, timeouts=timeouts, **options)
        self._stack.callback(connection.dispose)
        return connection

    def open(self, script: Script, timeouts: Timeouts = FAST, **options: Any) -> Connection:
        """A connection to a peer that upgrades and then runs ``script``."""

        def upgraded(link: Any) -> None:
            link.upgrade()
            script(link)

        serving = {name: options.pop(name) for name in ("small_buffers",) if name in options}
        return self.connect(self.serve(upgraded, **serving), timeouts, **options)


class Running:
    """A call on a thread of its own; ``result`` waits for it, with a deadline."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self.value: Any = None
        self.error: Optional[BaseException] = None
        self._call = call
        self._thread = threading.Thread(target=self._run, name="running", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.value = self._call()
        except BaseException as exc:
            self.error = exc

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def result(self, seconds: float = 10) -> Any:
        self._thread.join(seconds)
        assert not self._thread.is_alive(), "it hangs"
        if self.error is not None:
            raise self.error
        return self.value


@pytest.fixture(scope="session")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(params=["ws", "wss"])
def bench(request: pytest.FixtureRequest, ca: trustme.CA) -> Iterator[Bench]:
    with ExitStack() as stack:
        yield Bench(request.param, ca, stack)


@pytest.fixture
def plain(ca: trustme.CA) -> Iterator[Bench]:
    """For what does not depend on TLS."""
    with ExitStack() as stack:
        yield Bench("ws", ca, stack)


@pytest.fixture
def secure(ca: trustme.CA) -> Iterator[Bench]:
    with ExitStack() as stack:
        yield Bench("wss", ca, stack)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))
