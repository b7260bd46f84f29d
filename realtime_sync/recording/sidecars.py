"""The WAV files beside a recording."""

from __future__ import annotations

import logging
from typing import BinaryIO, Optional

from realtime_sync.audio.formats import PCM, SampleFormat
from realtime_sync.audio.wav import WavWriter, read_wav_header
from realtime_sync.errors import AudioFormatError
from realtime_sync.recording.layout import sidecar

logger = logging.getLogger(__name__)


class SidecarWriter:
    """One WAV file a direction, begun with its first samples, in the format that the session had then."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._files: dict[str, tuple[BinaryIO, WavWriter]] = {}
        self._warned = False

    def keep(self, direction: str, samples: bytes, format: Optional[SampleFormat]) -> int:
        """Write the samples; returns where they begin, in bytes from the first one. Raises OSError."""
        if direction not in self._files:
            opened: BinaryIO = open(sidecar(self._path, direction), "wb")  # noqa: SIM115  it is closed by close()
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
        self._files: dict[str, tuple[Optional[BinaryIO], int]] = {}
        self.faults: list[str] = []

    def read(self, direction: str, start: int, size: int) -> bytes:
        """The samples; fewer, or none, if the file is cut off or missing, which ``faults`` then says once."""
        if direction not in self._files:
            self._files[direction] = self._opened(sidecar(self._path, direction))
        file, first = self._files[direction]
        if file is None:
            return b""
        file.seek(first + start)
        samples = file.read(size)
        if len(samples) < size:
            self._fault(direction, "is cut off; silence stands for what is missing")
        return samples

    def _opened(self, path: str) -> tuple[Optional[BinaryIO], int]:
        direction = "out" if path.endswith(".user.wav") else "in"
        file: Optional[BinaryIO] = None
        try:
            file = open(path, "rb")  # noqa: SIM115  it is closed by __exit__
            info, _ = read_wav_header(file)
            if info is None:
                raise AudioFormatError("it is not a WAV file")
            return file, file.tell()
        except (OSError, AudioFormatError) as error:
            if file is not None:
                file.close()
            self._fault(direction, f"cannot be read ({error}); silence stands for it")
            return None, 0

    def _fault(self, direction: str, what: str) -> None:
        fault = f"the audio beside it, {sidecar(self._path, direction)}, {what}"
        if fault not in self.faults:
            self.faults.append(fault)

    def __enter__(self) -> SidecarReader:
        return self

    def __exit__(self, *_: object) -> None:
        for file, _first in self._files.values():
            if file is not None:
                file.close()
