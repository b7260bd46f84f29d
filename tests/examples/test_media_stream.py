"""The example of a media stream: who is let in, who is not, and a call from beginning to end."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flask_media_stream
import pytest
from flask import Flask
from itsdangerous import URLSafeTimedSerializer

from realtime_sync import OpenAIClient
from realtime_sync.server import FunctionCall, RealtimeServer, Reply, Turn
from tests.core.harness import CALM, client_threads, until
from tests.examples.test_examples import finish
from tests.voice.phone import Phone, serving
from tests.voice.phone_line import PhoneLine

pytestmark = pytest.mark.medium

TOKEN = "the account's token"
URL = "https://example.com"
CALL = "CA00000000000000000000000000000001"


def clerk(turn: Turn) -> Reply:
    """Greets; looks up what was typed, and ends the call when that is told."""
    last = turn.last or {}
    if last.get("type") == "function_call_output":
        ended = "Order" not in str(last["output"])
        return Reply(str(last["output"]), function_calls=[] if ended else [FunctionCall("end_call")])
    typed = re.search(r"number: (\d+)", str(last))
    return Reply(function_calls=[FunctionCall("look_up_order", {"number": typed[1]})]) if typed else Reply("Hello.")


@pytest.fixture
def service() -> Iterator[RealtimeServer]:
    with RealtimeServer(responder=clerk) as running:
        yield running
    until(lambda: not client_threads(), 20)


@pytest.fixture
def app(service: RealtimeServer) -> Iterator[Flask]:
    openai = OpenAIClient("sk-a-key", endpoint=service.url, timeouts=CALM)
    with openai.get_realtime_conversation_client("gpt-realtime-2.1") as client:
        yield flask_media_stream.create_app(client, TOKEN, URL)


def post(app: Flask, token: str = TOKEN, **form: str) -> Any:
    form = {"CallSid": CALL, "From": "+14155550100", **form}
    signature = flask_media_stream.signed(f"{URL}/voice", form, token)
    return app.test_client().post("/voice", data=form, headers={"X-Twilio-Signature": signature})


def ticket_of(answer: Any) -> str:
    (ticket,) = re.findall('name="ticket" value="(.+?)"', answer.text)
    return str(ticket)


def test_a_signature_is_as_twilio_documents_it() -> None:
    form = {
        "CallSid": "CA1234567890ABCDE",
        "Caller": "+12349013030",
        "Digits": "1234",
        "From": "+12349013030",
        "To": "+18005551212",
    }
    assert (
        flask_media_stream.signed("https://mycompany.com/myapp.php?foo=1&bar=2", form, "12345")
        == "0/KCTR6DLpKmkAf8muzZqo1nDgQ="
    )


def test_a_call_that_twilio_has_signed_is_connected_to_the_stream(app: Flask) -> None:
    answer = post(app)
    assert answer.status_code == 200
    assert answer.mimetype == "text/xml"
    assert '<Connect><Stream url="wss://example.com/media">' in answer.text
    assert ticket_of(answer)


def test_a_call_that_nobody_has_signed_is_refused(app: Flask) -> None:
    assert post(app, token="another").status_code == 403
    assert app.test_client().post("/voice", data={"CallSid": CALL}).status_code == 403
    assert (
        app.test_client().post("/voice", data={"CallSid": CALL}, headers={"X-Twilio-Signature": "é"}).status_code == 403
    )
    assert app.test_client().get("/voice").status_code == 405


@pytest.mark.parametrize("ticket", ["none", "forged", "of another call", "too old"])
def test_a_stranger_is_let_go_and_no_session_is_opened(
    app: Flask, service: RealtimeServer, ticket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parameters = {"ticket": ticket_of(post(app, CallSid="CA2" if ticket == "of another call" else CALL))}
    if ticket == "none":
        parameters = {}
    elif ticket == "forged":
        parameters = {"ticket": str(URLSafeTimedSerializer("guessed", salt="media stream").dumps(CALL))}
    elif ticket == "too old":
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now + 62)
    line = PhoneLine(parameters=parameters)
    with serving(app) as address, Phone(f"ws://{address}/media", line) as phone:
        until(lambda: phone.over, 20, "the stranger was not let go")
    assert service.sessions == []
    assert not line.heard


def test_a_typed_number_is_looked_up_and_the_call_is_ended_when_all_is_said(
    app: Flask, service: RealtimeServer
) -> None:
    line = PhoneLine(parameters={"ticket": ticket_of(post(app))})
    with serving(app) as address, Phone(f"ws://{address}/media", line) as phone:
        until(lambda: phone.heard > 1000, 20, "nobody greeted")
        for key in "8#":
            phone.press(key)
        until(lambda: phone.over, 30, "the call was not ended")
    live = service.wait_for_session()
    assert live.options["instructions"].startswith("You answer the telephone")
    outputs = [each["item"]["output"] for each in live.received if "output" in each.get("item", {})]
    assert outputs[0] == "Order 8 waits to be collected in the shop."


@pytest.mark.slow
def test_the_example_plays_a_call_without_a_key(tmp_path: Path) -> None:
    told = finish("flask_media_stream.py", tmp_path)
    assert told.returncode == 0, told.stdout + told.stderr
    forged, stranger, signed, *_ = told.stdout.splitlines()
    assert (forged, signed) == ("Forged   403", "Signed   200")
    assert "the application hung up" in stranger
    assert "Order 7 is on its way" in told.stdout
    assert "the application hung up, keys pressed: 7#" in told.stdout
    assert "Traceback" not in told.stderr
