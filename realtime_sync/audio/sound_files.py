"""Sound written to a file while it comes; the file's suffix says which kind it is."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Callable

from realtime_sync.audio.arrays import from_bytes
from realtime_sync.audio.containers import BARE_NAMES
from realtime_sync.audio.formats import PCM, SampleFormat
from realtime_sync.audio.wav import OTHER_KINDS, WAV_NAMES, WavWriter
from realtime_sync.errors import ConfigurationError
from realtime_sync.extras import missing

Write = Callable[[bytes], object]
"""Takes samples in the format of the wire."""


@contextmanager
def sound_file(path: Path, format: SampleFormat = PCM) -> Iterator[Write]:
    """Write samples in ``format`` to a file, which comes about as a whole or not at all.

    Raises ``ConfigurationError`` for an unknown suffix, and without the package that the kind needs; ``OSError``.
    """
    with _whole_file(path) as part, _writer(part, path.suffix.lower(), format) as write:
        yield write


@contextmanager
def _whole_file(path: Path) -> Iterator[Path]:
    """A file beside ``path``, which takes its place in the end; if the block raises, nothing is left of it."""
    if not path.parent.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "there is no such folder", str(path.parent))
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "is a folder", str(path))
    if path.exists() and not path.is_file():  # a pipe, or a device: nothing takes its place
        yield path
        return
    part = path.with_name(f".{path.name}.part")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _writer(path: Path, suffix: str, format: SampleFormat) -> Iterator[Write]:
    if suffix in WAV_NAMES:
        with WavWriter(path, format) as wav:
            yield wav.write
    elif suffix in BARE_NAMES:
        with path.open("wb") as file:
            yield file.write
    elif suffix in OTHER_KINDS:
        with _soundfile_writer(path, suffix, format) as write:
            yield write
    else:
        known = ", ".join((*WAV_NAMES, *OTHER_KINDS, *BARE_NAMES))
        raise ConfigurationError(f"what kind of sound is {suffix or 'a file without a suffix'}? Known are {known}.")


@contextmanager
def _soundfile_writer(path: Path, suffix: str, format: SampleFormat) -> Iterator[Write]:
    try:
        import numpy  # noqa: F401
        import soundfile
    except (ImportError, OSError) as error:  # OSError: without its libsndfile
        raise missing("soundfile", "audio", f"Writing {suffix[1:].upper()}") from error
    kind = OTHER_KINDS[suffix]
    try:
        with soundfile.SoundFile(path, "w", samplerate=format.rate, channels=1, format=kind) as file:
            yield lambda samples: file.write(from_bytes(samples, format))
    except soundfile.LibsndfileError as error:  # which tells no more, whatever the system said
        raise OSError(f"the {kind} file cannot be written ({error}): is the disk full?") from error
