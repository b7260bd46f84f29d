"""Texts for the model: what it is to say, what it is to know, and rules.

A long text goes out in parts (``splitting.py``), whose handle is acknowledged when all are. The service acknowledges an
append when the timeline has reached it, some 0.75 s later; one that stays without an acknowledgement, though the clock
runs, is what users have met as "connected, but never spoke". So a watch tells of it in the log.

Lock: none. ``AppendWatch._open`` is a deque: the thread that sends appends to it, the reader alone takes from it. While
the clock stands, nobody does; then only the newest are watched.
"""

from __future__ import annotations

import functools
import logging
from collections import deque
from typing import Optional, Union

import attrs

from realtime_sync.core.commands import CommandHandle
from realtime_sync.core.streams import End
from realtime_sync.errors import InvalidInputError
from realtime_sync.live.clips import Clips
from realtime_sync.live.handles import LiveCommandHandle, PartsHandle
from realtime_sync.live.splitting import split
from realtime_sync.live.state import LiveEngine
from realtime_sync.protocol.items import base64_size
from realtime_sync.protocol.live.commands import (
    LiveSessionCommentaryAppendCommand,
    LiveSessionInstructionsAppendCommand,
    LiveSessionThinkingAppendCommand,
)
from realtime_sync.protocol.live.updates import LiveSessionOutputAudioDeltaUpdate
from realtime_sync.protocol.update_base import ConversationUpdate

logger = logging.getLogger(__name__)

AppendCommand = Union[
    LiveSessionCommentaryAppendCommand, LiveSessionThinkingAppendCommand, LiveSessionInstructionsAppendCommand
]
# So much of the timeline may pass before the log tells of an append that is not acknowledged.
_MOST_SECONDS = 10.0
_MOST_WATCHED = 1024


class Appends:
    """A session's appends."""

    def __init__(self, engine: LiveEngine, clips: Clips) -> None:
        self._engine = engine
        self._clips = clips
        self._watch = AppendWatch(engine)
        engine.listen(self._watch)

    def send(self, command: type[AppendCommand], content: str, delegation_id: Optional[str]) -> CommandHandle:
        """See ``LiveSession.append_commentary``."""
        if not isinstance(content, str) or not content.strip():
            raise InvalidInputError(f"content must be a text that is not empty, not {content!r:.60}")
        self._engine.check_open()
        self._clips.check_appends()
        parts = [self._sent(command(content=part, delegation_id=delegation_id)) for part in split(content)]
        return parts[0] if len(parts) == 1 else PartsHandle(parts)

    def _sent(self, command: AppendCommand) -> LiveCommandHandle:
        handle = self._engine.send(command)
        assert isinstance(handle, LiveCommandHandle), "an append is placed on the timeline"
        self._watch.begin(handle)
        return handle


@attrs.define(eq=False)
class AppendWatch:
    """A listener: tells of appends that the service has not acknowledged in ten seconds of its timeline.

    The timeline is read from the output track, which comes only while the clock runs.
    """

    _engine: LiveEngine
    _open: deque[tuple[LiveCommandHandle, float]] = attrs.field(
        init=False, factory=functools.partial(deque, maxlen=_MOST_WATCHED)
    )
    _seconds: float = attrs.field(init=False, default=0.0)  # of the track

    def begin(self, handle: LiveCommandHandle) -> None:
        """Watch this append."""
        self._open.append((handle, self._seconds + _MOST_SECONDS))

    def deliver(self, update: ConversationUpdate) -> None:
        """See ``Listener``."""
        if type(update) is LiveSessionOutputAudioDeltaUpdate:
            if update.start_ms is not None and update.end_ms is not None:  # a sideband's has a format of its own
                self._seconds += (update.end_ms - update.start_ms) / 1000
            else:
                self._seconds += self._engine.audio_format.seconds(base64_size(update.delta))
            if self._open:
                self._look()

    def end(self, end: End) -> None:
        """See ``Listener``: each handle tells it."""

    def _look(self) -> None:
        while self._open:
            handle, late = self._open[0]
            if not handle.done and self._seconds < late:
                return
            self._open.popleft()
            if not handle.done:
                logger.warning(
                    "%s: %s %s was not acknowledged in %g s in which the session's clock ran: the model has not got "
                    "what was appended, and will not say it",
                    self._engine.name,
                    handle.type,
                    handle.event_id,
                    _MOST_SECONDS,
                )
