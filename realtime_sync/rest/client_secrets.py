"""Client secrets: short-lived keys that a browser or a device may hold, each for sessions with given settings."""

from __future__ import annotations

import json
from typing import Optional

import attrs

from realtime_sync.checks import check_whole
from realtime_sync.endpoint.endpoint import Endpoint
from realtime_sync.endpoint.model_kinds import check_is_not_live
from realtime_sync.endpoint.retirement import warn_of_ends
from realtime_sync.errors import ConfigurationError, InvalidInputError, UnsupportedByDialectError
from realtime_sync.protocol import codec
from realtime_sync.protocol.commands import SessionUpdateCommand
from realtime_sync.protocol.dialects import Dialect
from realtime_sync.protocol.options import (
    ConversationSessionOptions,
    SessionOptions,
    TranscriptionSessionOptions,
    TranslationSessionOptions,
)
from realtime_sync.protocol.resources import ClientSecret, RealtimeSession
from realtime_sync.protocol.update_base import SessionUpdateBase
from realtime_sync.rest.http import Json, RestAnswer, RestClient
from realtime_sync.secret import Secret
from realtime_sync.transport import Cancellation


@attrs.define(kw_only=True, repr=False, eq=False)
class SessionClientSecret(ClientSecret):
    """A client secret that was made here: give ``value``, which is not shown, to the browser, and nothing else.

    ``expires_at``: Unix seconds, until when sessions may be begun with it; 0: the service did not say. ``session``:
    the settings that they have.
    """

    value: str = attrs.field(converter=Secret)
    expires_at: int
    session: RealtimeSession


def create_client_secret(
    rest: RestClient,
    options: Optional[SessionOptions],
    model: Optional[str],
    expires_after: Optional[int],
    cancellation: Cancellation,
) -> SessionClientSecret:
    """See ``RealtimeConversationClient.create_client_secret``."""
    # The service's bounds (10 to 7200 in 2026-08) are its own business.
    check_whole("expires_after", expires_after, "seconds", at_least=1, optional=True)
    dialect = rest.endpoint.dialect
    session = session_object(options, model, dialect)
    check_is_not_live(rest.endpoint, session.get("model"))
    warn_of_ends(rest.endpoint, model, options)
    # Each asks for no more than a new secret, so that asking twice does no harm.
    if dialect is Dialect.PREVIEW:
        if expires_after is not None:
            raise UnsupportedByDialectError(
                "preview endpoints decide themselves for how long a secret is valid: leave out expires_after"
            )
        transcription = isinstance(options, TranscriptionSessionOptions)
        path = "transcription_sessions" if transcription else "sessions"
        answer = rest.post(path, session, repeatable=True, cancellation=cancellation)
        content = answer.json()
        secret = content.pop("client_secret", None)
        return _read(answer, secret if isinstance(secret, dict) else {}, content, rest.endpoint)
    path = "translations/client_secrets" if isinstance(options, TranslationSessionOptions) else "client_secrets"
    body: Json = {"session": session}
    if expires_after is not None:
        body["expires_after"] = {"anchor": "created_at", "seconds": expires_after}
    answer = rest.post(path, body, repeatable=True, cancellation=cancellation)
    content = answer.json()
    return _read(answer, content, content.get("session"), rest.endpoint)


def _read(answer: RestAnswer, secret: Json, session: object, endpoint: Endpoint) -> SessionClientSecret:
    value, expires_at = secret.get("value"), secret.get("expires_at")
    if not isinstance(value, str) or not value:
        raise answer.unusable("it holds no client secret")
    number = expires_at if isinstance(expires_at, (int, float)) and not isinstance(expires_at, bool) else 0
    expires_at = int(number) if 0 <= number < float("inf") else 0  # a body may say 1e999, which is infinite
    return SessionClientSecret(value=value, expires_at=expires_at, session=read_session(session, endpoint.dialect))


def session_object(options: Optional[SessionOptions], model: Optional[str], dialect: Dialect) -> Json:
    """``options`` (None: the service's defaults) as the dialect's session object, with the model that it is for.

    ``model`` is taken if the options name none; a transcription's is in its ``input_transcription_options``.
    Raises ``InvalidInputError``, or ``ConfigurationError`` if no model is named.
    """
    options = ConversationSessionOptions() if options is None else options
    kinds = (ConversationSessionOptions, TranscriptionSessionOptions, TranslationSessionOptions)
    if not isinstance(options, kinds):
        raise InvalidInputError(f"options must be those of a session, not {type(options).__name__}")
    # A session is spelled here as in a session.update, so that there is one place that spells it.
    session: Json = json.loads(codec.encode(SessionUpdateCommand(session=options), dialect)).get("session", {})
    if isinstance(options, TranscriptionSessionOptions) or session.get("model"):
        return session
    if not model:
        raise ConfigurationError("No model is named. Name it in the options, or make the client with it.")
    return {**session, "model": model}


def read_session(session: object, dialect: Dialect) -> RealtimeSession:
    """A session object of an answer. Lenient, as for an update; an empty one if there is none."""
    update = codec.decode(codec.to_text({"type": "session.created", "session": session}), dialect)
    return update.session if isinstance(update, SessionUpdateBase) and update.session else RealtimeSession()
