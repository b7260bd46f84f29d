"""The REST operations: client secrets and calls under ``/realtime``, and the models, as the schemas say (2026-08)."""

from __future__ import annotations

import email
import email.policy
import logging
import re
from typing import Callable, Optional, Protocol
from urllib.parse import unquote

import attrs

from realtime_sync.models import MODELS, find_model
from realtime_sync.server.auth import Policy, incorrect_key, key_of
from realtime_sync.server.calls import CallRegistry
from realtime_sync.server.checks import anything, integer, json_object, missing, record, string
from realtime_sync.server.client_secrets import Configuration
from realtime_sync.server.preview import PreviewEdge
from realtime_sync.server.sdp import answer_to
from realtime_sync.server.traffic import Upgrade
from realtime_sync.server.wire import HttpAnswer, Json, Refused, new_id, read_json, server_error

_log = logging.getLogger("realtime_sync.server")
# OpenAI's paths and, under /openai, those of Azure's GA and preview routes.
_GA = r"(?:/openai)?/v1/realtime"
_BETA = r"(?:/v1/realtime|/openai/realtimeapi)"
_CALL = _GA + r"/calls/([^/]+)"
_MODELS = r"(?:/openai)?/v1/models"
_MADE = 1_756_339_200  # when its models were made, Unix seconds; nobody minds


@attrs.frozen
class RestRequest(Upgrade):
    """One request. ``headers``: names in lower case."""

    body: bytes = attrs.field(repr=False)

    @property
    def content_type(self) -> str:
        """The media type, without its parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def json(self, *, required: bool = True) -> Json:
        """The body's object; an empty one if it is not required and there is none. Raises ``Refused``."""
        if not self.body and not required:
            return {}
        if self.content_type != "application/json":
            raise _unsupported(self.content_type, "application/json")
        return _parsed(self.body)


Operation = Callable[..., Optional[HttpAnswer]]  # None: 200 and no more


class MoreOperations(Protocol):
    """Operations of another API of the same server: patterns of paths, each with what is done. GET and POST apart."""

    routes: tuple[tuple[str, Operation], ...]
    readings: tuple[tuple[str, Operation], ...]


