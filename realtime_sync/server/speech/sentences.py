"""A text in sentences, which are spoken one by one."""

from __future__ import annotations

import re
from typing import Iterable, Iterator

# The end of a sentence, once something follows: "3.5" and "e.g. this" show only then.
_SENTENCE_END = re.compile(r"(?<=[.!?…])[\"”’)\]]*\s+(?=[^\sa-z])|\n+")


def sentences(texts: Iterable[str]) -> Iterator[str]:
    """Texts that make one message, joined and cut into sentences, each given as soon as it is whole."""
    rest = ""
    for text in texts:
        rest += text
        while found := _SENTENCE_END.search(rest):
            yield rest[: found.end()]
            rest = rest[found.end() :]
    if rest:
        yield rest
