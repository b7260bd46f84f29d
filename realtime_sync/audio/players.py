"""Audio as players in a notebook's page."""

from __future__ import annotations

import io
from typing import Optional

from realtime_sync.audio.formats import SampleFormat
from realtime_sync.audio.wav import WavWriter
from realtime_sync.notebook import note, sound

MOST_PLAYED_BYTES = 8 * 2**20
"""Samples beyond so many (three minutes of PCM) are not put into a page: it would carry them for ever."""


def wav_of(samples: bytes, format: SampleFormat) -> bytes:
    """The samples as a WAV file."""
    file = io.BytesIO()
    with WavWriter(file, format) as wav:
        wav.write(samples)
    return file.getvalue()


def too_long(seconds: float, advice: str = "") -> str:
    """What stands in a page in place of a player."""
    return note(f"{seconds:.0f} s of audio, too long to be played here{advice}")


class Players:
    """The players of one page, with ``MOST_PLAYED_BYTES`` of samples in all."""

    def __init__(self) -> None:
        self._room = MOST_PLAYED_BYTES

    def player(self, samples: Optional[bytes], format: Optional[SampleFormat]) -> str:
        """A player with the samples in it, or a note if there is no room for them.

        Nothing if there are none, or if their format is not known.
        """
        if not samples or format is None:
            return ""
        if len(samples) > self._room:
            return too_long(format.seconds(len(samples)))
        self._room -= len(samples)
        return sound(wav_of(samples, format))


def player(samples: Optional[bytes], format: Optional[SampleFormat]) -> str:
    """The only player of a page; see ``Players.player``."""
    return Players().player(samples, format)
