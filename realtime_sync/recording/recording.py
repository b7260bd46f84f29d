"""A recording that was read: its frames, and the updates, commands, turns and conversation made of them."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, Optional, Union

import attrs

from realtime_sync.audio.formats import PCM
from realtime_sync.boundary import public_call
from realtime_sync.checks import check_number, check_path
from realtime_sync.conversation import Conversation
from realtime_sync.conversation.turns import Turn, TurnTracker
from realtime_sync.errors import CloseInfo, InvalidInputError, UsageError
from realtime_sync.protocol import codec
from realtime_sync.protocol.dialects import Dialect, ProtocolName
from realtime_sync.protocol.parsing import json_object
from realtime_sync.protocol.registry import Command
from realtime_sync.protocol.update_base import ConversationUpdate
from realtime_sync.recording.elision import Gap, put_back
from realtime_sync.recording.layout import (
    AUDIO_MODES,
    LONGEST_HEADER,
    VERSIONS,
    AudioMode,
    FilePath,
    FormatTracker,
    side_of,
)
from realtime_sync.recording.protocols import PROTOCOLS, command_of, update_of
from realtime_sync.recording.sidecars import SidecarReader

if TYPE_CHECKING:
    from realtime_sync.conversation.live.conversation import LiveConversation
    from realtime_sync.conversation.live.turns import LiveTurn

_LONGEST = 366 * 86_400.0  # seconds; a line with a later time is damaged


@attrs.frozen
class Entry:
    """One frame: when, which way, and what.

    ``t``: seconds since the recording began. ``direction``: ``"in"`` from the server, ``"out"`` to it. ``text``: the
    frame's, verbatim but for secrets and for audio that was not kept (then silence stands for it). ``connection``: its
    number, from 1. ``binary``: a binary frame; its ``text`` is empty. ``dialect``: that of its connection, if it is not
    the recording's; else None.
    """

    t: float
    direction: Literal["in", "out"]
    text: str = attrs.field(repr=lambda text: repr(text) if len(text) <= 80 else repr(text[:77] + "..."))
    connection: int = 1
    binary: Optional[bytes] = attrs.field(default=None, repr=False)
    dialect: Optional[Dialect] = None


@attrs.define
class ConnectionRecord:
    """One connection of the session. ``opened`` and ``closed`` in seconds since the recording began.

    ``closed`` and ``info`` are None if the recording does not hold its end.
    """

    number: int
    url: str
    opened: float
    closed: Optional[float] = None
    info: Optional[CloseInfo] = None


@attrs.frozen(kw_only=True)
class Recording:
    """What a session has sent and received, as ``RecordingWriter`` wrote it down; ``Recording.read(path)``.

    It is in memory as a whole: 8 MB for a minute in which both sides speak. ``started`` is ISO 8601, in UTC. ``faults``
    tells what was wrong with the file, in words: a last line cut off by a crash, for one. ``protocol``: ``"live"`` for
    a session of GPT-Live, whose turns and conversation are ``live_turns()`` and ``live_conversation()``; else
    ``"realtime"``.
    """

    path: str
    started: str
    library: str
    dialect: Dialect
    audio: AudioMode
    entries: Sequence[Entry] = attrs.field(repr=lambda entries: f"<{len(entries)} entries>")
    connections: Sequence[ConnectionRecord] = attrs.field(
        default=(), repr=lambda connections: f"<{len(connections)} connections>"
    )
    faults: Sequence[str] = attrs.field(default=(), repr=lambda faults: f"<{len(faults)} faults>")
    protocol: ProtocolName = "realtime"

    @classmethod
    @public_call
    def read(cls, path: FilePath) -> Recording:
        """Read a recording, as far as it goes. Raises OSError, or InvalidInputError if the file is no recording."""
        check_path("the recording", path)
        path = os.fspath(path)
        with open(path, "rb") as file, SidecarReader(path) as sidecars:
            header = _header(file.readline(LONGEST_HEADER), path)
            lines = _Lines(header.get("protocol", "realtime"), Dialect(header["dialect"]), sidecars)
            _read_lines(file, lines)
        return cls(
            path=path,
            started=str(header.get("started", "")),
            library=str(header.get("library", "")),
            dialect=lines.dialect,
            audio=header["audio"],
            entries=tuple(lines.entries),
            connections=tuple(lines.connections),
            faults=(*lines.faults, *sidecars.faults),
            protocol=lines.formats.protocol,
        )

    @property
    def duration(self) -> float:
        """Seconds from the beginning to the last thing that was recorded."""
        ends = [self.entries[-1].t] if self.entries else [0.0]
        return max(ends + [each.closed or each.opened for each in self.connections])

    def _repr_html_(self) -> str:
        from realtime_sync.notebook import card

        facts = {
            "started": self.started,
            "seconds": f"{self.duration:.1f}",
            "frames": len(self.entries),
            "connections": len(self.connections),
            "audio": self.audio,
            "faults": "; ".join(self.faults) or None,
        }
        return card(f"Recording {self.path}", facts, self._conversation_page())

    def _conversation_page(self) -> str:
        if self.protocol == "live":
            from realtime_sync.conversation.live.html import turns_page

            turns = self.live_turns(keep_audio=self.audio != "elide")
            return turns_page(sorted(turns, key=lambda turn: turn.started))
        from realtime_sync.recording.spoken import spoken_conversation

        conversation = self.conversation() if self.audio == "elide" else spoken_conversation(self)
        return conversation._repr_html_()

    # What was said --------------------------------------------------------------------------------------------------

    def updates(self, speed: Optional[float] = None) -> Iterator[ConversationUpdate]:
        """The updates, as the session had them.

        ``speed``: None gives them at once; 1.0 at the pace at which they came, 2.0 twice as fast.
        """
        check_number("speed", speed, above=0, optional=True)
        begin = time.monotonic()
        for at, update in self.timed_updates():
            if speed is not None:
                time.sleep(max(0.0, begin + at / speed - time.monotonic()))
            yield update

    def timed_updates(self) -> Iterator[tuple[float, ConversationUpdate]]:
        """The updates, each with its time in seconds since the recording began."""
        for entry in self.entries:
            if entry.direction == "in":
                yield entry.t, self.decoded(entry)

    def decoded(self, entry: Entry) -> ConversationUpdate:
        """The update that an entry from the server is."""
        if entry.binary is not None:
            return codec.decode_binary(entry.binary)
        return update_of(entry.text, self.protocol, entry.dialect or self.dialect)

    def commands(self) -> Iterator[Union[Command, dict[str, Any]]]:
        """What was sent: as a command, or as a plain dict if this version has no command for it.

        A text that was no JSON object is a dict with nothing but ``raw_content``.
        """
        return (self.command(entry) for entry in self.entries if entry.direction == "out")

    def command(self, entry: Entry) -> Union[Command, dict[str, Any]]:
        """The command in a client's frame: see ``commands``."""
        try:
            return command_of(entry.text, self.protocol, entry.dialect or self.dialect)
        except InvalidInputError:
            message = json_object(entry.text)
            return {"raw_content": entry.text} if message is None else message

    def conversation(self, *, keep_audio: bool = False) -> Conversation:
        """The conversation as it stood at the end; ``keep_audio`` as in ``Conversation``."""
        self._check_protocol("realtime")
        conversation = Conversation(keep_audio=keep_audio)
        for _, update in self.timed_updates():
            conversation.apply(update)
        return conversation

    def turns(self) -> list[Turn]:
        """The turns, the last one as far as it got; ``turn.started`` is in seconds since the recording began."""
        self._check_protocol("realtime")
        tracker = TurnTracker()
        turns = [turn for at, update in self.timed_updates() for turn in tracker.apply(update, at)]
        return turns + tracker.rest()

    def live_conversation(self) -> LiveConversation:
        """What was said in a live session, as it stood at the end."""
        self._check_protocol("live")
        from realtime_sync.conversation.live.conversation import LiveConversation

        conversation = LiveConversation()
        for at, update in self.timed_updates():
            conversation.apply(update, at)
        return conversation

    def live_turns(self, *, keep_audio: bool = False) -> list[LiveTurn]:
        """The turns of a live session, as ``session.turns()`` gave them; those of the model with their sound, if asked.

        ``turn.started`` is in seconds since the recording began.
        """
        self._check_protocol("live")
        from realtime_sync.conversation.live.turns import LiveTurnCollector

        collector = LiveTurnCollector(keep_audio=keep_audio)
        turns = [turn for at, update in self.timed_updates() for turn in collector.apply(update, at)]
        return turns + collector.pass_time(self.duration) + collector.rest()

    def _check_protocol(self, needed: ProtocolName) -> None:
        if self.protocol != needed:
            has = {"realtime": "conversation() and turns()", "live": "live_conversation() and live_turns()"}
            kind = "live" if self.protocol == "live" else "conversation"
            raise UsageError(
                f"this is the recording of a {kind} session, which has {has[self.protocol]}, and not {has[needed]}"
            )


