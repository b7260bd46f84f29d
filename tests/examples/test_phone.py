"""The telephone: a signed webhook starts a call's session and its tools, and nothing else starts anything."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flask_phone
import pytest
from flask import Flask
from werkzeug.serving import make_server

from realtime_sync import AzureOpenAIClient, ConnectRetries, OpenAIClient, RealtimeConversationClient
from realtime_sync.server import FunctionCall, RealtimeServer, Reply, Turn
from realtime_sync.web.background import BackgroundSessions
from realtime_sync.web.webhooks import WebhookVerifier, sign
from tests.core.harness import CALM, client_threads, until
from tests.examples.test_examples import finish
from tests.rest.rest_service import Service, answer

pytestmark = pytest.mark.medium

SECRET = "whsec_dGhlIHNlY3JldCBvZiB0aGlzIHdlYmhvb2s="
OTHER = "whsec_c29tZWJvZHkgZWxzZSdzIHNlY3JldA=="
KEY = "sk-a-key-that-nobody-may-see"


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    until(lambda: not client_threads(), 20)


def asking(turn: Turn) -> Reply:
    """Greets; looks an order up once somebody has spoken; says what it heard of it."""
    last = turn.last or {}
    if last.get("type") == "function_call_output":
        return Reply(text=str(last["output"]))
    asked = [item for item in turn.items if item.get("role") == "user"]
    return Reply(function_calls=[FunctionCall("look_up_order", {"number": "8"})]) if asked else Reply("Good morning")


def ending(turn: Turn) -> Reply:
    """Greets, and ends the call at once."""
    ended = any(item["type"] == "function_call_output" for item in turn.items)
    return Reply("Goodbye", function_calls=[] if ended else [FunctionCall("end_call")])


@pytest.fixture
def service(request: pytest.FixtureRequest) -> Iterator[RealtimeServer]:
    with RealtimeServer(responder=getattr(request, "param", asking)) as running:
        yield running


@pytest.fixture
def sessions() -> Iterator[BackgroundSessions]:
    with BackgroundSessions(max_sessions=2, close_seconds=20) as owner:
        yield owner


@pytest.fixture
def client(service: RealtimeServer) -> Iterator[RealtimeConversationClient]:
    openai = OpenAIClient(KEY, endpoint=service.url, timeouts=CALM)
    with openai.get_realtime_conversation_client("gpt-realtime-2.1") as made:
        yield made


@pytest.fixture
def app(client: RealtimeConversationClient, sessions: BackgroundSessions) -> Flask:
    return made_app(client, sessions)


def made_app(client: RealtimeConversationClient, sessions: BackgroundSessions) -> Flask:
    app: Flask = flask_phone.create_app(client, WebhookVerifier(SECRET), sessions)
    return app


def incoming(call_id: str) -> dict[str, Any]:
    sip_headers = [{"name": "From", "value": "sip:+14155550100@sip.example.com"}]
    data = {"call_id": call_id, "sip_headers": sip_headers}
    return {"object": "event", "id": "evt_1", "type": "realtime.call.incoming", "created_at": 1, "data": data}


def post(app: Flask, content: Any, webhook_id: str = "wh_1", secret: str = SECRET, ago: int = 0) -> tuple[int, str]:
    """What the service does; the answer's status and text."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    now = int(time.time()) - ago
    headers = {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(now),
        "webhook-signature": sign(secret, webhook_id, now, body),
    }
    told = app.test_client().post("/webhook", data=body, headers=headers, content_type="application/json")
    return told.status_code, told.text


