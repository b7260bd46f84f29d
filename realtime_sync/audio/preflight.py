"""Commits that the service would surely refuse, refused here before they are sent."""

from __future__ import annotations

from typing import Optional

from realtime_sync.audio.formats import SampleFormat
from realtime_sync.errors import UsageError
from realtime_sync.protocol.options import TurnDetectionOptions

# What the service wants at least, in seconds ("buffer too small", input_audio_buffer_commit_empty).
LEAST_COMMITTED = 0.1


def check_commit(
    bytes_sent_since_commit: Optional[int], format: SampleFormat, turn_detection: Optional[TurnDetectionOptions]
) -> None:
    """Raise UsageError if the service would refuse to commit the audio, or commits it by itself.

    ``bytes_sent_since_commit``: samples in ``format`` that were sent since the last commit; None if that is not known.
    ``turn_detection``: as it is in force; None if it is off, or not known.
    """
    if turn_detection is not None and turn_detection.type in ("server_vad", "semantic_vad"):
        raise UsageError(
            f"The service commits the audio itself, because turn detection is on ({turn_detection.type}): a commit of "
            "yours would cut a turn in two, or find nothing to commit. Send some silence after the audio instead "
            "(trailing_silence_ms=1000), or switch turn detection off: TurnDetectionOptions.disabled(). To send a "
            "commit anyway, use send_message()."
        )
    if bytes_sent_since_commit is None:
        return
    seconds = format.seconds(bytes_sent_since_commit)
    if seconds < LEAST_COMMITTED:
        raise UsageError(
            f"Only {seconds * 1000:.0f} ms of audio ({bytes_sent_since_commit} bytes of {format}) were sent since the "
            f"last commit; the service wants at least {LEAST_COMMITTED * 1000:.0f} ms. Send audio first."
        )
