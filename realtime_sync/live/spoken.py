"""What is said in a session, as streams: fragments as they come, and the turns that they add up to."""

from __future__ import annotations

from typing import Optional

from realtime_sync.checks import check_number
from realtime_sync.conversation.live.fragments import FRAGMENT_UPDATES, FragmentReader, LiveFragment
from realtime_sync.conversation.live.turns import LiveTurn, LiveTurnCollector
from realtime_sync.core.derived_streams import DerivedStream
from realtime_sync.core.update_streams import UpdateStream
from realtime_sync.live.state import LiveEngine
from realtime_sync.protocol.live.updates import LiveSessionClosedUpdate, LiveSessionOutputAudioDeltaUpdate
from realtime_sync.protocol.update_base import ConversationUpdate

# Without their sound, pieces of the track only say that time goes on, for which two in a second are plenty.
_SIGN_SECONDS = 0.4


class LiveFragmentStream(DerivedStream[LiveFragment]):
    """The words of both sides as they come: ``for fragment in session.transcripts(): ...``.

    Otherwise as ``DerivedStream``.
    """


class LiveTurnStream(DerivedStream[LiveTurn]):
    """The turns of both sides, each once it is over: ``for turn in session.turns(): ...``.

    It stops listening when it is closed, or no longer referred to. Otherwise as ``DerivedStream``.
    """


class _Fragments:
    """A collector that puts nothing together. ``reader``: knows what has been told."""

    def __init__(self, reader: FragmentReader) -> None:
        self._reader = reader

    def apply(self, update: ConversationUpdate) -> list[LiveFragment]:
        """See ``Collector``."""
        fragment = self._reader.read(update, update.arrived_at)
        return [] if fragment is None else [fragment]

    def rest(self) -> list[LiveFragment]:
        """See ``Collector``."""
        return []


class _TurnFilter:
    """Says of each update whether turns need it. For one thread, which asks once for each, in order."""

    def __init__(self, keep_audio: bool) -> None:
        self._keep_audio = keep_audio
        self._sign = 0.0  # when the track last gave one

    def __call__(self, update: ConversationUpdate) -> bool:
        """True if turns need this update."""
        if not isinstance(update, LiveSessionOutputAudioDeltaUpdate):
            return isinstance(update, (*FRAGMENT_UPDATES, LiveSessionClosedUpdate))
        if not self._keep_audio and update.arrived_at - self._sign < _SIGN_SECONDS:
            return False
        self._sign = update.arrived_at
        return True


def fragments_of(engine: LiveEngine, timeout: Optional[float]) -> LiveFragmentStream:
    """The fragments that come from now on."""
    conversation, queue = engine.in_one_moment(
        lambda: engine.open_queue(keep=lambda update: isinstance(update, FRAGMENT_UPDATES))
    )
    return LiveFragmentStream(UpdateStream(queue, engine.named), _Fragments(conversation._reader), timeout)


def turns_of(engine: LiveEngine, timeout: Optional[float], gap_ms: float, keep_audio: bool) -> LiveTurnStream:
    """The turns that begin from now on."""
    check_number("gap_ms", gap_ms, "milliseconds", above=0)
    conversation, queue = engine.in_one_moment(lambda: engine.open_queue(keep=_TurnFilter(keep_audio)))
    collector = LiveTurnCollector(
        gap_ms,
        keep_audio=keep_audio,
        most_bytes=engine.limits.answer,
        audio_format=engine.details.audio_format if engine.details is not None and not engine.beside else None,
        before=conversation,
    )
    return LiveTurnStream(UpdateStream(queue, engine.named), collector, timeout)
