"""Client secrets: short-lived keys that a browser or a device may hold, each for sessions with settings of ours."""

from __future__ import annotations

from typing import Any, Optional

import attrs

from realtime_sync.checks import check_whole
from realtime_sync.endpoint.endpoint import Endpoint
from realtime_sync.errors import UnsupportedByDialectError
from realtime_sync.protocol.dialects import Dialect
from realtime_sync.protocol.options import SessionOptions, TranscriptionSessionOptions, TranslationSessionOptions
from realtime_sync.protocol.resources import ClientSecret, RealtimeSession
from realtime_sync.rest.http import Json, RestAnswer, RestClient
from realtime_sync.rest.session_settings import read_session, told_session
from realtime_sync.transport import Cancellation


@attrs.define(kw_only=True, repr=False, eq=False)
class SessionClientSecret(ClientSecret):
    """A client secret that was made here: give ``value``, which is not shown, to the browser, and nothing else.

    ``expires_at``: Unix seconds, until when sessions may be begun with it; 0: the service has not told. ``session``:
    the settings that they have.
    """

    value: str = attrs.field(repr=lambda value: "'***'")
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
    _check_expiry(expires_after)
    dialect = rest.endpoint.dialect
    session = told_session(options, model, dialect)
    # Each asks for no more than a new secret, so that asking twice does no harm.
    if dialect is Dialect.PREVIEW:
        if expires_after is not None:
            raise UnsupportedByDialectError(
                "preview endpoints decide themselves how long a secret lives: leave out expires_after"
            )
        transcription = isinstance(options, TranscriptionSessionOptions)
        path = "transcription_sessions" if transcription else "sessions"
        answer = rest.post(path, session, repeatable=True, cancellation=cancellation)
        told = answer.json()
        secret = told.pop("client_secret", None)
        return _read(answer, secret if isinstance(secret, dict) else {}, told, rest.endpoint)
    path = "translations/client_secrets" if isinstance(options, TranslationSessionOptions) else "client_secrets"
    body: Json = {"session": session}
    if expires_after is not None:
        body["expires_after"] = {"anchor": "created_at", "seconds": expires_after}
    answer = rest.post(path, body, repeatable=True, cancellation=cancellation)
    told = answer.json()
    return _read(answer, told, told.get("session"), rest.endpoint)


def _check_expiry(seconds: Any) -> None:
    # The service's bounds (10 to 7200 in 2026-08) are its own business.
    check_whole("expires_after", seconds, "seconds", at_least=1, optional=True)


def _read(answer: RestAnswer, secret: Json, session: object, endpoint: Endpoint) -> SessionClientSecret:
    value, expires_at = secret.get("value"), secret.get("expires_at")
    if not isinstance(value, str) or not value:
        raise answer.unusable("it holds no client secret")
    number = expires_at if isinstance(expires_at, (int, float)) and not isinstance(expires_at, bool) else 0
    expires_at = int(number) if 0 <= number < float("inf") else 0  # a body may say 1e999, which is infinite
    return SessionClientSecret(value=value, expires_at=expires_at, session=read_session(session, endpoint.dialect))
