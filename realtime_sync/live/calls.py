"""What a live session of a telephone's call has more than others: keys."""

from __future__ import annotations

from typing import Optional

from realtime_sync.core.commands import CommandHandle
from realtime_sync.errors import InvalidInputError, UsageError
from realtime_sync.live.state import LiveEngine
from realtime_sync.protocol.live.commands import LiveTransportDtmfSendCommand

_KEYS = frozenset("0123456789*#ABCD")


def send_key(engine: LiveEngine, key: str, event_id: Optional[str]) -> CommandHandle:
    """See ``LiveSession.send_dtmf``."""
    if key not in _KEYS:
        raise InvalidInputError(f"key must be one of 0 to 9, *, #, A to D, not {key!r:.60}")
    if not engine.beside:
        raise UsageError(
            "only a session that is attached to a telephone's call can press keys: client.attach_live(session_id)"
        )
    return engine.send(LiveTransportDtmfSendCommand(event=key, event_id=event_id))
