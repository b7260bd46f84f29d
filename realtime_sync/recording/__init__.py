"""A session's wire, written down: to be read, replayed, looked at and listened to."""

from typing import TYPE_CHECKING

from realtime_sync.lazy import lazily

if TYPE_CHECKING:
    from realtime_sync.recording.recording import ConnectionRecord, Entry, Recording
    from realtime_sync.recording.writer import RecordingWriter
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "recording": "ConnectionRecord Entry Recording",
            "writer": "RecordingWriter",
        },
    )

__all__ = ["ConnectionRecord", "Entry", "Recording", "RecordingWriter"]
