"""Reading a recording from its file, as far as it goes."""

from __future__ import annotations

import base64
import json
import os
from typing import Any, BinaryIO, Optional

from realtime_sync.audio.formats import PCM
from realtime_sync.errors import CloseInfo, InvalidInputError
from realtime_sync.protocol.dialects import Dialect
from realtime_sync.recording.besides import BesidesReader
from realtime_sync.recording.elision import Gap, put_back
from realtime_sync.recording.formats import FormatTracker
from realtime_sync.recording.layout import AUDIO_MODES, VERSION, Target
from realtime_sync.recording.recording import ConnectionRecord, Entry, Recording

_LONGEST = 366 * 86_400.0  # seconds; what tells of more is damaged


def read(path: Target) -> Recording:
    """See ``Recording.read``."""
    path = os.fspath(path)
    with open(path, "rb") as file, BesidesReader(path) as besides:
        header = _header(file.readline(), path)
        lines = _Lines(Dialect(header["dialect"]), besides)
        _read_lines(file, lines)
        return Recording(
            path=path,
            started=str(header.get("started", "")),
            library=str(header.get("library", "")),
            dialect=lines.dialect,
            audio=header["audio"],
            entries=tuple(lines.entries),
            connections=tuple(lines.connections),
            faults=(*lines.faults, *besides.faults),
        )


def _header(line: bytes, path: str) -> dict[str, Any]:
    try:
        header = json.loads(line)
    except (ValueError, RecursionError):
        header = None
    version = header.get("recording") if isinstance(header, dict) else None
    if not isinstance(version, int):
        raise InvalidInputError(f"{path} is no recording: its first line is not a recording's header")
    if version > VERSION:
        raise InvalidInputError(
            f"{path} is a recording of version {version}; this version of realtime_sync reads those up to {VERSION}"
        )
    if header.get("audio") not in AUDIO_MODES or header.get("dialect") not in [each.value for each in Dialect]:
        raise InvalidInputError(f"{path} is a recording with a header that makes no sense: {header!r:.200}")
    return header  # type: ignore[no-any-return]


def _read_lines(file: BinaryIO, lines: _Lines) -> None:
    for number, line in enumerate(file, 2):
        try:
            lines.add(json.loads(line))
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            cut = not line.endswith(b"\n")
            what = "is cut off, as by a crash" if cut else f"cannot be read ({type(error).__name__}: {error})"
            lines.faults.append(f"line {number} {what}, and was left out")


class _Lines:
    """The lines of a recording so far."""

    def __init__(self, dialect: Dialect, besides: BesidesReader) -> None:
        self.dialect = dialect
        self.entries: list[Entry] = []
        self.connections: list[ConnectionRecord] = []
        self.faults: list[str] = []
        self._besides = besides
        self._formats = FormatTracker()

    def add(self, line: dict[str, Any]) -> None:
        """Raises ValueError, KeyError, TypeError or OverflowError for a line that makes no sense."""
        at, kind = float(line["t"]), line["dir"]
        if not 0 <= at < _LONGEST:
            raise ValueError(f"{at} is no time")
        if kind == "connected":
            self.connections.append(ConnectionRecord(int(line["n"]), str(line["url"]), at))
        elif kind == "closed":
            last = self._last_connection()
            last.closed, last.info = at, CloseInfo(int(line["code"]), str(line["reason"]), str(line["initiator"]))
        elif kind in ("in", "out"):
            self._add_frame(at, kind, line)
        # Other kinds of lines are a later version's, which thought them no reason to change the layout's.

    def _add_frame(self, at: float, kind: Any, line: dict[str, Any]) -> None:
        number = self.connections[-1].number if self.connections else 1
        binary: Optional[bytes] = base64.b64decode(line["binary"]) if "binary" in line else None
        text = "" if binary is not None else line["text"]
        if not isinstance(text, str):
            raise TypeError("the text is none")
        gaps = [Gap(*gap) for gap in line.get("gaps", ())]
        if kind == "in":
            self._formats.see_text(text, self.dialect)
        if gaps:
            text = put_back(text, gaps, lambda gap: self._samples(kind, gap))
        self.entries.append(Entry(at, kind, text, number, binary))

    def _samples(self, direction: str, gap: Gap) -> bytes:
        samples = b"" if gap.start is None else self._besides.read(direction, gap.start, gap.size)
        format = self._formats.formats[direction] or PCM
        missing = gap.size - len(samples)
        silence = format.silence_sample * (missing // format.sample_bytes + 1)
        return samples + silence[:missing]

    def _last_connection(self) -> ConnectionRecord:
        if not self.connections:
            self.connections.append(ConnectionRecord(1, "", 0.0))
        return self.connections[-1]
