"""The events of a recording, as symbols on its picture."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from realtime_sync.protocol import updates
from realtime_sync.protocol.items import FunctionCallItem
from realtime_sync.protocol.update_base import ConversationUpdate
from realtime_sync.recording import Recording


@attrs.frozen
class AnnotationKind:
    """What an event means and how it looks.

    Events that mostly happen at the same moment have different heights.

    Attributes:
        words: Its name in the legend.
        symbol: matplotlib's name of the symbol.
        colour: As ``#rrggbb``.
        height: 0 is below the user's track, 1 and 2 are below that, 3 is on the model's track.
    """

    words: str
    symbol: str
    colour: str
    height: int


_FUNCTION_CALL = AnnotationKind("function call", "D", "#6b46c1", 1)
_CONNECTION = AnnotationKind("connection begins or ends", "d", "#4a5568", 1)
_KINDS: dict[type[ConversationUpdate], AnnotationKind] = {
    updates.InputAudioBufferSpeechStartedUpdate: AnnotationKind("speech started", ">", "#1a4f86", 0),
    updates.InputAudioBufferSpeechStoppedUpdate: AnnotationKind("speech stopped", "<", "#1a4f86", 0),
    updates.InputAudioBufferCommittedUpdate: AnnotationKind("committed", "|", "#1a4f86", 1),
    updates.ResponseCreatedUpdate: AnnotationKind("response created", "|", "#9c4221", 2),
    updates.ResponseDoneUpdate: AnnotationKind("response done", "s", "#9c4221", 2),
    updates.ConversationItemTruncatedUpdate: AnnotationKind("truncated", "x", "#111111", 3),
    updates.ErrorUpdate: AnnotationKind("error", "X", "#c53030", 0),
}


def annotations_of(recording: Recording) -> Iterator[tuple[float, AnnotationKind]]:
    """The events with their times, in seconds since the recording began: when the session learned of them."""
    for at, update in recording.timed_updates():
        kind = _KINDS.get(type(update))
        if isinstance(update, updates.ResponseOutputItemDoneUpdate) and isinstance(update.item, FunctionCallItem):
            kind = _FUNCTION_CALL
        if kind is not None:
            yield at, kind
    yield from connections_of(recording)


def connections_of(recording: Recording) -> Iterator[tuple[float, AnnotationKind]]:
    """When connections began and ended, but for the first beginning and the last end."""
    for number, connection in enumerate(recording.connections):
        if number:
            yield connection.opened, _CONNECTION
        if connection.closed is not None and number < len(recording.connections) - 1:
            yield connection.closed, _CONNECTION
