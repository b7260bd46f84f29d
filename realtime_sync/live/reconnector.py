"""The way back of a live session: a fork of it, if the service keeps it, else a new session that is told what was said.

``reconnect/way_back.py`` has the attempts, the silence and the renewal; here is what GPT-Live adds to its steps:

1. The client speaks first. A session that was stored is forked: the service then knows the talk itself. It may need a
   moment to find that the old one has ended, so a refused fork is tried again for ``_FORK_SECONDS``. After that, and
   without ``store``, a new session is started with the same settings, and with the newest words as its history.
2. What holds for the whole session is sent again (``kept.py``). Commands that were not acknowledged are not: whether
   they were carried out is not known. Delegated work is cancelled: the new session does not know its ids.
3. Audio is not held. The session's clock begins anew with the audio that comes once all threads may send.
4. A session is renewed while neither side speaks and no delegated work is open. A stored one must have ended before it
   can be forked, so no connection is opened ahead for it.

An end that the service has announced is survived if its reason is ``expired``, but for a session that was never sent
any audio, or ``connection_lost``.

Locks: none of its own. The fields below ``_kept`` are the way's thread's, but for ``_refused_at``, which is reset while
no thread goes the way.
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Sequence
from typing import Callable, Optional

import realtime_sync.errors as errors
from realtime_sync.core.commands import CommandHandle
from realtime_sync.core.connection import SessionConnection
from realtime_sync.core.recovery import ErrorOf, Outgoing
from realtime_sync.core.streams import End
from realtime_sync.live.kept import Lasting, LiveKept
from realtime_sync.live.starting import introduce
from realtime_sync.live.state import LiveEngine, live_on
from realtime_sync.protocol.connection_updates import SessionReconnectedUpdate
from realtime_sync.protocol.items import decode_base64
from realtime_sync.protocol.live.commands import LiveSessionStartCommand
from realtime_sync.protocol.update_base import ConversationUpdate
from realtime_sync.reconnect.policy import FATAL_ERRORS, Reconnect, is_survivable
from realtime_sync.reconnect.state import error_of_loss
from realtime_sync.reconnect.way_back import IDLE_LOOK_SECONDS, WayBack
from realtime_sync.transport import Cancellation, Connection

# How long a fork is tried that is refused.
_FORK_SECONDS = 5.0


class LiveReconnector(WayBack):
    """Makes new connections for one live session; its ``Recovery``.

    Args:
        engine: The session's engine.
        policy: How the session survives.
        connect: ``connect(door)`` opens a connection at what follows ``/live/sessions`` in the path; empty: a new
            session.
        start: Makes the first command of a new session, with what of its past it cannot be told, one line for each.
        delegations: The ids of the delegated work that is open.
        greeting: Seconds to wait for ``session.started``.
    """

    _engine: LiveEngine

    def __init__(
        self,
        engine: LiveEngine,
        policy: Reconnect,
        connect: Callable[[str], Callable[[Cancellation], Connection]],
        start: Callable[[], tuple[LiveSessionStartCommand, list[str]]],
        delegations: Callable[[], Sequence[str]],
        *,
        greeting: float,
    ) -> None:
        super().__init__(engine, policy, self._opened, greeting=greeting)
        self._doors = connect
        self._start = start
        self._delegations = delegations
        self._kept = LiveKept(policy.hold_commands)
        self._forks: Optional[str] = None  # the session that the connection in hand is a fork of
        self._refused_at: Optional[float] = None  # when a fork of the session was refused first
