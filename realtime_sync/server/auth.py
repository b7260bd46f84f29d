"""Who is let in, and to what: from path, query and headers to a flavour of session, or to a refusal.

OpenAI's routes accept every handshake and refuse by an ``error`` event and a close in the same millisecond (live,
2026-09); Azure's refuse by HTTP.
"""

from __future__ import annotations

import re
from typing import Mapping, Optional, Sequence, Union
from urllib.parse import unquote

import attrs

from realtime_sync.models import find_model
from realtime_sync.server import client_secrets
from realtime_sync.server.client_secrets import IssuedSecret, IssuedSecrets
from realtime_sync.server.traffic import Upgrade
from realtime_sync.server.wire import HttpAnswer, Json, Refused

PREVIEW_VERSIONS = ("2024-10-01-preview", "2024-12-17-preview", "2025-04-01-preview")


@attrs.frozen
class Flavour:
    """What kind of session a connection gets.

    ``session_type``: realtime, transcription or translation. ``preview``: speaks the preview dialect; ``voice_live``:
    with the settings of Azure Voice Live.
    ``doubles_parts``: Azure's content part events hold the part twice, as ``part`` and ``content`` (2026).
    ``settings``: what a client secret or a call's acceptance sets at the start; None for the defaults.
    ``call_id``: attaches to this call, in place of a session of its own.
    """

    session_type: str
    model: str
    preview: bool = False
    voice_live: bool = False
    doubles_parts: bool = False
    settings: Optional[Json] = None
    call_id: Optional[str] = None


@attrs.frozen
class LiveDoor:
    """A connection to a live session (GPT-Live). ``azure``: by Azure's path.

    ``session_id``: of which session it is a fork, or, if it is ``beside``, to which it is attached; None for a new one.
    """

    azure: bool
    session_id: Optional[str] = None
    beside: bool = False


@attrs.frozen
class SocketRefusal:
    """Answered with 101, one ``error`` event, and a close with this code and reason.

    ``event``: that event, without its id.
    """

    error: Refused
    code: int
    event: Json = attrs.field(default=attrs.Factory(lambda self: self.error.event(), takes_self=True))

    @property
    def reason(self) -> str:
        """The close frame's reason."""
        return f"{self.error.kind}.{self.error.code}"


@attrs.frozen
class Policy:
    """``keys``: the keys that are let in; None lets in everyone, with a key or without.

    ``models``: the models and deployments that exist; None has them all.
    ``secrets``: client secrets are let in, too; whatever looks like one (``ek_...``) must be one that has not expired.
    """

    keys: Optional[Sequence[str]] = attrs.field(repr=False)
    models: Optional[Sequence[str]]
    secrets: IssuedSecrets

    def admits(self, key: str) -> bool:
        """True for a key that is let in."""
        if key.startswith(client_secrets.PREFIX):
            return self.secret(key) is not None
        return self.keys is None or key in self.keys

    def secret(self, key: str) -> Optional[IssuedSecret]:
        """The client secret that this key is, or None."""
        return self.secrets.find(key)

    def has_model(self, model: str) -> bool:
        """True for a model that exists."""
        return bool(model) if self.models is None else model in self.models

    def check_live_model(self, model: str) -> None:
        """Raise ``Refused`` unless live sessions can be held with this model."""
        known = find_model(model)
        if not self.has_model(model) or (known is not None and known.kind != "live"):
            told = f"The model '{model}' does not exist or you do not have access to it."
            raise Refused("model_not_found", told, "session.model")

    def converses_with(self, model: str) -> bool:
        """True for a model that exists and is served at ``/v1/realtime``, as the live models are not."""
        known = find_model(model)
        return self.has_model(model) and (known is None or known.kind != "live")


Decision = Union[Flavour, LiveDoor, HttpAnswer, SocketRefusal]
_DENIED = (
    "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an "
    "active subscription and use a correct regional API endpoint for your resource."
)
_NO_DEPLOYMENT = (
    "The API deployment for this resource does not exist. If you created the deployment within the last 5 minutes, "
    "please wait a moment and try again."
)
_KEY_PROTOCOL = "openai-insecure-api-key."
_VOICE_LIVE = "/voice-live/realtime"
_LIVE_PATH = re.compile(r"(/openai)?/v1/live/sessions(?:/([^/]+)/(fork|attach))?")
_PATHS = ("/v1/realtime", "/v1/realtime/translations", "/openai/v1/realtime", "/openai/realtime", _VOICE_LIVE)


