"""Webhooks: check that a request comes from the service and is new, and read its event.

The signatures are those of Standard Webhooks (www.standardwebhooks.com), which OpenAI and Azure use: HMAC-SHA256
over ``id.timestamp.body``, in the headers ``webhook-id``, ``webhook-timestamp`` and ``webhook-signature``::

    verifier = WebhookVerifier(os.environ["OPENAI_WEBHOOK_SECRET"])

    @app.post("/webhook")
    def webhook():
        try:
            event = verifier.verify(request.headers, request.get_data())    # Django: request.headers, request.body
        except WebhookError as error:
            return str(error), error.status
        if isinstance(event, RealtimeCallIncomingEvent):
            ...
"""

from __future__ import annotations

import base64
import binascii
import collections
import hashlib
import hmac
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any, Callable, NoReturn, Optional, Protocol, Union

import attrs

from realtime_sync.checks import check_number, check_whole
from realtime_sync.errors import (
    ConfigurationError,
    InvalidInputError,
    WebhookPayloadError,
    WebhookReplayedError,
    WebhookSignatureError,
)
from realtime_sync.protocol.parsing import json_object
from realtime_sync.secret import discreet, reportable

_PREFIX = "whsec_"
_MAX_SIGNATURES = 32  # some are sent while secrets are rotated; more are somebody's joke
# What is not answered with 2xx is delivered again, with a new timestamp, for up to three days (OpenAI, 2026).
_REMEMBERED_SECONDS = 3 * 24 * 3600.0
_HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")
_EXPLAINED = "Is it sent by somebody else, or is the secret another endpoint's?"


@attrs.frozen(kw_only=True)
class WebhookEvent:
    """An event whose signature was right. Types that have no class of their own are told by ``type`` and ``data``.

    ``webhook_id``: the delivery's, the same when it is delivered again; ``id``: the event's. ``created_at``: Unix
    seconds. ``data``: the wire's. Not shown: what a caller's telephone tells is personal.
    """

    type: str
    webhook_id: str
    id: str = ""
    created_at: int = 0
    data: Mapping[str, Any] = attrs.field(factory=dict, repr=False)


@attrs.frozen
class SipHeader:
    """A header of the caller's SIP INVITE."""

    name: str
    value: str = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class IncomingSipEvent(WebhookEvent):
    """Somebody calls. ``sip_headers``: what the caller's telephone tells, which anybody can have made up."""

    sip_headers: tuple[SipHeader, ...] = attrs.field(default=(), repr=False)

    def sip_header(self, name: str) -> Optional[str]:
        """The first SIP header of this name, such as ``"From"``, in any case; None if there is none."""
        return next((header.value for header in self.sip_headers if header.name.lower() == name.lower()), None)


@attrs.frozen(kw_only=True)
class RealtimeCallIncomingEvent(IncomingSipEvent):
    """``realtime.call.incoming``: somebody calls. ``call_id`` is for ``client.calls.accept`` or ``reject``.

    The same call may also be told by a ``LiveTransportIncomingEvent``: what is accepted first has it.
    """

    call_id: str


@attrs.frozen(kw_only=True)
class LiveTransportIncomingEvent(IncomingSipEvent):
    """``live.transport.incoming`` (once ``live.call.incoming``): somebody calls who may be let into a live session.

    ``session_id`` is for ``client.live_calls.accept`` or ``reject``. ``media_security``: ``"srtp"``, or ``"rtp"`` if
    the caller's audio is not encrypted; None: not told. The same call may also be told by a
    ``RealtimeCallIncomingEvent``: what is accepted first has it.
    """

    session_id: str
    media_security: Optional[str] = None


@attrs.frozen(kw_only=True)
class LiveTransportConnectedEvent(WebhookEvent):
    """``live.transport.connected``: a browser's call has its connection. ``session_id``: for ``client.attach_live``.

    ``transport``: ``"webrtc"``.
    """

    session_id: str
    transport: str = ""


class Headers(Protocol):
    """A request's headers: a dict, Flask's ``request.headers``, Django's ``request.headers`` or ``request.META``."""

    def items(self) -> Iterable[tuple[str, object]]:
        """Names, in any case, and values."""


class SeenWebhooks(Protocol):
    """Remembers the ids of accepted requests. Several processes need a store that they share, such as Redis'
    ``SET id 1 NX EX seconds``, or a table with a unique column.
    """

    def add(self, webhook_id: str, seconds: float) -> bool:
        """Remember an id for so many seconds; False if it is remembered already. Atomic."""

    def discard(self, webhook_id: str) -> None:
        """Forget an id, so that a redelivery of it is accepted."""


