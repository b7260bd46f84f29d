"""Proxies: CONNECT and SOCKS on the way to a plain and to a TLS server, and what each refusal says."""

from __future__ import annotations

import base64
import builtins
import contextlib
import socket
import struct
import threading
from typing import Any, Callable

import pytest

from realtime_sync.errors import ConfigurationError, ProxyError, TLSError
from tests.core.harness import within
from tests.transport.conftest import Bench, Running
from tests.transport.peer import ENDLESS_HEADS, TEXT, Link, Peer, flood, frame


def welcome(link: Link) -> None:
    link.upgrade()
    link.send(frame(TEXT, "welcome"))
    with contextlib.suppress(EOFError):
        link.send(frame(*link.read_frame()))
    link.read_to_end()


def splice(link: Link, host: str, port: int) -> None:
    """Pass bytes both ways until either side ends."""
    with socket.create_connection((host, port), 5) as sock:
        onward = Link(sock)

        def back() -> None:
            with contextlib.suppress(OSError):
                while data := onward.receive():
                    link.send(data)
                link.sock.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=back, daemon=True)
        thread.start()
        with contextlib.suppress(OSError):
            onward.send(link.read(len(link._buffer)))
            while data := link.receive():
                onward.send(data)
            sock.shutdown(socket.SHUT_WR)
        thread.join(5)


def proxy(bench: Bench, script: Callable[[Link], object], tls: bool = False) -> Peer:
    return bench.stack.enter_context(Peer(script, bench.certified() if tls else None))


class Connector:
    """An HTTP proxy that remembers what it was asked."""

    def __init__(self, before: bytes = b"") -> None:
        self.heads: list[str] = []
        self.before = before

    def __call__(self, link: Link) -> None:
        self.heads.append(link.read_head().decode())
        host, _, port = self.heads[-1].split()[1].rpartition(":")
        link.send(self.before + b"HTTP/1.1 200 Connection established\r\nX-Proxy: 1\r\n\r\n")
        splice(link, host.strip("[]"), int(port))


def use(bench: Bench, url: str, **options: Any) -> None:
    connection = bench.connect(bench.serve(welcome), proxy=url, **options)
    assert connection.receive() == "welcome"
    connection.send_text("echo")
    assert connection.receive() == "echo"


def test_an_http_proxy_is_asked_to_connect_and_sees_nothing_of_the_headers(bench: Bench) -> None:
    connector = Connector()
    peer = proxy(bench, connector)
    use(bench, f"http://127.0.0.1:{peer.port}", headers={"Authorization": "Bearer SECRET"})
    (head,) = connector.heads
    assert head.startswith("CONNECT 127.0.0.1:")
    assert "SECRET" not in head
    assert "Proxy-Authorization" not in head


def test_a_proxy_without_a_scheme_is_an_http_proxy(plain: Bench) -> None:
    use(plain, f"127.0.0.1:{proxy(plain, Connector()).port}")


def test_an_http_proxys_credentials_are_decoded_and_sent_as_basic(bench: Bench) -> None:
    connector = Connector()
    peer = proxy(bench, connector)
    use(bench, f"http://me%40home:p%3Ass%C3%A4@127.0.0.1:{peer.port}")
    expected = base64.b64encode("me@home:p:ssä".encode()).decode()
    assert f"Proxy-Authorization: Basic {expected}" in connector.heads[0]


def test_an_ipv6_target_is_bracketed(plain: Bench) -> None:
    connector = Connector()
    peer = proxy(plain, connector)
    target = plain.serve(welcome, host="::1")
    assert plain.connect(target, proxy=f"http://127.0.0.1:{peer.port}").receive() == "welcome"
    assert connector.heads[0].startswith(f"CONNECT [::1]:{target.port} ")


def test_a_proxy_that_is_itself_reached_by_tls_works_also_with_tls_inside(bench: Bench) -> None:
    use(bench, f"https://127.0.0.1:{proxy(bench, Connector(), tls=True).port}")


