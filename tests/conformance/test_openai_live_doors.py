"""openai-python, unchanged, with the other doors of live sessions: REST, sidebands, forks, recordings, webhooks."""

from __future__ import annotations

import base64
import io
import json
import wave
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from realtime_sync.server import RealtimeServer
from realtime_sync.web.webhooks import sign
from tests.server.rest_peer import OFFER
from tests.server.sounds import silence

MODEL = "gpt-live-1.1"
WEBRTC: Any = {"type": "webrtc", "sdp": OFFER}
SECRET = "whsec_" + base64.b64encode(b"a key of sixteen").decode()


@pytest.fixture
def server() -> Iterator[RealtimeServer]:
    with RealtimeServer(api_keys=["right"]) as running:
        yield running


@pytest.fixture
def client(server: RealtimeServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key="right", base_url=server.url, webhook_secret=SECRET) as ours:
        yield ours


def until(connection: Any, wire_type: str) -> Any:
    """Read until an event of this type; an error before it fails the test."""
    for event in connection:
        assert event.type != "error", event
        if event.type == wire_type:
            return event
    raise AssertionError(f"the connection ended before {wire_type}")


def test_a_browsers_session_is_watched_steered_and_hung_up(client: openai.OpenAI, server: RealtimeServer) -> None:
    made = client.live.create(session={"model": MODEL, "store": True}, transport=WEBRTC)
    assert made.transport.sdp.startswith("v=0")
    with client.live.sideband.connect(session_id=made.session.id) as connection:
        assert until(connection, "session.started").session.id == made.session.id
        server.wait_for_live_session().say("Hello.")
        assert until(connection, "session.output_transcript.delta").delta == "Hello."
        assert base64.b64decode(until(connection, "session.input_audio.append").audio) == silence(100)
        assert until(connection, "session.output_audio.delta").start_ms is not None
        connection.session.commentary.append(content="Greet the caller.", delegation_id=None)
        assert until(connection, "session.commentary.appended").start_ms >= 0
        connection.session.update(session={})
        assert until(connection, "session.updated").session.store is True
        client.live.sessions.hangup(made.session.id)
        assert until(connection, "session.closed").reason == "close_requested"
    with pytest.raises(openai.NotFoundError) as caught:
        client.live.sessions.hangup(made.session.id)
    assert caught.value.code == "session_id_not_found"


def test_a_stored_session_is_downloaded_and_forked_both_ways(client: openai.OpenAI, server: RealtimeServer) -> None:
    with client.live.connect() as connection:
        connection.session.start(session={"model": MODEL, "store": True, "instructions": "Be brief."})
        first = until(connection, "session.started").session
        connection.session.input_audio.append(audio=base64.b64encode(silence(200)).decode())
        connection.session.close()
        until(connection, "session.closed")
    with wave.open(io.BytesIO(client.live.sessions.download_recording(first.id).read())) as recording:
        assert (recording.getnchannels(), recording.getframerate()) == (2, 24_000)
    with client.live.forks.connect(session_id=first.id) as connection:
        connection.session.start(session={})
        second = until(connection, "session.started").session
    assert (second.instructions, second.input, second.id != first.id) == ("Be brief.", [], True)
    forked = client.live.sessions.fork(first.id, transport=WEBRTC, session={"store": False})
    assert forked.session.id not in (first.id, second.id)


def test_a_telephones_call_is_told_accepted_transferred_or_rejected(
    client: openai.OpenAI, server: RealtimeServer
) -> None:
    first, second = server.place_live_call(), server.place_live_call()
    call = server.live_call(first)
    body = json.dumps(call.webhook)
    now = int(call.webhook["created_at"])
    headers = {
        "webhook-id": "wh_1",
        "webhook-timestamp": str(now),
        "webhook-signature": sign(SECRET, "wh_1", now, body.encode()),
    }
    event = client.webhooks.unwrap(body, headers)
    assert event.type == "live.transport.incoming"
    assert event.data.session_id == first
    client.live.sessions.accept(first, session={"type": "live", "model": MODEL})
    with client.live.sideband.connect(session_id=first) as connection:
        call.press("5")
        assert until(connection, "transport.dtmf.received").event == "5"
        connection.send({"type": "transport.dtmf.send", "event": "#"})
        assert until(connection, "transport.dtmf.sent").event == "#"
        client.live.sessions.refer(first, target_uri="tel:+14155550123")
        until(connection, "session.closed")
    assert (call.keys, call.referred_to) == ("#", "tel:+14155550123")
    client.live.sessions.reject(second, status_code=486)
    assert server.live_call(second).reject_status == 486
