"""What ``doctor`` finds on the way to the service, step by step: each rests on the one before it."""

from __future__ import annotations

import datetime
import os
import time
from collections.abc import Iterator
from typing import Optional
from urllib.parse import urlsplit

from realtime_sync.cli.findings import Finding
from realtime_sync.client import ConnectionSettings, RealtimeConversationClient
from realtime_sync.deadline import Deadline
from realtime_sync.endpoint.connect import ConnectRetries
from realtime_sync.endpoint.endpoint import OPENAI_URL, Endpoint, Target
from realtime_sync.errors import (
    AuthenticationError,
    HandshakeError,
    NotFoundError,
    ProxyError,
    RateLimitedError,
    RealtimeSyncError,
    TLSError,
)
from realtime_sync.timeouts import Timeouts
from realtime_sync.transport import default_ssl_context
from realtime_sync.transport.channel import Channel
from realtime_sync.transport.dialing import resolve
from realtime_sync.transport.proxies import Proxy, open_tunnel
from realtime_sync.transport.tls import CA_VARIABLES
from realtime_sync.transport.urls import show_url
from realtime_sync.transport.waiting import Cancellation

_TIMEOUTS = Timeouts(connect=10.0)
_SOON_DAYS = 14


def of_the_endpoint(endpoint: Endpoint, model: str, target: Target) -> Iterator[Finding]:
    """What would be used: whose protocol, which URL, which credential, which proxy."""
    yield Finding("endpoint", "ok", f"{_whose(endpoint)}; {_model_word(endpoint)} {model!r}")
    yield Finding("url", "ok", show_url(target.url))
    yield _credential(endpoint, target)
    told = (
        show_url(target.proxy) + (" (from the environment)" if endpoint.proxy is None else "") if target.proxy else ""
    )
    yield Finding("proxy", "ok", told or "none")


def of_the_connection(endpoint: Endpoint, model: str, target: Target) -> Iterator[Finding]:
    """Name, TCP, proxy, TLS, and a session that is opened and closed again. Ends with the first that fails."""
    parts = urlsplit(target.url)
    secure = parts.scheme == "wss"
    host, port = parts.hostname or "", parts.port or (443 if secure else 80)
    proxy = Proxy.parse(target.proxy) if target.proxy else None
    first = (proxy.host, proxy.port) if proxy else (host, port)
    step = "dns"
    channel = Channel(_TIMEOUTS, Cancellation())
    try:
        begun = time.monotonic()
        addresses = resolve(*first, Deadline(_TIMEOUTS.connect), Cancellation())
        known = list(dict.fromkeys(str(address[4][0]) for address in addresses))
        if known != [first[0]]:
            yield Finding(step, "ok", f"{first[0]} is {', '.join(known)} ({_since(begun)})")
        step, begun = "proxy" if proxy else "tcp", time.monotonic()
        context = target.ssl_context or default_ssl_context() if secure or proxy else None
        if proxy:
            open_tunnel(channel, proxy, host, port, context)
        else:
            channel.dial(host, port)
        yield Finding(
            step, "ok", f"{host}:{port} reached{f' through {proxy.place}' if proxy else ''} ({_since(begun)})"
        )
        if secure and context is not None:
            step, begun = "tls", time.monotonic()
            channel.start_tls(context, host)
            yield _certificate(channel, begun)
        step = "session"
        yield _session(endpoint, model)
    except RealtimeSyncError as error:
        yield Finding(step, "fail", str(error), _advice(error, endpoint))
    finally:
        channel.close()


def _session(endpoint: Endpoint, model: str) -> Finding:
    settings = ConnectionSettings(timeouts=_TIMEOUTS, retries=ConnectRetries(attempts=1))
    begun = time.monotonic()
    client = RealtimeConversationClient(model, endpoint, settings=settings)
    with client, client.start_conversation_session() as session:
        told, took = session.session, _since(begun)
    if told is None:
        return Finding("session", "warn", f"opened, but the server has said nothing ({took})", "is it the right one?")
    key = "the key is accepted, " if endpoint.credential is not None else ""
    return Finding("session", "ok", f"{key}{told.model or 'a model'} is ready ({took})")


