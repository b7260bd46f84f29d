"""How much a session keeps for its consumers."""

from __future__ import annotations

import attrs

from realtime_sync.advice import NamedFields
from realtime_sync.checks import check_whole, validated_by
from realtime_sync.values import Value

_bytes = validated_by(check_whole, "bytes", at_least=1)


@attrs.frozen(kw_only=True, repr=False, eq=False)
class QueueLimits(Value, metaclass=NamedFields):
    """How many bytes a session keeps: of updates that wait to be taken, and of what it puts together from them.

    Whole numbers from 1; None is not allowed. What is put together is counted as it came, in bytes of messages.

    Attributes:
        queued: Bytes (default: 64 MiB) that wait in each stream. Beyond it the session ends with
            ``ConsumerTooSlowError``, because nothing is dropped in silence. One update alone may be of any size. In
            ``updates()`` of a live session the oldest sound makes room, with a warning.
        unread: Bytes (default: 8 MiB) that wait in ``session.updates()`` until it is first asked for an update; in a
            live session an eighth of it, because its sound comes all the time. Beyond it the oldest updates are dropped
            (of a live session the oldest sound), and the first ask logs a warning. From then on ``queued`` counts.
        answer: Bytes (default: 128 MiB, half an hour of speech) of the answer of one ``ask`` or ``respond``, with its
            audio, and of the answers of one turn of ``turns()``, without it. Beyond it the answer is cancelled, and
            ``ResponseFailedError`` has what came; of a turn the other words are left out, with a warning. The session
            goes on. A turn of a live session counts with its sound, and is given out in several beyond it.
        conversation: Bytes (default: 256 MiB) of ``session.conversation``. Beyond it the oldest items and responses
            (of a live session: turns) are left out, with a warning, and ``conversation.forgotten`` counts them. The
            service has a bound of its own.
    """

    queued: int = attrs.field(default=64 * 2**20, validator=_bytes)
    unread: int = attrs.field(default=8 * 2**20, validator=_bytes)
    answer: int = attrs.field(default=128 * 2**20, validator=_bytes)
    conversation: int = attrs.field(default=256 * 2**20, validator=_bytes)
