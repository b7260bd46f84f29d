"""The settings of a session that is not open yet, as REST requests tell them, and as their answers do."""

from __future__ import annotations

import json
from typing import Any, Optional

from realtime_sync.errors import ConfigurationError, InvalidInputError
from realtime_sync.protocol import codec
from realtime_sync.protocol.commands import SessionUpdateCommand
from realtime_sync.protocol.dialects import Dialect
from realtime_sync.protocol.options import (
    ConversationSessionOptions,
    SessionOptions,
    TranscriptionSessionOptions,
    TranslationSessionOptions,
)
from realtime_sync.protocol.resources import RealtimeSession
from realtime_sync.protocol.update_base import SessionUpdateBase

Json = dict[str, Any]


def told_session(options: Optional[SessionOptions], model: Optional[str], dialect: Dialect) -> Json:
    """``options`` (None: the service's defaults) as the dialect's session object, with the model that it is for.

    ``model`` is taken where the options name none; a transcription's is in its ``input_transcription_options``.
    Raises ``InvalidInputError``, or ``ConfigurationError`` where no model is named.
    """
    options = ConversationSessionOptions() if options is None else options
    kinds = (ConversationSessionOptions, TranscriptionSessionOptions, TranslationSessionOptions)
    if not isinstance(options, kinds):
        raise InvalidInputError(f"options are those of a session, not {type(options).__name__}")
    # A session is spelled here as in a session.update, so that there is one place that spells it.
    session: Json = json.loads(codec.encode(SessionUpdateCommand(session=options), dialect)).get("session", {})
    if isinstance(options, TranscriptionSessionOptions) or session.get("model"):
        return session
    if not model:
        raise ConfigurationError("Which model? Name it in the options, or make the client with it.")
    return {**session, "model": model}


def read_session(session: object, dialect: Dialect) -> RealtimeSession:
    """A session object of an answer. Lenient, as for an update; an empty one where there is none."""
    update = codec.decode(codec.to_text({"type": "session.created", "session": session}), dialect)
    return update.session if isinstance(update, SessionUpdateBase) and update.session else RealtimeSession()
