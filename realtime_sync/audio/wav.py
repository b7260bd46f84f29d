"""WAV files, read and written as streams. The standard library's ``wave`` wants to seek, and knows PCM alone."""

from __future__ import annotations

import os
import struct
from typing import BinaryIO, Optional, Protocol, Union

import attrs

from realtime_sync.audio.byte_stream import ByteStream
from realtime_sync.audio.formats import ALAW, MULAW, PCM, SampleFormat, pcm_at
from realtime_sync.checks import check_path
from realtime_sync.errors import AudioFormatError, InvalidInputError

RIFFS = (b"RIFF", b"RF64", b"BW64")
"""How files of this kind begin."""

CODEC_PCM, CODEC_FLOAT, CODEC_ALAW, CODEC_MULAW, _CODEC_EXTENSIBLE = 1, 3, 6, 7, 0xFFFE
_CODEC_NAMES = {CODEC_PCM: "PCM", CODEC_FLOAT: "floating point", CODEC_ALAW: "G.711 A-law", CODEC_MULAW: "G.711 µ-law"}
_CODECS = {PCM.wire_type: CODEC_PCM, MULAW.wire_type: CODEC_MULAW, ALAW.wire_type: CODEC_ALAW}

# The last 14 bytes of a WAVE_FORMAT_EXTENSIBLE subformat whose first two are a codec.
_SUBFORMAT_TAIL = bytes.fromhex("000000001000800000aa00389b71")

# A chunk's length is the file's own claim: one of 4 GiB before the samples would swallow the audio of a live pipe.
_MAX_HEADER_BYTES = 16 * 2**20
# What writers put that could not know, or could not go back: 0, and about the most that the field can hold, or half of
# it (ffmpeg 0xFFFFFFFF, sox and espeak 0x7FFFF000, arecord 0x7FFFFF00, others the like less the header).
_UNKNOWN_LENGTHS = (range(1), range(0x7FFF0000, 0x80000001), range(0xFFFF0000, 0x100000000))
# Where a sample is looked for that is not 0: in so many seconds, of which each has so many bytes at most.
_SILENCE_SEARCHED, _MOST_SEARCHED = 10, 2**20

WAV_NAMES = (".wav", ".wave")
"""How the names of WAV files end."""
OTHER_KINDS = {".flac": "FLAC", ".mp3": "MP3", ".ogg": "OGG", ".aiff": "AIFF", ".aif": "AIFF"}
"""What else ``sound_files.py`` writes: WAV of such a name is played by some programs, and refused by others."""

_CUT_OFF = "This WAV file is cut off within its header: it holds no samples."


class ByteReader(Protocol):
    """What a header is read from: any binary file object, seekable or not."""

    def read(self, size: int, /) -> Optional[bytes]:
        """At most ``size`` bytes; ``b""`` at the end."""


