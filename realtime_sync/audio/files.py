"""Audio files of all kinds, decoded block by block and turned to a format of the wire. Needs the extra ``audio``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, Optional

import attrs

from realtime_sync.audio import g711
from realtime_sync.audio.arrays import mono, to_bytes
from realtime_sync.audio.byte_stream import ByteStream, whole_frames
from realtime_sync.audio.containers import unreadable
from realtime_sync.audio.formats import ALAW, MULAW, SampleFormat
from realtime_sync.audio.resampling import resampled
from realtime_sync.audio.wav import CODEC_ALAW, CODEC_FLOAT, CODEC_MULAW, CODEC_PCM, WavInfo
from realtime_sync.errors import AudioFormatError

if TYPE_CHECKING:
    from realtime_sync.audio.resampling import Floats

_LAWS = {CODEC_MULAW: MULAW.wire_type, CODEC_ALAW: ALAW.wire_type}
# What libsndfile tells for a stream whose length it does not know is next to 2**63.
_MOST_FRAMES = 2**48


@attrs.frozen
class Decoded:
    """Mono blocks at ``rate`` (Hz); ``frames``: how many samples there will be, None if it is not known."""

    blocks: Iterable[Floats]
    rate: int
    frames: Optional[int]

    def converted(self, format: SampleFormat) -> Iterator[bytes]:
        """In another format, in pieces of any length."""
        return (to_bytes(block, format) for block in resampled(self.blocks, self.rate, format.rate))

    def converted_bytes(self, format: SampleFormat) -> Optional[int]:
        """How many bytes ``converted`` gives, within a sample or two; None if it is not known."""
        return None if self.frames is None else format.bytes_for(self.frames / self.rate)


def decode_wav(stream: ByteStream, info: WavInfo, block_seconds: float) -> Optional[Decoded]:
    """The samples that follow a WAV header, as they come; None for a codec that takes more than arithmetic."""
    width = info.frame_bytes // info.channels
    known = {CODEC_PCM: (1, 2, 3, 4), CODEC_FLOAT: (4, 8), CODEC_MULAW: (1,), CODEC_ALAW: (1,)}
    if width not in known.get(info.codec, ()):
        return None
    size = max(1, round(info.rate * block_seconds)) * info.frame_bytes
    frames = whole_frames(stream, info, info.frame_bytes, size, info.rate, info.data_bytes, wav=True)
    count = None if info.data_bytes is None else info.data_bytes // info.frame_bytes
    return Decoded((_wav_block(data, info, width) for data in frames), info.rate, count)


def _wav_block(data: bytes, info: WavInfo, width: int) -> Floats:
    import numpy as np

    if info.codec in _LAWS:
        samples = np.frombuffer(g711.decode(data, _LAWS[info.codec]), "<i2")
    elif info.codec == CODEC_FLOAT:
        samples = np.frombuffer(data, f"<f{width}")
    elif width == 3:  # as the upper three bytes of 32 bits
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        samples = wide.reshape(-1).view("<i4")
    else:
        samples = np.frombuffer(data, "u1" if width == 1 else f"<i{width}")
    if info.codec == CODEC_PCM and -(-info.bits // 8) < width:  # they lie at the bottom of their room
        samples = samples << (8 * width - info.bits)
    return mono(samples.reshape(-1, info.channels))


@contextmanager
def decoded_file(whole: BinaryIO, found: str, name: Optional[str], block_seconds: float) -> Iterator[Decoded]:
    """Any file that libsndfile reads, from its beginning; it must be one that can be sought.

    ``found``, ``name``: what it is, for the error. Raises AudioFormatError for what libsndfile does not read.
    """
    import soundfile

    class Forwards(soundfile.SoundFile):  # type: ignore[misc]
        """soundfile seeks after each read (0.14), and libsndfile's seeking in MP3 is heard as a click (1.2)."""

        def seekable(self) -> bool:
            return False

    def blocks(size: int) -> Iterator[Floats]:
        while True:
            with _told(found, name):
                block = file.read(size, dtype="float32", always_2d=True)
            if not len(block):
                return
            yield mono(block)

    with _told(found, name):
        file = Forwards(whole)
    with file:
        frames = file.frames if 0 < file.frames < _MOST_FRAMES else None
        yield Decoded(blocks(max(1, round(file.samplerate * block_seconds))), file.samplerate, frames)


@contextmanager
def _told(found: str, name: Optional[str]) -> Iterator[None]:
    """In our words, what libsndfile says."""
    import soundfile

    try:
        yield
    except (soundfile.SoundFileError, TypeError) as error:  # TypeError: for a file that is named .raw
        raise AudioFormatError(unreadable(found, name, error)) from error


@contextmanager
def sought(stream: ByteStream) -> Iterator[BinaryIO]:
    """A file that can be sought and holds nothing but the audio.

    That is the stream's own file if the audio begins at 0; else a copy on disk.
    """
    if stream.file is not None:
        stream.file.seek(stream.begins)
        if stream.begins == 0:
            yield stream.file
            return
    import tempfile

    with tempfile.TemporaryFile() as copy:
        rest = stream if stream.file is None else ByteStream(stream.file)
        while data := rest.read(2**16):
            copy.write(data)
        copy.seek(0)
        yield copy
