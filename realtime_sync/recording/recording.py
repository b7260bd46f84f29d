"""A recording, read: its frames, and what can be made of them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, Optional, Union

import attrs

from realtime_sync.conversation import Conversation
from realtime_sync.conversation.turns import Turn, TurnTracker
from realtime_sync.errors import CloseInfo, InvalidInputError
from realtime_sync.protocol import codec
from realtime_sync.protocol.dialects import Dialect
from realtime_sync.protocol.registry import Command
from realtime_sync.protocol.update_base import ConversationUpdate
from realtime_sync.recording.layout import AudioMode, Target

if TYPE_CHECKING:
    from realtime_sync.timeline.tracks import Tracks


@attrs.frozen
class Entry:
    """One frame: when, which way, and what.

    ``t``: seconds since the recording began. ``direction``: ``"in"`` from the server, ``"out"`` to it. ``text``: the
    frame's, verbatim but for secrets and for audio that was not kept (then silence stands for it). ``connection``: its
    number, from 1. ``binary``: a binary frame; its ``text`` is empty.
    """

    t: float
    direction: Literal["in", "out"]
    text: str = attrs.field(repr=lambda text: repr(text) if len(text) <= 80 else repr(text[:77] + "..."))
    connection: int = 1
    binary: Optional[bytes] = attrs.field(default=None, repr=False)


@attrs.define
class ConnectionRecord:
    """One connection of the session. ``opened`` and ``closed`` in seconds since the recording began.

    ``closed`` and ``info`` are None where the recording does not tell its end.
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
    tells what was wrong with the file, in words: a last line cut off by a crash, for one.
    """

    path: str
    started: str
    library: str
    dialect: Dialect
    audio: AudioMode
    entries: Sequence[Entry] = attrs.field(repr=lambda entries: f"<{len(entries)} entries>")
    connections: Sequence[ConnectionRecord] = ()
    faults: Sequence[str] = ()

    @classmethod
    def read(cls, path: Target) -> Recording:
        """Read a recording, as far as it goes. Raises OSError, or InvalidInputError where the file is none."""
        from realtime_sync.recording.reading import read  # it makes recordings, so it imports this module

        return read(path)

    @property
    def duration(self) -> float:
        """Seconds from the beginning to the last thing that was recorded."""
        ends = [self.entries[-1].t] if self.entries else [0.0]
        return max(ends + [each.closed or each.opened for each in self.connections])

    # What was said --------------------------------------------------------------------------------------------------

    def updates(self, speed: Optional[float] = None) -> Iterator[ConversationUpdate]:
        """The updates, as the session had them.

        ``speed``: None gives them at once; 1.0 at the pace at which they came, 2.0 twice as fast.
        """
        if speed is not None and not speed > 0:
            raise InvalidInputError(f"speed is a number above 0, or None for no waiting, not {speed!r}")
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
        return codec.decode(entry.text, self.dialect) if entry.binary is None else codec.decode_binary(entry.binary)

    def commands(self) -> Iterator[Union[Command, dict[str, Any]]]:
        """What was sent: as a command, or as a plain dict where this version has no command for it.

        A text that was no JSON object is a dict with nothing but ``raw_content``.
        """
        for entry in self.entries:
            if entry.direction == "out":
                yield command_of(entry.text, self.dialect)

    def conversation(self, *, keep_audio: bool = False) -> Conversation:
        """The conversation as it stood at the end; ``keep_audio`` as in ``Conversation``."""
        conversation = Conversation(keep_audio=keep_audio)
        for _, update in self.timed_updates():
            conversation.apply(update)
        return conversation

    def turns(self) -> list[Turn]:
        """The turns, the last one as far as it got; ``turn.started`` is in seconds since the recording began."""
        tracker = TurnTracker()
        turns = [turn for at, update in self.timed_updates() for turn in tracker.apply(update, at)]
        return turns + tracker.rest()

    # How it went ----------------------------------------------------------------------------------------------------

    def tracks(self) -> Tracks:
        """Who was to be heard when: the user as sent, the model as it was played."""
        from realtime_sync.timeline.tracks import Tracks

        return Tracks.of(self)

    def timeline(self) -> str:
        """The turns with their latencies as a table, to be printed."""
        from realtime_sync.timeline.table import timeline

        return timeline(self)

    def save_timeline(self, path: Target) -> None:
        """Draw both sides, the events and the latencies over time; the file's suffix chooses PNG, SVG or PDF.

        Needs the extra ``plot``; raises ConfigurationError where it is missing, InvalidInputError for a suffix that
        says nothing, OSError.
        """
        from realtime_sync.timeline.picture import save

        save(self, path)

    def save_audio(self, path: Target) -> None:
        """Write both sides as one stereo WAV file, 16 bit, 24,000 Hz, in the time of the recording. Raises OSError.

        Left is the user: samples as they were sent, from the moment of sending; what was sent faster than it is spoken
        follows on from what came before. Right is the model as it was heard by somebody who plays its audio as it
        comes: each piece after the one before it, and nothing of what a truncation cut off.
        """
        from realtime_sync.timeline.stereo import save

        save(self, path)


def command_of(text: str, dialect: Dialect) -> Union[Command, dict[str, Any]]:
    """What a client's frame is: see ``Recording.commands``."""
    try:
        return codec.decode_command(text, dialect)
    except InvalidInputError:
        try:
            message = json.loads(text)
        except (ValueError, RecursionError):
            message = None
        return message if isinstance(message, dict) else {"raw_content": text}