def admit(asked: Upgrade, policy: Policy) -> Decision:
    """Decide about a handshake."""
    path, query = asked.path, asked.query
    live = _LIVE_PATH.fullmatch(path)
    if live is not None:
        door = LiveDoor(live[1] is not None, live[2] and unquote(live[2]), live[3] == "attach")
        return _admit_live(door, key_of(asked.headers), policy)
    if path not in _PATHS:
        return Refused(None, f"Invalid URL (GET {path})", status=404).answer()
    azure, preview = not path.startswith("/v1"), path in ("/openai/realtime", _VOICE_LIVE)
    key = key_of(asked.headers)
    secret = policy.secret(key)
    kind = _session_type(path, query)
    # Translation has a path and secrets of its own.
    fits = secret is None or (secret.configuration.session_type == "translation") == (kind == "translation")
    if not policy.admits(key) or not fits:
        return _azure_refusal(401, "401", _DENIED) if azure else SocketRefusal(incorrect_key(key), 3000)
    refusal = _wrong_version(asked)
    if refusal is not None:
        return refusal
    model = query.get("deployment" if path == "/openai/realtime" else "model", "")
    if query.get("call_id"):
        return Flavour(kind, model or "gpt-realtime-2.1", call_id=query["call_id"])
    if secret is not None:
        kind, model = secret.configuration.session_type, model or secret.configuration.model
    is_free = kind == "transcription" and not (azure and model)  # OpenAI's names its model later
    if not is_free and not policy.converses_with(model):
        return _azure_refusal(404, "DeploymentNotFound", _NO_DEPLOYMENT) if azure else _unknown_model(model)
    if not model or (azure and not model.startswith("gpt-")):  # not the deployment is told, but the model behind it
        model = "gpt-4o-realtime-preview" if preview else "gpt-realtime-2.1"
    settings = None if secret is None else secret.configuration.settings
    return Flavour(
        kind,
        model,
        preview=preview,
        voice_live=path == _VOICE_LIVE,
        doubles_parts=azure and not preview,
        settings=settings,
    )


def is_live(path: str) -> bool:
    """Whether live sessions are opened there by a handshake, whatever else a POST may do."""
    return _LIVE_PATH.fullmatch(path) is not None


def _admit_live(door: LiveDoor, key: str, policy: Policy) -> Decision:
    """Decide about a handshake for a live session, which names its model later. Client secrets are not for them."""
    if policy.admits(key) and policy.secret(key) is None:
        return door
    if door.azure:
        return _azure_refusal(401, "401", _DENIED)
    refused = incorrect_key(key)  # how the service says it is not known
    error = {name: value for name, value in refused.error.items() if value is not None}
    return SocketRefusal(refused, 1008, {"type": "error", "error": error})


def key_of(headers: Mapping[str, str]) -> str:
    """The key or token of a request; empty if it has none."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    # Browsers can send no header with a WebSocket: there the key is offered as a subprotocol.
    for offered in headers.get("sec-websocket-protocol", "").split(","):
        if offered.strip().startswith(_KEY_PROTOCOL):
            return offered.strip()[len(_KEY_PROTOCOL) :]
    return headers.get("api-key", "").strip()


def incorrect_key(key: str) -> Refused:
    """OpenAI's error for a key that is not let in, or for none."""
    told = f"Incorrect API key provided: {key[:3]}***." if key else "Missing bearer or basic authentication in header."
    told += " You can find your API key at https://platform.openai.com/account/api-keys."
    return Refused("invalid_api_key", told, status=401)


def _session_type(path: str, query: Mapping[str, str]) -> str:
    if path.endswith("/translations"):
        return "translation"
    return "transcription" if query.get("intent") == "transcription" else "realtime"


def _wrong_version(asked: Upgrade) -> Optional[Decision]:
    """The refusal of a version of the protocol that the path does not have."""
    version = asked.query.get("api-version")
    # The GA route answers a request that has an api-version as an unauthorised one (2026).
    if asked.path == "/openai/v1/realtime" and version is not None:
        return _azure_refusal(401, "401", _DENIED)
    if asked.path == "/openai/realtime" and version not in PREVIEW_VERSIONS:
        return _azure_refusal(404, "404", "Resource not found")
    if asked.path == _VOICE_LIVE and not re.fullmatch(r"\d{4}-\d\d-\d\d(-preview)?", version or ""):
        return _azure_refusal(404, "404", "Resource not found")
    if asked.path.startswith("/v1") and "realtime=v1" in asked.headers.get("openai-beta", ""):
        told = "The Realtime Beta API is no longer supported. Please use /v1/realtime for the GA API."
        return SocketRefusal(Refused("beta_api_shape_disabled", told), 4000)
    return None


def _unknown_model(model: str) -> SocketRefusal:
    if not model:
        return SocketRefusal(Refused("missing_model", "You must provide a model parameter.", "model"), 4000)
    return SocketRefusal(Refused("invalid_model", f'Model "{model}" is not supported in realtime mode.', "model"), 4000)


def _azure_refusal(status: int, code: str, message: str) -> HttpAnswer:
    return HttpAnswer(status, {"error": {"code": code, "message": message}})
