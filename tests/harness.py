"""What the tests of several folders use: certificates of one scheme, calls on threads of their own, waits with an end.

A folder's own harness (``tests/core/harness.py``, ``tests/transport/conftest.py``, ...) builds on it.
"""

from __future__ import annotations

import os
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Callable, Optional

import trustme

__all__ = ["DATA", "Running", "Scheme", "client_threads", "descriptors", "until", "within"]

DATA = Path(__file__).parent / "data"
"""Schemas, examples, recorded sessions and messages: what each is stands in its README.md."""


class Scheme:
    """A scheme with TLS or without, its certificates, and a stack that closes at the end what a test opens."""

    def __init__(self, scheme: str, ca: trustme.CA, stack: ExitStack) -> None:
        self.scheme, self.ca, self.stack = scheme, ca, stack

    @property
    def secure(self) -> bool:
        return self.scheme in ("wss", "https")

    def trusting(self) -> ssl.SSLContext:
        """A client's context that trusts the tests' authority alone: this machine's take 20 ms to read."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.ca.configure_trust(context)
        return context

    def certified(self, *names: str) -> ssl.SSLContext:
        """A server's context with a certificate for these names, by default those of this machine's loopback."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ca.issue_cert(*(names or ("127.0.0.1", "::1", "localhost"))).configure_cert(context)
        return context

    def server_tls(self) -> Optional[ssl.SSLContext]:
        """What a server of this scheme is given."""
        return self.certified() if self.secure else None


class Running:
    """A call on a thread of its own; ``result`` waits for it, with a deadline."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self.value: Any = None
        self.error: Optional[BaseException] = None
        self._call = call
        self._thread = threading.Thread(target=self._run, name="test-running", daemon=True)
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
        self.join(seconds)
        if self.error is not None:
            raise self.error
        return self.value

    def join(self, seconds: float = 10) -> Optional[BaseException]:
        """Wait for the end; the error that it ended with, or None."""
        self._thread.join(seconds)
        assert not self._thread.is_alive(), f"the call still runs after {seconds} s"
        return self.error


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fail if the block takes longer; the time does not count in which the machine let nobody run."""
    over, stalled = threading.Event(), 0.0

    def sleep_lightly() -> None:
        nonlocal stalled
        before = time.monotonic()
        while not over.wait(0.01):
            now = time.monotonic()
            stalled += max(0.0, now - before - 0.02)
            before = now

    sleeper = threading.Thread(target=sleep_lightly, daemon=True)
    sleeper.start()
    started = time.monotonic()
    try:
        yield
        took = time.monotonic() - started
    finally:
        over.set()
        sleeper.join()
    assert took - stalled <= seconds, f"it took {took:.2f} s, {stalled:.2f} s of them the machine's"


def until(condition: Callable[[], Any], seconds: float = 5, message: str = "it did not come about") -> Any:
    """Wait for what has no event to wait for: a thread's or a descriptor's end, bytes in a queue."""
    pause, deadline = threading.Event(), time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{message}, in {seconds} s"
        pause.wait(0.005)
    return found


def client_threads() -> list[str]:
    """The threads of sessions that are alive; a server's are not among them."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("realtime-sync")]


def descriptors() -> int:
    """How many descriptors this process has open."""
    return len(os.listdir("/proc/self/fd"))
