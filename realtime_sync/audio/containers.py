"""Which kind of file this is, and what to do if it cannot be sent as it is."""

from __future__ import annotations

import os
import shlex
from typing import Callable, Optional

from realtime_sync.audio.formats import ALAW, MULAW, PCM, SampleFormat
from realtime_sync.audio.mpeg import frames_in_a_row
from realtime_sync.audio.wav import CODEC_ALAW, CODEC_MULAW, RIFFS, WAV_NAMES, WavInfo
from realtime_sync.errors import AudioFormatError
from realtime_sync.extras import install

# (where, what stands there, what it is): compressed audio and other containers, sent as samples, are loud noise.
_MAGICS = (
    *((0, b"ID3" + version, "an MP3 file") for version in (b"\2", b"\3", b"\4")),
    (0, b"fLaC", "a FLAC file"),
    (0, b"OggS", "an Ogg file (Vorbis or Opus)"),
    *((4, box, "an MP4, M4A or MOV file") for box in (b"ftyp", b"moov", b"mdat")),
    (0, b"\x1a\x45\xdf\xa3", "a WebM or Matroska file"),
    (0, b"FORM", "an AIFF file"),
    (0, b"RIFX", "a big-endian WAV file (RIFX)"),
    (0, b"caff", "a CAF file"),
    (0, b".snd", "a Sun AU file"),
    (0, b"#!AMR", "an AMR file"),
    (0, b"wvpk", "a WavPack file"),
    (0, b"riff\x2e\x91\xcf\x11", "a W64 file"),
    (0, b"MAC ", "a Monkey's Audio file"),
    (0, b"#!SILK_V3", "a SILK file"),
    (0, b"\x02#!SILK_V3", "a SILK file"),
    (0, b"NIST_1A", "a NIST SPHERE file"),
    (0, b"Creative Voi", "a VOC file"),
    (0, b"FLV\x01", "a Flash video"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "a WMA file"),
)
# What tells a file, at its begin and behind four bytes; MP3 and AAC may begin with a frame, and so with 255.
_BEGINS = (*RIFFS, b"\xff", *(magic for at, magic, _ in _MAGICS if at == 0))
_BOXES = tuple(magic for at, magic, _ in _MAGICS if at == 4)
# What begins with nothing that tells, or not with its first frame: then the name does.
_COMPRESSED_NAMES = (".mp3", ".mp2", ".aac", ".m4a", ".mp4", ".flac", ".ogg", ".oga", ".opus", ".webm", ".wma", ".amr")
# Nothing in bare samples tells what they are, so of a path its name does. Those of G.711 are at 8,000 Hz.
BARE_NAMES = (".pcm", ".raw")
SOUND_FILES = (*WAV_NAMES, *_COMPRESSED_NAMES, *BARE_NAMES, ".aiff", ".aif")
"""How the names of sound files end."""
_BARE_LAWS = {".ul": CODEC_MULAW, ".ulaw": CODEC_MULAW, ".al": CODEC_ALAW, ".alaw": CODEC_ALAW}


def tells_nothing(start: bytes) -> bool:
    """True if these first bytes are surely no file's: what most pieces of samples are."""
    return not (start.startswith(_BEGINS) or start.startswith(_BOXES, 4))


def container(peek: Callable[[int], bytes], name: Optional[str]) -> Optional[str]:
    """Which kind of file this is, in words; None if it may hold bare samples.

    ``peek(size)`` gives its first bytes, fewer only if there are no more.
    """
    start = peek(12)
    found = None
    if not tells_nothing(start):
        found = next((what for offset, magic, what in _MAGICS if start.startswith(magic, offset)), None)
        if found is None:
            found = frames_in_a_row(peek)
    if found is None and name is not None and name.lower().endswith(_COMPRESSED_NAMES):
        kind = os.path.splitext(name)[1][1:].upper()
        found = f"{'a' if kind[0] in 'FW' else 'an'} {kind} file, by its name"
    return found


def bare_by_name(path: str) -> Optional[WavInfo]:
    """The format that the name of a file says, if nothing else is known of it; None: bare samples in the wanted format.

    Raises AudioFormatError for any other name: a text, sent as samples, is loud noise.
    """
    suffix = os.path.splitext(path)[1].lower()
    if suffix in _BARE_LAWS:
        return WavInfo(_BARE_LAWS[suffix], channels=1, rate=8000, bits=8)
    if suffix in BARE_NAMES:
        return None
    name = os.path.basename(path)
    told = f"{name} is not a sound file of a known kind"
    if suffix in WAV_NAMES:
        told = f"{name} is named like a WAV file, but is none: it does not begin with RIFF"
    raise AudioFormatError(f"{told}; bare samples need the suffix {' or '.join(BARE_NAMES)}")


def cannot_convert(found: str, name: Optional[str]) -> str:
    """The message for another container, if the packages that read it are missing."""
    return (
        f"This is {found}. Only WAV files and bare samples can be sent as they are; convert it first, for example: "
        f"{ffmpeg(PCM, name)}. Or have it converted on the way: {install('audio')}"
    )


def unreadable(found: str, name: Optional[str], reason: object) -> str:
    """The message for a file that the packages do not read."""
    return f"This is {found}, and cannot be read here ({reason}). Convert it first, for example: {ffmpeg(PCM, name)}"


def mismatch(info: WavInfo, format: SampleFormat, name: Optional[str]) -> str:
    """The message for samples in another format, if the packages that convert them are missing."""
    message = (
        f"The file is {info}, but the session's input format is {format} ({format.wire_type}); the service would "
        f"hear noise. Have it converted on the way: {install('audio')}. Or convert the file: "
        f"{ffmpeg(format, name)}, or: {_sox(format, name)}"
    )
    other = next((known for known in (PCM, MULAW, ALAW) if info.matches(known)), None)
    return message if other is None else f"{message}. Or set input_audio_format={other.wire_type!r} in the session."


def ffmpeg(format: SampleFormat, name: Optional[str]) -> str:
    """The command that converts a file."""
    codec = {MULAW.wire_type: "pcm_mulaw", ALAW.wire_type: "pcm_alaw"}.get(format.wire_type, "pcm_s16le")
    return f"ffmpeg -i {shlex.quote(name or 'in.wav')} -ac 1 -ar {format.rate} -c:a {codec} converted.wav"


def _sox(format: SampleFormat, name: Optional[str]) -> str:
    encoding = {MULAW.wire_type: "u-law", ALAW.wire_type: "a-law"}.get(format.wire_type, "signed-integer")
    bits = 8 * format.sample_bytes
    return f"sox {shlex.quote(name or 'in.wav')} -c 1 -r {format.rate} -e {encoding} -b {bits} converted.wav"
