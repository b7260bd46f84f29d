"""Webhooks: the published test vectors, every way in which a request can be somebody else's, and what it tells."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any, Optional

import flask
import hypothesis
import hypothesis.strategies as st
import pytest
from django.http.request import HttpHeaders

from realtime_sync import (
    ConfigurationError,
    InvalidInputError,
    WebhookError,
    WebhookPayloadError,
    WebhookReplayedError,
    WebhookSignatureError,
)
from realtime_sync.web.webhooks import (
    LiveTransportConnectedEvent,
    LiveTransportIncomingEvent,
    RealtimeCallIncomingEvent,
    SeenInMemory,
    SipHeader,
    WebhookEvent,
    WebhookVerifier,
    sign,
)
from tests.server import wire_schemas

# The vector of the Standard Webhooks reference libraries, and that of OpenAI's own clients.
STANDARD = (
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "msg_p5jXN8AQM9LWM0D4loKWxJek",
    1614265330,
    b'{"test": 2432232314}',
    "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
)
OPENAI = (
    "whsec_RdvaYFYUXuIFuEbvZHwMfYFhUf7aMYjYcmM24+Aj40c=",
    "wh_685c059ae39c8190af8c71ed1022a24d",
    1750861210,
    b'{"id": "evt_685c059ae3a481909bdc86819b066fb6", "object": "event", "created_at": 1750861210, '
    b'"type": "response.completed", "data": {"id": "resp_123"}}',
    "v1,gUAg4R2hWouRZqRQG4uJypNS8YK885G838+EHb4nKBY=",
)
SECRET, ID, NOW, BODY, SIGNATURE = OPENAI
OTHER = "whsec_c2VjcmV0LW9mLWFub3RoZXItZW5kcG9pbnQ="
SIP_HEADERS = [
    {"name": "From", "value": "sip:+14155550100@sip.example.com"},
    {"name": "To", "value": "sip:+14155550123@sip.example.com"},
]
INCOMING = {
    "object": "event",
    "id": "evt_1",
    "type": "realtime.call.incoming",
    "created_at": NOW,
    "data": {"call_id": "rtc_1", "sip_headers": SIP_HEADERS},
}
LIVE_DATA = {"type": "sip", "session_id": "live_1", "sip_headers": SIP_HEADERS}
LIVE = {**INCOMING, "type": "live.transport.incoming", "data": LIVE_DATA}


def at(moment: float, secret: Any = SECRET, **options: Any) -> WebhookVerifier:
    return WebhookVerifier(secret, clock=lambda: moment, **options)


def told(signature: str = SIGNATURE, webhook_id: str = ID, timestamp: Any = NOW) -> dict[str, str]:
    return {"webhook-id": webhook_id, "webhook-timestamp": str(timestamp), "webhook-signature": signature}


def signed(content: Any, webhook_id: str = "wh_1") -> tuple[dict[str, str], bytes]:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return told(sign(SECRET, webhook_id, NOW, body), webhook_id), body


# Signatures ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", [STANDARD, OPENAI], ids=["standard-webhooks", "openai"])
def test_the_published_vectors_are_signed_as_published(vector: Any) -> None:
    secret, webhook_id, timestamp, body, signature = vector
    assert sign(secret, webhook_id, timestamp, body) == signature
    assert sign(secret.removeprefix("whsec_"), webhook_id, timestamp, body) == signature


def test_openais_vector_is_verified() -> None:
    event = at(NOW).verify(told(), BODY)
    assert event == WebhookEvent(
        type="response.completed",
        webhook_id=ID,
        id="evt_685c059ae3a481909bdc86819b066fb6",
        created_at=NOW,
        data={"id": "resp_123"},
    )


def test_the_standards_vector_is_signed_and_tells_no_event() -> None:
    secret, webhook_id, timestamp, body, signature = STANDARD
    with pytest.raises(WebhookPayloadError):
        at(timestamp, secret).verify(told(signature, webhook_id, timestamp), body)


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (told("v1,gUAg4R2hWouRZqRQG4uJypNS8YK885G838+EHb4nKBZ="), BODY),
        (told("v1," + "A" * 43 + "="), BODY),
        (told(""), BODY),
        (told("v1"), BODY),
        (told("v1,"), BODY),
        (told(SIGNATURE.replace("v1,", "v1a,")), BODY),
        (told(SIGNATURE.replace("v1,", "v2,")), BODY),
        (told(SIGNATURE.removeprefix("v1,")), BODY),
        (told(SIGNATURE.rstrip("=")), BODY),
        (told(SIGNATURE + "x"), BODY),
        (told("v1,ä"), BODY),
        (told(webhook_id="wh_other"), BODY),
        (told(webhook_id="ä"), BODY),
        (told(webhook_id=""), BODY),
        (told(timestamp=NOW + 1), BODY),
        (told(timestamp=f" {NOW}"), BODY),
        (told(timestamp=f"{NOW}.0"), BODY),
        (told(timestamp=-NOW), BODY),
        (told(timestamp="9" * 5000), BODY),
        (told(timestamp="²"), BODY),
        (told(timestamp="nan"), BODY),
        (told(timestamp=""), BODY),
        (told(), BODY + b" "),
        (told(), BODY.replace(b"123", b"124")),
        (told(), b""),
        ({}, BODY),
        ({name: value for name, value in told().items() if name != "webhook-id"}, BODY),
        ({name: value for name, value in told().items() if name != "webhook-timestamp"}, BODY),
        ({name: value for name, value in told().items() if name != "webhook-signature"}, BODY),
        ({**told(), "webhook-id": 5}, BODY),
    ],
)
def test_whatever_is_not_signed_is_refused_with_400(headers: Any, body: bytes) -> None:
    verifier = at(NOW)
    with pytest.raises(WebhookSignatureError) as caught:
        verifier.verify(headers, body)
    assert caught.value.status == 400
    for secret in (SECRET, SECRET.removeprefix("whsec_"), SIGNATURE, "resp_12"):
        assert secret not in f"{caught.value} {verifier!r}"
    assert verifier.verify(told(), BODY).id  # and the memory has not been filled by it


def test_another_endpoints_secret_is_refused() -> None:
    with pytest.raises(WebhookSignatureError):
        at(NOW, OTHER).verify(told(), BODY)


def test_one_right_signature_among_many_is_enough() -> None:
    many = " ".join(["v1a,abc", "v1,AAAA", "nonsense", SIGNATURE, "v2,x"])
    assert at(NOW).verify(told(many), BODY).id


def test_of_endless_signatures_only_some_are_looked_at() -> None:
    with pytest.raises(WebhookSignatureError):
        at(NOW).verify(told("v1,AAAA " * 10_000 + SIGNATURE), BODY)


def test_while_secrets_are_rotated_either_is_right() -> None:
    assert at(NOW, [OTHER, SECRET]).verify(told(), BODY).id
    both = f"{sign(OTHER, ID, NOW, BODY)} {SIGNATURE}"
    assert at(NOW, SECRET).verify(told(both), BODY).id


@hypothesis.given(position=st.integers(0, len(BODY) - 1), value=st.integers(0, 255))
def test_no_byte_of_the_body_can_be_changed(position: int, value: int) -> None:
    changed = BODY[:position] + bytes([value]) + BODY[position + 1 :]
    hypothesis.assume(changed != BODY)
    with pytest.raises(WebhookSignatureError):
        at(NOW).verify(told(), changed)


@hypothesis.given(
    headers=st.dictionaries(st.sampled_from([*told(), "HTTP_WEBHOOK_ID"]), st.text(max_size=60)),
    body=st.binary(max_size=60),
)
def test_whatever_comes_nothing_but_a_webhook_error_is_raised(headers: dict[str, str], body: bytes) -> None:
    with pytest.raises(WebhookError):
        at(NOW).verify(headers, body)


# Time ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("off", [-300, 0, 300, 299.9])
def test_five_minutes_either_way_are_accepted(off: float) -> None:
    assert at(NOW + off).verify(told(), BODY).id


@pytest.mark.parametrize(("off", "word"), [(301, "old"), (-301, "in the future"), (10**9, "old"), (300.5, "old")])
def test_more_than_five_minutes_are_not(off: float, word: str) -> None:
    with pytest.raises(WebhookSignatureError, match=word):
        at(NOW + off).verify(told(), BODY)


def test_the_tolerance_is_the_callers() -> None:
    assert at(NOW + 9, tolerance=10).verify(told(), BODY).id
    with pytest.raises(WebhookSignatureError):
        at(NOW + 11, tolerance=10).verify(told(), BODY)


# Replays -------------------------------------------------------------------------------------------------------------


def test_what_is_repeated_is_refused_and_to_be_answered_as_done() -> None:
    verifier = at(NOW)
    verifier.verify(told(), BODY)
    with pytest.raises(WebhookReplayedError) as caught:
        verifier.verify(told(), BODY)
    assert caught.value.status == 200  # else it would be delivered again for days
    again = sign(SECRET, ID, NOW + 60, BODY)
    with pytest.raises(WebhookReplayedError):
        verifier.verify(told(again, timestamp=NOW + 60), BODY)  # a redelivery has a new time and the same id


def test_an_event_that_was_not_dealt_with_may_be_delivered_again() -> None:
    verifier = at(NOW)
    verifier.forget(verifier.verify(told(), BODY))
    assert verifier.verify(told(), BODY).id


def test_an_unreadable_event_is_not_remembered() -> None:
    verifier = at(NOW)
    headers, body = signed(b"{}")
    for _ in range(2):
        with pytest.raises(WebhookPayloadError):
            verifier.verify(headers, body)


def test_of_two_at_once_one_is_accepted() -> None:
    verifier = at(NOW)
    barrier = threading.Barrier(8)
    outcomes: list[str] = []

    def deliver() -> None:
        barrier.wait(20)
        try:
            outcomes.append(verifier.verify(told(), BODY).type)
        except WebhookReplayedError:
            outcomes.append("replayed")

    threads = [threading.Thread(target=deliver, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(outcomes) == ["replayed"] * 7 + ["response.completed"]


def test_several_processes_may_share_what_they_have_seen() -> None:
    class Shared:
        def __init__(self) -> None:
            self.kept: dict[str, float] = {}

        def add(self, webhook_id: str, seconds: float) -> bool:
            if webhook_id in self.kept:
                return False
            self.kept[webhook_id] = seconds
            return True

        def discard(self, webhook_id: str) -> None:
            self.kept.pop(webhook_id, None)

    shared = Shared()
    one, other = at(NOW, seen=shared), at(NOW, seen=shared)
    event = one.verify(told(), BODY)
    with pytest.raises(WebhookReplayedError):
        other.verify(told(), BODY)
    assert shared.kept[ID] >= 600  # longer than the timestamp is accepted
    other.forget(event)
    assert one.verify(told(), BODY).id


def test_the_memory_forgets_by_time_and_by_number() -> None:
    now = [0.0]
    seen = SeenInMemory(3, clock=lambda: now[0])
    assert [seen.add(name, 10) for name in "aab"] == [True, False, True]
    now[0] = 10.0
    assert seen.add("a", 10)
    for name in "cde":
        assert seen.add(name, 10)
    assert seen.add("a", 10)  # the oldest had to go
    assert not seen.add("e", 10)
    seen.discard("e")
    seen.discard("never seen")
    assert seen.add("e", 10)


@pytest.mark.parametrize("most", [0, -1, True, 2.5, "many"])
def test_a_memory_that_remembers_nothing_is_refused_at_once(most: Any) -> None:
    with pytest.raises(ConfigurationError, match="most"):
        SeenInMemory(most)


# Events --------------------------------------------------------------------------------------------------------------


def test_a_call_tells_its_id_and_who_calls() -> None:
    event = at(NOW).verify(*signed(INCOMING))
    assert isinstance(event, RealtimeCallIncomingEvent)
    assert (event.call_id, event.id, event.webhook_id, event.created_at) == ("rtc_1", "evt_1", "wh_1", NOW)
    assert event.sip_headers[1] == SipHeader("To", "sip:+14155550123@sip.example.com")
    assert event.sip_header("from") == "sip:+14155550100@sip.example.com"
    assert event.sip_header("Subject") is None
    assert "+1415" not in repr(event)  # who calls is nobody's business in a log


def test_the_specifications_own_example_is_a_call() -> None:
    schema = json.loads((wire_schemas.PROTOCOL / "ga-schemas.json").read_text("utf-8"))
    text = json.dumps(schema)
    assert "WebhookRealtimeCallIncoming" in text
    errors = list(wire_schemas.validator("ga", "WebhookRealtimeCallIncoming").iter_errors(INCOMING))
    assert errors == []


@pytest.mark.parametrize(
    "change",
    [
        {"data": {"call_id": "rtc_1"}},
        {"data": {"call_id": "rtc_1", "sip_headers": None}},
        {"data": {"call_id": "rtc_1", "sip_headers": 5}},
        {"data": {"call_id": "rtc_1", "sip_headers": {"From": "x"}}},
        {"data": {"call_id": "rtc_1", "sip_headers": ["From", 5, None, {}]}},
        {"created_at": None},
        {"created_at": 1e400},
        {"created_at": "today"},
        {"id": 5},
        {"a_new_field": [1, 2, 3]},
    ],
)
def test_an_event_is_read_leniently(change: dict[str, Any]) -> None:
    event = at(NOW).verify(*signed({**INCOMING, **change}))
    assert isinstance(event, RealtimeCallIncomingEvent)
    assert event.call_id == "rtc_1"
    event.sip_header("From")


@pytest.mark.parametrize("wire_type", ["live.transport.incoming", "live.call.incoming"])
@pytest.mark.parametrize("security", ["srtp", "rtp", None])
def test_a_call_for_a_live_session_tells_its_id_and_who_calls(wire_type: str, security: Optional[str]) -> None:
    data = {**LIVE_DATA, "sip_media_security": security}
    event = at(NOW).verify(*signed({**LIVE, "type": wire_type, "data": data}))
    assert isinstance(event, LiveTransportIncomingEvent)
    assert (event.type, event.session_id, event.media_security) == (wire_type, "live_1", security)
    assert event.sip_header("FROM") == "sip:+14155550100@sip.example.com"
    assert "+1415" not in repr(event)


def test_a_browsers_live_call_tells_its_id_once_it_is_connected() -> None:
    told = {**LIVE, "type": "live.transport.connected", "data": {"type": "webrtc", "session_id": "live_1"}}
    event = at(NOW).verify(*signed(told))
    assert isinstance(event, LiveTransportConnectedEvent)
    assert (event.session_id, event.transport) == ("live_1", "webrtc")


@pytest.mark.parametrize("wire_type", ["live.transport.incoming", "live.call.incoming", "live.transport.connected"])
@pytest.mark.parametrize("data", [{}, {"session_id": 5}, {"session_id": ""}, None])
def test_a_live_call_that_nobody_could_answer_is_refused(wire_type: str, data: Any) -> None:
    with pytest.raises(WebhookPayloadError, match=f"{wire_type} names no session_id"):
        at(NOW).verify(*signed({**LIVE, "type": wire_type, "data": data}))


@pytest.mark.parametrize("wire_type", ["batch.completed", "something.new"])
def test_other_events_are_told_as_they_are(wire_type: str) -> None:
    event = at(NOW).verify(*signed({"type": wire_type, "data": {"session_id": "rtc_1"}}))
    assert type(event) is WebhookEvent
    assert (event.type, event.data["session_id"], event.id) == (wire_type, "rtc_1", "")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b"[" * 100_000,
        {},
        {"type": 5},
        {"type": "realtime.call.incoming"},
        {"type": "realtime.call.incoming", "data": {"call_id": ""}},
        {"type": "realtime.call.incoming", "data": {"call_id": 5}},
        {"type": "realtime.call.incoming", "data": []},
    ],
)
def test_what_is_signed_and_no_event_is_refused_with_400(content: Any) -> None:
    with pytest.raises(WebhookPayloadError) as caught:
        at(NOW).verify(*signed(content))
    assert caught.value.status == 400


# How it is used ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spelled", [str.upper, str.title, lambda name: "HTTP_" + name.upper().replace("-", "_")])
def test_headers_may_be_spelled_in_any_case(spelled: Callable[[str], str]) -> None:
    headers = {spelled(name): value for name, value in told().items()}
    assert at(NOW).verify({**headers, "Host": "localhost", "wsgi.input": object()}, BODY).id


def test_flasks_request_can_be_given() -> None:
    app = flask.Flask(__name__)
    with app.test_request_context("/webhook", method="POST", headers=told(), data=BODY):
        assert at(NOW).verify(flask.request.headers, flask.request.get_data()).id


def test_djangos_request_can_be_given() -> None:
    # What Django makes a request's headers of; a request itself wants settings, of which a process has one set.
    meta = {"HTTP_" + name.upper().replace("-", "_"): value for name, value in told().items()}
    assert at(NOW).verify(HttpHeaders(meta), BODY).id
    assert at(NOW).verify(meta, BODY).id


@pytest.mark.parametrize("body", [BODY.decode(), json.loads(BODY), None])
def test_a_body_that_is_not_the_requests_bytes_is_a_mistake(body: Any) -> None:
    with pytest.raises(InvalidInputError, match="get_data"):
        at(NOW).verify(told(), body)
    assert at(NOW).verify(told(), bytearray(BODY)).id  # type: ignore[arg-type]


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_HIDE?", "sk-HIDE", "whsec_HIDEx", [], None, 5, [None], b"x"])
def test_a_secret_that_is_none_is_refused_at_once_and_not_shown(secret: Any) -> None:
    with pytest.raises(ConfigurationError, match="secret") as caught:
        WebhookVerifier(secret)
    assert "HIDE" not in str(caught.value)


@pytest.mark.parametrize("tolerance", [0, -1, float("inf"), float("nan"), True, "300"])
def test_a_tolerance_that_makes_no_sense_is_refused_at_once(tolerance: Any) -> None:
    with pytest.raises(ConfigurationError, match="tolerance"):
        WebhookVerifier(SECRET, tolerance=tolerance)


def test_a_secret_may_come_with_its_files_line_break() -> None:
    assert at(NOW, SECRET + "\n").verify(told(), BODY).id
