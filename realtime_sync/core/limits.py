"""How much a session keeps for its consumers."""

from __future__ import annotations

import attrs

from realtime_sync.errors import ConfigurationError


def _bytes(instance: object, attribute: attrs.Attribute[int], value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigurationError(f"QueueLimits.{attribute.name} must be a whole number of bytes from 1, not {value!r}")


@attrs.frozen(kw_only=True)
class QueueLimits:
    """How many bytes of updates may wait to be taken; whole numbers from 1.

    ``queued``: in a stream that somebody reads, one of turns too; beyond it the session ends with
    ``ConsumerTooSlowError``, because nothing is dropped in silence. One update alone may be of any size. ``unread``: in
    ``session.updates()`` before anybody has asked for it, and again from an ``ask`` or ``respond`` on until somebody
    asks for it; beyond it the oldest are dropped.
    """

    queued: int = attrs.field(default=64 * 2**20, validator=_bytes)
    unread: int = attrs.field(default=8 * 2**20, validator=_bytes)