class SeenInMemory:
    """The store of one process, for all its threads: at most ``most`` ids (one or more), oldest out."""

    def __init__(self, most: int = 10_000, *, clock: Callable[[], float] = time.monotonic) -> None:
        check_whole("most", most, at_least=1, error=ConfigurationError)
        self._most, self._clock = most, clock
        self._lock = threading.Lock()  # guards _until
        self._until: collections.OrderedDict[str, float] = collections.OrderedDict()

    def add(self, webhook_id: str, seconds: float) -> bool:
        """See ``SeenWebhooks``."""
        with self._lock:
            return self._add(webhook_id, seconds)

    def _add(self, webhook_id: str, seconds: float) -> bool:
        now = self._clock()
        while self._until and next(iter(self._until.values())) <= now:
            self._until.popitem(last=False)
        if self._until.get(webhook_id, now) > now:
            return False
        self._until[webhook_id] = now + seconds
        while len(self._until) > self._most:
            self._until.popitem(last=False)
        return True

    def discard(self, webhook_id: str) -> None:
        """See ``SeenWebhooks``."""
        with self._lock:
            self._until.pop(webhook_id, None)


@reportable
class WebhookVerifier:
    """Verifies the requests to one webhook. Make one for the application: it remembers which it has seen.

    ``secret``: ``"whsec_..."``, as it is shown when the webhook is made; several while it is rotated. ``tolerance``:
    seconds that a request may be older or newer than this machine's clock. ``seen``: None: the memory of this process,
    see ``SeenWebhooks``. ``clock``: Unix seconds; for tests. Raises ``ConfigurationError``, which shows no secret.
    """

    @discreet
    def __init__(
        self,
        secret: Union[str, Iterable[str]],
        *,
        tolerance: float = 300.0,
        seen: Optional[SeenWebhooks] = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._keys = _keys(secret)
        check_number("tolerance", tolerance, "seconds", above=0, error=ConfigurationError)
        self._tolerance = tolerance
        self._seen: SeenWebhooks = SeenInMemory() if seen is None else seen
        self._clock = clock

    def __reduce__(self) -> NoReturn:
        raise ConfigurationError(
            "a verifier holds secrets, so it cannot be sent to another process: make one there, with a seen= that the "
            "processes share"
        )

    def __repr__(self) -> str:
        return f"<WebhookVerifier of {len(self._keys)} secret(s), hidden>"

    @discreet
    def verify(self, headers: Headers, body: bytes) -> WebhookEvent:
        """The event of a request: of a class of its own if it tells of a call.

        They are ``RealtimeCallIncomingEvent``, ``LiveTransportIncomingEvent`` and ``LiveTransportConnectedEvent``.

        ``headers``: see ``Headers``. ``body``: the request's bytes as they came, not a text and not JSON made anew.

        Raises ``WebhookSignatureError``, ``WebhookReplayedError`` or ``WebhookPayloadError``, all of them
        ``WebhookError``: answer with its ``status``, and do nothing. ``InvalidInputError`` is a mistake of the
        caller's.
        """
        if not isinstance(body, (bytes, bytearray, memoryview)):
            raise InvalidInputError(
                f"body must be the request's bytes as they came, not {type(body).__name__}: "
                "Flask's request.get_data(), Django's request.body"
            )
        body = bytes(body)
        webhook_id, timestamp, signatures = _told(headers)
        self._check_time(timestamp)
        if not self._is_signed(f"{webhook_id}.{timestamp}.".encode() + body, signatures):
            raise WebhookSignatureError(
                f"No signature of this request was made with the configured secret. {_EXPLAINED}"
            )
        event = _event(webhook_id, body)
        # Only now, so that strangers cannot fill the memory. No less long than its timestamp would be accepted.
        if not self._seen.add(webhook_id, max(_REMEMBERED_SECONDS, 2 * self._tolerance)):
            raise WebhookReplayedError("This request has been accepted before, so it must not be acted upon again.")
        return event

    def forget(self, event: WebhookEvent) -> None:
        """Accept this event again when it is redelivered: for a view that failed to do what it should have done."""
        self._seen.discard(event.webhook_id)

    def _check_time(self, timestamp: str) -> None:
        if not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) <= 15):
            raise WebhookSignatureError("The header webhook-timestamp is not a number of seconds.")
        off = int(timestamp) - self._clock()
        if abs(off) > self._tolerance:
            when = "in the future" if off > 0 else "old"
            raise WebhookSignatureError(
                f"The request is {abs(off):.0f} s {when}, more than {self._tolerance:g} s. "
                "It is an old request that somebody repeats, or this machine's clock is wrong."
            )

    def _is_signed(self, content: bytes, signatures: list[str]) -> bool:
        expected = [_signature(key, content).encode() for key in self._keys]
        # All are compared, so that time tells nothing about which secret or how much of it was right.
        matches = [hmac.compare_digest(told.encode(), ours) for told in signatures for ours in expected]
        return any(matches)


