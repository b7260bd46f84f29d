"""Server-sent events, read as the standard says: a reader of its own, so that the writer is not judged by itself."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any


def events(chunks: Iterable[bytes]) -> Iterator[tuple[str, Any]]:
    """The name and the data of each event; a comment is ``(":", its text)``."""
    for block in blocks(chunks):
        name, data = "message", []
        for line in block.split("\n"):
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if field == "":
                yield ":", value
            elif field == "event":
                name = value
            elif field == "data":
                data.append(value)
            else:
                raise AssertionError(f"no field of an event: {line!r}")
        if data:
            yield name, json.loads("\n".join(data))


def blocks(chunks: Iterable[bytes]) -> Iterator[str]:
    held = b""
    for chunk in chunks:
        held += chunk
        *whole, held = held.split(b"\n\n")
        for block in whole:
            text = block.decode()
            assert "\r" not in text
            yield text
    assert held == b"", f"the stream ended in the middle of an event: {held!r}"


def words(told: Iterable[tuple[str, Any]], kind: str = "text") -> str:
    return "".join(data["text"] for name, data in told if name == kind)
