"""What is logged of sessions: one line when one begins and one when it ends (level INFO). Never a key or a text."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from realtime_sync.server.session import LiveSession

_log = logging.getLogger("realtime_sync.server.sessions")


def began(session: LiveSession) -> None:
    """Log a session's beginning."""
    _log.info("%s began: %s, %s", session.id, _model(session), _kind(session))


def ended(session: LiveSession) -> None:
    """Log a session's end."""
    seconds = time.monotonic() - session.opened_at
    turns = f"{session.turns} turn{'' if session.turns == 1 else 's'}"
    who = "the client" if session.closed_by_client else "the server"
    how = "connection lost" if session.close_code == 1006 else f"closed by {who} with {session.close_code}"
    _log.info("%s ended: %s, %.1f s, %s, %s", session.id, _model(session), seconds, turns, how)


def _model(session: LiveSession) -> str:
    # The client's own word, from the query: a line break in it must not make a line of the log.
    model = "".join(letter if letter.isprintable() else "?" for letter in session.flavour.model)
    return model[:80]


def _kind(session: LiveSession) -> str:
    dialect = ", preview dialect" if session.flavour.preview else ""
    call = f" of the call {session.query['call_id']}" if session.flavour.call_id else ""
    return f"{session.flavour.session_type} session{call}{dialect}"
