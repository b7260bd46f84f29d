"""A recorded live session as text: the turns of both sides, and between them what else happened."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from realtime_sync.conversation.live.turns import LiveTurn
from realtime_sync.recording import Recording
from realtime_sync.timeline.live_events import LiveEvent, live_events, overlap_seconds, usage_of
from realtime_sync.timeline.table import clock, shortened, shown_seconds

HEADS = ["from", "to", "both\nspeak", "what", "words"]
_UNANSWERED = {"delegation": "no result", "commentary": "not acknowledged", "thinking": "not acknowledged"}
_UNANSWERED["instructions"] = _UNANSWERED["thinking"]
_DONE = {"delegation": "first result"}


def rows_of(recording: Recording, turns: Sequence[LiveTurn]) -> list[list[str]]:
    """A row for each turn, and for each other thing that happened; the last column is as a whole."""
    return [_row(event, turns) for event in live_events(recording, turns)]


def notes_of(recording: Recording) -> list[str]:
    """What stands in the title beside the numbers of turns and frames."""
    seconds, ratio = usage_of(recording)
    used = [] if seconds is None else [f"{seconds:g} s used"]
    return used if ratio is None else [*used, f"context {ratio:.1%} full"]


def as_json(recording: Recording) -> dict[str, Any]:
    """Turns and events for programs. ``began`` is seconds after the recording's beginning."""
    turns = recording.live_turns()
    events = live_events(recording, turns)
    seconds, ratio = usage_of(recording)
    return {
        "turns": [
            {"began": round(event.at, 3), **turn_as_json(event.turn)} for event in events if event.turn is not None
        ],
        "events": [_event_as_json(event) for event in events if event.turn is None],
        "usage": {"seconds": seconds, "context_ratio": ratio},
    }


def turn_as_json(turn: LiveTurn) -> dict[str, Any]:
    """``start`` and ``end`` are seconds of the session's timeline; ``timeline`` counts its timelines."""
    return {
        "speaker": turn.speaker,
        "text": turn.text,
        "start": round(turn.start_ms / 1000, 3),
        "end": round(turn.end_ms / 1000, 3),
        "reason": turn.reason,
        "continues": turn.continues,
        "timeline": turn.timeline,
    }


def _row(event: LiveEvent, turns: Sequence[LiveTurn]) -> list[str]:
    words = shortened(event.words, None)
    if event.turn is None:
        return [clock(event.at), "", "", event.kind, " ".join(filter(None, (words, _how_it_went(event))))]
    overlap = overlap_seconds(event.turn, turns)
    until = "" if event.until is None else clock(event.until)
    kind = f"{event.kind} ..." if event.turn.continues else event.kind
    return [clock(event.at), until, shown_seconds(overlap) if overlap else "", kind, words]


def _how_it_went(event: LiveEvent) -> str:
    if event.kind not in _UNANSWERED:
        return ""
    if event.seconds is None:
        return f"({_UNANSWERED[event.kind]})"
    return f"({_DONE.get(event.kind, 'acknowledged')} after {shown_seconds(event.seconds)})"


def _event_as_json(event: LiveEvent) -> dict[str, Any]:
    seconds = None if event.seconds is None else round(event.seconds, 3)
    return {"began": round(event.at, 3), "kind": event.kind, "words": event.words, "seconds": seconds}
