"""The base of a live session's updates."""

from __future__ import annotations

from typing import Optional

import attrs

from realtime_sync.protocol.update_base import ConversationUpdate


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class LiveUpdate(ConversationUpdate):
    """What the server of a live session said: the base of all its updates.

    Attributes:
        client_event_id: The ``event_id`` of the command that this answers; None if it answers none, if the command had
            none, or if the service does not tell (Azure).
    """

    client_event_id: Optional[str] = None