@attrs.frozen
class WavInfo:
    """What a WAV header says.

    ``codec``: the format tag, 1 (PCM), 3 (float), 6 (A-law), 7 (µ-law) or another; that of the subformat where the
    header is of the extensible kind, and 0xFFFE where the subformat has none.
    ``rate``: in Hz. ``bits``: of a sample of one channel; 0 if the codec has none. ``data_bytes``: the length of the
    samples as the header claims it, or None if it does not know (the file was written as a stream): then they go on to
    the end. ``frame_bytes``: of a sample of each channel; by default no byte lies between them.
    """

    codec: int
    channels: int
    rate: int
    bits: int
    data_bytes: Optional[int] = None
    frame_bytes: int = attrs.field()

    @frame_bytes.default
    def _packed(self) -> int:
        return self.channels * -(-self.bits // 8)

    def matches(self, wanted: SampleFormat) -> bool:
        """True if the samples can be sent in this format as they are."""
        sendable = (_CODECS.get(wanted.wire_type), 1, wanted.rate, 8 * wanted.sample_bytes, wanted.sample_bytes)
        return (self.codec, self.channels, self.rate, self.bits, self.frame_bytes) == sendable

    def __str__(self) -> str:
        codec = _CODEC_NAMES.get(self.codec, f"codec 0x{self.codec:04X}")
        name = codec if self.codec in (CODEC_ALAW, CODEC_MULAW) or not self.bits else f"{self.bits}-bit {codec}"
        if self.frame_bytes != self._packed():
            name += f" in {self.frame_bytes // self.channels} bytes"
        channels = {1: "mono", 2: "stereo"}.get(self.channels, f"{self.channels} channels")
        return f"{name}, {self.rate} Hz, {channels}"


def placed(info: WavInfo, stream: ByteStream) -> WavInfo:
    """The header, corrected by the first samples that are not 0, if it says that samples have more room than they need.

    They lie at the bottom of it, as ``arecord`` writes 24 bits in 4 bytes: that is what such a ``WavInfo`` means. Or at
    the top, as the standard has it: they are samples of more bits. Or there is no such room: the header is wrong, as
    that of many a home-made writer is. The stream is at the first sample, and stays there.
    """
    packed = attrs.evolve(info, frame_bytes=info.channels * -(-info.bits // 8))
    if info == packed:
        return info
    width, second, start = info.frame_bytes // info.channels, info.rate * info.frame_bytes, b""
    second = min(second, _MOST_SEARCHED)  # a header may claim any rate
    left = _SILENCE_SEARCHED * second if info.data_bytes is None else info.data_bytes
    while not start.strip(b"\0") and len(start) < _SILENCE_SEARCHED * second:
        piece = stream.read(min(second, left - len(start)))
        start += piece
        if not piece:
            break
    stream.put_back(start)
    places = range(0, len(start) - width + 1, width)
    values = [int.from_bytes(start[place : place + width], "little", signed=True) for place in places]
    full = 1 << info.bits
    if all(-full // 2 <= value < full // 2 for value in values) or all(0 <= value < full for value in values):
        return info
    above = 1 << (8 * width - info.bits)
    return packed if any(value % above for value in values) else attrs.evolve(info, bits=8 * width)


def read_wav_header(stream: ByteReader) -> tuple[Optional[WavInfo], bytes]:
    """Read up to the first sample. The stream is not sought, and is left at the first sample.

    Returns the header and ``b""``; or, where the stream does not start with a RIFF header, None and the (at most 12)
    bytes that were read to find out, which belong to the audio.

    Raises AudioFormatError for a RIFF file that is no WAV, is cut off within its header, or contradicts itself.
    """
    if not isinstance(stream, ByteStream):
        stream = ByteStream(stream)
    start = stream.read(12)
    if not start.startswith(RIFFS):
        return None, start
    if len(start) < 12:
        raise AudioFormatError(_CUT_OFF)
    if start[8:] != b"WAVE":
        raise AudioFormatError(f"This RIFF file is not a WAV file: its type is {start[8:]!r}, not b'WAVE'.")
    return _read_chunks(stream), b""


def _read_chunks(stream: ByteStream) -> WavInfo:
    info: Optional[WavInfo] = None
    wide_length: Optional[int] = None
    budget = _MAX_HEADER_BYTES
    while True:
        head = _read_exactly(stream, 8)
        name, size = head[:4], int.from_bytes(head[4:], "little")
        if name == b"data":
            if info is None:
                raise AudioFormatError("This WAV file has its samples before their format ('data' before 'fmt ').")
            length = wide_length if size == 0xFFFFFFFF and wide_length is not None else size
            unknown = any(length in lengths for lengths in _UNKNOWN_LENGTHS) or length >= 2**62
            return attrs.evolve(info, data_bytes=None if unknown else length)
        budget -= 8 + size
        if budget < 0:
            raise AudioFormatError(f"This WAV file has more than {_MAX_HEADER_BYTES} bytes before its samples.")
        body = _read_exactly(stream, size)
        if size % 2:
            stream.read(1)  # chunks are padded to an even length
        if name == b"fmt ":
            info = _read_format(body)
        elif name == b"ds64" and size >= 16:  # the lengths of a file of more than 4 GiB (EBU Tech 3306)
            wide_length = struct.unpack_from("<Q", body, 8)[0]


def _read_format(body: bytes) -> WavInfo:
    if len(body) < 16:
        raise AudioFormatError(f"This WAV file's format is cut short: {len(body)} bytes instead of 16.")
    codec, channels, rate, _, frame_bytes, bits = struct.unpack_from("<HHIIHH", body)
    if codec == _CODEC_EXTENSIBLE and body[26:40] == _SUBFORMAT_TAIL:
        codec = int.from_bytes(body[24:26], "little")
    if codec in (CODEC_ALAW, CODEC_MULAW):
        bits = 8  # some writers put 0, or 16
    if not (channels and rate) or (not bits and codec in (CODEC_PCM, CODEC_FLOAT)):
        raise AudioFormatError(f"This WAV file's format makes no sense: {channels} channels, {rate} Hz, {bits} bits.")
    info = WavInfo(codec, channels, rate, bits)
    roomier = codec == CODEC_PCM and bits > 8 and info.frame_bytes < frame_bytes <= 4 * channels
    return attrs.evolve(info, frame_bytes=frame_bytes) if roomier and frame_bytes % channels == 0 else info


def _read_exactly(stream: ByteStream, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise AudioFormatError(_CUT_OFF)
    return data


def wav_header(format: SampleFormat, size: Optional[int] = None) -> bytes:
    """What stands before the samples. ``size``: bytes of samples; None: "length unknown", which players understand."""
    codec, width, rate = _CODECS[format.wire_type], format.sample_bytes, format.rate
    form = struct.pack("<HHIIHH", codec, 1, rate, rate * width, width, 8 * width)
    chunks = b"WAVE" + _chunk(b"fmt ", form)
    if codec != CODEC_PCM:  # others want an extension's length in the format, and the count of samples
        count = 0xFFFFFFFF if size is None else min(size // width, 0xFFFFFFFF)
        chunks = b"WAVE" + _chunk(b"fmt ", form + b"\x00\x00") + _chunk(b"fact", struct.pack("<I", count))
    # Past 4 GiB the lengths do not fit, and "unknown" is the truth that readers understand.
    total = None if size is None else len(chunks) + 8 + size + size % 2
    fits = total is not None and total < 0xFFFFFFFF
    lengths = (total, size) if fits else (0xFFFFFFFF, 0xFFFFFFFF)
    return b"RIFF" + struct.pack("<I", lengths[0]) + chunks + b"data" + struct.pack("<I", lengths[1])


class WavWriter:
    """A mono WAV file that is written as the samples come; use it with ``with``.

    ``target``: a path, or a binary file object, which stays open. Where it cannot be sought (a pipe), the header says
    "length unknown", which players understand; otherwise ``close`` puts the lengths right. ``format``: of the samples,
    which are written as they are. Not for several threads at once.
    """

    def __init__(self, target: Union[str, os.PathLike[str], BinaryIO], format: SampleFormat = PCM) -> None:
        self.format = format
        self.data_bytes = 0
        """Bytes of samples written so far."""
        self._owned = not hasattr(target, "write")
        if self._owned:
            check_path("the target", target)
        if isinstance(target, (str, os.PathLike)):
            _check_name(target)
        self._file: BinaryIO = open(target, "wb") if isinstance(target, (str, os.PathLike)) else target  # noqa: SIM115
        self._closed = False
        self._start = self._file.tell() if self._file.seekable() else None
        self._file.write(wav_header(self.format))

    def write(self, samples: Union[bytes, bytearray, memoryview]) -> None:
        """Append samples: bytes, whose pieces need not end at a whole sample, or an array of integers of their width.

        Raises InvalidInputError for an array of something else, ValueError after ``close``.
        """
        if self._closed:
            raise ValueError("write to a closed WavWriter")
        data = memoryview(samples)
        if data.itemsize not in (1, self.format.sample_bytes) or data.ndim != 1:
            raise InvalidInputError(
                f"A WAV file of {self.format} is written from bytes or from integers of {8 * self.format.sample_bytes} "
                f"bits, not from an array of {data.ndim} axes with items of {8 * data.itemsize}. Floats as 16-bit PCM: "
                "(array * 32767).astype('int16')."
            )
        self._file.write(samples)
        self.data_bytes += data.nbytes

    @property
    def seconds(self) -> float:
        """How long the samples last that were written so far."""
        return self.format.seconds(self.data_bytes)

    def close(self) -> None:
        """Complete the header; a file that was opened here is closed. Idempotent."""
        if self._closed:
            return
        self._closed = True
        try:
            if self.data_bytes % 2:
                self._file.write(b"\x00")
            if self._start is not None:
                end = self._file.tell()
                self._file.seek(self._start)
                self._file.write(wav_header(self.format, self.data_bytes))
                self._file.seek(end)
            self._file.flush()
        finally:
            if self._owned:
                self._file.close()

    def __enter__(self) -> WavWriter:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def _check_name(path: Union[str, os.PathLike[str]]) -> None:
    suffix = os.path.splitext(os.fsdecode(path))[1].lower()
    if suffix in OTHER_KINDS:
        raise InvalidInputError(
            f"This writes WAV, and {os.path.basename(os.fsdecode(path))!r:.60} is named like a file of another kind: "
            f"name it .wav. answer.save_audio(...) writes {suffix}, too, with the extra 'audio'."
        )


def _chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body


def write_wav(path: Union[str, os.PathLike[str]], pcm: Union[bytes, bytearray, memoryview], rate: int = 24000) -> None:
    """Write 16-bit little endian mono samples as a WAV file; ``rate`` in Hz. Raises as ``WavWriter.write``."""
    with WavWriter(path, pcm_at(rate)) as wav:
        wav.write(pcm)
