"""What happened when in a recording: as a table, as a picture, and as stereo sound.

Each is a function of a ``Recording``::

    from realtime_sync import timeline
    from realtime_sync.recording import Recording

    recording = Recording.read("session.jsonl")
    print(timeline.text(recording))
    timeline.save_picture(recording, "session.png")  # extra "plot"
    timeline.save_stereo(recording, "session.wav")
    timeline.view(recording)  # in a notebook, all three

``Tracks.of(recording)`` has the pieces of audio of both sides, placed in time.
"""

from realtime_sync.timeline.picture import save_picture
from realtime_sync.timeline.stereo import save_stereo
from realtime_sync.timeline.table import text
from realtime_sync.timeline.tracks import Piece, Span, Tracks
from realtime_sync.timeline.view import TimelineView, view

__all__ = ["Piece", "Span", "TimelineView", "Tracks", "save_picture", "save_stereo", "text", "view"]


def __dir__() -> list[str]:
    """The public names alone, for completion and ``help()``."""
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
