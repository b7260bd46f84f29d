"""What ``doctor`` finds on this machine: the environment's variables, packages, sound devices."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
from collections.abc import Iterator
from typing import Literal, Optional

import attrs

from realtime_sync.endpoint.endpoint import Endpoint
from realtime_sync.errors import AudioDeviceError, ConfigurationError
from realtime_sync.version import __version__
from realtime_sync.voice.portaudio import Backend, Kind, devices, find_device, sounddevice_backend

State = Literal["ok", "warn", "fail", "skip"]

KEYS = ("OPENAI_API_KEY", "AZURE_OPENAI_API_KEY")
_OPENAI = ("OPENAI_API_KEY", "OPENAI_BASE_URL")  # either is enough
_PREFIXES = ("OPENAI_", "AZURE_OPENAI_")
_KNOWN = {
    *KEYS,
    "OPENAI_BASE_URL",
    "OPENAI_REALTIME_MODEL",
    "OPENAI_ORG_ID",
    "OPENAI_PROJECT_ID",
    "AZURE_OPENAI_ENDPOINT",
    "AZURE_OPENAI_DEPLOYMENT",
    "AZURE_OPENAI_API_VERSION",
    "AZURE_OPENAI_USE_ENTRA",
}
# Each extra with the modules that it brings, and what needs it.
_EXTRAS = {
    "audio": (("numpy", "soundfile", "soxr"), "any kind of sound file, any rate"),
    "azure": (("azure.identity",), "Entra ID"),
    "devices": (("sounddevice",), "microphone and speaker"),
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
    """One thing that was looked at. ``advice``: what to do about it; None where nothing is to be done."""

    check: str
    state: State
    told: str
    advice: Optional[str] = None


def of_this_machine() -> Iterator[Finding]:
    """Python, the environment's variables, and what is installed."""
    system = f"{platform.system()} {platform.machine()}"
    yield Finding("python", "ok", f"{platform.python_version()} on {system}, realtime_sync {__version__}")
    yield from _variables()
    absent = [extra for extra in _EXTRAS if not has_extra(extra)]
    there = [extra for extra in _EXTRAS if extra not in absent]
    yield Finding("extras", "ok", f"installed: {', '.join(there) or 'none'}")
    if absent:
        told = "; ".join(f"{extra} ({_EXTRAS[extra][1]})" for extra in absent)
        command = f"pip install 'realtime-sync[{','.join(absent)}]'"
        yield Finding("extras", "skip", f"not installed: {told}", f"where you want one of these: {command}")


def of_two_services(endpoint: Endpoint) -> Iterator[Finding]:
    """Where the environment tells of two services: which of them is used."""
    if endpoint.flavour != "openai" and any(os.environ.get(name, "").strip() for name in _OPENAI):
        told = "there are variables for Azure OpenAI and for OpenAI; those of Azure are used"
        yield Finding("environment", "warn", told, "for OpenAI, unset AZURE_OPENAI_ENDPOINT")


def has_extra(extra: str) -> bool:
    """Whether the packages of an extra are installed; none is imported."""
    modules, _ = _EXTRAS[extra]
    return all(map(_is_installed, modules))


def of_the_sound_devices() -> Iterator[Finding]:
    """The microphone and the speaker that ``talk`` would use, and the others."""
    try:
        backend = sounddevice_backend()
    except ConfigurationError as error:
        yield Finding("sound", "warn", str(error), _FILES_WILL_DO)
        return
    yield _device("microphone", "input", backend)
    yield _device("speaker", "output", backend)


def _device(name: str, kind: Kind, backend: Backend) -> Finding:
    try:
        default = find_device(None, kind, backend=backend)
        others = [each for each in devices(kind, backend=backend) if each.index != default.index]
    except AudioDeviceError as error:
        return Finding(name, "warn", str(error), _FILES_WILL_DO)
    rest = f"; others: {', '.join(f'{each.index} {each.name!r}' for each in others)}" if others else ""
    return Finding(name, "ok", f"{default.index} {default.name!r}, {default.rate} Hz{rest}")


def _variables() -> Iterator[Finding]:
    told = sorted(name for name in os.environ if name.startswith(_PREFIXES) and os.environ[name].strip())
    known = [name for name in told if name in _KNOWN]
    yield Finding("environment", "ok", ", ".join(known) or "none of OPENAI_... and AZURE_OPENAI_... is set")
    for name in sorted(set(told) - _KNOWN):
        yield Finding("environment", "warn", f"{name} is not read by realtime_sync", "is its name spelled right?")
    if "AZURE_OPENAI_ENDPOINT" in told and not {"AZURE_OPENAI_API_KEY", "AZURE_OPENAI_USE_ENTRA"} & set(told):
        yield Finding(
            "environment",
            "warn",
            "AZURE_OPENAI_ENDPOINT is set without a credential for it, and not used",
            "set AZURE_OPENAI_API_KEY=..., or AZURE_OPENAI_USE_ENTRA=true",
        )
    for name in KEYS:
        fault = _fault_of_key(os.environ.get(name, ""))
        if fault:
            yield Finding("environment", "warn", f"{name} {fault}", "set it anew: the bare key, nothing around it")


def _fault_of_key(key: str) -> Optional[str]:
    """What looks wrong with a key, without a word of it."""
    if key.strip()[:1] in ("'", '"', "<", "$", "{"):
        return "begins with a character that no key begins with: quoted twice, or a placeholder?"
    if key.lower().startswith("bearer "):
        return "begins with the word Bearer, which is added anyway"
    return "has blanks inside" if len(key.split()) > 1 else None


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):  # the package above it is not there; a module that was put there by hand
        return False
