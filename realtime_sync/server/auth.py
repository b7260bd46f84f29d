"""Who is let in, and to what: from path, query and headers to a flavour of session, or to a refusal.

OpenAI's routes accept every handshake and refuse by an ``error`` event and a close in the same millisecond (live,
2026-09); Azure's refuse by HTTP.
"""

from __future__ import annotations

from typing import Mapping, Optional, Sequence, Union

import attrs

from realtime_sync.server import client_secrets
from realtime_sync.server.client_secrets import IssuedSecret, IssuedSecrets
from realtime_sync.server.wire import Json, Refused

PREVIEW_VERSIONS = ("2024-10-01-preview", "2024-12-17-preview", "2025-04-01-preview")


@attrs.frozen(kw_only=True)
class Flavour:
    """What kind of session a connection gets.

    ``session_type``: realtime, transcription or translation. ``preview``: speaks the preview dialect.
    ``doubles_parts``: Azure's content part events hold the part twice, as ``part`` and ``content`` (2026).
    ``settings``: what a client secret or a call's acceptance sets at the start; None for the defaults.
    ``call_id``: attaches to this call, in place of a session of its own.
    """

    session_type: str
    model: str
    preview: bool = False
    doubles_parts: bool = False
    settings: Optional[Json] = None
    call_id: Optional[str] = None


@attrs.frozen
class HttpRefusal:
    """Answered with HTTP; ``body`` is sent as JSON."""

    status: int
    body: Json


@attrs.frozen
class SocketRefusal:
    """Answered with 101, one ``error`` event, and a close with this code and reason."""

    error: Refused
    code: int

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

    keys: Optional[Sequence[str]] = attrs.field(default=None, repr=False)
    models: Optional[Sequence[str]] = None
    secrets: Optional[IssuedSecrets] = None

    def admits(self, key: str) -> bool:
        """True for a key that is let in."""
        if self.secrets is not None and key.startswith(client_secrets.PREFIX):
            return self.secrets.find(key) is not None
        return self.keys is None or key in self.keys

    def secret(self, key: str) -> Optional[IssuedSecret]:
        """The client secret that this key is, or None."""
        return None if self.secrets is None else self.secrets.find(key)

    def has_model(self, model: str) -> bool:
        """True for a model that exists."""
        return bool(model) if self.models is None else model in self.models


Decision = Union[Flavour, HttpRefusal, SocketRefusal]
_PATHS_OF_OPENAI = ("/v1/realtime", "/v1/realtime/translations")
_PATHS_OF_AZURE = ("/openai/v1/realtime", "/openai/realtime")
_KEY_PROTOCOL = "openai-insecure-api-key."


def admit(path: str, query: Mapping[str, str], headers: Mapping[str, str], policy: Policy) -> Decision:
    """Decide about a handshake; header names are in lower case."""
    if path in _PATHS_OF_OPENAI:
        return _admit_openai(path, query, headers, policy)
    if path in _PATHS_OF_AZURE:
        return _admit_azure(path, query, headers, policy)
    message = f"Invalid URL (GET {path})"
    return HttpRefusal(
        404, {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}}
    )


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
    return Refused("invalid_api_key", told)


def _session_type(path: str, query: Mapping[str, str]) -> str:
    if path.endswith("/translations"):
        return "translation"
    return "transcription" if query.get("intent") == "transcription" else "realtime"


def _admit_openai(path: str, query: Mapping[str, str], headers: Mapping[str, str], policy: Policy) -> Decision:
    key = key_of(headers)
    secret = policy.secret(key)
    kind = _session_type(path, query)
    if not policy.admits(key) or not _fits(secret, kind):
        return SocketRefusal(incorrect_key(key), 3000)
    if "realtime=v1" in headers.get("openai-beta", ""):
        told = "The Realtime Beta API is no longer supported. Please use /v1/realtime for the GA API."
        return SocketRefusal(Refused("beta_api_shape_disabled", told), 4000)
    model = query.get("model", "")
    if query.get("call_id"):
        return Flavour(session_type=kind, model=model or "gpt-realtime", call_id=query["call_id"])
    if secret is not None:
        kind, model = secret.configuration.session_type, model or secret.configuration.model
    if kind == "transcription":
        return _with_secret(Flavour(session_type=kind, model=model or "gpt-realtime"), secret)
    if not model:
        return SocketRefusal(Refused("missing_model", "You must provide a model parameter.", "model"), 4000)
    if not policy.has_model(model):
        told = f'Model "{model}" is not supported in realtime mode.'
        return SocketRefusal(Refused("invalid_model", told, "model"), 4000)
    return _with_secret(Flavour(session_type=kind, model=model), secret)


def _fits(secret: Optional[IssuedSecret], kind: str) -> bool:
    """Translation has a path and secrets of its own."""
    return secret is None or (secret.configuration.session_type == "translation") == (kind == "translation")


def _with_secret(flavour: Flavour, secret: Optional[IssuedSecret]) -> Flavour:
    return flavour if secret is None else attrs.evolve(flavour, settings=secret.configuration.settings)


def _admit_azure(path: str, query: Mapping[str, str], headers: Mapping[str, str], policy: Policy) -> Decision:
    denied = (
        "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an "
        "active subscription and use a correct regional API endpoint for your resource."
    )
    ga = path == "/openai/v1/realtime"
    # The GA route answers a request that has an api-version as an unauthorised one (2026).
    key = key_of(headers)
    secret = policy.secret(key)
    kind = _session_type(path, query)
    if not policy.admits(key) or not _fits(secret, kind) or (ga and "api-version" in query):
        return HttpRefusal(401, {"error": {"code": "401", "message": denied}})
    if not ga and query.get("api-version") not in PREVIEW_VERSIONS:
        return HttpRefusal(404, {"error": {"code": "404", "message": "Resource not found"}})
    model = query.get("model", "") if ga else query.get("deployment", "")
    if query.get("call_id"):
        return Flavour(session_type=kind, model=model or "gpt-realtime", call_id=query["call_id"])
    if secret is not None:
        kind, model = secret.configuration.session_type, model or secret.configuration.model
    if not policy.has_model(model) and not (kind == "transcription" and not model):
        told = (
            "The API deployment for this resource does not exist. If you created the deployment within the last 5 "
            "minutes, please wait a moment and try again."
        )
        return HttpRefusal(404, {"error": {"code": "DeploymentNotFound", "message": told}})
    if not model.startswith("gpt-"):  # the session tells the model behind the deployment, not the deployment
        model = "gpt-realtime" if ga else "gpt-4o-realtime-preview"
    return _with_secret(Flavour(session_type=kind, model=model, preview=not ga, doubles_parts=ga), secret)
