"""Messages to somebody slow: in order, whole, bounded, and never waited for."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

import pytest

from realtime_sync.voice import OutgoingLink
from tests.core.harness import Running, until, within
from tests.ctrl_c import Interrupt


class Socket:
    """Takes what is sent when it is let."""

    def __init__(self, *, open: bool = True) -> None:
        self.sent: list[Any] = []
        self.cuts = 0
        self.sending = threading.Event()
        self.go_on = threading.Event()
        if open:
            self.go_on.set()

    def send(self, message: Any) -> None:
        self.sending.set()
        if not self.go_on.wait(20) or self.cuts:
            raise ConnectionResetError("cut")
        self.sent.append(message)

    def cut(self) -> None:
        self.cuts += 1
        self.go_on.set()

    def link(self, **options: Any) -> OutgoingLink:
        return OutgoingLink(self.send, cut=self.cut, **options)


def test_messages_are_sent_in_order_and_the_rest_at_the_close() -> None:
    socket = Socket(open=False)
    link = socket.link()
    link.put("a")
    link.put("b", b"c")
    link.put("d")
    closing = Running(lambda: link.close(20))
    until(lambda: not link.open)
    link.put("too late")
    socket.go_on.set()
    closing.result()
    assert socket.sent == ["a", "b", b"c", "d"]
    assert socket.cuts == 0
    link.close()


def test_a_link_that_has_sent_nothing_has_no_thread_and_is_closed_at_once() -> None:
    before = threading.active_count()
    link = OutgoingLink(len)
    assert threading.active_count() == before
    with within(1):
        link.close(20)
    assert not link.open
    link.put("too late")
    assert threading.active_count() == before


def test_ctrl_c_in_the_first_message_leaves_a_link_that_sends_in_order_and_ends() -> None:
    before = threading.active_count()
    for number in range(200):
        socket = Socket()
        link = socket.link()
        interrupt = Interrupt(number)
        with contextlib.suppress(KeyboardInterrupt), interrupt:
            link.put("a")
        link.put("b")
        link.close(20)
        assert socket.sent in (["a", "b"], ["b"])
        until(lambda: threading.active_count() == before)
        if interrupt.place is None:
            break
    assert 5 < number < 199


def test_what_belongs_together_stays_together() -> None:
    socket = Socket()
    link = socket.link()
    threads = [Running(lambda name=name: [link.put(name, name) for _ in range(200)]) for name in "abc"]  # type: ignore[misc]
    for thread in threads:
        thread.result()
    link.close(20)
    assert len(socket.sent) == 1200
    assert socket.sent[::2] == socket.sent[1::2]


def test_what_is_spare_and_waits_can_be_dropped() -> None:
    socket = Socket(open=False)
    link = socket.link(most_bytes=100)
    link.put("being sent")
    assert socket.sending.wait(20)
    link.put("spare" * 10, spare=True)
    link.put("kept")
    link.drop()
    link.put("stop" * 10)
    assert link.open  # the room is given back
    socket.go_on.set()
    link.close(20)
    assert socket.sent == ["being sent", "kept", "stop" * 10]


def test_a_socket_that_takes_nothing_is_cut_and_nobody_waits_for_it() -> None:
    socket = Socket(open=False)
    link = socket.link(most_bytes=100)
    link.put("x")
    assert socket.sending.wait(20)
    for _ in range(200):
        link.put("x")
    until(lambda: not link.open)
    assert socket.cuts == 1
    link.put("y")
    link.close(20)
    assert socket.sent == []
    assert socket.cuts == 1


def test_what_was_sent_takes_no_room() -> None:
    socket = Socket()
    link = socket.link(most_bytes=100)
    for count in range(1, 11):
        link.put("x" * 50)
        until(lambda: len(socket.sent) == count)  # noqa: B023
    assert link.open
    link.close(20)
    assert socket.cuts == 0


def test_what_is_not_sent_until_the_close_is_over_is_cut() -> None:
    socket = Socket(open=False)
    link = socket.link()
    link.put("a")
    link.close(0.01)
    assert socket.cuts == 1
    until(lambda: link._over.is_set())


def test_a_socket_that_breaks_ends_the_link(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "realtime_sync")

    def send(message: Any) -> None:
        raise BrokenPipeError("broken")

    def cut() -> None:
        raise OSError("closed already")

    link = OutgoingLink(send, cut=cut, name="the browser")
    link.put("a")
    until(lambda: not link.open)
    link.close()
    assert "the connection to 'the browser' is ended: BrokenPipeError: broken" in caplog.text
