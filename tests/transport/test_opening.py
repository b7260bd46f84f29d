"""Opening a connection: one deadline over everything, cancellation in every phase, nothing leaked, nothing injected."""

from __future__ import annotations

import contextlib
import errno
import io
import logging
import os
import select
import selectors
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any, Callable

import attrs
import pytest
import websocket

from realtime_sync.errors import (
    ConfigurationError,
    ConnectCancelledError,
    ConnectionClosedError,
    ConnectionFailedError,
    ConnectionLostError,
    ConnectTimeoutError,
    HandshakeError,
)
from realtime_sync.timeouts import Timeouts
from realtime_sync.transport import Cancellation
from tests.core.harness import within
from tests.transport.conftest import FAST, Bench, Running, descriptors
from tests.transport.peer import ENDLESS_HEADS, TEXT, Link, flood, frame

SHORT = Timeouts(connect=0.3)


def welcome(link: Link) -> None:
    link.upgrade("Sec-WebSocket-Protocol: realtime", "X-Request-Id: req_1", "Set-Cookie: __cf_bm=secret")
    link.send(frame(TEXT, "welcome"))
    link.read_to_end()


@contextlib.contextmanager
def black_hole(host: str = "127.0.0.1") -> Iterator[int]:
    """A port whose backlog is full, so that a connect gets no answer at all."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.bind((host, 0))
    listener.listen(0)
    address = listener.getsockname()
    filler = socket.create_connection(address[:2], 2)
    try:
        yield address[1]
    finally:
        filler.close()
        listener.close()


def drip(link: Link) -> None:
    """An answer that never ends, a byte at a time: each single read would be in time."""
    link.read_head()
    stop = threading.Event()
    with contextlib.suppress(OSError):
        for byte in b"HTTP/1.1 101 Switching Protocols\r\n" + b"X: y\r\n" * 100:
            link.send(bytes([byte]))
            stop.wait(0.05)


def silent(link: Link) -> None:
    link.read_to_end()


def wait_on(link: Link) -> None:
    """Interim answers, now and then, and never the final one."""
    link.read_head()
    stop = threading.Event()
    with contextlib.suppress(OSError):
        while True:
            link.send(b"HTTP/1.1 102 Processing\r\n\r\n")
            stop.wait(0.05)


# What goes out and what comes back.


def test_the_request_is_a_plain_upgrade_with_our_headers_and_no_origin(bench: Bench) -> None:
    heads: list[bytes] = []

    def script(link: Link) -> None:
        heads.append(link.read_head())
        welcome(link)

    headers = {"Authorization": "Bearer k", "User-Agent": "me/1"}
    connection = bench.connect(bench.serve(script), headers=headers, subprotocols=("realtime", "v2"))
    assert connection.receive() == "welcome"
    lines = heads[0].decode().split("\r\n")
    names = [line.partition(":")[0].lower() for line in lines[1:]]
    assert lines[0] == "GET /realtime?model=m HTTP/1.1"
    assert "Authorization: Bearer k" in lines
    assert "User-Agent: me/1" in lines
    assert "Sec-WebSocket-Protocol: realtime, v2" in lines
    assert not {"origin", "cookie", "sec-websocket-extensions"} & set(names)
    assert len(names) == len(set(names))


def test_the_answers_headers_are_kept_in_lower_case_without_cookies(bench: Bench) -> None:
    connection = bench.connect(bench.serve(welcome))
    assert connection.subprotocol == "realtime"
    assert connection.response_headers["x-request-id"] == "req_1"
    assert "set-cookie" not in connection.response_headers


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("X-A: one\r\nx-a:two", "one, two"),
        ("X-A: one\r\n  two\r\n\tthree", "one two three"),  # folded, as RFC 9112 (5.2) has it read
        ("X-A: \t one \t", "one"),
        ("X-A:", ""),
        ("X-A: a:b: c", "a:b: c"),
        ("X-A: caf\xe9\x00\x85", "caf\xe9\x00"),
        ("X-B: one\nX-A: two", "two"),
        ("\xe9: no name\r\nno colon\r\n: no name\r\nX-A : blank\r\nX-A: one", "one"),  # what is no header is nothing
    ],
)
def test_the_answers_headers_are_read_as_they_are_meant(plain: Bench, sent: str, kept: str) -> None:
    connection = plain.connect(plain.serve(lambda link: link.upgrade(sent)))
    assert connection.response_headers["x-a"] == kept


def test_a_hundred_headers_are_read_and_not_one_more(plain: Bench) -> None:
    lines = ["X-A: b"] * 97  # three are the handshake's own
    connection = plain.connect(plain.serve(lambda link: link.upgrade(*lines)))
    assert connection.response_headers["x-a"] == ", ".join("b" * 97)
    with pytest.raises(HandshakeError, match="too many headers"):
        plain.connect(plain.serve(lambda link: link.upgrade(*lines, "X-A: b")))


def test_websocket_clients_process_wide_trace_shows_nothing_of_ours(plain: Bench) -> None:
    shown = io.StringIO()
    logger = logging.getLogger("websocket")
    handlers, level = list(logger.handlers), logger.level
    websocket.enableTrace(True, handler=logging.StreamHandler(shown))
    try:
        connection = plain.connect(plain.serve(welcome), headers={"Authorization": "Bearer SECRET"})
        connection.send_text("SECRET, too")
        connection.receive()
    finally:
        websocket.enableTrace(False)
        logger.handlers, logger.level = handlers, level
    assert "SECRET" not in shown.getvalue()


def test_a_cookie_is_not_replayed_on_the_next_connection(plain: Bench) -> None:
    cookies: list[object] = []

    def script(link: Link) -> None:
        link.read_head()
        cookies.append(link.header("cookie"))
        link.upgrade("Set-Cookie: session=of-another-account; Domain=127.0.0.1")
        link.read_to_end()

    peer = plain.serve(script)
    for _ in range(2):
        plain.connect(peer).dispose()
    assert cookies == [None, None]


def test_a_server_that_selects_no_subprotocol_is_accepted(plain: Bench) -> None:
    """RFC 6455, 4.1 allows it, and some compatible servers do it; websocket-client refuses."""
    assert plain.connect(plain.serve(lambda link: link.upgrade())).subprotocol is None


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: d3Jvbmc=\r\n\r\n",
        b"HTTP/1.1 101 X\r\n\r\n",
    ],
)
def test_a_101_that_is_no_websocket_is_refused(plain: Bench, answer: bytes) -> None:
    def script(link: Link) -> None:
        link.read_head()
        link.send(answer)

    with pytest.raises(HandshakeError, match="101"):
        plain.connect(plain.serve(script))


def test_blanks_behind_the_answers_values_are_none_of_theirs(plain: Bench) -> None:
    """RFC 6455, 4.1 (4): "ignoring any leading and trailing whitespace"."""

    def script(link: Link) -> None:
        send = link.send
        link.send = lambda data: send(data.replace(b"\r\n", b" \t\r\n", data.count(b"\r\n") - 1))  # type: ignore[method-assign]
        link.upgrade("Sec-WebSocket-Protocol: realtime")

    assert plain.connect(plain.serve(script)).subprotocol == "realtime"


@pytest.mark.parametrize(
    "interim",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 102 Processing\r\n\r\n" * 3,
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\nSec-WebSocket-Accept: none\r\n\r\n",
        b"HTTP/1.1 100\n\nHTTP/1.1 199 Later\nX: y\n\n",
    ],
)
def test_interim_answers_of_every_kind_are_passed_over(bench: Bench, interim: bytes) -> None:
    """RFC 9110, 15.2: a client must be able to take several, even if it did not expect any."""

    def script(link: Link) -> None:
        link.read_head()
        link.send(interim[:9])
        link.send(interim[9:])
        welcome(link)

    connection = bench.connect(bench.serve(script))
    assert connection.receive() == "welcome"
    assert "link" not in connection.response_headers


@pytest.mark.parametrize("data", ENDLESS_HEADS.values(), ids=ENDLESS_HEADS.keys())
def test_an_answer_whose_head_does_not_end_is_given_up_long_before_the_deadline(bench: Bench, data: bytes) -> None:
    peer = bench.serve(flood(data))
    with within(2), pytest.raises(HandshakeError, match="did not answer the handshake in HTTP"):
        bench.connect(peer, FAST)


@pytest.mark.parametrize("line", ["Sec-WebSocket-Protocol: other", "Sec-WebSocket-Extensions: permessage-deflate"])
def test_a_selection_of_what_was_not_offered_is_refused(plain: Bench, line: str) -> None:
    with pytest.raises(HandshakeError, match="101"):
        plain.connect(plain.serve(lambda link: link.upgrade(line)))


@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH\r\n", b"\x15\x03\x01\x00\x02\x02F", b"HTTP/9 abc\r\n\r\n"])
def test_an_answer_that_is_not_http_is_a_handshake_error(plain: Bench, answer: bytes) -> None:
    def script(link: Link) -> None:
        link.read_head()
        link.send(answer)

    with pytest.raises(HandshakeError, match="did not answer"):
        plain.connect(plain.serve(script))


def test_a_connection_that_is_closed_without_an_answer_is_a_typed_failure(bench: Bench) -> None:
    with pytest.raises(ConnectionFailedError, match="without answering"):
        bench.connect(bench.serve(lambda link: link.read_head()))


@pytest.mark.parametrize("size", [1, 7, 9, 12, 40, 100])
def test_an_answer_that_breaks_off_is_told_as_such_wherever_it_does(bench: Bench, size: int) -> None:
    def script(link: Link) -> None:
        link.read_head()
        link.send((b"HTTP/1.1 101 Switching Protocols\r\n" + b"X: y\r\n" * 20)[:size])

    with pytest.raises(ConnectionFailedError, match="middle of its answer to the handshake"):
        bench.connect(bench.serve(script))


def test_an_ipv6_address_works_and_is_bracketed_in_the_host_header(bench: Bench) -> None:
    hosts: list[Any] = []

    def script(link: Link) -> None:
        link.read_head()
        hosts.append(link.header("host"))
        welcome(link)

    peer = bench.serve(script, host="::1")
    assert bench.connect(peer).receive() == "welcome"
    assert hosts == [f"[::1]:{peer.port}"]


# Injection.


@pytest.mark.parametrize("value", ["sk-1\r\nX-Injected: 1", "sk-1\n", "sk-1\r", "sk\x001", "sk\x7f1", "sk\u26031"])
def test_control_characters_in_a_header_are_refused_before_connecting_and_not_shown(plain: Bench, value: str) -> None:
    peer = plain.serve(welcome)
    with pytest.raises(ConfigurationError, match="header api-key") as caught:
        plain.connect(peer, headers={"api-key": value})
    assert value.strip() not in str(caught.value)
    assert peer.accepted == 0


@pytest.mark.parametrize("name", ["X-A\r\nX-B", "", "a b", "a:b", "Sec-WebSocket-Key", "Connection"])
def test_header_names_that_break_the_request_are_refused(plain: Bench, name: str) -> None:
    with pytest.raises(ConfigurationError):
        plain.connect("ws://127.0.0.1:1/", headers={name: "x"})


@pytest.mark.parametrize(
    "url",
    [
        "ws://127.0.0.1:1/a b?key=SECRET",
        "ws://127.0.0.1:1/?key=SECRET\r\nX: 1",
        "ws://127.0.0.1:1/\t?key=SECRET",
        "ws://127.0.0.1:1/é?key=SECRET",
        "ws://127.0.0.1:1/#SECRET",
        "ws://user:SECRET@127.0.0.1:1/",
        "ws://127.0.0.1:SECRET/",
        "http://127.0.0.1:1/?key=SECRET",
        "ws:///path?key=SECRET",
        "ws://" + "a" * 70 + ".example/?key=SECRET",
        "SECRET",
    ],
)
def test_a_url_that_cannot_be_sent_as_it_is_is_refused_and_not_shown(plain: Bench, url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        plain.connect(url)
    assert "SECRET" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_bad_subprotocol_is_refused_and_not_shown(plain: Bench) -> None:
    with pytest.raises(ConfigurationError, match="Subprotocol 2") as caught:
        plain.connect("ws://127.0.0.1:1/", subprotocols=("realtime", "key.SECRET\r\n"))
    assert "SECRET" not in str(caught.value)


# Addresses.


def _names(monkeypatch: pytest.MonkeyPatch, *addresses: tuple[str, int]) -> None:
    """Let every name stand for ``addresses``."""

    def look_up(host: str, *_: object) -> list[Any]:
        families = [socket.AF_INET6 if ":" in address else socket.AF_INET for address, _ in addresses]
        return [(family, socket.SOCK_STREAM, 6, "", where) for family, where in zip(families, addresses, strict=True)]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


@pytest.mark.parametrize("first", ["refused", "not allowed", "black hole"])
def test_every_address_is_tried_whatever_the_first_one_does(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    peer = bench.serve(welcome)
    with contextlib.ExitStack() as stack:
        if first == "black hole":
            bad = ("::1", stack.enter_context(black_hole("::1")))
        else:
            bad = ("::1", 1) if first == "refused" else ("255.255.255.255", 9)  # a broadcast address
        _names(monkeypatch, bad, ("127.0.0.1", peer.port))
        connection = bench.connect(f"{bench.scheme}://localhost:1/", Timeouts(connect=3))
        assert connection.receive() == "welcome"


def test_a_refused_port_says_so(plain: Bench) -> None:
    with pytest.raises(ConnectionFailedError, match=r"127\.0\.0\.1:1: .*refused") as caught:
        plain.connect("ws://127.0.0.1:1/")
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)


def test_an_unknown_name_says_so(plain: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def look_up(*_: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with pytest.raises(ConnectionFailedError, match=r"no-such\.example was not found"):
        plain.connect("ws://no-such.example/")


def test_the_socket_sends_small_frames_at_once_and_gives_a_dead_network_up(plain: Bench) -> None:
    sock = plain.connect(plain.serve(welcome), Timeouts(send=30))._duplex._socket
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 35_000
    assert not sock.getblocking()


# One deadline, and cancellation, in every phase.


@contextlib.contextmanager
def _in_look_up(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    release = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: release.wait(10) and [])
    yield {"url": f"{bench.scheme}://slow.example/"}
    release.set()


@contextlib.contextmanager
def _in_tcp(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    with black_hole() as port:
        yield {"url": f"{bench.scheme}://127.0.0.1:{port}/"}


@contextlib.contextmanager
def _in_tls(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    peer = bench.without_tls().serve(silent)
    yield {"url": peer.url.replace("ws:", "wss:")}


@contextlib.contextmanager
def _in_silent_handshake(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    yield {"url": bench.serve(silent).url}


@contextlib.contextmanager
def _in_dripping_handshake(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    yield {"url": bench.serve(drip).url}


@contextlib.contextmanager
def _in_interim_answers(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    yield {"url": bench.serve(wait_on).url}


@contextlib.contextmanager
def _in_interim_answers_of_a_proxy(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    proxy = bench.without_tls().serve(wait_on)
    yield {"url": f"{bench.scheme}://127.0.0.1:9/", "proxy": f"http://127.0.0.1:{proxy.port}"}


@contextlib.contextmanager
def _in_http_proxy(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    proxy = bench.without_tls().serve(silent)
    yield {"url": f"{bench.scheme}://127.0.0.1:9/", "proxy": f"http://127.0.0.1:{proxy.port}"}


@contextlib.contextmanager
def _in_socks_proxy(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    proxy = bench.without_tls().serve(silent)
    yield {"url": f"{bench.scheme}://127.0.0.1:9/", "proxy": f"socks5h://127.0.0.1:{proxy.port}"}


PHASES: list[Callable[..., Any]] = [
    _in_look_up,
    _in_tcp,
    _in_tls,
    _in_silent_handshake,
    _in_dripping_handshake,
    _in_interim_answers,
    _in_interim_answers_of_a_proxy,
    _in_http_proxy,
    _in_socks_proxy,
]


@pytest.mark.parametrize("phase", PHASES)
def test_the_connect_deadline_holds_in_every_phase(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, phase: Callable[..., Any]
) -> None:
    with phase(bench, monkeypatch) as target:
        began = time.monotonic()
        with within(1.5), pytest.raises(ConnectTimeoutError, match=r"within 0\.3 s \(Timeouts\.connect\)"):
            bench.connect(target.pop("url"), SHORT, **target)
        assert time.monotonic() - began > 0.25


def test_the_longest_timeouts_that_can_be_set_can_be_waited_for(bench: Bench) -> None:
    longest = Timeouts(**dict.fromkeys((field.name for field in attrs.fields(Timeouts)), 1_000_000))
    for timeouts in (longest, Timeouts(send=1_000_000), Timeouts(ping_interval=1_000_000, ping=1_000_000)):
        connection = bench.connect(bench.serve(welcome), timeouts)
        assert connection.receive() == "welcome"
        reader = Running(connection.receive)
        connection.send_text("x")
        connection.abort()
        with pytest.raises(ConnectionClosedError):
            reader.result()


@pytest.mark.parametrize("seconds", [0, -1, True, float("nan"), float("inf"), 1_000_001, "1"])
def test_a_time_out_that_cannot_be_waited_for_is_refused(seconds: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"Timeouts\.send"):
        Timeouts(send=seconds)


@pytest.mark.parametrize("phase", PHASES)
def test_a_cancellation_ends_connect_at_once_in_every_phase(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, phase: Callable[..., Any]
) -> None:
    with phase(bench, monkeypatch) as target, Cancellation() as cancellation:
        waiting = threading.Event()
        watch = cancellation.watch

        def watched(wake: Callable[[], None]) -> None:
            watch(wake)
            waiting.set()

        monkeypatch.setattr(cancellation, "watch", watched)
        call = Running(lambda: bench.connect(target.pop("url"), FAST, cancellation=cancellation, **target))
        assert waiting.wait(5)
        call._thread.join(0.1)  # into its phase; before or after, the promise is the same
        with within(1):
            cancellation.cancel()
            with pytest.raises(ConnectCancelledError):
                call.result(5)


def test_a_cancellation_of_before_ends_connect_before_anything_is_sent(plain: Bench) -> None:
    peer = plain.serve(welcome)
    cancellation = Cancellation()
    cancellation.cancel()
    cancellation.cancel()
    assert cancellation.cancelled
    with pytest.raises(ConnectCancelledError):
        plain.connect(peer, cancellation=cancellation)


def test_a_cancellation_after_connect_leaves_the_connection_alone(plain: Bench) -> None:
    cancellation = Cancellation()
    connection = plain.connect(plain.serve(welcome), cancellation=cancellation)
    cancellation.cancel()
    assert connection.receive() == "welcome"
    assert connection.close_info is None


def test_who_stops_watching_is_not_being_woken_any_more() -> None:
    """Else a wake-up could write to a descriptor that is closed, and somebody else's by then."""
    cancellation = Cancellation()
    waking, go_on, done = threading.Event(), threading.Event(), threading.Event()

    def wake() -> None:
        waking.set()
        go_on.wait(10)
        done.set()

    cancellation.watch(wake)
    cancelling = Running(cancellation.cancel)
    assert waking.wait(5)
    unwatching = Running(lambda: (cancellation.unwatch(wake), done.is_set())[1])
    unwatching._thread.join(0.05)
    go_on.set()
    assert unwatching.result() is True
    cancelling.result()