# A call --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flavour", ["openai", "azure"])
def test_a_call_is_answered_its_tools_run_and_its_thread_ends_with_it(
    service: RealtimeServer, sessions: BackgroundSessions, flavour: str
) -> None:
    openai = OpenAIClient(KEY, endpoint=service.url, timeouts=CALM)
    azure = AzureOpenAIClient(service.azure_endpoint, KEY, timeouts=CALM)
    provider = openai if flavour == "openai" else azure
    with provider.get_realtime_conversation_client("gpt-realtime-2.1") as client:
        call_id = service.place_call()
        assert post(made_app(client, sessions), incoming(call_id)) == (200, "")
        live = service.wait_for_session()
        assert live.options["instructions"].startswith("You answer the telephone")
        live.wait_for_sent("response.done", 20)  # the greeting, which the model says first
        assert sessions.running == 1

        call = sessions.get(call_id)
        assert call is not None
        call.wait_until_open(20).add_item("Where is order 8?")
        call.wait_until_open(20).start_response()
        returned = live.wait_for_message(lambda m: m.get("item", {}).get("type") == "function_call_output", 20)
        assert returned["item"]["output"] == "Order 8 waits to be collected in the shop."

        service.call(call_id).hang_up()  # the caller does
        call.wait(20)
        until(lambda: sessions.running == 0, 20)
        assert call.error is None


@pytest.mark.parametrize("service", [ending], indirect=True)
def test_the_model_may_end_the_call(app: Flask, service: RealtimeServer, sessions: BackgroundSessions) -> None:
    call_id = service.place_call()
    assert post(app, incoming(call_id))[0] == 200
    service.wait_for_session().wait_until_closed(20)
    assert service.call(call_id).state == "ended"
    until(lambda: sessions.running == 0, 20)


def test_a_webhook_that_is_posted_over_a_socket_starts_the_call(
    app: Flask, service: RealtimeServer, sessions: BackgroundSessions
) -> None:
    web = make_server("127.0.0.1", 0, app, threaded=True)
    serving = threading.Thread(target=web.serve_forever, args=(0.05,), daemon=True)
    serving.start()
    try:
        call_id = service.place_call()
        assert flask_phone.deliver(web.server_port, OTHER, call_id) == 400
        assert service.call(call_id).state == "incoming"
        assert flask_phone.deliver(web.server_port, SECRET, call_id) == 200
        assert service.call(call_id).state == "active"
    finally:
        web.shutdown()
        web.server_close()
        serving.join(20)


def test_the_end_of_the_application_ends_the_session_and_not_the_call(
    app: Flask, service: RealtimeServer, sessions: BackgroundSessions
) -> None:
    call_id = service.place_call()
    assert post(app, incoming(call_id))[0] == 200
    call = sessions.get(call_id)
    assert call is not None
    assert sessions.close()
    assert call.done
    assert service.call(call_id).state == "active"
    status, _ = post(app, incoming(service.place_call()), "wh_2")
    assert status == 503  # another process may answer it when it is delivered again


# What is not answered ------------------------------------------------------------------------------------------------


def test_a_forged_webhook_is_refused_with_400_and_nothing_is_started(
    app: Flask, service: RealtimeServer, sessions: BackgroundSessions, caplog: pytest.LogCaptureFixture
) -> None:
    call_id = service.place_call()
    threads = threading.active_count()
    status, told = post(app, incoming(call_id), secret=OTHER)
    assert (status, service.call(call_id).state, sessions.running) == (400, "incoming", 0)
    assert (service.sessions, threading.active_count()) == ([], threads)
    for ago in (400, -400):
        assert post(app, incoming(call_id), ago=ago)[0] == 400
    unsigned = app.test_client().post("/webhook", json=incoming(call_id))
    assert unsigned.status_code == 400
    assert service.call(call_id).state == "incoming"
    for hidden in (SECRET, SECRET[6:], OTHER, KEY, call_id, "+1415"):
        assert hidden not in told + unsigned.text + caplog.text


def test_a_webhook_that_is_repeated_starts_nothing_again(app: Flask, service: RealtimeServer) -> None:
    call_id = service.place_call()
    assert post(app, incoming(call_id))[0] == 200
    assert post(app, incoming(call_id))[0] == 200
    assert len(service.sessions) == 1


def test_where_all_are_busy_the_call_is_rejected_as_busy(
    app: Flask, service: RealtimeServer, sessions: BackgroundSessions
) -> None:
    calls = [service.place_call() for _ in range(3)]
    statuses = [post(app, incoming(call_id), f"wh_{call_id}")[0] for call_id in calls]
    assert statuses == [200, 200, 200]
    assert [service.call(call_id).state for call_id in calls] == ["active", "active", "rejected"]
    assert service.call(calls[2]).reject_status == 486


