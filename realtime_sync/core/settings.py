"""A session's settings: as they were asked for, so that a new connection can be given them, and as they are told."""

from __future__ import annotations

import functools
import logging
import threading
from typing import Optional

import attrs

from realtime_sync.audio.formats import PCM, SampleFormat
from realtime_sync.core.commands import CommandHandle
from realtime_sync.errors import InvalidInputError, ServerError
from realtime_sync.protocol.options import AudioFormat, SessionOptions, TurnDetectionOptions
from realtime_sync.protocol.registry import UNSET
from realtime_sync.protocol.resources import RealtimeSession
from realtime_sync.protocol.update_base import SessionUpdateBase

logger = logging.getLogger(__name__)


class SettingsTracker:
    """All that was asked for, but for what the service refused; and ``told``, as the service told it last.

    ``told`` is written by the reader, in one assignment, and may be read by any thread.
    """

    def __init__(self) -> None:
        self.told: Optional[RealtimeSession] = None
        self._told_format = PCM
        self._lock = threading.Lock()  # guards all below
        self._asked: list[tuple[CommandHandle, SessionOptions]] = []  # in the order of sending; not yet settled
        self._granted: Optional[SessionOptions] = None
        self._asked_format: Optional[tuple[CommandHandle, SampleFormat]] = None

    # What was asked for ---------------------------------------------------------------------------------------------

    def remember(self, handle: CommandHandle, options: SessionOptions) -> None:
        """These are about to be sent."""
        asked_format = _sample_format(getattr(options, "input_audio_format", None))
        with self._lock:
            self._asked.append((handle, options))
            while self._asked and self._asked[0][0].done:
                self._granted = _merged(self._granted, self._asked.pop(0))
            if asked_format is not None:
                self._asked_format = handle, asked_format

    def forget(self, handle: CommandHandle) -> None:
        """They were not sent after all."""
        with self._lock:
            self._asked = [asked for asked in self._asked if asked[0] is not handle]
            if self._asked_format is not None and self._asked_format[0] is handle:
                self._asked_format = None

    def merged(self) -> Optional[SessionOptions]:
        """All of them as one; None where there are none."""
        with self._lock:
            return functools.reduce(_merged, self._asked, self._granted)

    def granted(self) -> Optional[SessionOptions]:
        """Those of them that the service has acknowledged; None where there are none."""
        with self._lock:
            acknowledged = [asked for asked in self._asked if asked[0].update is not None]
            return functools.reduce(_merged, acknowledged, self._granted)

    # What holds -----------------------------------------------------------------------------------------------------

    def tell(self, update: SessionUpdateBase) -> None:
        """The service has told the settings. On the reader thread."""
        self.told = update.session
        self._told_format = _sample_format(update.session.input_audio_format) or self._told_format

    @property
    def input_format(self) -> SampleFormat:
        """What audio is to be sent in: as was asked for last, unless that was refused, else as the service told."""
        asked = self._asked_format
        if asked is not None:
            handle, format = asked
            # At once, not with the acknowledgement: audio that is sent behind the command is heard in the new format.
            if not isinstance(handle.error, ServerError) and not _tells_format(handle):
                return format
        return self._told_format

    @property
    def turn_detection(self) -> Optional[TurnDetectionOptions]:
        """As it was asked for last, else as the service told; None where it is off or not known."""
        options = getattr(self.merged(), "turn_detection_options", UNSET)
        if options is UNSET and self.told is not None:
            options = self.told.turn_detection_options
        return options if isinstance(options, TurnDetectionOptions) and options.type != "none" else None


def _tells_format(handle: CommandHandle) -> bool:
    """True where the acknowledgement has told the format, so that what the service told holds."""
    update = handle.update
    return isinstance(update, SessionUpdateBase) and _sample_format(update.session.input_audio_format) is not None


def _sample_format(told: object) -> Optional[SampleFormat]:
    if not isinstance(told, AudioFormat):
        return None
    try:
        return SampleFormat.of(told)
    except InvalidInputError:
        logger.warning("audio cannot be checked: unknown input format %r", told.type)
        return None


def _merged(before: Optional[SessionOptions], asked: tuple[CommandHandle, SessionOptions]) -> Optional[SessionOptions]:
    handle, options = asked
    if isinstance(handle.error, ServerError):
        return before
    if before is None:
        return options
    fields = [field.name for field in attrs.fields(type(options)) if field.name != "extra"]
    told = {name: value for name in fields if (value := getattr(options, name)) is not UNSET}
    # Not by their classes: a raw message need not tell of which kind the session is, which stays the same.
    if not told.keys() <= attrs.fields_dict(type(before)).keys():
        return options
    return attrs.evolve(before, extra={**before.extra, **options.extra}, **told)
