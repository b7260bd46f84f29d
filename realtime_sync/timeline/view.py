"""A recording in a notebook: the picture, the table of turns, and both voices to listen to."""

from __future__ import annotations

import io

from realtime_sync.audio.players import MOST_PLAYED_BYTES, too_long
from realtime_sync.errors import ConfigurationError
from realtime_sync.notebook import card, image, note, sound, table
from realtime_sync.recording import Recording
from realtime_sync.secret import reportable
from realtime_sync.timeline.picture import png
from realtime_sync.timeline.stereo import stereo_bytes, write_stereo
from realtime_sync.timeline.table import text, told_of


@reportable
class TimelineView:
    """What a notebook shows of a recording, and ``print`` as text. Made by ``view(recording)``."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._title, self._heads, self._rows = told_of(recording)

    def __repr__(self) -> str:
        return f"<TimelineView of {self._recording.path}: {self._title}>"

    def __str__(self) -> str:
        return text(self._recording)

    def _repr_html_(self) -> str:
        faults = {"faults": "; ".join(self._recording.faults) or None}
        body = self._picture() + table(self._heads, self._rows) + self._sound()
        return card(self._title, faults, body)

    def _picture(self) -> str:
        try:
            return image(png(self._recording), "both sides of the conversation over time")
        except ConfigurationError as error:  # without the extra
            return note(str(error))

    def _sound(self) -> str:
        if stereo_bytes(self._recording) > MOST_PLAYED_BYTES:
            return too_long(self._recording.duration, ": timeline.save_stereo(recording, path) writes a file")
        file = io.BytesIO()
        write_stereo(self._recording, file)
        return sound(file.getvalue())


def view(recording: Recording) -> TimelineView:
    """A recording as a notebook shows it: a picture (extra ``plot``), a table of its turns, and a stereo player.

    Args:
        recording: The recording.

    Returns:
        The view; let it be the last line of a cell, or ``display`` it. ``print`` gives ``text(recording)``.
    """
    return TimelineView(recording)
