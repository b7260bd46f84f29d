"""Calls over REST, the sockets that attach to them, and the caller's side that a test plays."""

from __future__ import annotations

from typing import Any, Callable

import pytest
import websocket

from realtime_sync.errors import InvalidInputError, UsageError
from realtime_sync.server import RealtimeServer, calls
from realtime_sync.testing import ManualClock
from tests.core.harness import Running
from tests.server.conftest import Peer, server_threads
from tests.server.rest_peer import OFFER, multipart, post
from tests.server.sounds import silence, tone

CALLS = "/v1/realtime/calls"
SDP = {"content-type": "application/sdp"}
TEXT = {"type": "realtime", "output_modalities": ["text"]}
Open = Callable[..., Peer]


@pytest.fixture
def call_id(server: RealtimeServer) -> str:
    """An accepted call."""
    placed = server.place_call()
    assert post(server, f"{CALLS}/{placed}/accept", {"type": "realtime", "instructions": "Be kind."}).status == 200
    return placed


def attached(open_peer: Open, server: RealtimeServer, call_id: str) -> Peer:
    """A socket that sees the call: its first answer says that it does."""
    peer = open_peer(server, f"/v1/realtime?call_id={call_id}")
    peer.say("input_audio_buffer.clear")
    peer.until("input_audio_buffer.cleared")
    return peer


# WebRTC ---------------------------------------------------------------------------------------------------------


def test_an_offer_is_answered_section_by_section(server: RealtimeServer) -> None:
    answer = post(server, CALLS, OFFER, headers=SDP)
    assert (answer.status, answer.headers["content-type"]) == (201, "application/sdp")
    lines = answer.text.split("\r\n")
    assert lines[0] == "v=0"
    assert [line for line in lines if line.startswith("m=")] == [
        "m=audio 9 UDP/TLS/RTP/SAVPF 109",
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
    ]
    assert [line for line in lines if line.startswith("a=mid:")] == ["a=mid:0", "a=mid:1"]
    assert "a=group:BUNDLE 0 1" in lines
    assert lines.count("a=setup:active") == 2
    path, _, call_id = answer.headers["location"].rpartition("/")
    assert path == CALLS
    assert server.call(call_id).state == "active"


def test_a_form_tells_the_session(server: RealtimeServer, open_peer: Open) -> None:
    body, headers = multipart(sdp=OFFER, session='{"type": "realtime", "instructions": "From the form."}')
    answer = post(server, CALLS, body, headers=headers)
    assert answer.status == 201
    session = server.wait_for_session()
    assert session.options["instructions"] == "From the form."


def test_a_client_secret_makes_a_call_with_its_session(server: RealtimeServer) -> None:
    told = {"session": {"type": "realtime", "instructions": "From the secret."}}
    value = post(server, "/v1/realtime/client_secrets", told).json["value"]
    assert post(server, CALLS, OFFER, key=value, headers=SDP).status == 201
    assert server.wait_for_session().options["instructions"] == "From the secret."


@pytest.mark.parametrize(
    ("path", "session"),
    [
        ("/v1/realtime/client_secrets", {"type": "transcription"}),
        ("/v1/realtime/translations/client_secrets", {"audio": {"output": {"language": "es"}}}),
    ],
)
def test_a_client_secret_of_another_kind_of_session_makes_no_call(
    server: RealtimeServer, path: str, session: dict[str, Any]
) -> None:
    value = post(server, path, {"session": session}).json["value"]
    assert post(server, CALLS, OFFER, key=value, headers=SDP).status == 401
    assert server.sessions == []


def test_what_is_no_offer_is_refused(server: RealtimeServer) -> None:
    for body, headers in (
        ("hello", SDP),
        ("v=0\r\nm=audio 9\r\n", SDP),
        (multipart(session="{}")),
        (multipart(sdp=OFFER, session="{")),
        (multipart(sdp=OFFER, session='{"type": "transcription"}')),
        (multipart(sdp=OFFER, other="x")),
        ("{}", {"content-type": "application/json"}),
    ):
        answer = post(server, CALLS, body, headers=headers)
        assert (answer.status, bool(answer.error["message"])) == (400, True)
    assert server.sessions == []


# The life of a call ----------------------------------------------------------------------------------------------