def test_a_caller_who_has_hung_up_already_is_no_error(app: Flask, service: RealtimeServer) -> None:
    call_id = service.place_call()
    service.call(call_id).hang_up()
    assert post(app, incoming(call_id))[0] == 200


def test_a_call_that_could_not_be_answered_is_tried_again_when_it_is_delivered_again(
    sessions: BackgroundSessions, caplog: pytest.LogCaptureFixture
) -> None:
    refused = answer(500, body={"error": {"message": f"who is {KEY}?"}})
    with Service(refused, answer(404)) as broken:
        openai = OpenAIClient(KEY, endpoint=broken.endpoint, timeouts=CALM, retries=ConnectRetries(attempts=1))
        app = made_app(openai.get_realtime_conversation_client("gpt-realtime-2.1"), sessions)
        status, told = post(app, incoming("rtc_1"))
        assert status == 503
        assert KEY not in told + caplog.text
        assert "rtc_1" in caplog.text
        assert post(app, incoming("rtc_1"))[0] == 200  # the same delivery once more; the call is over by now
        assert [asked.path for asked in broken.asked] == ["/v1/realtime/calls/rtc_1/accept"] * 2


def test_a_call_that_was_accepted_and_that_nobody_could_be_put_beside_is_hung_up(
    sessions: BackgroundSessions,
) -> None:
    with Service(answer(200), answer(500), answer(200)) as broken:
        openai = OpenAIClient(KEY, endpoint=broken.endpoint, timeouts=CALM, retries=ConnectRetries(attempts=1))
        app = made_app(openai.get_realtime_conversation_client("gpt-realtime-2.1"), sessions)
        assert post(app, incoming("rtc_1"))[0] == 503
        paths = ["/v1/realtime/calls/rtc_1/accept", "/v1/realtime?call_id=rtc_1", "/v1/realtime/calls/rtc_1/hangup"]
        assert [asked.path for asked in broken.asked] == paths


def test_a_call_for_which_there_is_no_thread_is_tried_again_when_it_is_delivered_again(
    app: Flask, service: RealtimeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start_nothing(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")  # as Python says it

    call_id = service.place_call()
    with monkeypatch.context() as crowded:
        crowded.setattr(threading.Thread, "start", start_nothing)
        assert post(app, incoming(call_id))[0] == 503
    assert post(app, incoming(call_id))[0] == 200
    assert service.call(call_id).state == "active"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", 400),
        (b"{", 400),
        ([], 400),
        ({"type": "realtime.call.incoming"}, 400),
        ({"type": "live.call.incoming", "data": {"session_id": "rtc_1"}}, 200),
        ({"type": "batch.completed"}, 200),
        (b"x" * 70_000, 413),
        ({**incoming("../../files"), "id": None}, 200),  # signed, and yet: there is no such call
    ],
)
def test_what_is_no_call_starts_nothing(
    app: Flask, service: RealtimeServer, sessions: BackgroundSessions, content: Any, expected: int
) -> None:
    assert post(app, content)[0] == expected
    assert service.sessions == []
    until(lambda: sessions.running == 0, 20)


def test_other_methods_are_refused(app: Flask) -> None:
    assert app.test_client().get("/webhook").status_code == 405


def test_without_its_secret_the_application_does_not_begin(client: RealtimeConversationClient) -> None:
    with pytest.raises(ValueError, match="whsec_"):
        flask_phone.create_app(client)


# As a user would run it ----------------------------------------------------------------------------------------------


def test_the_example_plays_a_call_without_a_key(tmp_path: Path) -> None:
    told = finish("flask_phone.py", tmp_path)
    assert told.returncode == 0, told.stdout + told.stderr
    assert told.stdout.splitlines()[0] == "Webhook 400, the call is incoming"
    assert "Order 7 is on its way" in told.stdout
    assert told.stdout.endswith("The call is ended\n")
    assert "Traceback" not in told.stderr
