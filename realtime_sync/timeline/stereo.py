"""Both sides of a recording as one stereo WAV file."""

from __future__ import annotations

import array
import wave
from collections.abc import Sequence
from typing import BinaryIO

from realtime_sync.audio import g711
from realtime_sync.checks import check_path
from realtime_sync.recording import Recording
from realtime_sync.recording.layout import FilePath
from realtime_sync.timeline.tracks import RATE, Piece, Tracks, between

_BLOCK = 10 * RATE  # samples in memory at once


def save_stereo(recording: Recording, path: FilePath) -> None:
    """Write both sides as one stereo WAV file, 16 bit, 24,000 Hz, in the time of the recording.

    Left is the user: samples as they were sent, from the moment of sending; audio that was sent faster than it is
    spoken follows the audio before it. Right is the model as a listener heard it whose player plays audio as it comes:
    each piece after the one before it, and nothing of what a truncation cut off.

    Args:
        recording: The recording.
        path: The file to write.

    Raises:
        InvalidInputError: It is no path.
        OSError: The file cannot be written.
    """
    check_path("the target", path)
    # Opened here: a Wave_write that could not open its file complains once more when it is collected.
    with open(path, "wb") as file:
        write_stereo(recording, file)


def write_stereo(recording: Recording, file: BinaryIO) -> None:
    """As ``save_stereo``, to a binary file object, which stays open."""
    tracks = Tracks.of(recording)
    length = _length(recording, tracks)
    with wave.open(file, "wb") as wav:
        wav.setnchannels(2)
        wav.setsampwidth(2)
        wav.setframerate(RATE)
        for start in range(0, length, _BLOCK):
            end = min(start + _BLOCK, length)
            both = array.array("h", bytes(4 * (end - start)))
            both[0::2] = channel(tracks.user, start, end)
            both[1::2] = channel(tracks.model, start, end)
            wav.writeframesraw(both.tobytes())  # in the machine's order, as `wave` wants them


def stereo_bytes(recording: Recording) -> int:
    """How many bytes of samples ``write_stereo`` writes."""
    return 4 * _length(recording, Tracks.of(recording))


def _length(recording: Recording, tracks: Tracks) -> int:
    return max(tracks.samples, round(recording.duration * RATE))


def channel(pieces: Sequence[Piece], start: int, end: int) -> array.array[int]:
    """One side's samples from ``start`` to before ``end``, 16-bit; silence where there is no piece."""
    samples = bytearray(2 * (end - start))
    for piece in between(pieces, start, end):
        first, last = max(piece.start, start), min(piece.end, end)
        part = piece.pcm()[2 * (first - piece.start) : 2 * (last - piece.start)]
        samples[2 * (first - start) : 2 * (first - start) + len(part)] = part
    return g711.samples_of(bytes(samples))