def test_waiting_on_a_cancellation_is_interrupted_by_it() -> None:
    with Cancellation() as cancellation:
        assert cancellation.wait(0.01) is False
        call = Running(lambda: cancellation.wait(10))
        cancellation.cancel()
        assert call.result() is True


# Nothing is left behind.


def refuse(link: Link) -> None:
    link.read_head()
    link.send(b"HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\n{}")


FAILURES: dict[str, Callable[[Bench], dict[str, Any]]] = {
    "refused port": lambda bench: {"url": f"{bench.scheme}://127.0.0.1:1/"},
    "bad header": lambda bench: {"url": f"{bench.scheme}://127.0.0.1:1/", "headers": {"a": "\n"}},
    "401": lambda bench: {"url": bench.serve(refuse).url},
    "closed": lambda bench: {"url": bench.serve(lambda link: link.read_head()).url},
    "reset": lambda bench: {"url": bench.serve(lambda link: (link.read_head(), link.reset())).url},
    "no TLS there": lambda bench: {"url": bench.without_tls().serve(_garbage).url.replace("ws:", "wss:")},
    "time-out": lambda bench: {"url": bench.serve(silent).url, "timeouts": Timeouts(connect=0.02)},
    "bad proxy": lambda bench: {"url": "ws://127.0.0.1:9/", "proxy": "http://127.0.0.1:1"},
    "refusing proxy": lambda bench: {
        "url": f"{bench.scheme}://127.0.0.1:9/",
        "proxy": bench.without_tls().serve(refuse).url.replace("ws:", "http:"),
    },
    "garbage of a SOCKS proxy": lambda bench: {
        "url": f"{bench.scheme}://127.0.0.1:9/",
        "proxy": bench.without_tls().serve(_garbage).url.replace("ws:", "socks5h:"),
    },
    "silent SOCKS proxy": lambda bench: {
        "url": f"{bench.scheme}://127.0.0.1:9/",
        "proxy": bench.without_tls().serve(silent).url.replace("ws:", "socks5:"),
        "timeouts": Timeouts(connect=0.02),
    },
}