@discreet
def sign(secret: str, webhook_id: str, timestamp: int, body: bytes) -> str:
    """The value of ``webhook-signature`` for a request, as the service would make it; for tests.

    ``timestamp``: Unix seconds. Raises ``ConfigurationError`` where the secret is none.
    """
    return _signature(_key(secret), f"{webhook_id}.{timestamp}.".encode() + body)


def _signature(key: bytes, content: bytes) -> str:
    return "v1," + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()


def _keys(secrets: object) -> list[bytes]:
    if isinstance(secrets, (str, bytes)) or not isinstance(secrets, Iterable):
        return [_key(secrets)]
    keys = [_key(each) for each in secrets]
    if not keys:
        raise ConfigurationError("A webhook needs its secret: 'whsec_...', as it was shown when it was made.")
    return keys


def _key(secret: object) -> bytes:
    if not isinstance(secret, str):
        raise ConfigurationError(f"A webhook's secret is a str, not {type(secret).__name__}: is it set?")
    try:
        key = base64.b64decode(secret.strip().removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key:
        raise ConfigurationError(
            "The webhook's secret must be 'whsec_' and base64, as it was shown when the webhook was made. "
            "Was it cut, or is it another key?"
        )
    return key


def _told(headers: Headers) -> tuple[str, str, list[str]]:
    """The request's id, its time, and its signatures of the kind that we can check."""
    known: dict[str, str] = {}
    for name, value in headers.items():
        plain = str(name).lower().replace("_", "-").removeprefix("http-")
        if plain in _HEADERS and isinstance(value, str):
            known[plain] = value
    missing = [name for name in _HEADERS if not known.get(name)]
    if missing:
        raise WebhookSignatureError(f"The request lacks the header(s) {', '.join(missing)}. {_EXPLAINED}")
    webhook_id, timestamp, told = (known[name] for name in _HEADERS)
    if not (webhook_id.isascii() and told.isascii() and len(webhook_id) <= 256):
        raise WebhookSignatureError("The headers webhook-id and webhook-signature are not as the service sends them.")
    # "v1a" is signed with a public key, which nobody has here.
    signatures = [each for each in told.split()[:_MAX_SIGNATURES] if each.startswith("v1,")]
    return webhook_id, timestamp, signatures


def _event(webhook_id: str, body: bytes) -> WebhookEvent:
    told = json_object(body)
    wire_type = None if told is None else told.get("type")
    if told is None or not isinstance(wire_type, str):
        raise WebhookPayloadError("The request is signed, but its body is not a JSON object with a type.")
    event_id, created_at, data = told.get("id"), told.get("created_at"), told.get("data")
    facts: dict[str, Any] = {
        "type": wire_type,
        "webhook_id": webhook_id,
        "id": event_id if isinstance(event_id, str) else "",
        "created_at": created_at if type(created_at) is int else 0,
        "data": data if isinstance(data, dict) else {},
    }
    return _MAKERS.get(wire_type, WebhookEvent)(**facts)


def _realtime_call(**facts: Any) -> WebhookEvent:
    return RealtimeCallIncomingEvent(call_id=_named(facts, "call_id"), sip_headers=_sip_headers(facts["data"]), **facts)


def _live_call(**facts: Any) -> WebhookEvent:
    data = facts["data"]
    security = data.get("sip_media_security")
    return LiveTransportIncomingEvent(
        session_id=_named(facts, "session_id"),
        sip_headers=_sip_headers(data),
        media_security=security if isinstance(security, str) else None,
        **facts,
    )


def _live_connected(**facts: Any) -> WebhookEvent:
    transport = facts["data"].get("type")
    return LiveTransportConnectedEvent(
        session_id=_named(facts, "session_id"), transport=transport if isinstance(transport, str) else "", **facts
    )


_MAKERS: dict[str, Callable[..., WebhookEvent]] = {
    "realtime.call.incoming": _realtime_call,
    "live.transport.incoming": _live_call,
    "live.call.incoming": _live_call,
    "live.transport.connected": _live_connected,
}


def _named(facts: Mapping[str, Any], name: str) -> str:
    """The id without which nobody could answer the event."""
    told = facts["data"].get(name)
    if not isinstance(told, str) or not told:
        raise WebhookPayloadError(f"The request is signed, but its {facts['type']} names no {name}.")
    return told


def _sip_headers(data: Mapping[str, Any]) -> tuple[SipHeader, ...]:
    told = data.get("sip_headers")
    known = [each for each in told if isinstance(each, dict)] if isinstance(told, list) else []
    return tuple(SipHeader(str(each.get("name", "")), str(each.get("value", ""))) for each in known)
