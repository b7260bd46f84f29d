"""The other doors of live sessions, as the service has them: REST, calls, sidebands, forks, recordings, webhooks."""

from __future__ import annotations

import base64
import gc
import http.client
import io
import json
import wave
import weakref
from typing import Any, Callable

import pytest
import websocket
from openai.types.live.live_create_response import LiveCreateResponse
from openai.types.webhooks import LiveTransportConnectedWebhookEvent, LiveTransportIncomingWebhookEvent

from realtime_sync import UsageError
from realtime_sync.server import LiveRules, RealtimeServer, TwinSession, connection
from realtime_sync.server.live import recordings, sessions
from realtime_sync.server.served import ServedSession
from realtime_sync.server.wire import new_id
from realtime_sync.testing import ManualClock
from realtime_sync.web.webhooks import (
    LiveTransportConnectedEvent,
    LiveTransportIncomingEvent,
    WebhookVerifier,
    sign,
)
from tests.harness import until
from tests.server.live.conftest import PATH, Call, LivePeer
from tests.server.live.schemas import fits
from tests.server.rest_peer import OFFER, Response, post
from tests.server.sounds import silence, tone

Json = dict[str, Any]
OpenCall = Callable[..., Call]
AZURE = "/openai/v1/live/sessions"
SESSION = {"model": "gpt-live-1.1"}
WEBRTC = {"type": "webrtc", "sdp": OFFER}
SIP = {
    "type": "sip",
    "destination": "+14155550123",
    "trunk": {"provider_url": "sips:sip.example.com", "caller_number": "+14155550100"},
}
SECRET = "whsec_" + base64.b64encode(b"a key of sixteen").decode()


def created(server: RealtimeServer, path: str = PATH, **session: Any) -> str:
    answer = post(server, path, {"session": {**SESSION, **session}, "transport": WEBRTC})
    assert answer.status == 201
    return str(fits(answer.json, LiveCreateResponse)["session"]["id"])


def beside(server: RealtimeServer, session_id: str, path: str = PATH, **options: Any) -> LivePeer:
    return LivePeer(server, f"{path}/{session_id}/attach", **options)


def not_found(answer: Response) -> None:
    assert answer.status == 404
    assert answer.json == {
        "error": {
            "message": "No session found for the provided session_id",
            "type": "invalid_request_error",
            "code": "session_id_not_found",
            "param": "session_id",
        }
    }


def refused(server: RealtimeServer, path: str) -> Json:
    """The answer to a handshake that is refused."""
    with pytest.raises(websocket.WebSocketBadStatusException) as caught:
        LivePeer(server, path)
    assert caught.value.resp_body is not None
    error: Json = json.loads(caught.value.resp_body)["error"]
    return {**error, "status": caught.value.status_code}


# REST ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [PATH, AZURE])
def test_a_session_is_made_hung_up_and_gone(server: RealtimeServer, path: str) -> None:
    session_id = created(server, path, instructions="Be brief.")
    twin = server.wait_for_live_session()
    assert (twin.id, twin.options["instructions"]) == (session_id, "Be brief.")
    hung_up = post(server, f"{path}/{session_id}/hangup")
    assert (hung_up.status, hung_up.text) == (200, "")
    assert (twin.ended_by, twin.is_over) == ("close_requested", True)
    not_found(post(server, f"{path}/{session_id}/hangup"))


def test_a_session_of_a_socket_can_be_hung_up_too(server: RealtimeServer) -> None:
    with LivePeer(server) as peer:
        session_id = peer.start()["id"]
        assert post(server, f"{PATH}/{session_id}/hangup").status == 200
        assert peer.until("session.closed")["reason"] == "close_requested"


