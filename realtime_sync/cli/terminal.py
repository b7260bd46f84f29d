"""What a person sees and types on a terminal.

The output of a command goes to the standard output (``show``). Everything else goes to the standard error: notes, a
status that is written over and over, and a prompt. A status or a prompt is the last line and is not finished, so each
line that is printed meanwhile, by any thread, is put above it, and the unfinished line is drawn again.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
import sys
import warnings
from typing import TYPE_CHECKING, Any, Callable, Optional, Union

from realtime_sync.errors import ConfigurationError, ConnectionReplacedError, InvalidInputError
from realtime_sync.models import ServiceEndsWarning
from realtime_sync.protocol.characters import has_halves

if TYPE_CHECKING:
    from realtime_sync.conversation import Conversation

END_KEYS = "Ctrl-Z, then Enter," if os.name == "nt" else "Ctrl-D"
"""The keys that end what a person types in."""

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_CLEAR_LINE = "\r\x1b[K"


class _LastLine:
    """What stands on the last line while it is unfinished."""

    def __init__(self) -> None:
        self.draw: Callable[[], str] = str
        """Returns the status or the prompt that stands there; an empty text if there is none."""
        self.is_output = False
        """Whether the output stopped in the middle of a line."""


_last_line = _LastLine()


# What is printed ------------------------------------------------------------------------------------------------------


def show(text: str, *, end: str = "\n") -> None:
    """Print to the standard output, at once; on a terminal without what could steer it.

    Models, tools and servers write what they like: an escape sequence could rewrite what stands there already.
    """
    clear_status()
    print(_CONTROLS.sub("", text) if sys.stdout.isatty() else text, end=end, flush=True)
    _last_line.is_output = not f"{text}{end}".endswith("\n")


def finish_line() -> None:
    """End the line of the output, if there is one that is not ended."""
    if _last_line.is_output:
        show("")


def note(text: str) -> None:
    """Print one line beside the output, in brackets."""
    print_beside(f"({one_line(text)})")


def print_beside(line: str) -> None:
    """Print a line to the standard error, above the status or the prompt. Any thread may call it."""
    on_terminal = sys.stderr.isatty()
    unfinished = _last_line.draw() if on_terminal else ""
    begin = _CLEAR_LINE if unfinished else ""
    if on_terminal and sys.stdout.isatty() and _last_line.is_output:
        begin, _last_line.is_output = "\n", False
    print(f"{begin}{line}\n{unfinished}", end="", file=sys.stderr, flush=True)


def show_status(text: str) -> None:
    """Write a status over the one before; of a long one, its end. Nothing if the standard error is no terminal."""
    if sys.stderr.isatty():
        width = shutil.get_terminal_size().columns - 1
        line = one_line(text)
        line = line if len(line) <= width else "…" + line[-width + 1 :]
        _last_line.draw = lambda: line
        print(f"{_CLEAR_LINE}{line}", end="", file=sys.stderr, flush=True)


def clear_status() -> None:
    """Remove the status."""
    if _last_line.draw():
        _last_line.draw = str
        print(_CLEAR_LINE, end="", file=sys.stderr, flush=True)


class LogHandler(logging.Handler):
    """Prints the library's warnings as other lines beside the output."""

    def emit(self, record: logging.LogRecord) -> None:
        """See ``logging.Handler``."""
        print_beside(self.format(record))


def show_ends() -> None:
    """Have a ``ServiceEndsWarning`` printed as another line beside the output; other warnings as ever."""
    shown = warnings.showwarning

    def show(message: Union[Warning, str], category: type[Warning], *place: Any, **more: Any) -> None:
        if issubclass(category, ServiceEndsWarning):
            print_beside(f"realtime-sync: {message}")
        else:
            shown(message, category, *place, **more)

    warnings.showwarning = show


# Words ----------------------------------------------------------------------------------------------------------------


def one_line(message: object) -> str:
    """The first paragraph of a message, on one line: the rest of a long message are instructions to copy."""
    paragraph = str(message).strip().partition("\n\n")[0]
    line = _CONTROLS.sub("", " ".join(paragraph.split()))
    return line[:-1] + "." if line.endswith(":") else line or type(message).__name__


def cause(error: Optional[BaseException]) -> str:
    """What happened, on one line, without the number and the file that an error of the system adds."""
    if isinstance(error, ConnectionReplacedError):  # its message is for a program that goes on with the session
        return "the connection was lost before the service had answered: try again"
    return error.strerror if isinstance(error, OSError) and error.strerror else one_line(error)


def counted(count: int, what: str) -> str:
    """``1 answer``, ``2 answers``."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def note_cost(conversation: Conversation, *, priced: bool) -> None:
    """Print what the conversation used and, if ``priced``, what it cost; nothing if there was no answer."""
    usage = conversation.usage
    if usage.responses == 0:
        return
    cost = conversation.cost() if priced else None
    price = f", ${cost:.4f} by list prices" if cost is not None else ", at a price that is not known" if priced else ""
    note(f"{counted(usage.responses, 'answer')}, {usage.input_tokens} tokens read, {usage.output_tokens} said{price}")


# What is typed or piped in --------------------------------------------------------------------------------------------


def text_from(words: list[str], what: str) -> Optional[str]:
    """The words of the command line; for ``-``, and for no words, what is piped in. None if nothing is.

    Raises ``ConfigurationError`` if the text is empty, ``InvalidInputError`` if what is piped in is no text.
    """
    if not words and sys.stdin.isatty():
        return None
    try:
        piped = sys.stdin.read() if not words or "-" in words else ""
    except UnicodeDecodeError as error:
        raise _no_text("what was piped in", error.encoding) from error
    if has_halves(piped):  # the standard input lets anything pass if the locale names no encoding
        raise _no_text("what was piped in", sys.stdin.encoding)
    text = " ".join(piped if word == "-" else word for word in words or ["-"]).strip()
    if has_halves(text):
        raise _no_text(f"the {what}", sys.getfilesystemencoding())
    if not text:
        raise ConfigurationError(f"there is no {what}: the text is empty.")
    return text


def _no_text(what: str, encoding: str) -> InvalidInputError:
    convert = f"iconv -f latin1 -t {encoding}"
    return InvalidInputError(f"{what} is no text in {encoding}; convert it first, for example with: {convert}")


def next_line(prompt: str) -> Optional[str]:
    """The next line that a person types and that is not empty; None at the end (Ctrl-D, ``quit``, ``exit``).

    Ctrl-C begins the line anew.
    """
    interrupted = False  # by Ctrl-C, and nothing entered since
    while True:
        try:
            line = _typed_line(prompt)
        except EOFError:
            print(file=sys.stderr)
            return None
        except KeyboardInterrupt:
            print(file=sys.stderr)
            if interrupted:
                note(f"{END_KEYS} ends")
            interrupted = True
            continue
        if line in ("quit", "exit"):
            return None
        if line:
            return line
        interrupted = False


def _typed_line(prompt: str) -> str:
    with contextlib.suppress(ImportError):  # Windows: its console edits lines by itself
        import readline  # noqa: F401  input() edits lines with it, and keeps those of this run
    # Into a pipe or a file, input() would write the prompt, too.
    print("" if sys.stdout.isatty() else prompt, end="", file=sys.stderr, flush=True)
    _last_line.draw = lambda: prompt + _typed_so_far()
    try:
        return input(prompt if sys.stdout.isatty() else "").strip()
    finally:
        _last_line.draw = str


def _typed_so_far() -> str:
    """What is typed in so far; empty if nobody knows."""
    readline = sys.modules.get("readline")
    return readline.get_line_buffer() if readline is not None else ""
