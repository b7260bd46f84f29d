"""Python imports this first where it is on the path: upon a signal, it tells how many threads are in the library.

In Python, and on the main thread: what ``faulthandler`` does at once, beside threads that run, now and then crashes.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Optional

_path = Path(os.environ.get("CENSUS", ""))


def _is_inside(frame: Optional[FrameType]) -> bool:
    while frame is not None:
        if frame.f_globals.get("__name__", "").partition(".")[0] == "realtime_sync":
            return True
        frame = frame.f_back
    return False


def _tell(number: int, current: Optional[FrameType]) -> None:
    others = [frame for frame in sys._current_frames().values() if frame.f_code is not _tell.__code__]
    whole = _path.with_suffix(".whole")
    whole.write_text(str(sum(map(_is_inside, others))))
    whole.replace(_path)


if _path.name:
    signal.signal(signal.SIGRTMIN, _tell)
