"""``realtime-sync doctor``: what is set, what would be used, how far it gets, and what to mend."""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import sys
import textwrap
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Literal, Optional
from urllib.parse import urlsplit

import attrs

from realtime_sync import errors
from realtime_sync.cli import options, terminal
from realtime_sync.cli.colours import Colour, painted
from realtime_sync.cli.doctor_model import about_live, about_model
from realtime_sync.client import RealtimeConversationClient
from realtime_sync.deadline import Deadline
from realtime_sync.devices.portaudio import Backend, Kind, devices, find_device, sounddevice_backend
from realtime_sync.endpoint.connect import ConnectRetries
from realtime_sync.endpoint.endpoint import OPENAI_URL, Endpoint, Target
from realtime_sync.models import ServiceEndsWarning
from realtime_sync.starting import ConnectionSettings
from realtime_sync.timeouts import Timeouts
from realtime_sync.transport import default_ssl_context
from realtime_sync.transport.channel import Channel
from realtime_sync.transport.dialing import resolve
from realtime_sync.transport.proxies import Proxy, open_tunnel
from realtime_sync.transport.tls import CA_VARIABLES
from realtime_sync.transport.urls import show_url
from realtime_sync.transport.waiting import Cancellation
from realtime_sync.version import __version__

_TIMEOUTS = Timeouts(connect=10.0)
_INDENT = " " * 19
_WIDEST = 100  # columns
_COLOURS: dict[str, Colour] = {"ok": "green", "warn": "yellow", "fail": "red", "skip": "faint"}

_OPENAI = ("OPENAI_API_KEY", "OPENAI_BASE_URL")  # either is enough
_AZURE = {
    f"AZURE_OPENAI_{name}"
    for name in ("ENDPOINT", "API_KEY", "DEPLOYMENT", "LIVE_DEPLOYMENT", "API_VERSION", "USE_ENTRA")
}
_KNOWN = {*_OPENAI, "OPENAI_REALTIME_MODEL", "OPENAI_LIVE_MODEL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", *_AZURE}
# Each extra with the modules that it brings, and what needs it.
_EXTRAS = {
    "audio": (("numpy", "soundfile", "soxr"), "any kind of sound file, any rate"),
    "azure": (("azure.identity",), "Entra ID"),
    "completion": (("shtab",), "tab completion"),
    "devices": (("sounddevice",), "microphone and speaker"),
    "otel": (("opentelemetry",), "traces of sessions"),
    "plot": (("matplotlib",), "timeline --picture"),
    "progress": (("tqdm",), "progress bars"),
    "server": (("wsproto",), "--local, serve, replay"),
    "socks": (("python_socks",), "SOCKS proxies"),
    "tls": (("trustme",), "serve --tls"),
    "tools": (("docstring_parser",), "docstrings of tools in any style"),
    "voice": (("faster_whisper", "hibari", "onnxruntime"), "a --local that hears and speaks"),
}
_FILES_WILL_DO = "only talk, record, and say without -o need it; --input and --output take files in its place"


