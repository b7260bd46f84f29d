"""What comes to the caller's ear, moment by moment, cut into utterances."""

from __future__ import annotations

from typing import Optional

import attrs

from realtime_sync.testing.calls.sound import TICK, is_loud

# So short a pause ends an utterance of the application only if it has fallen silent for the caller's words.
_BREATH = 0.3


@attrs.define
class CallUtterance:
    """What one side said without a long pause.

    Args:
        who: ``"caller"`` or ``"application"``.
        began: When its first sound went out, or came to the caller's ear: seconds since the call began.
        ended: When its last sound was over.
        words: What was said; empty if nobody can tell (no transcript, and nothing to recognise speech with).
        after: Of the application: seconds from the end of the caller's words to its first sound. None if it did not
            answer the caller: a greeting, or what follows a pause.
        items: Ids of the conversation's items whose sound it is, where the line tells them.
        interrupts: Of the caller: whether it was said over the application's words.
        silent_after: If so: seconds from the caller's first sound to the application's last one. None if the
            application had not fallen silent when the call was over.
    """

    who: str
    began: float
    ended: float
    words: str = ""
    after: Optional[float] = None
    items: list[str] = attrs.field(factory=list, repr=False)
    interrupts: bool = False
    silent_after: Optional[float] = None

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.ended - self.began


class Ear:
    """Cuts what is heard into utterances. ``quiet``: seconds of silence that end one."""

    def __init__(self, quiet: float) -> None:
        self.heard: list[CallUtterance] = []
        self._quiet = quiet

    def hear(self, block: bytes, now: float, item_id: Optional[str], caller_ended: Optional[float]) -> None:
        """A tick of sound. ``item_id``: whose, if known; ``caller_ended``: when the caller's last words were over."""
        if not is_loud(block):
            return
        last = self.heard[-1] if self.heard else None
        if last is None or self._is_new(last, now, caller_ended):
            answers = caller_ended is not None and (last is None or caller_ended > last.began)
            after = now - caller_ended if caller_ended is not None and answers else None
            last = CallUtterance("application", now, now, after=after)
            self.heard.append(last)
        last.ended = now + TICK
        if item_id is not None and item_id not in last.items:
            last.items.append(item_id)

    def _is_new(self, last: CallUtterance, now: float, caller_ended: Optional[float]) -> bool:
        gap = now - last.ended
        fell_silent = caller_ended is not None and last.began < caller_ended and last.ended <= caller_ended + _BREATH
        return gap >= self._quiet or (fell_silent and gap >= _BREATH)