def _garbage(link: Link) -> None:
    link.receive()
    link.send(b"\xff" * 20)


@pytest.mark.slow
@pytest.mark.parametrize("name", FAILURES)
def test_fifty_failing_connects_leave_no_descriptor_and_no_thread(bench: Bench, name: str) -> None:
    options = FAILURES[name](bench)
    url = options.pop("url")

    def fail() -> None:
        with pytest.raises((ConnectionFailedError, ConfigurationError)):
            bench.connect(url, **options)

    fail()
    before = descriptors()
    for _ in range(50):
        fail()
    # The peer's threads may still hold a few of the accepted sockets.
    deadline = time.monotonic() + 5
    while descriptors() > before and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    assert descriptors() <= before
    assert "realtime-sync-resolver" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.skipif(not hasattr(os, "eventfd"), reason="another kind of wake-up is used here")
def test_a_connection_has_two_descriptors(bench: Bench) -> None:
    release = threading.Event()
    connection = bench.open(lambda link: release.wait(10))  # and keeps its own
    before = descriptors()
    connection.dispose()
    assert before - descriptors() == 2  # the socket, and what wakes those that wait
    release.set()


@pytest.mark.parametrize("without", ["poll", "eventfd", "both"])
def test_a_connection_waits_and_is_woken_on_systems_without_poll_or_eventfd(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, without: str
) -> None:
    def script(link: Link) -> None:
        assert link.read_frame() == (TEXT, b"there")
        link.send(frame(TEXT, "and back"))
        link.read_to_end()

    with monkeypatch.context() as patch:
        if without in ("poll", "both"):
            patch.delattr(select, "poll", raising=False)
        if without in ("eventfd", "both"):
            patch.delattr(os, "eventfd", raising=False)
        connection = bench.open(script)
        connection.send_text("there")
        assert connection.receive() == "and back"
        waiting = Running(connection.receive)
        connection.abort()
        assert isinstance(waiting.join(), ConnectionLostError)
        connection.dispose()