@pytest.mark.parametrize(
    ("session", "code", "param"),
    [
        ({}, "missing_required_parameter", "session.model"),
        ({"model": "gpt-realtime-2.1"}, "model_not_found", "session.model"),
        ({**SESSION, "type": "live"}, "unknown_parameter", "session.type"),
        ({**SESSION, "audio": {"format": {"type": "audio/pcm", "rate": 24000}}}, "unknown_parameter", None),
        ({**SESSION, "client": {}}, "missing_required_parameter", "session.client.data_channel"),
        ({**SESSION, "client": {"data_channel": {"allowed_client_events": "some"}}}, "invalid_value", None),
        ({**SESSION, "idle_timeout_s": 15}, "missing_required_parameter", "session.wake_policy"),
        ({**SESSION, "wake_policy": {"type": "sight"}}, "invalid_value", "session.wake_policy.type"),
        ({**SESSION, "wake_policy": {"type": "speech", "vad_threshold": 2}}, "decimal_above_max_value", None),
        ("live", "invalid_type", "session"),
        (None, "missing_required_parameter", "session"),
    ],
)
def test_settings_that_make_no_browsers_session_are_refused(
    server: RealtimeServer, session: Any, code: str, param: Any
) -> None:
    answer = post(server, PATH, {"session": session, "transport": WEBRTC})
    assert (answer.status, answer.error["code"]) == (400, code)
    assert param is None or answer.error["param"] == param
    assert server.live_sessions == []


@pytest.mark.parametrize(
    ("transport", "param"),
    [
        (None, "transport"),
        ({"type": "pigeon"}, "transport.type"),
        ({"type": "webrtc"}, "transport.sdp"),
        ({"type": "webrtc", "sdp": "hello"}, "sdp"),
        ({"type": "sip", "destination": "+1"}, "transport.trunk"),
        ({**SIP, "trunk": {"provider_url": "sips:x"}}, "transport.trunk.caller_number"),
        ({**SIP, "trunk": {**SIP["trunk"], "auth": {"type": "basic"}}}, None),  # type: ignore[dict-item]
    ],
)
def test_a_transport_that_is_none_is_refused(server: RealtimeServer, transport: Any, param: Any) -> None:
    answer = post(server, PATH, {"session": SESSION, "transport": transport})
    assert answer.status == 400
    assert param is None or answer.error["param"] == param


def test_a_wrong_key_and_a_client_secret_do_nothing_here() -> None:
    with RealtimeServer(api_keys=["right"]) as server:
        secret = post(server, "/v1/realtime/client_secrets", {"session": {"type": "realtime"}}, key="right").json
        for key in (None, "wrong", secret["value"]):
            answer = post(server, PATH, {"session": SESSION, "transport": WEBRTC}, key=key)
            assert (answer.status, answer.error["code"]) == (401, "invalid_api_key")


@pytest.mark.parametrize("verb", ["accept", "reject", "refer", "hangup", "fork"])
def test_verbs_are_posted(server: RealtimeServer, verb: str) -> None:
    answer = post(server, f"{PATH}/live_1/{verb}", method="GET")
    assert (answer.status, answer.headers["allow"]) == (405, "POST")


# Calls that come in --------------------------------------------------------------------------------------------------


def test_a_call_is_told_accepted_and_heard(server: RealtimeServer) -> None:
    session_id = server.place_live_call({"From": "sip:+1@sip.example.com"})
    call = server.live_call(session_id)
    assert call.state == "incoming"
    with pytest.raises(UsageError, match="nobody is on the line"):
        call.say(tone(100))
    answer = post(server, f"{PATH}/{session_id}/accept", {"session": {"type": "live", **SESSION}})
    assert (answer.status, answer.text, call.state) == (200, "", "active")
    twin = server.wait_for_live_session()
    twin.say("Hello.")
    until(lambda: any(call.heard))
    call.hang_up()
    assert (twin.ended_by, call.state) == ("remote_hangup", "ended")


@pytest.mark.parametrize("session", [SESSION, {**SESSION, "type": "realtime"}, {"type": "live"}])
def test_a_call_is_accepted_as_a_live_session_alone(server: RealtimeServer, session: Json) -> None:
    session_id = server.place_live_call()
    assert post(server, f"{PATH}/{session_id}/accept", {"session": session}).status == 400
    assert server.live_call(session_id).state == "incoming"


def test_a_call_that_was_given_up_is_gone(server: RealtimeServer) -> None:
    session_id = server.place_live_call()
    server.live_call(session_id).hang_up()
    not_found(post(server, f"{PATH}/{session_id}/accept", {"session": {"type": "live", **SESSION}}))


@pytest.mark.parametrize("body", [{}, {"status_code": 200}, {"status_code": "486"}, {"status": 486}])
def test_a_rejection_needs_its_status(server: RealtimeServer, body: Json) -> None:
    assert post(server, f"{PATH}/{server.place_live_call()}/reject", body).status == 400


