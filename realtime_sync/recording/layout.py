"""How a recording lies on the disk, for those who write and read it: JSON lines in UTF-8.

The first line is the header::

    {"recording": 1, "started": "2026-09-01T12:00:00+00:00", "library": "0.1.0", "dialect": "ga", "audio": "keep"}

Each other line tells one thing, in the order of the wire; ``t`` is seconds since ``started``, by a monotonic clock::

    {"t": 0.000000, "dir": "connected", "n": 1, "url": "wss://..."}    a connection; n counts them, from 1
    {"t": 0.104211, "dir": "in", "text": "{...}"}                      a frame from the server, verbatim
    {"t": 0.104530, "dir": "out", "text": "{...}"}                     a frame to the server, verbatim
    {"t": 0.200000, "dir": "in", "binary": "<base64>"}                 a binary frame, which the protocol does not have
    {"t": 9.000000, "dir": "closed", "code": 1000, "reason": "", "initiator": "local"}

``audio`` says where the samples are: ``keep``, in the frames; ``elide``, nowhere: words with their length stand in
the frames' texts; ``beside``, in WAV files, one of the user's and one of the model's. For the latter two a line has
``"gaps": [[at, length, size(, start)], ...]``, see ``elision.Gap``.
"""

from __future__ import annotations

import json
import os
from typing import Literal, Union

_LONGEST_HEADER = 65_536  # bytes; a file of another kind may be one line

VERSION = 1
"""Of this layout."""

AudioMode = Literal["keep", "elide", "beside"]
AUDIO_MODES = ("keep", "elide", "beside")
Target = Union[str, os.PathLike[str]]


def is_recording(path: Target) -> bool:
    """True where the file begins as a recording of any version does. Raises OSError."""
    with open(path, "rb") as file:
        try:
            header = json.loads(file.readline(_LONGEST_HEADER))
        except (ValueError, RecursionError):
            return False
    return isinstance(header, dict) and isinstance(header.get("recording"), int)


def beside(path: Target, direction: str) -> str:
    """The path of the WAV file with the samples of this direction: ``x.jsonl`` has ``x.jsonl.user.wav``."""
    return f"{os.fspath(path)}.{'user' if direction == 'out' else 'model'}.wav"