def test_tls_inside_of_tls_carries_large_messages_both_ways_at_once(secure: Bench) -> None:
    size = 3_000_000

    def script(link: Link) -> None:
        link.upgrade()
        sending = Running(lambda: link.send(frame(TEXT, b"s" * size)))
        assert link.read_frame() == (TEXT, b"c" * size)
        sending.result()

    peer = proxy(secure, Connector(), tls=True)
    connection = secure.connect(secure.serve(script), proxy=f"https://127.0.0.1:{peer.port}")
    sending = Running(lambda: connection.send_text(b"c" * size))
    assert connection.receive() == "s" * size
    sending.result()


def test_tls_inside_of_tls_waits_for_nothing_that_has_come_already(secure: Bench) -> None:
    """Records that come together: those behind the first are in memory, where no waiter sees them."""
    peer = proxy(secure, Connector(), tls=True)

    def script(link: Link) -> None:
        link.upgrade()
        for number in range(300):
            link.send(frame(TEXT, str(number)))
        link.read_to_end()

    connection = secure.connect(secure.serve(script), proxy=f"https://127.0.0.1:{peer.port}")
    with within(4):
        assert [connection.receive() for _ in range(300)] == [*map(str, range(300))]


def test_the_certificate_behind_a_tls_proxy_is_verified(secure: Bench) -> None:
    peer = proxy(secure, Connector(), tls=True)
    target = secure.stack.enter_context(Peer(welcome, secure.certified("other.example")))
    with pytest.raises(TLSError, match="another name"):
        secure.connect(target, proxy=f"https://127.0.0.1:{peer.port}")


def test_a_proxy_that_does_not_speak_the_tls_it_should_is_a_tls_error(plain: Bench) -> None:
    peer = proxy(plain, lambda link: (link.receive(), link.send(b"HTTP/1.1 400 No\r\n\r\n")))
    with pytest.raises(TLSError):
        use(plain, f"https://127.0.0.1:{peer.port}")


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"HTTP/1.1 407 Auth\r\nProxy-Authenticate: Basic\r\nContent-Length: 3\r\n\r\nno!", "wants credentials .407."),
        (b"HTTP/1.1 403 No\r\n\r\n", "HTTP 403"),
        (b"HTTP/1.1 502 Bad\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "HTTP 502"),
        (b"\x05\xff", "did not answer CONNECT in HTTP"),
        (b"", "without answering CONNECT"),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n", "without answering CONNECT"),
        (b"HTTP/1.1 200 OK\r\n\r\nsurprise", "more than its answer"),
        (b"HTTP/1.1 200 OK\r\nX-Proxy: ", "in the middle of its answer"),
    ],
)
def test_what_an_http_proxy_refuses_is_a_proxy_error_without_the_password(
    bench: Bench, answer: bytes, told: str
) -> None:
    def script(link: Link) -> None:
        link.read_head()
        link.send(answer)

    with pytest.raises(ProxyError, match=told) as caught:
        use(bench, f"http://me:SECRET@127.0.0.1:{proxy(bench, script).port}")
    assert "SECRET" not in str(caught.value)
    assert base64.b64encode(b"me:SECRET").decode() not in str(caught.value)


