"""What the transport's tests share: the scripted peer with and without TLS, and a connection to it."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from functools import cached_property
from typing import Any

import pytest
import trustme

from realtime_sync.timeouts import Timeouts
from realtime_sync.transport import Connection, connect
from tests.harness import Running, Scheme, descriptors
from tests.transport.peer import Peer, Script

__all__ = ["FAST", "Bench", "Running", "descriptors"]

FAST = Timeouts(connect=5, send=5, close=1, ping_interval=5, ping=5)


class Bench(Scheme):
    """One scheme, its certificates, and what a test opens on it; all is closed at the end."""

    @cached_property
    def client_tls(self) -> ssl.SSLContext:
        return self.trusting()

    def without_tls(self) -> Bench:
        """The same for plain TCP: a proxy, or a server that does not speak TLS."""
        return Bench("ws", self.ca, self.stack)

    def serve(self, script: Script, **options: Any) -> Peer:
        return self.stack.enter_context(Peer(script, self.server_tls(), **options))

    def connect(self, to: Peer | str, timeouts: Timeouts = FAST, **options: Any) -> Connection:
        url = to if isinstance(to, str) else to.url
        options.setdefault("headers", {})
        options.setdefault("ssl_context", self.client_tls)
        connection = connect(url, timeouts=timeouts, **options)
        self.stack.callback(connection.dispose)
        return connection

    def open(self, script: Script, timeouts: Timeouts = FAST, **options: Any) -> Connection:
        """A connection to a peer that upgrades and then runs ``script``."""

        def upgraded(link: Any) -> None:
            link.upgrade()
            script(link)

        serving = {name: options.pop(name) for name in ("small_buffers",) if name in options}
        return self.connect(self.serve(upgraded, **serving), timeouts, **options)


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