# Reading the file -----------------------------------------------------------------------------------------------------


def _header(line: bytes, path: str) -> dict[str, Any]:
    header = json_object(line)
    version = None if header is None else header.get("recording")
    if header is None or not isinstance(version, int):
        raise InvalidInputError(f"{path} is not a recording: its first line is not a recording's header")
    if version > max(VERSIONS.values()):
        newest = max(VERSIONS.values())
        raise InvalidInputError(
            f"{path} is a recording of version {version}; this version of realtime_sync reads those up to {newest}"
        )
    known = header.get("audio") in AUDIO_MODES and header.get("protocol", "realtime") in PROTOCOLS
    if not known or header.get("dialect") not in [each.value for each in Dialect]:
        raise InvalidInputError(f"{path} is a recording whose header cannot be understood: {header!r:.200}")
    return header


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

    def __init__(self, protocol: ProtocolName, dialect: Dialect, sidecars: SidecarReader) -> None:
        self.dialect = dialect
        self._other: Optional[Dialect] = None  # of the connection so far, if it is another one
        self.formats = FormatTracker(protocol)
        self.entries: list[Entry] = []
        self.connections: list[ConnectionRecord] = []
        self.faults: list[str] = []
        self._sidecars = sidecars

    def add(self, line: dict[str, Any]) -> None:
        """Raises ValueError, KeyError, TypeError or OverflowError for a line that makes no sense."""
        at, kind = float(line["t"]), line["dir"]
        if not 0 <= at < _LONGEST:
            raise ValueError(f"{at} is not a time in seconds")
        if kind == "connected":
            self._other = Dialect(line["dialect"]) if "dialect" in line else None
            self.connections.append(ConnectionRecord(int(line["n"]), str(line["url"]), at))
        elif kind == "closed":
            if not self.connections:
                self.connections.append(ConnectionRecord(1, "", 0.0))
            last = self.connections[-1]
            last.closed, last.info = at, CloseInfo(int(line["code"]), str(line["reason"]), str(line["initiator"]))
        elif kind in ("in", "out"):
            self._add_frame(at, kind, line)
        # Other kinds of lines are a later version's, which thought them no reason to change the layout's.

    def _add_frame(self, at: float, kind: Any, line: dict[str, Any]) -> None:
        number = self.connections[-1].number if self.connections else 1
        binary: Optional[bytes] = base64.b64decode(line["binary"]) if "binary" in line else None
        text = "" if binary is not None else line["text"]
        if not isinstance(text, str):
            raise TypeError("its text is not a string")
        gaps = [Gap(*gap) for gap in line.get("gaps", ())]
        if kind == "in":
            self.formats.see_text(text, self._other or self.dialect)
        if gaps:
            side = side_of(kind, text) or kind
            text = put_back(text, gaps, lambda gap: self._samples(side, gap))
        self.entries.append(Entry(at, kind, text, number, binary, self._other))

    def _samples(self, direction: str, gap: Gap) -> bytes:
        samples = b"" if gap.start is None else self._sidecars.read(direction, gap.start, gap.size)
        format = self.formats.formats[direction] or PCM
        missing = gap.size - len(samples)
        silence = format.silence_sample * (missing // format.sample_bytes + 1)
        return samples + silence[:missing]
