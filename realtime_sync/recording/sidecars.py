"""The WAV files beside a recording."""

from __future__ import annotations

import io
import logging
from contextlib import ExitStack
from typing import BinaryIO, Optional

from realtime_sync.audio.formats import PCM, SampleFormat
from realtime_sync.audio.wav import WavWriter, read_wav_header
from realtime_sync.errors import AudioFormatError
from realtime_sync.recording.layout import sidecar
from realtime_sync.recording.private_file import create

logger = logging.getLogger(__name__)


class SidecarWriter:
    """One WAV file a direction, begun with its first samples, in the format that the session had then."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._files: dict[str, tuple[BinaryIO, WavWriter]] = {}
        self._warned = False

    def keep(self, direction: str, samples: bytes, format: Optional[SampleFormat]) -> int:
        """Write the samples; returns where they begin, in bytes from the first one.

        Raises InvalidInputError if the file cannot be made, OSError if it cannot be written.
        """
        if direction not in self._files:
            opened = create(sidecar(self._path, direction))
            self._files[direction] = opened, WavWriter(opened, format or PCM)
        file, wav = self._files[direction]
        if wav.format != (format or PCM) and not self._warned:
            self._warned = True
            logger.warning(
                "the session's audio format has changed: from here on, the audio sounds wrong in %s; read with the "
                "recording, it is right",
                sidecar(self._path, direction),
            )
        start = wav.data_bytes
        wav.write(samples)
        file.flush()  # before the line that speaks of them
        return start

    def close(self) -> None:
        """Complete the headers. Raises OSError."""
        for file, wav in self._files.values():
            with file:
                wav.close()


class SidecarReader:
    """The samples of a recording's WAV files, by where they begin; use it with ``with``."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._open = ExitStack()
        self._files: dict[str, tuple[BinaryIO, int]] = {}  # by direction, with the place of the first sample
        self._faults: dict[str, str] = {}  # by direction, the first of each

    @property
    def faults(self) -> list[str]:
        """What is wrong with the files, in words."""
        return [f"the audio beside it, {sidecar(self._path, way)}, {what}" for way, what in self._faults.items()]

    def read(self, direction: str, start: int, size: int) -> bytes:
        """The samples; fewer, or none, if the file is cut off or missing, which ``faults`` then says once."""
        if direction not in self._files:
            try:
                self._files[direction] = self._opened(sidecar(self._path, direction))
            except (OSError, AudioFormatError) as error:
                self._files[direction] = io.BytesIO(), 0
                self._faults[direction] = f"cannot be read ({error}); silence stands for it"
        file, first = self._files[direction]
        file.seek(first + start)
        samples = file.read(size)
        if len(samples) < size:
            self._faults.setdefault(direction, "is cut off; silence stands for what is missing")
        return samples

    def _opened(self, path: str) -> tuple[BinaryIO, int]:
        file = self._open.enter_context(open(path, "rb"))  # noqa: SIM115
        info, _ = read_wav_header(file)
        if info is None:
            raise AudioFormatError("it is not a WAV file")
        return file, file.tell()

    def __enter__(self) -> SidecarReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()
