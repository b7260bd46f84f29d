"""A session's settings: as the caller asked for them, and as the service reported them.

A new connection is given the settings that were asked for, because the service reports only some of them.

Rules:

1. Options count as desired from the moment at which they are about to be sent, until the service refuses them
   (``ServerError``) or the command turns out not to be sent (``forget``). They are merged field by field, in the order
   of sending; ``UNSET`` changes nothing.
2. ``granted`` are those that the service acknowledged. The reconnector falls back to them if the new connection refuses
   the desired ones.
3. The input format changes with the sending of the command, not with its acknowledgement: the service reads audio that
   is sent behind the command in the new format.

States of one command's options: in ``_asked`` until its handle is done, then merged into ``_granted``, or dropped if
the service refused them. This is done when the next options are sent; ``desired`` and ``granted`` work it out
meanwhile.

Locks: ``_lock`` guards ``_asked``, ``_granted`` and ``_asked_format``; nothing is taken under it. ``reported`` and
``_reported_format`` are written by the reader thread, each in one assignment, and may be read by any thread, as may
``_asked_format``.
"""

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
    """The settings that were asked for and not refused; and ``reported``: those that the service reported last."""

    def __init__(self) -> None:
        self.reported: Optional[RealtimeSession] = None
        self._reported_format = PCM
        self._lock = threading.Lock()  # guards all below
        self._asked: list[tuple[CommandHandle, SessionOptions]] = []  # in the order of sending; not yet settled
        self._granted: Optional[SessionOptions] = None
        self._asked_format: Optional[tuple[CommandHandle, SampleFormat]] = None

    # What was asked for ---------------------------------------------------------------------------------------------

    def remember(self, handle: CommandHandle, options: SessionOptions) -> None:
        """Remember options that are about to be sent."""
        asked_format = _sample_format(getattr(options, "input_audio_format", None))
        with self._lock:
            self._asked.append((handle, options))
            self._merge_those_done()
            if asked_format is not None:
                self._asked_format = handle, asked_format

    def _merge_those_done(self) -> None:
        while self._asked and self._asked[0][0].done:
            self._granted = _merged(self._granted, self._asked.pop(0))

    def forget(self, handle: CommandHandle) -> None:
        """Forget options that were not sent after all."""
        with self._lock:
            self._asked = list(filter(lambda asked: asked[0] is not handle, self._asked))
            if self._asked_format is not None and self._asked_format[0] is handle:
                self._asked_format = None

    def remembers(self, handle: CommandHandle) -> bool:
        """True if the options of this command, which is in flight, are among the desired ones."""
        with self._lock:
            return any(asked[0] is handle for asked in self._asked)

    def desired(self) -> Optional[SessionOptions]:
        """All options that were asked for and not refused, as one; None if there are none."""
        with self._lock:
            return functools.reduce(_merged, self._asked, self._granted)

    def granted(self) -> Optional[SessionOptions]:
        """The options that the service has acknowledged, as one; None if there are none."""
        with self._lock:
            acknowledged = filter(lambda asked: asked[0].update is not None, self._asked)
            return functools.reduce(_merged, acknowledged, self._granted)

    # What holds -----------------------------------------------------------------------------------------------------

    def report(self, update: SessionUpdateBase) -> None:
        """Take over the settings that the service reports. On the reader thread."""
        self.reported = update.session
        self._reported_format = _sample_format(update.session.input_audio_format) or self._reported_format

    @property
    def input_format(self) -> SampleFormat:
        """The format to send audio in: the one asked for last, if it was not refused; else the reported one."""
        asked = self._asked_format
        if asked is not None:
            handle, format = asked
            if not isinstance(handle.error, ServerError) and not _reports_format(handle):  # rule 3
                return format
        return self._reported_format

    @property
    def turn_detection(self) -> Optional[TurnDetectionOptions]:
        """The turn detection that was asked for last, else the reported one; None if it is off or not known."""
        options = getattr(self.desired(), "turn_detection_options", UNSET)
        if options is UNSET and self.reported is not None:
            options = self.reported.turn_detection_options
        return options if isinstance(options, TurnDetectionOptions) and options.type != "none" else None

    @property
    def answers_speech(self) -> bool:
        """True if the service begins a response by itself once the user has spoken."""
        turn_detection = self.turn_detection
        return turn_detection is not None and turn_detection.create_response is not False


def _reports_format(handle: CommandHandle) -> bool:
    """True if the acknowledgement reported the format, so that the reported one holds."""
    update = handle.update
    return isinstance(update, SessionUpdateBase) and _sample_format(update.session.input_audio_format) is not None


def _sample_format(format: object) -> Optional[SampleFormat]:
    if not isinstance(format, AudioFormat):
        return None
    try:
        return SampleFormat.of(format)
    except InvalidInputError as error:
        logger.warning("audio is sent without checking its format, because the input format is unknown: %s", error)
        return None


def _merged(before: Optional[SessionOptions], asked: tuple[CommandHandle, SessionOptions]) -> Optional[SessionOptions]:
    handle, options = asked
    if isinstance(handle.error, ServerError):
        return before
    if before is None:
        return options
    fields = [field.name for field in attrs.fields(type(options)) if field.name != "extra"]
    changes = {name: value for name in fields if (value := getattr(options, name)) is not UNSET}
    # The classes are not compared: a raw message may leave out the kind of the session, which stays the same.
    if not changes.keys() <= attrs.fields_dict(type(before)).keys():
        return options
    return attrs.evolve(before, extra={**before.extra, **options.extra}, **changes)