@pytest.mark.parametrize("missing", ["eventfd", "socketpair", "first selector", "second selector"])
def test_a_process_without_a_descriptor_to_spare_is_told_so_and_leaks_none(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:

    def script(link: Link) -> None:
        with contextlib.suppress(EOFError, OSError):  # the client may be gone at any moment
            welcome(link)

    peer = bench.serve(script)
    here, made = threading.get_ident(), [0]
    before = descriptors()

    def fails(make: Callable[..., Any], nth: int) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            if threading.get_ident() == here:  # the peer's threads have enough
                made[0] += 1
                if made[0] == nth:
                    raise OSError(errno.EMFILE, "Too many open files")
            return make(*args)

        return call

    with monkeypatch.context() as patch:
        if missing == "eventfd":
            patch.setattr(os, "eventfd", fails(os.eventfd, 1))
        else:  # as on Windows, and under eventlet
            patch.delattr(select, "poll", raising=False)
            patch.delattr(os, "eventfd", raising=False)
        if missing == "socketpair":
            patch.setattr(socket, "socketpair", fails(socket.socketpair, 1))
        elif missing != "eventfd":
            patch.setattr(selectors, "DefaultSelector", fails(selectors.DefaultSelector, 1 + (missing[0] == "s")))
        with pytest.raises(ConnectionFailedError, match="Too many open files"):
            bench.connect(peer)
    bench.stack.close()
    assert descriptors() < before  # the listener is closed, too


def test_an_interrupt_during_connect_leaves_no_descriptor(plain: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    from realtime_sync.transport import waiting

    def interrupt(*_: object) -> bool:
        raise KeyboardInterrupt

    peer = plain.serve(silent)
    before = descriptors()
    with monkeypatch.context() as patch:
        for kind in (waiting._Polling, waiting._Selecting):
            patch.setattr(kind, "wait", interrupt)
        with pytest.raises(KeyboardInterrupt):
            plain.connect(peer)
    plain.stack.close()
    assert descriptors() < before
