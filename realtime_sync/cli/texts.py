"""Text that comes from elsewhere, in whatever encoding: command lines, pipes, files, keys."""

from __future__ import annotations

import sys
from pathlib import Path

from realtime_sync.errors import InvalidInputError
from realtime_sync.protocol.characters import has_halves

_MARK = "\ufeff"  # with which Windows begins a text in UTF-8
_SHOWN = 15  # characters before the wrong one
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def text_of(path: str) -> str:
    """A file's text, which is UTF-8. Raises ``InvalidInputError`` if it is not, ``OSError``."""
    try:
        return Path(path).read_bytes().decode("utf-8").removeprefix(_MARK)
    except UnicodeDecodeError as error:
        raise InvalidInputError(no_text(path, error)) from error


def no_text(what: str, error: UnicodeDecodeError) -> str:
    """Which byte is wrong in ``what``, and how to convert it."""
    data, encoding = error.object, error.encoding
    line = data[: error.start].rpartition(b"\n")[2].decode(encoding, "ignore")
    number = data.count(b"\n", 0, error.start) + 1
    behind = f", behind {line[-_SHOWN:]!r}" if line else ""
    told = f"{what} is no text in {encoding}: byte 0x{data[error.start]:02x} in line {number}{behind}."
    if encoding == "ascii":
        return f"{told} If it is UTF-8, say so in the environment: PYTHONUTF8=1"
    source = "utf-16" if data.startswith(_UTF16) else "latin1"
    return f"{told} Convert it first, for example with: iconv -f {source} -t {encoding}"


def piped_text() -> str:
    """All of the standard input. Raises ``InvalidInputError`` if it is no text."""
    try:
        text = sys.stdin.read()
    except UnicodeDecodeError as error:
        raise InvalidInputError(no_text("what was piped in", error)) from error
    # The standard input lets anything pass if the locale names no encoding.
    return checked(text, "what was piped in", sys.stdin.encoding).removeprefix(_MARK)


def checked(text: str, what: str, encoding: str) -> str:
    """The text itself. Raises ``InvalidInputError`` if it has bytes that Python let pass, though they are no text."""
    try:
        return text.encode(encoding, "surrogateescape").decode(encoding) if has_halves(text) else text
    except UnicodeDecodeError as error:
        raise InvalidInputError(no_text(what, error)) from error
