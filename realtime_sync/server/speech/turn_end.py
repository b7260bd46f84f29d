"""Semantic VAD, as a heuristic: whether what was said so far sounds like the end of a turn.

There is no model behind it. A sentence that the recogniser ended with a full stop, a question or an exclamation mark,
and that does not end with a word that wants another, ends the turn at the first pause (of 300, 600 or 1200 ms, for
high, medium and low eagerness); anything else is given twice that time.
"""

from __future__ import annotations

import re

_WANT_MORE = "a an and as at because but by for from if in my of or so than that the to uh um when with"


def sounds_finished(text: str) -> bool:
    """True where nothing more is to be expected."""
    words = re.findall(r"[a-z']+|\d+", text.lower())
    ended = text.rstrip().endswith((".", "?", "!")) and not text.rstrip().endswith("...")
    return ended and bool(words) and words[-1] not in _WANT_MORE.split()
