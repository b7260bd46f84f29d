"""The server itself: what it leaves behind (nothing), TLS, pings, the end of a session, what it records."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Callable, Iterator

import attrs
import pytest
import trustme
import websocket

from realtime_sync.errors import ConfigurationError, WaitTimeoutError
from realtime_sync.server import Act, RealtimeServer, Refusal, Reply, Turn, default_transcriber, faults
from realtime_sync.server.connection import ServerConnection
from realtime_sync.server.speech.without_models import speech_without_models
from realtime_sync.server.traffic import Traffic, Upgrade
from realtime_sync.server.vad import EnergyDetector, EnergyStream
from realtime_sync.testing import ManualClock
from tests.core.harness import Running, until, within
from tests.server import sounds
from tests.server.conftest import Peer, server_threads

pytestmark = pytest.mark.medium


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls_server(authority: trustme.CA) -> Iterator[RealtimeServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with RealtimeServer(ssl_context=context) as server:
        yield server


def trusting(authority: trustme.CA) -> dict[str, ssl.SSLContext]:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return {"context": context}


def test_a_conversation_over_tls(
    tls_server: RealtimeServer, authority: trustme.CA, open_peer: Callable[..., Peer]
) -> None:
    assert tls_server.url.startswith("https://127.0.0.1:")
    peer = open_peer(tls_server, sslopt=trusting(authority))
    peer.user_says("Hello")
    peer.say("response.create")
    assert peer.until("response.done")["response"]["status"] == "completed"


def test_tls_from_files(authority: trustme.CA, tmp_path: Path, open_peer: Callable[..., Peer]) -> None:
    issued = authority.issue_cert("127.0.0.1")
    key, chain = tmp_path / "key.pem", tmp_path / "chain.pem"
    issued.private_key_pem.write_to_path(str(key))
    for blob in issued.cert_chain_pems:
        blob.write_to_path(str(chain), append=True)
    with RealtimeServer(tls=(str(chain), str(key))) as server:
        assert open_peer(server, sslopt=trusting(authority)).recv()["type"] == "session.created"
    with pytest.raises(ConfigurationError):
        RealtimeServer(tls=(str(chain), str(key)), ssl_context=ssl.create_default_context())


def test_a_peer_that_never_says_hello_holds_up_nobody(
    tls_server: RealtimeServer, authority: trustme.CA, open_peer: Callable[..., Peer]
) -> None:
    with socket.create_connection(("127.0.0.1", tls_server.port)):
        assert open_peer(tls_server, sslopt=trusting(authority)).recv()["type"] == "session.created"


def test_a_peer_that_resets_the_connection_before_the_handshake_leaves_no_socket(
    authority: trustme.CA, open_peer: Callable[..., Peer]
) -> None:
    """Else Python warns of it, which fails this test."""

    class AfterTheReset(ssl.SSLContext):
        def wrap_socket(self, sock: socket.socket, *args: Any, **options: Any) -> ssl.SSLSocket:
            seen = select.poll()
            seen.register(sock, 0)
            if not tried:
                tried.append(bool(seen.poll(5000)))
            return super().wrap_socket(sock, *args, **options)

    context, tried = AfterTheReset(ssl.PROTOCOL_TLS_SERVER), list[bool]()
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with RealtimeServer(ssl_context=context) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as leaver:
            leaver.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert open_peer(server, sslopt=trusting(authority)).recv()["type"] == "session.created"
    assert tried == [True]


def test_closing_ends_every_thread_and_descriptor_whatever_is_going_on() -> None:
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
    server = RealtimeServer(responder=lambda turn: Reply("x " * 50, delta_delay=60.0))
    peers = [Peer(server) for _ in range(5)]
    for peer in peers:
        peer.recv()
    peers[0].say("response.create")
    peers[0].until("response.created")
    plain = socket.create_connection(("127.0.0.1", server.port))
    with within(2.0):
        server.close()
        server.close()
    # On a slow machine, the last ones end a moment after the two seconds that it has for them.
    until(lambda: server_threads() == [])
    for peer in peers:
        peer.ws.shutdown()
    plain.close()
    if before is not None:
        until(lambda: len(os.listdir("/proc/self/fd")) <= before)


def test_closing_waits_for_an_answer_that_is_begun_meanwhile(open_peer: Callable[..., Peer]) -> None:
    def responder(turn: Turn) -> str:
        turn.cancelled.wait(10)
        threading.Event().wait(0.1)  # it takes a moment to come back
        return ""

    with RealtimeServer(responder=responder) as server:
        peer = open_peer(server)
        peer.recv()
        session = server.wait_for_session()
        with session.lock:  # nothing is handled meanwhile
            peer.say("response.create")
            session.wait_after(0, "response.create", 5)
            closing = Running(server.close)
            until(lambda: session.connection is not None and session.connection._urgent)
        closing.result()
        assert not [thread for thread in session.threads if thread.is_alive()]


def test_nothing_is_left_after_a_hundred_sessions(server: RealtimeServer) -> None:
    def count() -> int:
        return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0

    with Peer(server) as peer:
        peer.recv()
    server.wait_for_session().wait_until_closed()
    before = count()
    for number in range(100):
        with Peer(server, checked=False) as peer:
            peer.recv()
        server.wait_for_session(count=number + 2).wait_until_closed()
    assert count() <= before
    deadline = time.monotonic() + 5
    while len(server_threads()) > 2 and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    assert len(server_threads()) <= 2  # the one that accepts, and the clock's


def test_a_close_is_answered_and_recorded(peer: Peer, server: RealtimeServer) -> None:
    session = server.sessions[0]
    peer.ws.send_close(1000, b"bye")
    assert peer.close_frame() == (1000, "bye")
    assert session.wait_until_closed() == 1000
    assert (session.close_reason, session.closed_by_client) == ("bye", True)


def test_the_server_can_close_and_records_its_own_code(peer: Peer, server: RealtimeServer) -> None:
    session = server.sessions[0]
    session.close(4321, "enough")
    assert peer.close_frame() == (4321, "enough")
    peer.ws.send_close(1000, b"")
    assert session.wait_until_closed() == 4321
    assert not session.closed_by_client


def test_a_client_that_vanishes_is_recorded_as_1006(peer: Peer, server: RealtimeServer) -> None:
    peer.ws.shutdown()
    assert server.sessions[0].wait_until_closed() == 1006


def test_a_client_that_sends_without_a_pause_is_closed_all_the_same(peer: Peer, server: RealtimeServer) -> None:
    session = server.sessions[0]
    stopped = threading.Event()

    def send() -> None:
        with contextlib.suppress(OSError, websocket.WebSocketException):
            while not stopped.is_set():
                peer.say("input_audio_buffer.append", audio="AAAA" * 4000)

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    session.wait_for_message("input_audio_buffer.append")
    session.close(1001, "enough")
    try:
        assert session.wait_until_closed(timeout=20.0) == 1001
    finally:
        stopped.set()
        peer.ws.shutdown()
        sender.join(10)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a thread's stack is not asked for at once")
def test_a_machine_that_has_no_more_threads_ends_the_new_connection_alone(peer: Peer, server: RealtimeServer) -> None:
    usual = threading.stack_size(2**47)  # more than there are addresses
    try:
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as refused:
            assert refused.recv(1) == b""
    finally:
        threading.stack_size(usual)
    peer.update(instructions="still here")
    server.close()
    assert server.sessions[0].is_over


def test_a_session_ends_at_its_hour_which_passes_at_once(open_peer: Callable[..., Peer]) -> None:
    clock = ManualClock()
    with RealtimeServer(clock=clock) as server:
        peer = open_peer(server)
        peer.recv()
        clock.advance(3599)
        peer.update(instructions="still here")
        clock.advance(1)
        error = peer.error()
        assert error["code"] == "session_expired"
        assert error["message"] == "Your session hit the maximum duration of 60 minutes."
        assert peer.close_frame()[0] == 1001


def test_pings_come_by_the_clock_and_an_answering_client_is_kept(open_peer: Callable[..., Peer]) -> None:
    clock = ManualClock()
    with RealtimeServer(clock=clock) as server:
        peer = open_peer(server)
        peer.recv()
        for _ in range(3):
            clock.advance(20)
            opcode, _ = peer.ws.recv_data_frame(control_frame=True)  # and answers it
            assert opcode == websocket.ABNF.OPCODE_PING
            peer.update()


def test_a_client_that_does_not_answer_pings_is_closed_with_1011(open_peer: Callable[..., Peer]) -> None:
    with RealtimeServer(ping_interval=0.1, pong_timeout=0.2) as server:
        open_peer(server).ws.recv()  # and reads nothing more
        assert server.wait_for_session().wait_until_closed(timeout=5.0) == 1011


def test_replies_are_delayed_by_the_clock(open_peer: Callable[..., Peer]) -> None:
    clock = ManualClock()
    reply = Reply("Well.", delay=600.0)
    with RealtimeServer(clock=clock, responder=lambda turn: reply, ping_interval=None) as server:
        peer = open_peer(server)
        peer.update(output_modalities=["text"])
        peer.say("response.create")
        peer.until("response.created")
        assert clock.wait_for_timers(2)  # the session's end, and the reply
        clock.advance(600.0)
        peer.until("response.done")


def test_audio_can_be_paced_by_the_clock(open_peer: Callable[..., Peer]) -> None:
    clock = ManualClock()
    with RealtimeServer(clock=clock, audio_pace=1.0, ping_interval=None) as server:
        peer = open_peer(server)
        peer.say("response.create")
        for _ in range(3):
            peer.until("response.output_audio.delta")
            assert clock.wait_for_timers(2)
            clock.advance(0.1)  # 100 ms of audio in a delta
        peer.say("response.cancel")
        assert peer.until("response.done")["response"]["status"] == "cancelled"


def test_the_real_clock_paces_too(open_peer: Callable[..., Peer]) -> None:
    pcm = bytes(48 * 500)
    with RealtimeServer(responder=lambda turn: Reply("", audio=pcm), audio_pace=2.0) as server:
        peer = open_peer(server)
        begin = time.monotonic()
        peer.say("response.create")
        peer.until("response.done")
        assert time.monotonic() - begin >= 0.2


def test_what_the_client_said_can_be_awaited(peer: Peer, server: RealtimeServer) -> None:
    session = server.wait_for_session()
    peer.say("session.update", session={"type": "realtime"}, event_id="first")
    peer.say("session.update", session={"type": "realtime"}, event_id="second")
    assert session.wait_for_message("session.update")["event_id"] == "first"
    assert session.wait_for_message("session.update", count=2)["event_id"] == "second"
    assert session.wait_for_message(lambda told: told.get("event_id") == "second")["type"] == "session.update"
    assert session.wait_for_sent("session.updated", count=2)
    with pytest.raises(WaitTimeoutError, match=r"the last were \['session.update', 'session.update'\]"):
        session.wait_for_message("response.create", timeout=0.05)
    with pytest.raises(WaitTimeoutError):
        server.wait_for_session(timeout=0.05, count=2)
    peer.ws.shutdown()
    with pytest.raises(WaitTimeoutError, match="before the connection ended with 1006"):
        session.wait_for_message("response.create", timeout=60)


def test_a_message_counts_as_received_once_it_is_handled(peer: Peer, server: RealtimeServer) -> None:
    """Or what a test does next could overtake what the client asked for."""
    session = server.wait_for_session()
    with session.lock:  # nothing is handled meanwhile
        peer.say("session.update", session={"type": "realtime"})
        session.wait_after(0, "session.update", 5)
        with pytest.raises(WaitTimeoutError, match="not handled"):
            session.wait_for_message("session.update", timeout=0.05)
    assert session.wait_for_message("session.update")
    assert [told["type"] for told in session.sent] == ["session.created", "session.updated"]


def test_the_record_keeps_what_was_told_whatever_becomes_of_it(peer: Peer, server: RealtimeServer) -> None:
    peer.update(audio={"input": {"turn_detection": None, "transcription": {"model": "gpt-transcribe"}}})
    peer.append(sounds.tone(200))
    peer.say("input_audio_buffer.commit")
    peer.until("conversation.item.input_audio_transcription.completed")
    peer.say("response.create")
    answer = peer.until("response.done")["response"]["output"][0]
    peer.say("conversation.item.truncate", item_id=answer["id"], content_index=0, audio_end_ms=10)
    peer.until("conversation.item.truncated")
    session = server.wait_for_session()
    session.wait_for_sent("conversation.item.truncated")  # it is sent before it is noted
    assert session.sent == peer.seen


@pytest.mark.parametrize("record", [True, False])
def test_a_past_session_keeps_its_audio_only_for_the_record(record: bool, open_peer: Callable[..., Peer]) -> None:
    with RealtimeServer(record=record) as server:
        peer = open_peer(server)
        peer.vad_off()
        peer.append(sounds.silence(1000))
        peer.say("input_audio_buffer.commit")
        peer.until("conversation.item.done")
        session = server.wait_for_session()
        peer.ws.shutdown()
        session.wait_until_closed()
        assert [item.audio_ms() for item in session.conversation] == ([1000] if record else [])


def test_a_message_of_another_socket_is_not_taken_for_handled() -> None:
    record = Traffic(Upgrade("/", {}, {}))
    first, second = record.note_received({"type": "first"}), record.note_received({"type": "second"})
    record.note_handled(second)
    with pytest.raises(WaitTimeoutError, match="not handled"):
        record.wait_for_message("first", timeout=0.05)
    assert record.wait_for_message("second")
    record.note_handled(first)
    assert record.wait_for_message("first")


def test_a_server_begins_without_asking_who_this_machine_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getfqdn", lambda *_: pytest.fail("it asks the resolver"))
    with RealtimeServer() as server:
        assert server.url.startswith("http://127.0.0.1:")


def test_a_session_that_cannot_begin_is_refused_with_the_reason() -> None:
    class Deaf(EnergyDetector):
        def listen(self, rate: int) -> EnergyStream:
            raise ConfigurationError("the model is missing")

    with RealtimeServer(speech=attrs.evolve(speech_without_models(default_transcriber), detector=Deaf())) as server:
        with pytest.raises(websocket.WebSocketBadStatusException) as caught:
            Peer(server)
        assert server.sessions == []
    assert caught.value.status_code == 500
    assert caught.value.resp_body is not None
    assert b"the model is missing" in caught.value.resp_body


def test_no_key_is_shown(server: RealtimeServer, open_peer: Callable[..., Peer]) -> None:
    with RealtimeServer(api_keys=["right"]) as strict:
        told = open_peer(strict, headers=("Authorization: Bearer sk-very-secret",)).recv()
    assert "secret" not in str(told)
    open_peer(server, headers=("Authorization: Bearer sk-very-secret",)).recv()
    shown = repr(server.wait_for_session())
    assert shown == "<ServerSession /v1/realtime open, 0 received, 1 sent>"


def test_a_long_answer_goes_on_while_pings_are_answered_and_messages_read(open_peer: Callable[..., Peer]) -> None:
    go = threading.Event()

    def responder(turn: Turn) -> Iterator[str]:
        yield "Thinking."
        go.wait(10)
        yield " Thought."

    with RealtimeServer(responder=responder) as server:
        peer = open_peer(server)
        peer.update(output_modalities=["text"])
        peer.say("response.create")
        peer.until("response.output_text.delta")
        peer.ws.ping("hello")
        opcode, frame = peer.ws.recv_data_frame(control_frame=True)
        assert (opcode, frame.data) == (websocket.ABNF.OPCODE_PONG, b"hello")
        peer.update(instructions="meanwhile")
        go.set()
        peer.until("response.done")


def test_two_hundred_clients_at_once_get_their_answers(server: RealtimeServer) -> None:
    failures: list[BaseException] = []

    def converse() -> None:
        try:
            for _ in range(5):
                with Peer(server, checked=False) as peer:
                    peer.update(output_modalities=["text"])
                    peer.user_says("Hello")
                    peer.say("response.create")
                    peer.until("response.done")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=converse, daemon=True) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failures == []
    assert len(server.sessions) == 200


def test_without_wsproto_the_error_says_what_to_install() -> None:
    code = "import sys; sys.modules['wsproto'] = None\nimport realtime_sync.server"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "pip install 'realtime-sync[server]'" in done.stderr


NONSENSE: dict[str, list[Any]] = {
    "port": [-1, 65536],
    "audio_pace": [-1.0, 0],
    "ping_interval": [-20.0, 0],
    "pong_timeout": [-1.0],
    "session_seconds": [0],
    "responder": ["Hello.", Reply("Hello.")],
    "faults": [[faults.drop()], Refusal(429)],
}


@pytest.mark.parametrize("name", NONSENSE)
def test_a_setting_that_makes_no_sense_is_refused_by_its_name(name: str) -> None:
    for value in NONSENSE[name]:
        with pytest.raises(ConfigurationError, match=name):
            RealtimeServer(**{name: value})


def test_an_act_that_raises_is_told_in_the_log(
    peer: Peer, server: RealtimeServer, caplog: pytest.LogCaptureFixture
) -> None:
    def perform(connection: ServerConnection) -> None:
        raise ZeroDivisionError

    server.sessions[0].inject(Act("broken", perform))
    assert server.sessions[0].wait_until_closed() == 1006
    until(lambda: "ZeroDivisionError" in caplog.text)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the listening socket is polled")
def test_closing_waits_for_no_poll() -> None:
    with within(0.7):  # twenty times 50 ms would be one second
        for _ in range(20):
            RealtimeServer().close()
