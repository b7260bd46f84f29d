"""How much a session keeps for its consumers."""

from __future__ import annotations

import attrs

from realtime_sync.checks import check_whole, validated_by

_bytes = validated_by(check_whole, "bytes", at_least=1)


@attrs.frozen(kw_only=True)
class QueueLimits:
    """How many bytes of updates may wait to be taken; whole numbers from 1.

    Attributes:
        queued: in each stream; 64 MiB if not given. Beyond it the session ends with ``ConsumerTooSlowError``, because
            nothing is dropped in silence. One update alone may be of any size.
        unread: in ``session.updates()`` until it is first asked for an update; 8 MiB if not given. Beyond it the oldest
            updates are dropped, and the first ask logs a warning. From then on ``queued`` counts.
    """

    queued: int = attrs.field(default=64 * 2**20, validator=_bytes)
    unread: int = attrs.field(default=8 * 2**20, validator=_bytes)
