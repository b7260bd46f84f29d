"""What was said in a live session, by both sides."""

from __future__ import annotations

import copy
import logging
import math
from collections import deque
from collections.abc import Sequence
from typing import Optional

from realtime_sync.checks import check_number, check_whole
from realtime_sync.conversation.compact import COOKIE_BYTES, CompactConversation, compact_messages
from realtime_sync.conversation.live.fragments import FragmentReader, LiveFragment, Speaker
from realtime_sync.conversation.live.history import newest
from realtime_sync.conversation.live.turns import LiveTurn, TurnEnd, turn_of
from realtime_sync.conversation.live.utterances import GAP_MS, SpokenTimeline, Utterance, size_of
from realtime_sync.protocol.live.history import MOST_MESSAGES, MOST_TOKENS, LiveHistoryItem
from realtime_sync.protocol.live.updates import LiveSessionClosedUpdate, LiveSessionStartedUpdate
from realtime_sync.protocol.update_base import ConversationUpdate
from realtime_sync.secret import reportable
from realtime_sync.words import counted

logger = logging.getLogger(__name__)

# What is forgotten in one go, as a share of the bound: else each word of a full conversation would cost a search.
_MADE_ROOM = 0.1


@reportable
class LiveConversation:
    """The turns of a live session, in order of their start. Read it: there is no wire to change it.

    It is made of the words' places on the timeline alone, so words that come late stand where they were said, and a
    turn that ``session.turns()`` had to give out in two, because the timeline stood, is one here. Turns overlap if both
    sides speak at once.

    ``apply`` takes over one update; it never raises for what an update holds. Not locked: ``session.conversation`` is a
    copy, which nothing changes.

    Args:
        gap_ms: A silence of so many milliseconds on the timeline ends a turn.
        most_bytes: How much is kept; beyond it the oldest turns are forgotten. None keeps all.
        before: The history with which the session began.

    Attributes:
        before: As it was given; ``turns`` has nothing of it.
        forgotten: How many turns were forgotten because they were too many; see ``QueueLimits.conversation``.
    """

    def __init__(
        self,
        gap_ms: float = GAP_MS,
        *,
        most_bytes: Optional[int] = None,
        before: Sequence[LiveHistoryItem] = (),
    ) -> None:
        check_number("gap_ms", gap_ms, "milliseconds", above=0)
        self.before = tuple(before)
        self.forgotten = 0
        self._gap_ms = gap_ms
        self._most_bytes = most_bytes
        self._reader = FragmentReader()
        self._timelines: deque[SpokenTimeline] = deque()  # those with words, oldest first
        self._number = 0  # of the newest of them
        self._size = 0
        self._closed = False

    def apply(self, update: ConversationUpdate, at: Optional[float] = None) -> None:
        """Take over an update.

        Args:
            update: The next update of the session.
            at: When it was received, in seconds by any monotonic clock; None: ``update.arrived_at``.
        """
        fragment = self._reader.read(update, update.arrived_at if at is None else at)
        if fragment is not None:
            self._add(fragment)
        elif isinstance(update, (LiveSessionClosedUpdate, LiveSessionStartedUpdate)):
            self._closed = isinstance(update, LiveSessionClosedUpdate)  # another one may go on for it

    @property
    def turns(self) -> list[LiveTurn]:
        """The turns in order of their start, those that go on as far as they have come; without sound."""
        return [
            turn
            for timeline in self._timelines
            for utterance in timeline.in_order()
            if (turn := turn_of(timeline, utterance, self._end_of(timeline, utterance))).text
        ]

    def words(self, speaker: Speaker, start_ms: float = 0.0, end_ms: Optional[float] = None) -> str:
        """What one side said in a part of the timeline; of several the newest.

        Args:
            speaker: ``"user"`` or ``"assistant"``.
            start_ms: From where on the timeline, in milliseconds: fragments that begin there or later.
            end_ms: To where: fragments that begin before it. None: to the end.

        Returns:
            The words; empty if there are none.
        """
        if not self._timelines:
            return ""
        timeline = self._timelines[-1]
        end_ms = math.inf if end_ms is None else end_ms
        said = (timeline.text_of(each, start_ms, end_ms) for each in timeline.utterances[speaker])
        return " ".join(filter(None, said))

    def history(self, *, messages: int = MOST_MESSAGES, tokens: int = MOST_TOKENS) -> list[LiveHistoryItem]:
        """The newest messages, of ``before``, too, for the next start: ``LiveSessionOptions(history=...)``.

        Tokens are counted without a tokenizer, and rather too many: two for a word of English, so that 8,192 are about
        3,500 words. Of the first turn that has no room the last sentences are taken, with a note in front of them.

        Args:
            messages: How many at most, from 0 to 128: the service takes no more.
            tokens: How many at most, from 0 to 8,192, with the eight that the service adds for each message.

        Returns:
            The messages, oldest first.
        """
        check_whole("messages", messages, at_most=MOST_MESSAGES)
        check_whole("tokens", tokens, at_most=MOST_TOKENS)
        return newest(self._messages(), messages, tokens)

    def compact(self, most_bytes: int = COOKIE_BYTES, *, system: bool = False) -> CompactConversation:
        """The words, those of ``before`` first, small enough for a cookie: to go on in another process.

        The oldest turns are left out if there is no room; ``losses`` of what is returned says so.

        Args:
            most_bytes: How long it may be, from 200 bytes, as JSON in ASCII without blanks (default: 2,500, which fit a
                cookie beside other things).
            system: Keep messages of the developer's, too.

        Returns:
            The words; ``to_plain()`` is JSON, and ``live_history()`` is for ``LiveSessionOptions(history=...)``.
        """
        roles = {"developer": "system"}
        said = [(roles.get(message.role, message.role), message.text) for message in self._messages()]
        return compact_messages(said, (), self.forgotten, most_bytes, system)

    def _messages(self) -> list[LiveHistoryItem]:
        """All that was said as messages."""
        return [*self.before, *(LiveHistoryItem.message(turn.speaker, turn.text) for turn in self.turns)]

    def snapshot(self) -> LiveConversation:
        """A copy, which later updates do not change."""
        copied = copy.copy(self)
        copied._reader = self._reader.copy()
        copied._timelines = deque(each.copy() for each in self._timelines)
        return copied

    def __repr__(self) -> str:
        gone = f", {self.forgotten} forgotten" if self.forgotten else ""
        return f"<LiveConversation: {counted(len(self.turns), 'turn')}{gone}>"

    def __str__(self) -> str:
        return "\n".join(map(str, self.turns))

    def _repr_html_(self) -> str:
        from realtime_sync.conversation.live.html import conversation_page

        return conversation_page(self)

    def _ends_ms(self) -> dict[Speaker, float]:
        """Where on the timeline each side has come to; nothing of a side that has said nothing there."""
        if not self._timelines or self._number != self._reader.timeline:
            return {}
        return {side: those[-1].end_ms for side, those in self._timelines[-1].utterances.items() if those}

    def _add(self, fragment: LiveFragment) -> None:
        if not self._timelines or fragment.timeline != self._number:
            self._timelines.append(SpokenTimeline(self._gap_ms))
            self._number = fragment.timeline
        self._timelines[-1].add(fragment)
        self._size += size_of(fragment)
        if self._most_bytes is not None and self._size > self._most_bytes:
            self._make_room(self._most_bytes * (1 - _MADE_ROOM))

    def _make_room(self, enough: float) -> None:
        """Forget the oldest turns until the others take no more than ``enough``; the one that goes on is kept."""
        if not self.forgotten:
            logger.warning("the oldest turns are left out of the conversation: it is above QueueLimits.conversation")
        while self._size > enough:
            timeline = self._timelines[0]
            oldest = timeline.in_order()
            for utterance in oldest if len(self._timelines) > 1 else oldest[:-2]:
                if self._size <= enough:
                    return
                timeline.remove(utterance)
                self._size -= utterance.size
                self.forgotten += 1
            if len(self._timelines) == 1:
                return
            self._timelines.popleft()

    def _end_of(self, timeline: SpokenTimeline, utterance: Utterance) -> TurnEnd:
        if timeline.end_ms - utterance.end_ms >= self._gap_ms:
            return "gap"
        if timeline is not self._timelines[-1]:
            return "reset"
        return "closed" if self._closed else "open"