def _certificate(channel: Channel, begun: float) -> Finding:
    sock, reading, writing, wake_up, _ = channel.release()
    try:
        # Through a proxy that speaks TLS itself, the inner TLS shows no certificate.
        told = sock.getpeercert() if hasattr(sock, "getpeercert") else None
        version = sock.version() if hasattr(sock, "version") else "TLS"
    finally:
        reading.close()
        writing.close()
        sock.close()
        wake_up.close()
    if not told:
        return Finding("tls", "ok", f"{version} ({_since(begun)})")
    issuer = {name: value for pairs in told["issuer"] for name, value in pairs}
    by = issuer.get("organizationName") or issuer.get("commonName") or "nobody"
    ends = datetime.datetime.strptime(str(told["notAfter"]), "%b %d %H:%M:%S %Y %Z")
    left = (ends - datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)).days
    words = f"{version}, certificate by {by}, good until {ends:%Y-%m-%d} ({_since(begun)})"
    if left < _SOON_DAYS:
        return Finding("tls", "warn", words, f"it ends in {left} days: have it renewed")
    return Finding("tls", "ok", words)


def _credential(endpoint: Endpoint, target: Target) -> Finding:
    if endpoint.credential is None:
        return Finding("key", "warn", "none is sent", "fine for a server of your own that asks for none")
    kind = "a key" if isinstance(endpoint.credential, str) else "a token (Entra ID)"
    parts = urlsplit(target.url)
    if parts.scheme == "ws" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        return Finding(
            "key", "warn", f"{kind} is sent, readable by everyone on the way", "use https:// in the endpoint"
        )
    return Finding("key", "ok", f"{kind} is there (not shown)")


def _whose(endpoint: Endpoint) -> str:
    if endpoint.flavour == "azure":
        return "Azure OpenAI, the generally available protocol (v1)"
    if endpoint.flavour == "azure-preview":
        return f"Azure OpenAI, the preview protocol of {endpoint.api_version}"
    known = urlsplit(endpoint.base_url).hostname == urlsplit(OPENAI_URL).hostname
    return "OpenAI" if known else "a server of OpenAI's protocol"


def _model_word(endpoint: Endpoint) -> str:
    return "model" if endpoint.flavour == "openai" else "deployment"


def _advice(error: RealtimeSyncError, endpoint: Endpoint) -> Optional[str]:
    """What to mend, beyond what the error says."""
    azure = endpoint.flavour != "openai"
    if isinstance(error, AuthenticationError):
        if endpoint.credential is None:
            return "it wants a key: set OPENAI_API_KEY"
        if azure:
            return "is the key of this very resource? With Entra ID: has the account the role Cognitive Services User?"
        return "is the key still there, at https://platform.openai.com/api-keys, and of the right project?"
    if isinstance(error, NotFoundError) and azure:
        other = "v1" if endpoint.flavour == "azure-preview" else "2025-04-01-preview"
        return f"the deployment's name (not the model's)? If that is right, try --api-version {other}"
    if isinstance(error, NotFoundError) and urlsplit(endpoint.base_url).path in ("", "/"):
        return "a base URL usually ends in /v1"
    if isinstance(error, (NotFoundError, RateLimitedError)):
        return "may this account use the model? --model NAME takes another"
    if isinstance(error, ProxyError):
        return "https_proxy and no_proxy in the environment say which proxy is used for which host"
    if isinstance(error, TLSError):
        named = next((name for name in CA_VARIABLES if os.environ.get(name)), None)
        return f"the authorities that are trusted are those of {f'{named}={os.environ[named]}' if named else 'certifi'}"
    if isinstance(error, HandshakeError):
        return None
    return "without a network, --local works all the same"


def _since(begun: float) -> str:
    return f"{(time.monotonic() - begun) * 1000:.0f} ms"