def test_a_placed_call_waits_and_tells_its_headers(server: RealtimeServer) -> None:
    call = server.call(server.place_call({"From": "sip:ada@example.com"}))
    assert (call.state, call.id[:4]) == ("incoming", "rtc_")
    assert call.sip_headers == [{"name": "From", "value": "sip:ada@example.com"}]
    with pytest.raises(UsageError, match="incoming"):
        call.say(b"")
    with pytest.raises(InvalidInputError, match="no call"):
        server.call("rtc_other")


@pytest.mark.parametrize("kind", ["call", "live_call"])
def test_of_many_calls_that_are_over_the_oldest_is_forgotten_and_none_that_waits(
    server: RealtimeServer, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(calls, "_KEPT", 1)
    place, look = getattr(server, f"place_{kind}"), getattr(server, kind)
    waiting, oldest, newest = place(), place(), place()
    look(oldest).hang_up()
    look(newest).hang_up()
    place()
    with pytest.raises(InvalidInputError):
        look(oldest)
    assert (look(waiting).state, look(newest).state) == ("incoming", "rejected")


def test_a_call_is_rejected_with_its_status(server: RealtimeServer) -> None:
    for body, status in (({"status_code": 486}, 486), (None, 603)):
        call = server.call(server.place_call())
        assert post(server, f"{CALLS}/{call.id}/reject", body).status == 200
        assert (call.state, call.reject_status) == ("rejected", status)
        assert post(server, f"{CALLS}/{call.id}/accept", TEXT).status == 404


def test_a_call_is_referred_and_hung_up(server: RealtimeServer) -> None:
    first, second = (server.call(server.place_call()) for _ in range(2))
    for call in (first, second):
        assert post(server, f"{CALLS}/{call.id}/accept", TEXT).status == 200
    assert post(server, f"/openai{CALLS}/{first.id}/refer", {"target_uri": "tel:+14155550123"}).status == 200
    assert (first.state, first.referred_to) == ("ended", "tel:+14155550123")
    assert post(server, f"{CALLS}/{second.id}/hangup").status == 200
    assert second.state == "ended"
    assert post(server, f"{CALLS}/{second.id}/hangup").status == 404


@pytest.mark.parametrize(
    ("operation", "body", "status"),
    [
        ("accept", {"instructions": "no type"}, 400),
        ("accept", {"type": "realtime", "bogus": 1}, 400),
        ("reject", {"status_code": 200}, 400),
        ("refer", {}, 400),
        ("refer", {"target_uri": "tel:+1"}, 404),
        ("hangup", None, 404),
    ],
)
def test_what_cannot_be_done_to_a_waiting_call_leaves_it_waiting(
    server: RealtimeServer, operation: str, body: Any, status: int
) -> None:
    call = server.call(server.place_call())
    answer = post(server, f"{CALLS}/{call.id}/{operation}", body)
    assert (answer.status, bool(answer.error)) == (status, True)
    assert call.state == "incoming"


def test_an_unknown_call_is_not_found(server: RealtimeServer, open_peer: Open) -> None:
    answer = post(server, f"{CALLS}/rtc_none/hangup")
    assert (answer.status, answer.error["code"]) == (404, "call_id_not_found")
    for call_id in ("rtc_none", server.place_call()):  # a call that has not been accepted has no session
        with pytest.raises(websocket.WebSocketBadStatusException) as caught:
            open_peer(server, f"/v1/realtime?call_id={call_id}")
        assert caught.value.status_code == 404


# Sockets that attach to it ------------------------------------------------------------------------------------------


def test_two_sockets_see_the_same_events_and_both_may_command(
    server: RealtimeServer, open_peer: Open, call_id: str
) -> None:
    first, second = (attached(open_peer, server, call_id) for _ in range(2))
    first.update(output_modalities=["text"])
    assert second.until("session.updated")["session"]["instructions"] == "Be kind."
    second.user_says("Hello")
    first.until("conversation.item.done")
    first.say("response.create")
    told = [peer.until("response.done")["response"] for peer in (first, second)]
    assert told[0] == told[1]

    def ids(peer: Peer) -> list[str]:
        kinds = [event["type"] for event in peer.seen]
        return [event["event_id"] for event in peer.seen[kinds.index("session.updated") :]]

    assert ids(first) == ids(second)
    assert "session.created" not in first.types() + second.types()


def test_a_socket_may_leave_and_the_call_goes_on(server: RealtimeServer, open_peer: Open, call_id: str) -> None:
    first = attached(open_peer, server, call_id)
    first.ws.close()
    second = attached(open_peer, server, call_id)
    assert second.update(output_modalities=["text"])["output_modalities"] == ["text"]
    assert server.call(call_id).state == "active"


def test_the_end_of_a_call_closes_its_sockets(server: RealtimeServer, open_peer: Open, call_id: str) -> None:
    peers = [attached(open_peer, server, call_id) for _ in range(2)]
    assert post(server, f"{CALLS}/{call_id}/hangup").status == 200
    assert [peer.close_frame()[0] for peer in peers] == [1000, 1000]


def test_the_caller_is_heard_and_hears_the_answer(server: RealtimeServer, open_peer: Open, call_id: str) -> None:
    peer = attached(open_peer, server, call_id)
    call = server.call(call_id)
    call.say(silence(400) + tone(1000) + silence(400))
    peer.until("output_audio_buffer.stopped")
    kinds = peer.types()
    assert "response.output_audio.delta" not in kinds  # audio is the caller's
    assert "response.output_audio_transcript.delta" in kinds
    assert kinds.index("output_audio_buffer.started") < kinds.index("response.done")
    assert len(call.heard) > 4800
    call.press("5")
    assert peer.until("input_audio_buffer.dtmf_event_received")["event"] == "5"


def test_speaking_up_clears_what_the_caller_was_hearing(open_peer: Open) -> None:
    with RealtimeServer(audio_pace=1.0, clock=ManualClock()) as server:  # an answer that lasts until it is stopped
        call = server.call(server.place_call())
        post(server, f"{CALLS}/{call.id}/accept", {"type": "realtime"})
        peer = attached(open_peer, server, call.id)
        peer.user_says("Say it")
        peer.say("response.create")
        peer.until("output_audio_buffer.started")
        call.say(tone(500))
        assert peer.until("response.done")["response"]["status_details"]["reason"] == "turn_detected"
        peer.until("output_audio_buffer.cleared")


def test_a_socket_clears_what_the_caller_hears(open_peer: Open) -> None:
    with RealtimeServer(audio_pace=1.0, clock=ManualClock()) as server:
        call = server.call(server.place_call())
        post(server, f"{CALLS}/{call.id}/accept", {"type": "realtime"})
        peer = attached(open_peer, server, call.id)
        peer.user_says("Say it")
        peer.say("response.create")
        started = peer.until("output_audio_buffer.started")
        peer.say("output_audio_buffer.clear")
        assert peer.until("output_audio_buffer.cleared")["response_id"] == started["response_id"]


def test_a_call_expires_as_sessions_do(open_peer: Open) -> None:
    clock = ManualClock()
    with RealtimeServer(clock=clock) as server:
        call = server.call(server.place_call())
        post(server, f"{CALLS}/{call.id}/accept", TEXT)
        peer = attached(open_peer, server, call.id)
        clock.advance(3600)
        assert peer.error()["code"] == "session_expired"
        assert peer.close_frame()[0] == 1001
        assert call.state == "ended"


def test_closing_the_server_ends_its_calls() -> None:
    with RealtimeServer() as server:
        waiting, active = (server.call(server.place_call()) for _ in range(2))
        post(server, f"{CALLS}/{active.id}/accept", TEXT)
    assert (waiting.state, active.state) == ("rejected", "ended")


def test_a_client_of_ours_attaches_to_a_call(server: RealtimeServer, call_id: str) -> None:
    from realtime_sync import OpenAIClient

    client = OpenAIClient("any-key", endpoint=server.url, proxy=False).get_realtime_conversation_client(
        "gpt-realtime-2.1"
    )
    with client, client.start_conversation_session(call_id=call_id) as session:
        assert session.ask("Hello", timeout=30).transcript == "Hello! You said: Hello"
        server.call(call_id).hang_up()
        list(session.updates())  # to its end
        assert session.close_info is not None
        assert session.close_info.code == 1000


def test_a_shut_down_says_goodbye(open_peer: Open) -> None:
    server = RealtimeServer()
    peers = [open_peer(server) for _ in range(2)]
    for peer in peers:
        peer.until("session.created")
    call = server.call(server.place_call())
    post(server, f"{CALLS}/{call.id}/accept", TEXT)
    peers.append(attached(open_peer, server, call.id))
    closing = Running(lambda: server.shut_down(timeout=20))
    assert [peer.close_frame()[0] for peer in peers] == [1001, 1001, 1000]
    for peer in peers:
        peer.ws.close()
    closing.result(20)
    assert server_threads() == []