def test_interim_answers_of_a_proxy_are_passed_over(bench: Bench) -> None:
    connector = Connector(before=b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n")
    connection = bench.connect(bench.serve(welcome), proxy=f"http://127.0.0.1:{proxy(bench, connector).port}")
    assert connection.receive() == "welcome"


@pytest.mark.parametrize("data", ENDLESS_HEADS.values(), ids=ENDLESS_HEADS.keys())
def test_an_answer_of_a_proxy_whose_head_does_not_end_is_given_up(plain: Bench, data: bytes) -> None:
    if data.startswith(b"HTTP/1.1 101"):
        data = data.replace(b" 101 ", b" 200 ")
    with within(2), pytest.raises(ProxyError, match="did not answer CONNECT in HTTP"):
        use(plain, f"http://127.0.0.1:{proxy(plain, flood(data)).port}")


def test_a_proxy_that_cannot_be_reached_is_a_proxy_error(bench: Bench) -> None:
    for scheme in ("http", "socks5h", "socks4a"):
        with pytest.raises(ProxyError, match="refused") as caught:
            use(bench, f"{scheme}://me:SECRET@127.0.0.1:1")
        assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize("url", ["ftp://h", "http://", "http://h:SECRET", "socks5://u:%C3%A4SECRET@h", "http://a b"])
def test_a_proxy_url_that_makes_no_sense_is_refused_and_not_shown(plain: Bench, url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        use(plain, url)
    assert "SECRET" not in str(caught.value)


class Socks:
    """A tiny SOCKS4a and SOCKS5 server; ``asked`` holds version, host and credentials."""

    def __init__(self, reply: int = 0) -> None:
        self.asked: list[tuple[int, str, str]] = []
        self.reply = reply

    def __call__(self, link: Link) -> None:
        (version,) = link.read(1)
        host, port, credentials = self.version5(link) if version == 5 else self.version4(link)
        self.asked.append((version, host, credentials))
        if version == 5:
            link.send(bytes([5, self.reply, 0, 1, 0, 0, 0, 0, 0, 0]))
        else:
            link.send(bytes([0, 91 if self.reply else 90, 0, 0, 0, 0, 0, 0]))
        if not self.reply:
            splice(link, host, port)

    def version5(self, link: Link) -> tuple[str, int, str]:
        methods = link.read(link.read(1)[0])
        credentials = ""
        if 2 in methods:
            link.send(b"\x05\x02")
            link.read(1)
            credentials = ":".join(link.read(link.read(1)[0]).decode() for _ in range(2))
            link.send(b"\x01\x00")
        else:
            link.send(b"\x05\x00")
        kind = link.read(4)[3]
        if kind == 3:
            host = link.read(link.read(1)[0]).decode()
        else:
            host = socket.inet_ntop(
                *((socket.AF_INET, link.read(4)) if kind == 1 else (socket.AF_INET6, link.read(16)))
            )
        return host, struct.unpack("!H", link.read(2))[0], credentials

    def version4(self, link: Link) -> tuple[str, int, str]:
        _, port, address = struct.unpack("!BH4s", link.read(7))
        user = self.word(link)
        return (self.word(link) if address[:3] == b"\0\0\0" else socket.inet_ntoa(address)), port, user

    def word(self, link: Link) -> str:
        word = b""
        while (byte := link.read(1)) != b"\0":
            word += byte
        return word.decode()


@pytest.mark.parametrize(
    ("scheme", "version", "host"),
    [("socks5", 5, "127.0.0.1"), ("socks5h", 5, "localhost"), ("socks4", 4, "127.0.0.1"), ("socks4a", 4, "localhost")],
)
def test_each_socks_version_connects_and_looks_names_up_on_its_own_side(
    bench: Bench, scheme: str, version: int, host: str
) -> None:
    socks = Socks()
    target = bench.serve(welcome)
    url = f"{scheme}://me:pass@127.0.0.1:{proxy(bench, socks).port}"
    connection = bench.connect(target.url.replace("127.0.0.1", "localhost"), proxy=url)
    assert connection.receive() == "welcome"
    assert socks.asked == [(version, host, "me:pass" if version == 5 else "me")]


def test_a_socks_refusal_is_a_proxy_error_without_the_password(bench: Bench) -> None:
    for scheme in ("socks5h", "socks4a"):
        with pytest.raises(ProxyError, match="refused to connect to 127") as caught:
            use(bench, f"{scheme}://me:SECRET@127.0.0.1:{proxy(bench, Socks(reply=2)).port}")
        assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize("answer", [b"", b"\x05", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x05\xff"])
def test_a_socks_proxy_that_makes_no_sense_is_a_proxy_error(bench: Bench, answer: bytes) -> None:
    peer = proxy(bench, lambda link: (link.receive(), link.send(answer)))
    with pytest.raises(ProxyError):
        use(bench, f"socks5h://127.0.0.1:{peer.port}")


def test_without_the_socks_package_the_error_says_how_to_get_it(plain: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    peer = proxy(plain, lambda link: link.read_to_end())
    really_import = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("python_socks"):
            raise ImportError(name)
        return really_import(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ProxyError, match=r"pip install 'realtime-sync\[socks\]'"):
        use(plain, f"socks5://127.0.0.1:{peer.port}")