def test_webhooks_tell_of_calls_that_come_in_and_of_browsers(server: RealtimeServer) -> None:
    incoming = server.live_call(server.place_live_call()).webhook
    connected = server.live_call(created(server)).webhook
    fits(incoming, LiveTransportIncomingWebhookEvent)
    fits(connected, LiveTransportConnectedWebhookEvent)
    verifier = WebhookVerifier(SECRET)
    for told, kind in ((incoming, LiveTransportIncomingEvent), (connected, LiveTransportConnectedEvent)):
        body, now = json.dumps(told).encode(), int(told["created_at"])
        webhook_id = new_id("wh")
        headers = {
            "webhook-id": webhook_id,
            "webhook-timestamp": str(now),
            "webhook-signature": sign(SECRET, webhook_id, now, body),
        }
        event = verifier.verify(headers, body)
        assert isinstance(event, kind)
        assert event.data["session_id"] == told["data"]["session_id"]


# Calls that are dialled ----------------------------------------------------------------------------------------------


def dialled(server: RealtimeServer) -> str:
    answer = post(server, PATH, {"session": SESSION, "transport": SIP})
    assert (answer.status, answer.json["transport"]) == (201, {"type": "sip"})
    return str(answer.json["session"]["id"])


def test_a_call_rings_until_it_is_answered_and_runs_from_then_on() -> None:
    clock = ManualClock()
    with RealtimeServer(clock=clock, ping_interval=None) as server:
        session_id = dialled(server)
        with beside(server, session_id) as peer:
            assert peer.until("transport.ringing")["session_id"] == session_id
            twin = server.wait_for_live_session()
            clock.advance(0.4)
            assert twin.timeline_ms == 0
            assert server.live_call(session_id).state == "ringing"
            clock.advance(1.0)
            assert peer.until("transport.answered")["session_id"] == session_id
            assert twin.timeline_ms > 500


def test_nobody_answers_for_ever() -> None:
    clock = ManualClock()
    with (
        RealtimeServer(clock=clock, ping_interval=None, live=LiveRules(answers_calls=False)) as server,
        beside(server, dialled(server)) as peer,
    ):
        peer.until("transport.ringing")
        clock.advance(179)
        server.live_sessions[0].emit({"type": "info", "code": "still", "message": "ringing"})
        clock.advance(2)
        assert peer.until("transport.failed")["error"]["code"] == "no_answer"
        assert peer.until("session.closed")["reason"] == "remote_hangup"


# Sidebands -----------------------------------------------------------------------------------------------------------


def test_a_sideband_is_told_the_last_ten_seconds_again(open_call: OpenCall) -> None:
    call = open_call()
    call.silence(1.0)
    call.twin.emit({"type": "info", "code": "early", "message": "long ago"})
    call.silence(9.0)
    call.twin.emit({"type": "info", "code": "late", "message": "just now"})
    call.silence(3.0)
    told = [event for event in call.twin.sent if event["type"] == "info"]
    with beside(call.server, call.twin.id) as peer:
        assert peer.recv() == told[1]
        peer.say("session.update", session={}, event_id="mine")
        updated = peer.until("session.updated")
        assert (updated["session"], updated["client_event_id"]) == (call.settings, "mine")


def test_a_young_session_is_told_from_its_start(open_call: OpenCall) -> None:
    call = open_call()
    with beside(call.server, call.twin.id) as peer:
        assert peer.recv() == call.twin.sent[0]


@pytest.mark.parametrize(
    ("audio_format", "bytes_per_ms"),
    [
        ({"type": "audio/pcm", "rate": 24000}, 48),
        ({"type": "audio/pcm", "rate": 16000}, 32),
        ({"type": "audio/pcmu", "rate": 8000}, 8),
    ],
)
def test_both_sides_are_reflected_as_pcm_at_24_khz(open_call: OpenCall, audio_format: Json, bytes_per_ms: int) -> None:
    call = open_call(audio={"format": audio_format})
    with beside(call.server, call.twin.id) as peer:
        peer.until("session.started")
        quiet = b"\xff" if audio_format["type"] == "audio/pcmu" else b"\0"
        call.audio(quiet * (1200 * bytes_per_ms), bytes_per_ms=bytes_per_ms)
        heard = peer.until("session.input_audio.append")
        assert base64.b64decode(heard["audio"]) == silence(100)
        assert set(heard) == {"type", "audio"}
        said = peer.until("session.output_audio.delta")
        assert (said["start_ms"], said["end_ms"]) == (0, 100)
        assert base64.b64decode(said["delta"]) == silence(100)


