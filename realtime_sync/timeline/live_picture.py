"""A recorded live session as a picture: both sides may speak at once, and work goes on beside."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from realtime_sync.timeline.annotations import AnnotationKind, connections_of
from realtime_sync.timeline.live_events import LiveEvent, live_events
from realtime_sync.timeline.picture import LANES, Bar, Picture, Row
from realtime_sync.timeline.tracks import Span, turn_span

_APPENDS = {"commentary": "#2f855a", "thinking": "#68d391", "instructions": "#805ad5"}
_SYMBOLS = {
    "delegation": AnnotationKind("delegation", "D", "#6b46c1", 2),
    "commentary": AnnotationKind("commentary", ">", _APPENDS["commentary"], 1),
    "thinking": AnnotationKind("thinking", ">", _APPENDS["thinking"], 1),
    "instructions": AnnotationKind("instructions", ">", _APPENDS["instructions"], 1),
    "function call": AnnotationKind("function call", "P", "#b7791f", 2),
    "decision": AnnotationKind("decision", "P", "#319795", 2),
    "mute": AnnotationKind("muted", "x", "#1a4f86", 0),
    "unmute": AnnotationKind("unmuted", "o", "#1a4f86", 0),
    "clip": AnnotationKind("clip", "s", "#9c4221", 3),
    "error": AnnotationKind("error", "X", "#c53030", 0),
    "closed": AnnotationKind("closed", "s", "#4a5568", 1),
}


class LivePicture(Picture):
    """One figure in the making."""

    model_audio = "model audio, as it belongs to the user's"

    def _read(self) -> list[Span]:
        turns = self.recording.live_turns()
        self.events: list[LiveEvent] = live_events(self.recording, turns)
        return [turn_span(event.turn) for event in self.events if event.turn is not None]

    def _annotated(self) -> Iterable[tuple[float, AnnotationKind]]:
        told = [(event.at, _SYMBOLS[event.kind]) for event in self.events if event.kind in _SYMBOLS]
        return [*told, *connections_of(self.recording)]

    def _lanes(self, row: Row) -> None:
        """How long delegated work took to its first result, and appends until the timeline reached them."""
        work, appends, _ = LANES
        self._bars(row, work, self._took({"delegation": "#6b46c1"}, "delegated work, to its first result"))
        self._bars(row, appends, self._took(_APPENDS, "append, until it was acknowledged"))

    def _took(self, colours: dict[str, str], name: str) -> Sequence[Bar]:
        return [
            (event.at, event.seconds, name, colours[event.kind])
            for event in self.events
            if event.kind in colours and event.seconds is not None
        ]

    def _words(self, row: Row) -> None:
        turns = [event for event in self.events if event.turn is not None]
        numbers = {id(event): str(number) for number, event in enumerate(turns, 1)}
        user = [event for event in turns if event.kind == "user"]
        model = [event for event in turns if event.kind == "assistant"]
        for index, event in enumerate(user):
            self._asked(row, [each.at for each in user], index, numbers[id(event)], event.words)
        for index, event in enumerate(model):
            self._answered(row, [each.at for each in model], index, f"{numbers[id(event)]} {event.words}")
