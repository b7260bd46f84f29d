"""What happened in a recorded live session: the turns of both sides, delegated work, appends, and the rest."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, Callable, Optional

import attrs

from realtime_sync.conversation.live.turns import LiveTurn
from realtime_sync.protocol.live import commands, updates
from realtime_sync.protocol.update_base import ConversationUpdate
from realtime_sync.recording import Recording
from realtime_sync.timeline.tracks import turn_span


@attrs.define
class LiveEvent:
    """Something that happened.

    Attributes:
        at: When, in seconds since the recording began.
        kind: ``"user"`` and ``"assistant"`` for turns; ``"delegation"``, ``"commentary"``, ``"thinking"``,
            ``"instructions"``, ``"function call"``, ``"decision"``, ``"mute"``, ``"unmute"``, ``"clip"``, ``"error"``,
            ``"closed"``.
        words: What was said, or what about it is to be told.
        until: When it was over: of a turn its end, of delegated work the first result, of an append when the timeline
            reached it. None: never, or it has no length.
        turn: The turn, if it is one.
    """

    at: float
    kind: str
    words: str
    until: Optional[float] = None
    turn: Optional[LiveTurn] = None

    @property
    def seconds(self) -> Optional[float]:
        """How long it took; None: it has no length, or no end."""
        return None if self.until is None else self.until - self.at


def overlap_seconds(turn: LiveTurn, turns: Sequence[LiveTurn]) -> float:
    """For how long the other side spoke, too."""
    others = (each for each in turns if each.speaker != turn.speaker and each.timeline == turn.timeline)
    shared = (min(turn.end_ms, each.end_ms) - max(turn.start_ms, each.start_ms) for each in others)
    return sum(milliseconds for milliseconds in shared if milliseconds > 0) / 1000


def live_events(recording: Recording, turns: Sequence[LiveTurn]) -> list[LiveEvent]:
    """All that happened, in order; ``turns``: the recording's."""
    events = _Events()
    for entry in recording.entries:
        if entry.direction == "in":
            events.told(recording.decoded(entry), entry.t)
        else:
            events.sent(recording.command(entry), entry.t)
    for turn in turns:
        span = turn_span(turn)
        events.all.append(LiveEvent(span.start, turn.speaker, turn.text, span.end, turn))
    return sorted(events.all, key=lambda event: event.at)


def usage_of(recording: Recording) -> tuple[Optional[float], Optional[float]]:
    """The seconds that were used, and how full the model's memory was (0.0 to 1.0), as told last; None: never."""
    seconds: Optional[float] = None
    ratio: Optional[float] = None
    for _, update in recording.timed_updates():
        if isinstance(update, (updates.LiveSessionUsageUpdatedUpdate, updates.LiveSessionClosedUpdate)):
            seconds = seconds if update.usage.seconds is None else update.usage.seconds
        if isinstance(update, updates.LiveSessionUsageUpdatedUpdate) and update.context_window is not None:
            ratio = update.context_window.usage_ratio
    return seconds, ratio


class _Events:
    """One pass over a recording."""

    def __init__(self) -> None:
        self.all: list[LiveEvent] = []
        self._open: dict[Optional[str], LiveEvent] = {}  # delegated work without a result, by its id
        self._appended: dict[str, deque[LiveEvent]] = {}  # not acknowledged yet, by kind

    def sent(self, command: Any, at: float) -> None:
        kind = _SENT.get(type(command))
        if kind is None:
            return
        words = getattr(command, "content", "")
        event = self._add(at, kind, words)
        if words:
            self._appended.setdefault(kind, deque()).append(event)
            self._answered(command.delegation_id, at)

    def told(self, update: ConversationUpdate, at: float) -> None:
        landed = _LANDED.get(type(update))
        if landed is not None:
            waiting = self._appended.get(landed)
            if waiting:
                waiting.popleft().until = at
        elif isinstance(update, updates.LiveSessionDelegationCreatedUpdate):
            work = self._add(at, "delegation", f"{update.delegation_id} to {update.delegation.target}")
            self._open[update.delegation_id] = work
        elif isinstance(update, updates.LiveResponseEventUpdate):
            self._backend(update, at)
        else:
            words = _TOLD.get(type(update))
            if words is not None:
                self._add(at, *words(update))
            if isinstance(update, updates.LiveDecisionEventUpdate):
                self._answered(update.delegation_id, at)

    def _backend(self, update: updates.LiveResponseEventUpdate, at: float) -> None:
        kind, item = update.event.get("type"), update.event.get("item")
        if kind == "response.output_item.done" and isinstance(item, dict) and item.get("type") == "function_call":
            self._add(at, "function call", f"{item.get('name') or '?'}({item.get('arguments') or ''})")
        elif kind == "response.output_text.done":
            self._answered(update.delegation_id, at)

    def _answered(self, delegation_id: Optional[str], at: float) -> None:
        work = self._open.pop(delegation_id, None)
        if work is not None:
            work.until = at

    def _add(self, at: float, kind: str, words: str = "") -> LiveEvent:
        event = LiveEvent(at, kind, words)
        self.all.append(event)
        return event


def _error(update: Any) -> tuple[str, str]:
    return "error", ": ".join(filter(None, (update.error.code or update.error.type, update.error.message)))


_SENT: dict[type[Any], str] = {
    commands.LiveSessionCommentaryAppendCommand: "commentary",
    commands.LiveSessionThinkingAppendCommand: "thinking",
    commands.LiveSessionInstructionsAppendCommand: "instructions",
    commands.LiveSessionInputAudioMuteCommand: "mute",
    commands.LiveSessionInputAudioUnmuteCommand: "unmute",
    commands.LiveSessionOutputAudioFixturePlayCommand: "clip",
}
_LANDED: dict[type[Any], str] = {
    updates.LiveSessionCommentaryAppendedUpdate: "commentary",
    updates.LiveSessionThinkingAppendedUpdate: "thinking",
    updates.LiveSessionInstructionsAppendedUpdate: "instructions",
}
_TOLD: dict[type[Any], Callable[[Any], tuple[str, str]]] = {
    updates.LiveErrorUpdate: _error,
    updates.LiveDecisionEventUpdate: lambda update: ("decision", str(update.event.type)),
    updates.LiveSessionClosedUpdate: lambda update: ("closed", str(update.reason)),
}
