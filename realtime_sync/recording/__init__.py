"""A session's wire, written down: to be read, replayed, looked at and listened to."""

from realtime_sync.recording.recording import ConnectionRecord, Entry, Recording
from realtime_sync.recording.writer import RecordingWriter

__all__ = ["ConnectionRecord", "Entry", "Recording", "RecordingWriter"]