class Rest:
    """Answers the REST requests of one server."""

    def __init__(self, policy: Policy, calls: CallRegistry, more: MoreOperations) -> None:
        self._policy = policy
        self._calls = calls
        self._routes: tuple[tuple[str, Operation], ...] = (
            (_GA + "/client_secrets", self._create_secret),
            (_GA + "/translations/client_secrets", lambda request: self._create_secret(request, "translation")),
            (_BETA + "/sessions", lambda request: self._create_preview(request, "realtime")),
            (_BETA + "/transcription_sessions", lambda request: self._create_preview(request, "transcription")),
            (_GA + "/calls", self._create_call),
            (_CALL + "/accept", self._accept),
            (_CALL + "/reject", self._reject),
            (_CALL + "/refer", self._refer),
            (_CALL + "/hangup", self._hang_up),
            *more.routes,
        )
        self._readings: tuple[tuple[str, Operation], ...] = (
            (_MODELS, self._list_models),
            (_MODELS + "/([^/]+)", self._show_model),
            *more.readings,
        )

    def knows(self, path: str) -> bool:
        """True if a POST to this path is an operation."""
        return any(re.fullmatch(pattern, path) for pattern, _ in self._routes)

    def reads(self, path: str) -> bool:
        """True if a GET of this path is an operation."""
        return any(re.fullmatch(pattern, path) for pattern, _ in self._readings)

    def answer(self, request: RestRequest, method: str = "POST") -> HttpAnswer:
        """Do what is asked for, or refuse in the service's words."""
        for pattern, operation in self._routes if method == "POST" else self._readings:
            found = re.fullmatch(pattern, request.path)
            if found is not None:
                return self._perform(operation, request, *found.groups())
        return Refused(None, f"Invalid URL ({method} {request.path})", status=404).answer()

    def _perform(self, operation: Operation, request: RestRequest, *arguments: str) -> HttpAnswer:
        key = key_of(request.headers)
        # A client secret opens sessions and makes calls, as a browser does; it makes no other secrets.
        secret_may = operation == self._create_call
        if not self._policy.admits(key) or (self._policy.secret(key) is not None and not secret_may):
            return incorrect_key(key).answer()
        try:
            return operation(request, *arguments) or HttpAnswer(200)
        except Refused as refused:
            return refused.answer()
        except Exception:  # a defect of this server; the service, too, would say so
            _log.exception("a REST request could not be answered")
            return server_error().answer()

    # Client secrets -----------------------------------------------------------------------------------------------

    def _create_secret(self, request: RestRequest, session_type: Optional[str] = None) -> HttpAnswer:
        told = request.json()
        record({"expires_after": anything, "session": json_object})(told, "")
        if session_type is not None and told.get("session") is None:
            raise missing("session")
        configuration = self._configured(told.get("session"), session_type)
        secret = self._policy.secrets.create(configuration, told.get("expires_after"))
        # A session that is not open yet does not expire; translation's tells when its secret does (2026-08).
        session = configuration.session(new_id("sess"), secret.expires_at if session_type else 0)
        return HttpAnswer(200, {"value": secret.value, "expires_at": secret.expires_at, "session": session})

    def _create_preview(self, request: RestRequest, kind: str) -> HttpAnswer:
        """The preview dialect's secrets: a flat session that holds its ``client_secret``."""
        told = request.json()
        model = told.pop("model", None)
        edge = PreviewEdge()
        command = "session.update" if kind == "realtime" else "transcription_session.update"
        settings = edge.message({"type": command, "session": told})["session"]
        named = {} if model is None else {"model": model}
        configuration = self._configured({**settings, **named, "type": kind})
        secret = self._policy.secrets.create(configuration)
        session = configuration.session(new_id("sess"), 0)
        shown = edge.event({"type": "session.created", "session": session})
        assert shown is not None  # preview has both sessions
        client_secret = {"value": secret.value, "expires_at": secret.expires_at}
        return HttpAnswer(200, {**shown["session"], "client_secret": client_secret})

    # Models ---------------------------------------------------------------------------------------------------------

    def _list_models(self, request: RestRequest) -> HttpAnswer:
        names = MODELS if self._policy.models is None else self._policy.models
        return HttpAnswer(200, {"object": "list", "data": [_model(name) for name in names]})

    def _show_model(self, request: RestRequest, quoted: str) -> HttpAnswer:
        name = unquote(quoted)
        if not self._policy.has_model(name):
            raise Refused("model_not_found", f"The model '{name}' does not exist", "model", status=404)
        return HttpAnswer(200, _model(name))

    # Calls ----------------------------------------------------------------------------------------------------------

    def _create_call(self, request: RestRequest) -> HttpAnswer:
        secret = self._policy.secret(key_of(request.headers))
        offer, told = _offer(request)
        if secret is not None and secret.configuration.session_type != "realtime":
            raise incorrect_key(secret.value)
        if secret is not None and told is None:
            configuration = secret.configuration
        else:
            model = {} if "model" not in request.query else {"model": request.query["model"]}
            configuration = self._configured({"type": "realtime", **model} if told is None else told, "realtime")
        answer = answer_to(offer)
        call = self._calls.place({})
        call.accept(configuration)
        location = f"{request.path.removeprefix('/openai')}/{call.id}"
        return HttpAnswer(201, answer, {"content-type": "application/sdp", "location": location})

    def _accept(self, request: RestRequest, call_id: str) -> None:
        self._calls.get(call_id).accept(self._configured(request.json(), "realtime"))

    def _reject(self, request: RestRequest, call_id: str) -> None:
        told = request.json(required=False)
        record({"status_code": integer(300, 699)})(told, "")
        self._calls.get(call_id).reject(int(told.get("status_code") or 603))

    def _refer(self, request: RestRequest, call_id: str) -> None:
        told = request.json()
        record({"target_uri": string}, ["target_uri"])(told, "")
        self._calls.get(call_id).refer(str(told["target_uri"]))

    def _hang_up(self, request: RestRequest, call_id: str) -> None:
        self._calls.get(call_id).active_session().close()

    def _configured(self, told: Optional[Json], session_type: Optional[str] = None) -> Configuration:
        configuration = Configuration.from_client(told, session_type)
        if configuration.names_model and not self._policy.converses_with(configuration.model):
            message = f'Model "{configuration.model}" is not supported in realtime mode.'
            raise Refused("invalid_model", message, "session.model")
        return configuration


def _parsed(body: bytes | str) -> Json:
    try:
        told = read_json(body)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise Refused(None, "We could not parse the JSON body of your request: expected a JSON object.")
    return told


def _model(name: str) -> Json:
    """A model as the service describes it; of an unknown one no end is announced."""
    known = find_model(name)
    ends = known.ends if known is not None else None
    return {"id": name, "object": "model", "created": _MADE, "owned_by": "realtime_sync", "shutdown_date": ends}


def _offer(request: RestRequest) -> tuple[str, Optional[Json]]:
    """The SDP offer and, if one is told, the session's configuration."""
    if request.content_type == "application/sdp":
        return request.body.decode("utf-8", "replace"), None
    if request.content_type != "multipart/form-data":
        raise _unsupported(request.content_type, "multipart/form-data' and 'application/sdp")
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode("latin-1")
    message = email.message_from_bytes(head + request.body, policy=email.policy.HTTP)
    parts = {
        str(part.get_param("name", header="content-disposition")): bytes(part.get_payload(decode=True) or b"")
        for part in message.iter_parts()
    }
    for name in parts:
        if name not in ("sdp", "session"):
            raise Refused("unknown_parameter", f"Unknown parameter: '{name}'.", name)
    if "sdp" not in parts:
        raise missing("sdp")
    session = _parsed(parts["session"]) if "session" in parts else None
    return parts["sdp"].decode("utf-8", "replace"), session


def _unsupported(content_type: str, accepted: str) -> Refused:
    message = (
        f"Unsupported content type: '{content_type}'. This API method only accepts '{accepted}' requests, but you "
        f"specified the header 'Content-Type: {content_type}'. Please try again with a supported content type."
    )
    return Refused("unsupported_content_type", message)