def test_a_muted_user_is_still_heard_by_a_sideband(open_call: OpenCall) -> None:
    call = open_call()
    with beside(call.server, call.twin.id) as peer:
        peer.say("session.input_audio.mute")
        peer.until("session.input_audio.muted")
        call.audio(tone(100))
        assert base64.b64decode(peer.until("session.input_audio.append")["audio"]) == tone(100)
        assert call.twin.ears.muted


@pytest.mark.parametrize(
    ("wire_type", "fields"),
    [
        ("session.input_audio.append", {"audio": ""}),
        ("session.start", {"session": SESSION}),
        ("transport.dtmf.send", {"event": "5"}),  # the session is no telephone's
        ("transport.dtmf.send", {"event": "x"}),
        ("session.commentary.append", {"content": "no delegation_id"}),
        ("nonsense", {}),
    ],
)
def test_what_a_sideband_may_not_send_is_an_error_that_it_alone_is_told(
    open_call: OpenCall, wire_type: str, fields: Json
) -> None:
    call = open_call()
    with beside(call.server, call.twin.id) as peer:
        peer.say(wire_type, event_id="mine", **fields)
        assert peer.error()["client_event_id"] == "mine"
        peer.say("session.update", session={})
        assert peer.until("session.updated")
    assert "error" not in [event["type"] for event in call.twin.sent]


def test_a_sideband_may_end_the_session(open_call: OpenCall) -> None:
    call = open_call()
    with beside(call.server, call.twin.id) as peer:
        peer.say("session.update", session={})
        peer.until("session.updated")
        peer.say("session.close")
        peer.say("session.update", session={})  # not answered any more
        until(lambda: call.twin._closing)
        call.advance(1.0)
        assert peer.until("session.closed")["reason"] == "close_requested"
        assert peer.rest() == 1005
    call.peer.rest()
    assert call.twin.wait_until_closed() == 1005


def test_what_a_test_sends_as_it_is_reaches_a_sideband_as_it_is(server: RealtimeServer) -> None:
    created(server)
    twin = server.wait_for_live_session()
    with beside(server, twin.id, checked=False) as peer:
        until(lambda: len(twin.watchers) == 2)
        twin.send_as_it_is({"no": "type"})
        while '"no"' not in (told := peer.ws.recv()):
            pass
        assert json.loads(told) == {"no": "type"}


