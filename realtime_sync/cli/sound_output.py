"""Where the speech of ``say`` goes: a file of any kind by its suffix, a pipe, or the speaker."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Optional

from realtime_sync.audio.arrays import from_bytes
from realtime_sync.audio.formats import PCM
from realtime_sync.audio.wav import WavWriter
from realtime_sync.errors import ConfigurationError
from realtime_sync.extras import missing
from realtime_sync.voice import SoundDeviceSpeaker

Write = Callable[[bytes], object]
"""Takes samples as the service gives them: 16-bit PCM, 24,000 Hz."""

_BY_SOUNDFILE = {".flac": "FLAC", ".mp3": "MP3", ".ogg": "OGG", ".aiff": "AIFF", ".aif": "AIFF"}
SUFFIXES = (".wav", *_BY_SOUNDFILE, ".pcm", ".raw")


def check_wav_name(option: str, path: Optional[str]) -> None:
    """Raise ``ConfigurationError`` where what an option names would be a WAV file under the name of another kind."""
    if path and Path(path).suffix.lower() not in ("", ".wav", ".wave"):
        raise ConfigurationError(f"{path}: {option} writes WAV: give it a name such as answer.wav.")


@contextmanager
def sound_output(target: Optional[str]) -> Iterator[Write]:
    """``target``: a file, ``-`` for WAV to the standard output, None for the speaker, which is awaited in the end.

    A file comes about as a whole or not at all. Raises ``ConfigurationError`` for a suffix that says nothing, and
    without the package that the kind needs; ``AudioDeviceError``; ``OSError``.
    """
    if target is None:
        with SoundDeviceSpeaker() as speaker:
            yield lambda samples: speaker.write("speech", 0, samples)
            speaker.wait()
    elif target == "-":
        if sys.stdout.isatty():
            raise ConfigurationError("-o - writes sound, which a terminal cannot show: pipe it, `-o - | aplay`.")
        with WavWriter(sys.stdout.buffer) as wav:
            yield wav.write
    else:
        with _whole_file(Path(target)) as part, _writer(part, Path(target).suffix.lower()) as write:
            yield write


@contextmanager
def _whole_file(path: Path) -> Iterator[Path]:
    """A file beside ``path``, which takes its place in the end; where the block raises, nothing is left of it."""
    if not path.parent.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "there is no such folder", str(path.parent))
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "is a folder", str(path))
    part = path.with_name(f".{path.name}.part")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _writer(path: Path, suffix: str) -> Iterator[Write]:
    if suffix == ".wav":
        with WavWriter(path) as wav:
            yield wav.write
    elif suffix in (".pcm", ".raw"):
        with path.open("wb") as file:
            yield file.write
    elif suffix in _BY_SOUNDFILE:
        with _soundfile_writer(path, suffix) as write:
            yield write
    else:
        raise ConfigurationError(f"what kind of sound is {suffix or 'a file without a suffix'}? {', '.join(SUFFIXES)}.")


@contextmanager
def _soundfile_writer(path: Path, suffix: str) -> Iterator[Write]:
    try:
        import numpy  # noqa: F401
        import soundfile
    except (ImportError, OSError) as error:  # OSError: without its libsndfile
        raise missing("soundfile", "audio", f"A {suffix[1:].upper()} file") from error
    kind = _BY_SOUNDFILE[suffix]
    try:
        with soundfile.SoundFile(path, "w", samplerate=PCM.rate, channels=1, format=kind) as file:
            yield lambda samples: file.write(from_bytes(samples, PCM))
    except soundfile.LibsndfileError as error:  # which tells no more, whatever the system said
        raise OSError(f"the {kind} file cannot be written ({error}): is the disk full?") from error