@attrs.frozen
class Finding:
    """One thing that was looked at. ``advice``: what to do about it; None if nothing is to be done."""

    check: str
    state: Literal["ok", "warn", "fail", "skip"]
    told: str
    advice: Optional[str] = None


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what ``doctor`` reads."""
    parser.add_argument("--offline", action="store_true", help="do not connect to anything")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    options.add_client_options(parser)


def doctor(arguments: argparse.Namespace) -> int:
    """Check environment, endpoint, network, key and sound devices.

    It looks at the environment, the endpoint (OpenAI, Azure GA or preview), the way to it (name,
    TCP, proxy, TLS), whether the service takes the key and the model, whether the model ends,
    whether the key may use GPT-Live, the sound devices and the extras, and says what to mend. It
    opens a session, asks nothing of the model, and shows no key.

    Examples:
      realtime-sync doctor
      realtime-sync doctor --offline                   # nothing leaves this machine
      realtime-sync doctor --endpoint https://RESOURCE.openai.azure.com --model my-deployment
      realtime-sync doctor --json | jq '.findings[] | select(.state == "fail")'

    The exit code is 0 if nothing failed, else 1; a warning changes nothing in it.
    """
    findings: list[Finding] = []
    for finding in _findings(arguments):
        findings.append(attrs.evolve(finding, told=terminal.one_line(finding.told)))
        if not arguments.json:
            _show(findings[-1])
    healthy = all(finding.state != "fail" for finding in findings)
    if arguments.json:
        terminal.show(json.dumps({"ok": healthy, "findings": [attrs.asdict(each) for each in findings]}, indent=2))
    return 0 if healthy else 1


def _findings(arguments: argparse.Namespace) -> Iterator[Finding]:
    system = f"{platform.system()} {platform.machine()}"
    versions = f"realtime_sync {__version__}, websocket-client {importlib.metadata.version('websocket-client')}"
    yield Finding("python", "ok", f"{platform.python_version()} on {system}, {versions}")
    yield from _variables()
    yield from _extras()
    yield from _service(arguments)
    yield from _sound_devices()


def _show(finding: Finding) -> None:
    width = max(30, min(terminal.columns(sys.stdout) or _WIDEST, _WIDEST) - len(_INDENT))
    lines = textwrap.wrap(finding.told, width, break_long_words=False, break_on_hyphens=False)
    if finding.advice:
        lines += textwrap.wrap(f"-> {finding.advice}", width, break_long_words=False, break_on_hyphens=False)
    state = painted(f"{finding.state:<5} ", _COLOURS[finding.state], sys.stdout)
    terminal.show(f"{finding.check:<13}" + f"\n{_INDENT}".join(lines), label=state)


# This machine ---------------------------------------------------------------------------------------------------------


def _variables() -> Iterator[Finding]:
    filled = [name for name in os.environ if os.environ[name].strip()]
    ours = sorted(name for name in filled if name.startswith(("OPENAI_", "AZURE_OPENAI_")))
    known = ", ".join(name for name in ours if name in _KNOWN)
    yield Finding("environment", "ok", known or "none of OPENAI_... and AZURE_OPENAI_... is set")
    for name in ours:
        if name not in _KNOWN:
            yield Finding("environment", "warn", f"{name} is not read by realtime_sync", "is its name spelled right?")
    if "AZURE_OPENAI_ENDPOINT" in ours and not {"AZURE_OPENAI_API_KEY", "AZURE_OPENAI_USE_ENTRA"} & set(ours):
        told = "AZURE_OPENAI_ENDPOINT is set without a credential for it, and not used"
        yield Finding("environment", "warn", told, "set AZURE_OPENAI_API_KEY=..., or AZURE_OPENAI_USE_ENTRA=true")
    for name in ("OPENAI_API_KEY", "AZURE_OPENAI_API_KEY"):
        fault = _fault_of_key(os.environ.get(name, ""))
        if fault:
            yield Finding("environment", "warn", f"{name} {fault}", "set it anew: the bare key, nothing around it")


def _fault_of_key(key: str) -> Optional[str]:
    """What looks wrong with a key, without any part of it."""
    if key.strip()[:1] in ("'", '"', "<", "$", "{"):
        return "begins with a character that no key begins with: quoted twice, or a placeholder?"
    if key.lower().startswith("bearer "):
        return "begins with the word Bearer, which is added anyway"
    return "has blanks inside" if len(key.split()) > 1 else None


def _extras() -> Iterator[Finding]:
    absent = [extra for extra, (modules, _) in _EXTRAS.items() if not all(map(_is_installed, modules))]
    present = [extra for extra in _EXTRAS if extra not in absent]
    yield Finding("extras", "ok", f"installed: {', '.join(present) or 'none'}")
    if absent:
        told = "; ".join(f"{extra} ({_EXTRAS[extra][1]})" for extra in absent)
        command = f"pip install 'realtime-sync[{','.join(absent)}]'"
        yield Finding("extras", "skip", f"not installed: {told}", f"if you want one of these: {command}")


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):  # the package above it is not there; a module that was put there by hand
        return False


def _sound_devices() -> Iterator[Finding]:
    """The microphone and the speaker that ``talk`` would use, and the others."""
    try:
        backend = sounddevice_backend()
    except errors.ConfigurationError as error:
        yield Finding("sound", "warn", str(error), _FILES_WILL_DO)
        return
    yield _device("microphone", "input", backend)
    yield _device("speaker", "output", backend)


def _device(name: str, kind: Kind, backend: Backend) -> Finding:
    try:
        default = find_device(None, kind, backend=backend)
        others = [each for each in devices(kind, backend=backend) if each.index != default.index]
    except errors.AudioDeviceError as error:
        return Finding(name, "warn", str(error), _FILES_WILL_DO)
    rest = f"; others: {', '.join(f'{each.index} {each.name!r}' for each in others)}" if others else ""
    return Finding(name, "ok", f"{default.index} {default.name!r}, {default.rate} Hz{rest}")


# The service, and the way to it: each step needs the one before it -------------------------------------------------


def _service(arguments: argparse.Namespace) -> Iterator[Finding]:
    with ExitStack() as stack:
        try:
            if arguments.local:
                client = stack.enter_context(options.client_from(arguments))
                endpoint, model = client.endpoint, client.model or ""
            else:
                endpoint, model = options.endpoint_from(arguments)
            target = endpoint.target(model=model)
        except errors.ConfigurationError as error:
            yield Finding("endpoint", "fail", str(error))
            return
        except errors.RealtimeSyncError as error:  # asking for a token
            yield Finding("key", "fail", str(error), "`az login` signs in on this machine")
            return
        azure = endpoint.flavour != "openai"
        if azure and not (arguments.local or arguments.endpoint) and any(os.environ.get(name) for name in _OPENAI):
            told = "there are variables for Azure OpenAI and for OpenAI; those of Azure are used"
            yield Finding("environment", "warn", told, "for OpenAI, unset AZURE_OPENAI_ENDPOINT")
        yield Finding("endpoint", "ok", f"{_whose(endpoint)}; {'deployment' if azure else 'model'} {model!r}")
        yield Finding("url", "ok", show_url(target.url))
        yield _credential(endpoint, target)
        where_from = " (from the environment)" if endpoint.proxy is None else ""
        yield Finding("proxy", "ok", show_url(target.proxy) + where_from if target.proxy else "none")
        last = Finding("network", "skip", "not tried (--offline)")
        if arguments.offline:
            yield last
        else:
            for last in _connection(endpoint, model, target):
                yield last
        asks = last.check == "session"
        yield Finding("model", *about_model(endpoint, model, asks=asks))
        yield Finding("gpt-live", *about_live(endpoint, asks=asks))


def _whose(endpoint: Endpoint) -> str:
    if endpoint.flavour == "azure":
        return "Azure OpenAI, the generally available protocol (v1)"
    if endpoint.flavour == "azure-preview":
        return f"Azure OpenAI, the preview protocol of {endpoint.api_version}"
    known = urlsplit(endpoint.base_url).hostname == urlsplit(OPENAI_URL).hostname
    return "OpenAI" if known else "a server that speaks OpenAI's protocol"


def _credential(endpoint: Endpoint, target: Target) -> Finding:
    if endpoint.credential is None:
        return Finding("key", "warn", "none is sent", "fine for a server of your own that asks for none")
    kind = "a key" if isinstance(endpoint.credential, str) else "a token (Entra ID)"
    parts = urlsplit(target.url)
    if parts.scheme == "ws" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        told = f"{kind} is sent without encryption: anyone on the way can read it"
        return Finding("key", "warn", told, "use https:// in the endpoint")
    return Finding("key", "ok", f"{kind} is there (not shown)")


def _connection(endpoint: Endpoint, model: str, target: Target) -> Iterator[Finding]:
    """Name, TCP, proxy, TLS, and a session that is opened and closed again. Ends with the first that fails."""
    parts = urlsplit(target.url)
    secure = parts.scheme == "wss"
    host, port = parts.hostname or "", parts.port or (443 if secure else 80)
    proxy = Proxy.parse(target.proxy) if target.proxy else None
    first = (proxy.host, proxy.port) if proxy else (host, port)
    step = "dns"
    deadline = Deadline(_TIMEOUTS.connect, "Timeouts.connect")
    channel = Channel(_TIMEOUTS, deadline, Cancellation())
    try:
        begun = time.monotonic()
        addresses = resolve(*first, deadline, Cancellation())
        known = list(dict.fromkeys(str(address[4][0]) for address in addresses))
        if known != [first[0]]:
            yield Finding(step, "ok", f"{first[0]} is {', '.join(known)} ({_since(begun)})")
        step, begun = "proxy" if proxy else "tcp", time.monotonic()
        context = target.ssl_context or default_ssl_context() if secure or proxy else None
        if proxy:
            open_tunnel(channel, proxy, host, port, context)
        else:
            channel.dial(host, port)
        through = f" through {proxy.place}" if proxy else ""
        yield Finding(step, "ok", f"{host}:{port} reached{through} ({_since(begun)})")
        if secure and context is not None:
            step, begun = "tls", time.monotonic()
            channel.start_tls(context, host)
            yield _certificate(channel, begun)
        step = "session"
        yield _session(endpoint, model)
    except errors.RealtimeSyncError as error:
        yield Finding(step, "fail", str(error), _advice(error, endpoint))
    finally:
        channel.close()


def _certificate(channel: Channel, begun: float) -> Finding:
    sock, reading, writing, wake_up, _ = channel.release()
    # Through a proxy that speaks TLS itself, the inner TLS shows no certificate.
    certificate = sock.getpeercert() if hasattr(sock, "getpeercert") else None
    version = sock.version() if hasattr(sock, "version") else "TLS"
    for part in (reading, writing, sock, wake_up):
        part.close()
    told = version
    if certificate:
        issuer = {name: value for pairs in certificate["issuer"] for name, value in pairs}
        by = issuer.get("organizationName") or issuer.get("commonName") or "nobody"
        told += f", certificate by {by}, good until {certificate['notAfter']}"
    return Finding("tls", "ok", f"{told} ({_since(begun)})")


def _session(endpoint: Endpoint, model: str) -> Finding:
    settings = ConnectionSettings(timeouts=_TIMEOUTS, retries=ConnectRetries(attempts=1))
    begun = time.monotonic()
    client = RealtimeConversationClient(model, endpoint, settings=settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ServiceEndsWarning)  # it is a finding
        with client, client.start_conversation_session() as session:
            resource, took = session.session, _since(begun)
    if resource is None:
        told = f"the connection is open, but the server has sent nothing ({took})"
        return Finding("session", "warn", told, "is it a server of the realtime protocol?")
    key = "the key is accepted, " if endpoint.credential is not None else ""
    return Finding("session", "ok", f"{key}{resource.model or 'a model'} is ready ({took})")


def _advice(error: errors.RealtimeSyncError, endpoint: Endpoint) -> Optional[str]:
    """What to mend, beyond what the error says."""
    azure = endpoint.flavour != "openai"
    if isinstance(error, errors.AuthenticationError):
        if endpoint.credential is None:
            return "the server wants a key: set OPENAI_API_KEY"
        if azure:
            return "is the key of this very resource? With Entra ID: has the account the role Cognitive Services User?"
        return "is the key still there, at https://platform.openai.com/api-keys, and of the right project?"
    if isinstance(error, errors.NotFoundError) and azure:
        other = "v1" if endpoint.flavour == "azure-preview" else "2025-04-01-preview"
        return f"is this the deployment's name (not the model's)? If it is, try --api-version {other}"
    if isinstance(error, errors.NotFoundError) and urlsplit(endpoint.base_url).path in ("", "/"):
        return "a base URL usually ends in /v1"
    if isinstance(error, (errors.NotFoundError, errors.RateLimitedError)):
        return "may this account use the model? --model NAME selects another"
    if isinstance(error, errors.ProxyError):
        return "https_proxy and no_proxy in the environment say which proxy is used for which host"
    if isinstance(error, errors.TLSError):
        named = next((name for name in CA_VARIABLES if os.environ.get(name)), None)
        return f"the authorities that are trusted are those of {f'{named}={os.environ[named]}' if named else 'certifi'}"
    return None if isinstance(error, errors.HandshakeError) else "without a network, --local works all the same"


def _since(begun: float) -> str:
    return f"{(time.monotonic() - begun) * 1000:.0f} ms"