def test_a_sideband_that_comes_as_the_session_ends_is_closed(
    server: RealtimeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = LivePeer(server)
    first.start()
    twin = server.wait_for_live_session()

    def opened(*arguments: Any) -> Any:
        handler = RealtimeServer.new_handler(server, *arguments)
        twin.end("content")  # whose peer takes its time to answer the close
        return handler

    monkeypatch.setattr(server, "new_handler", opened)
    with beside(server, twin.id) as peer:
        assert peer.rest() == 1005
        assert peer.types()[-1:] == ["session.closed"]
    assert not twin.is_over
    first.ws.shutdown()


@pytest.mark.parametrize("who", ["the socket of the session", "a sideband"])
def test_who_reads_nothing_is_dropped_before_much_waits_for_it(who: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_MOST_QUEUED", 256 * 1024)
    clock = ManualClock()
    with RealtimeServer(clock=clock, ping_interval=None, record=False) as server:
        if who == "a sideband":
            created(server)
            twin = server.wait_for_live_session()
            peer = beside(server, twin.id)
            until(lambda: len(twin.watchers) == 2)
        else:
            peer = LivePeer(server)
            peer.start()
            twin = server.wait_for_live_session()
        served = [each for each in (twin, *twin.watchers) if isinstance(each, ServedSession) and each.connection]
        (served_socket,) = served
        for _ in range(3000):
            twin.take_audio(silence(100))
            clock.advance(0.1)
            if served_socket.is_over:
                break
        assert served_socket.wait_until_closed() == 1006
        assert twin.is_over == (who != "a sideband")
        peer.ws.shutdown()


def test_a_sideband_leaves_no_trace_when_it_goes(server: RealtimeServer) -> None:
    twin = server.wait_for_live_session() if created(server) else None
    assert isinstance(twin, TwinSession)
    before = len(twin.watchers)
    with beside(server, twin.id) as peer:
        peer.until("session.started")
        assert len(twin.watchers) == before + 1
    until(lambda: len(twin.watchers) == before)
    assert not twin.is_over


@pytest.mark.parametrize("verb", ["attach", "fork"])
@pytest.mark.parametrize("path", [PATH, AZURE])
def test_there_is_no_door_to_an_unknown_session(server: RealtimeServer, path: str, verb: str) -> None:
    told = refused(server, f"{path}/live_nobody/{verb}")
    assert (told["status"], told["code"]) == (404, "session_id_not_found")


def test_a_door_needs_a_key() -> None:
    with (
        RealtimeServer(api_keys=["right"]) as server,
        LivePeer(server, f"{PATH}/live_nobody/attach", checked=False) as peer,
    ):
        assert peer.error()["code"] == "invalid_api_key"


# Forks ---------------------------------------------------------------------------------------------------------------


def test_a_fork_has_the_settings_and_not_the_input(server: RealtimeServer) -> None:
    with LivePeer(server) as peer:
        first = peer.start(store=True, instructions="Be brief.", audio={"output": {"voice": "cedar"}})
        peer.say("session.close")
        peer.rest()
    with LivePeer(server, f"{PATH}/{first['id']}/fork") as peer:
        peer.say("session.start", session={})
        second = peer.until("session.started")["session"]
    changing = {"id", "expires_at"}
    assert {key for key in first if first[key] != second[key]} <= changing
    assert second["id"] != first["id"]


@pytest.mark.parametrize(
    ("session", "param"),
    [
        ({"model": "gpt-live-1"}, "session.model"),
        ({"instructions": "Be rude."}, "session.instructions"),
        ({"input": []}, "session.input"),
        ({"audio": {"output": {"voice": "marin"}}}, "session.audio.output"),
        ({"delegation": {"type": "responses", "responses": {"model": "m"}}}, "session.delegation.type"),
    ],
)
def test_a_fork_can_differ_in_little(server: RealtimeServer, session: Json, param: str) -> None:
    with LivePeer(server) as peer:
        first = peer.start(store=True)
        peer.say("session.close")
        peer.rest()
    with LivePeer(server, f"{PATH}/{first['id']}/fork") as peer:
        peer.say("session.start", session=session)
        assert peer.error()["param"] == param


def test_a_session_that_goes_on_is_not_forked(server: RealtimeServer) -> None:
    with LivePeer(server) as peer:
        session_id = peer.start(store=True)["id"]
        told = refused(server, f"{PATH}/{session_id}/fork")
    assert (told["status"], told["code"]) == (409, "session_not_ended")


def test_a_fork_knows_what_was_said() -> None:
    heard: list[Any] = []

    def brain(turn: Any) -> str:
        heard.extend(item["content"][0]["text"] for item in turn.items)
        return ""

    clock = ManualClock()
    with RealtimeServer(clock=clock, ping_interval=None, live=LiveRules(brain=brain)) as server:
        first = Call(server, clock, store=True)
        first.silence(0.5)
        first.twin.hear("My colour is turquoise.")
        first.silence(4.0)
        first.hang_up()
        first.peer.ws.shutdown()
        with LivePeer(server, f"{PATH}/{first.twin.id}/fork") as peer:
            peer.say("session.start", session={})
            peer.until("session.started")
            fork = server.wait_for_live_session(count=2)
            heard.clear()
            fork.take_audio(silence(100))
            fork.hear("Which one?")
            for _ in range(40):
                fork.take_audio(silence(100))
                clock.advance(0.1)
            until(lambda: heard)
            assert [text.strip() for text in heard] == ["My colour is turquoise.", "Which one?"]


def test_a_fork_keeps_nothing_of_its_original_but_what_was_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "_KEPT", 0)
    with RealtimeServer(record=False) as server:
        with LivePeer(server) as peer:
            session_id = peer.start(store=True)["id"]
            original = weakref.ref(server.wait_for_live_session())
            peer.say("session.close")
            peer.rest()
        until(lambda: original().is_over)  # type: ignore[union-attr]
        with LivePeer(server, f"{PATH}/{session_id}/fork") as peer:
            peer.say("session.start", session={})
            peer.until("session.started")
            until(lambda: gc.collect() is not None and original() is None)


# Recordings ----------------------------------------------------------------------------------------------------------


def content(server: RealtimeServer, session_id: str) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("GET", f"{PATH}/{session_id}/content", headers={"authorization": "Bearer any-key"})
    answer = connection.getresponse()
    assert answer.status == 200
    read = answer.read()
    assert len(read) == int(answer.headers["content-length"])
    connection.close()
    return read


@pytest.mark.parametrize("audio_format", [{"type": "audio/pcm", "rate": 24000}, {"type": "audio/pcma", "rate": 8000}])
def test_a_recording_has_each_side_at_its_place(open_call: OpenCall, audio_format: Json) -> None:
    call = open_call(store=True, audio={"format": audio_format})
    per_ms = 48 if audio_format["type"] == "audio/pcm" else 8
    loud = tone(300) if per_ms == 48 else b"\x25" * (300 * per_ms)
    quiet = (b"\0" if per_ms == 48 else b"\xd5") * (300 * per_ms)
    call.audio(quiet + loud + quiet * 5, bytes_per_ms=per_ms)
    call.hang_up()
    with wave.open(io.BytesIO(content(call.server, call.twin.id))) as file:
        assert (file.getnchannels(), file.getframerate(), file.getsampwidth()) == (2, 24_000, 2)
        frames = file.readframes(file.getnframes())
    left = memoryview(frames).cast("h")[0::2].tolist()
    right = memoryview(frames).cast("h")[1::2].tolist()
    sounding = [place for place, sample in enumerate(left) if abs(sample) > 100]
    assert (round(sounding[0] / 24, -1), round(sounding[-1] / 24, -1)) == (300, 600)
    assert max(map(abs, right)) < 100
    assert len(left) >= 24 * 1500


def test_what_begins_while_the_server_closes_ends_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    server = RealtimeServer()
    close = server.live.close

    def close_and_begin() -> None:
        close()
        if not server.live_sessions:
            server.live.new_call().accept({"model": "gpt-live-1.1", "store": True})

    monkeypatch.setattr(server.live, "close", close_and_begin)
    server.close()
    (twin,) = server.live_sessions
    assert twin.is_over
    assert twin.recording is None


def test_a_recording_that_cannot_be_written_is_lost_and_nothing_else(
    open_call: OpenCall, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(recordings.tempfile, "TemporaryFile", lambda: open("/dev/full", "w+b"))  # noqa: SIM115
    call = open_call(store=True)
    call.silence(3.0)
    call.commentary("All is well.")
    call.silence(3.0)
    call.hang_up()
    assert call.peer.text("output") == "All is well."
    assert "cannot be recorded any more" in caplog.text
    assert [event["error"]["code"] for event in call.peer.events if event["type"] == "error"] == [
        "session_storage_failed"
    ]
    not_found(post(call.server, f"{PATH}/{call.twin.id}/content", method="GET"))


def test_a_download_breaks_off_if_its_recording_is_forgotten(
    open_call: OpenCall, caplog: pytest.LogCaptureFixture
) -> None:
    call = open_call(store=True)
    assert call.twin.recording is not None
    call.twin.recording.on_input_audio(silence(100), 600_000.0)  # ten minutes
    call.hang_up()
    connection = http.client.HTTPConnection("127.0.0.1", call.server.port, timeout=10)
    connection.request("GET", f"{PATH}/{call.twin.id}/content", headers={"authorization": "Bearer any-key"})
    answer = connection.getresponse()
    call.twin.forget_recording()
    with pytest.raises(http.client.IncompleteRead):
        answer.read()
    connection.close()
    assert "a connection ended with an error" not in caplog.text


def test_a_session_that_was_not_stored_has_no_recording(server: RealtimeServer) -> None:
    session_id = created(server)
    post(server, f"{PATH}/{session_id}/hangup")
    not_found(post(server, f"{PATH}/{session_id}/content", method="GET"))


def test_the_oldest_recordings_are_forgotten(server: RealtimeServer) -> None:
    ids = [created(server, store=True) for _ in range(2)]
    for session_id in ids:
        post(server, f"{PATH}/{session_id}/hangup")
    for _ in range(32):
        post(server, f"{PATH}/{created(server, store=True)}/hangup")
    not_found(post(server, f"{PATH}/{ids[0]}/content", method="GET"))
    assert content(server, server.live_sessions[-1].id)
