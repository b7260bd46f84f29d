"""The layout of a recording's file, which the writer and the reader share: JSON lines in UTF-8.

The first line is the header::

    {"recording": 1, "started": "2026-09-01T12:00:00+00:00", "library": "0.1.0", "dialect": "ga", "audio": "keep"}

Each other line says one thing, in the order of the wire; ``t`` is seconds since ``started``, by a monotonic clock::

    {"t": 0.000000, "dir": "connected", "n": 1, "url": "wss://..."}    a connection; n counts them, from 1
    {"t": 0.104211, "dir": "in", "text": "{...}"}                      a frame from the server, verbatim
    {"t": 0.104530, "dir": "out", "text": "{...}"}                     a frame to the server, verbatim
    {"t": 0.200000, "dir": "in", "binary": "<base64>"}                 a binary frame, which the protocol does not have
    {"t": 9.000000, "dir": "closed", "code": 1000, "reason": "", "initiator": "local"}

A connection to a service of another dialect than the first one's has ``"dialect"``, too.

A live session's (GPT-Live) is ``"recording": 2`` and has ``"protocol": "live"``, so that a version of this library that
does not know its messages says so; where there is none, it is a conversation's (``"realtime"``).

``audio`` says where the samples are: ``keep``, in the frames; ``elide``, nowhere: words with their length stand in
the frames' texts; ``beside``, in WAV files, one of the user's and one of the model's. For the latter two a line has
``"gaps": [[at, length, size(, start)], ...]``, see ``elision.Gap``.
"""

from __future__ import annotations

import os
from typing import Literal, Optional, Union

from realtime_sync.audio.formats import PCM
from realtime_sync.protocol.dialects import Dialect, ProtocolName
from realtime_sync.protocol.parsing import json_object
from realtime_sync.protocol.update_base import ConversationUpdate
from realtime_sync.recording.protocols import Formats, formats_told, update_of

LONGEST_HEADER = 65_536  # bytes; a file of another kind may be one line

VERSIONS: dict[ProtocolName, int] = {"realtime": 1, "live": 2}
"""Of this layout: which is written for each protocol. All up to the newest are read."""

AudioMode = Literal["keep", "elide", "beside"]
AUDIO_MODES = ("keep", "elide", "beside")
FilePath = Union[str, os.PathLike[str]]


def is_recording(path: FilePath) -> bool:
    """True if the file begins as a recording of any version does. Raises OSError."""
    with open(path, "rb") as file:
        header = json_object(file.readline(LONGEST_HEADER))
    return header is not None and isinstance(header.get("recording"), int)


def sidecar(path: FilePath, direction: str) -> str:
    """The path of the WAV file with the samples of this direction: ``x.jsonl`` has ``x.jsonl.user.wav``."""
    return f"{os.fspath(path)}.{'user' if direction == 'out' else 'model'}.wav"


def side_of(direction: str, text: str) -> Optional[str]:
    """Whose samples a frame has: ``out`` the user's, ``in`` the model's. A sideband is told the user's, too.

    None: neither's. A clip that is to be played is sent, and heard as the model's voice; it stays in its frame.
    """
    if '"session.output_audio.fixture.play"' in text:
        return None
    return "out" if '"session.input_audio.append"' in text else direction


class FormatTracker:
    """The formats of a session's audio; feed it the server's frames, as texts or as updates.

    ``formats``, by direction: ``out`` is the user's audio, ``in`` the model's; None is a format that this library does
    not know.
    """

    def __init__(self, protocol: ProtocolName = "realtime") -> None:
        self.protocol = protocol
        self.formats: Formats = {"out": PCM, "in": PCM}

    def see_text(self, text: str, dialect: Dialect) -> None:
        """Learn from a frame; frames that say nothing of the session's settings are not parsed."""
        if any(told in text for told in ('session.created"', 'session.updated"', 'session.started"')):
            self.see(update_of(text, self.protocol, dialect))

    def see(self, update: ConversationUpdate) -> None:
        """Learn from an update."""
        self.formats = formats_told(update, self.protocol) or self.formats
