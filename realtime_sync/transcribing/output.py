"""A folder of finished transcriptions: a file in it that has its final name is complete."""

from __future__ import annotations

import errno
import json
import os
import secrets
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

from realtime_sync.checks import check_path
from realtime_sync.errors import InvalidInputError
from realtime_sync.transcribing.formats import check_format, format_transcription
from realtime_sync.transcribing.transcription import Transcription


class OutputFolder:
    """Where each recording's transcription is written: ``interview.mp3`` as ``interview.srt``.

    Raises InvalidInputError for a format that there is not, and for what is no path.
    """

    def __init__(self, folder: str | os.PathLike[str], format: str) -> None:
        check_path("output", folder)
        self._folder = Path(folder)
        self._format = check_format(format)

    def targets(self, paths: Sequence[str]) -> list[Path]:
        """The file for each recording. Raises InvalidInputError where two recordings would share one."""
        targets = [self._folder / f"{Path(path).stem}.{self._format}" for path in paths]
        taken: dict[str, str] = {}
        for path, target in zip(paths, targets, strict=True):
            # As file systems see it that know no case: there, too, one would be written over the other.
            other = taken.setdefault(str(target).lower(), path)
            if other != path:
                raise InvalidInputError(
                    f"{other} and {path} would both be written to {target}: rename one, or give them different folders"
                )
        return targets

    def make(self) -> None:
        """Make the folder where there is none. Raises OSError, before any work is done, where none can be written."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:
            raise NotADirectoryError(errno.ENOTDIR, "is no folder", str(self._folder)) from error
        tempfile.TemporaryFile(dir=self._folder).close()

    def read(self, target: Path) -> Optional[Transcription]:
        """What a finished file holds; None if its format does not tell all."""
        if self._format != "json":
            return None
        try:
            return Transcription.from_dict(json.loads(target.read_text(encoding="utf-8")))
        except ValueError as error:
            raise InvalidInputError(
                f"{target} holds no transcription, so it was not skipped; remove it to have it made again: {error}"
            ) from error

    def write(self, target: Path, transcription: Transcription) -> None:
        """Write it; the file is there whole or not at all, even where the process is killed meanwhile."""
        text = format_transcription(transcription, self._format)
        part = self._folder / f".{target.name}.{secrets.token_hex(4)}.part"  # two runs may write the same one
        try:
            with open(part, "x", encoding="utf-8", newline="\n") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())  # else a loss of power could leave the name without the text
            os.replace(part, target)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
