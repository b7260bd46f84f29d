"""The audio formats of the wire: what their bytes mean."""

from __future__ import annotations

import numbers
from typing import Union

import attrs

from realtime_sync.errors import AudioFormatError, InvalidInputError
from realtime_sync.protocol.options import AudioFormat
from realtime_sync.protocol.registry import UNSET


@attrs.frozen
class SampleFormat:
    """How samples lie in bytes: always mono. ``PCM``, ``MULAW`` and ``ALAW`` are those that the service knows.

    Attributes:
        wire_type: ``audio/pcm``, ``audio/pcmu`` or ``audio/pcma``.
        rate: Samples a second (Hz).
        sample_bytes: Bytes a sample: 2 for PCM (signed, little endian), 1 for G.711.
        silence_sample: One sample of silence; it is not zero in G.711.
        encoding: Its name in messages for people.
    """

    wire_type: str
    rate: int
    sample_bytes: int
    silence_sample: bytes = attrs.field(repr=False)
    encoding: str = attrs.field(repr=False)

    @classmethod
    def of(cls, told: Union[AudioFormat, str, SampleFormat]) -> SampleFormat:
        """The meaning of a wire format: ``"audio/pcm"``, ``"pcm16"``, an ``AudioFormat``, ...

        Raises AudioFormatError for a type that this library cannot read, and for a rate that is none.
        """
        if isinstance(told, SampleFormat):
            return told
        name = told if isinstance(told, str) else told.type
        known = _BY_NAME.get(name)
        if known is None:
            raise AudioFormatError(
                f"Audio of the format {name!r} cannot be checked or cut into chunks here; known are "
                f"{', '.join(_BY_NAME)}. Send its bytes in messages of your own, with send_message()."
            )
        rate = UNSET if isinstance(told, str) else told.rate
        if known is not PCM or not isinstance(rate, int):
            return known
        if not 0 < rate <= _HIGHEST_RATE:
            raise AudioFormatError(f"{rate} is no number of samples a second; audio cannot have this format")
        return attrs.evolve(known, rate=rate)

    def bytes_for(self, seconds: float) -> int:
        """How many bytes last ``seconds``, in whole samples (rounded to the nearest)."""
        return round(seconds * self.rate) * self.sample_bytes

    def seconds(self, size: int) -> float:
        """How long ``size`` bytes last."""
        return size / (self.rate * self.sample_bytes)

    def silence(self, seconds: float) -> bytes:
        """Silence of this length, in whole samples."""
        return self.silence_sample * round(seconds * self.rate)

    def __str__(self) -> str:
        return f"{self.encoding}, {self.rate} Hz, mono"


PCM = SampleFormat("audio/pcm", 24000, 2, b"\x00\x00", "16-bit PCM")
"""Signed 16-bit little endian at 24,000 Hz, the service's default."""
MULAW = SampleFormat("audio/pcmu", 8000, 1, b"\xff", "G.711 µ-law")
"""8-bit G.711 µ-law at 8,000 Hz (telephony in North America and Japan)."""
ALAW = SampleFormat("audio/pcma", 8000, 1, b"\xd5", "G.711 A-law")
"""8-bit G.711 A-law at 8,000 Hz (telephony elsewhere)."""

_HIGHEST_RATE = 1_000_000  # Hz; a rate beyond it is a mistake
_BY_NAME: dict[str, SampleFormat] = {
    "audio/pcm": PCM,
    "audio/pcmu": MULAW,
    "audio/pcma": ALAW,
    "pcm16": PCM,
    "g711_ulaw": MULAW,
    "g711_alaw": ALAW,
}


def pcm_at(rate: int) -> SampleFormat:
    """16-bit PCM at this rate (Hz). Raises InvalidInputError for what is no rate."""
    given: object = rate  # perhaps one of numpy's numbers
    if isinstance(given, bool) or not isinstance(given, numbers.Integral) or not 1000 <= int(given) <= 768_000:
        raise InvalidInputError(f"rate must be a whole number of samples a second, 1,000 to 768,000, not {rate!r}")
    return attrs.evolve(PCM, rate=int(given))
