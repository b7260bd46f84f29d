"""How much a session keeps for its consumers."""

from __future__ import annotations

import attrs

from realtime_sync.checks import check_whole, validated_by

_bytes = validated_by(check_whole, "bytes", at_least=1)


@attrs.frozen(kw_only=True)
class QueueLimits:
    """How many bytes of updates may wait to be taken; whole numbers from 1.

    Attributes:
        queued: In a stream that somebody reads, one of turns too (64 MiB). Beyond it the session ends with
            ``ConsumerTooSlowError``, because nothing is dropped in silence. One update alone may be of any size.
        unread: In ``session.updates()`` before anybody has asked for it (8 MiB), and again from an ``ask`` or
            ``respond`` on until somebody asks for it. Beyond it the oldest are dropped.
    """

    queued: int = attrs.field(default=64 * 2**20, validator=_bytes)
    unread: int = attrs.field(default=8 * 2**20, validator=_bytes)
