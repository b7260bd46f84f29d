"""Who is let in, and to what: from path, query and headers to a flavour of session, or to a refusal.

OpenAI's routes accept every handshake and refuse by an ``error`` event and a close in the same millisecond (live,
2026-09); Azure's refuse by HTTP.
"""

from __future__ import annotations

from typing import Mapping, Optional, Sequence, Union

import attrs

from realtime_sync.server.checks import Json, Refused

PREVIEW_VERSIONS = ("2024-10-01-preview", "2024-12-17-preview", "2025-04-01-preview")


@attrs.frozen(kw_only=True)
class Flavour:
    """What kind of session a connection gets.

    ``session_type``: realtime, transcription or translation. ``preview``: speaks the preview dialect.
    ``doubles_parts``: Azure's content part events hold the part twice, as ``part`` and ``content`` (2026).
    ``silent_start``: no ``session.created``, as on connections to a call (2026).
    """

    session_type: str
    model: str
    preview: bool = False
    doubles_parts: bool = False
    silent_start: bool = False


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
    """

    keys: Optional[Sequence[str]] = None
    models: Optional[Sequence[str]] = None

    def admits(self, key: str) -> bool:
        """True for a key that is let in."""
        return self.keys is None or key in self.keys

    def has_model(self, model: str) -> bool:
        """True for a model that exists."""
        return bool(model) if self.models is None else model in self.models


Decision = Union[Flavour, HttpRefusal, SocketRefusal]
_PATHS_OF_OPENAI = ("/v1/realtime", "/v1/realtime/translations")
_PATHS_OF_AZURE = ("/openai/v1/realtime", "/openai/realtime")


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


def _key(headers: Mapping[str, str]) -> str:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    return headers.get("api-key", "").strip()


def _session_type(path: str, query: Mapping[str, str]) -> str:
    if path.endswith("/translations"):
        return "translation"
    return "transcription" if query.get("intent") == "transcription" else "realtime"


def _admit_openai(path: str, query: Mapping[str, str], headers: Mapping[str, str], policy: Policy) -> Decision:
    key = _key(headers)
    if not policy.admits(key):
        told = (
            f"Incorrect API key provided: {key[:3]}***." if key else "Missing bearer or basic authentication in header."
        )
        told += " You can find your API key at https://platform.openai.com/account/api-keys."
        return SocketRefusal(Refused("invalid_api_key", told), 3000)
    if "realtime=v1" in headers.get("openai-beta", ""):
        told = "The Realtime Beta API is no longer supported. Please use /v1/realtime for the GA API."
        return SocketRefusal(Refused("beta_api_shape_disabled", told), 4000)
    kind, model = _session_type(path, query), query.get("model", "")
    if kind == "transcription" or query.get("call_id"):
        return Flavour(session_type=kind, model=model or "gpt-realtime", silent_start="call_id" in query)
    if not model:
        return SocketRefusal(Refused("missing_model", "You must provide a model parameter.", "model"), 4000)
    if not policy.has_model(model):
        told = f'Model "{model}" is not supported in realtime mode.'
        return SocketRefusal(Refused("invalid_model", told, "model"), 4000)
    return Flavour(session_type=kind, model=model)


def _admit_azure(path: str, query: Mapping[str, str], headers: Mapping[str, str], policy: Policy) -> Decision:
    denied = (
        "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an "
        "active subscription and use a correct regional API endpoint for your resource."
    )
    ga = path == "/openai/v1/realtime"
    # The GA route answers a request that has an api-version as an unauthorised one (2026).
    if not policy.admits(_key(headers)) or (ga and "api-version" in query):
        return HttpRefusal(401, {"error": {"code": "401", "message": denied}})
    if not ga and query.get("api-version") not in PREVIEW_VERSIONS:
        return HttpRefusal(404, {"error": {"code": "404", "message": "Resource not found"}})
    kind = _session_type(path, query)
    model = query.get("model", "") if ga else query.get("deployment", "")
    if not policy.has_model(model) and not (kind == "transcription" and not model):
        told = (
            "The API deployment for this resource does not exist. If you created the deployment within the last 5 "
            "minutes, please wait a moment and try again."
        )
        return HttpRefusal(404, {"error": {"code": "DeploymentNotFound", "message": told}})
    if not model.startswith("gpt-"):  # the session tells the model behind the deployment, not the deployment
        model = "gpt-realtime" if ga else "gpt-4o-realtime-preview"
    return Flavour(session_type=kind, model=model, preview=not ga, doubles_parts=ga, silent_start="call_id" in query)
