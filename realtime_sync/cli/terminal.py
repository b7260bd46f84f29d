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
import sys
import warnings
from typing import TYPE_CHECKING, Any, Callable, Optional, TextIO, Union

from realtime_sync import cells
from realtime_sync.cli import texts
from realtime_sync.cli.colours import painted
from realtime_sync.errors import ConfigurationError, ConnectionReplacedError, InvalidInputError
from realtime_sync.models import ServiceEndsWarning
from realtime_sync.words import counted

if TYPE_CHECKING:
    from realtime_sync.conversation import Conversation

END_KEYS = "Ctrl-Z, then Enter," if os.name == "nt" else "Ctrl-D"
"""The keys that end what a person types in."""

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_CLEAR_LINE = "\r\x1b[K"
_USUAL_COLUMNS = 80


class _LastLine:
    """What stands on the last line while it is unfinished."""

    def __init__(self) -> None:
        self.draw: Callable[[], str] = str
        """Returns the status or the prompt that stands there; an empty text if there is none."""
        self.is_output = False
        """Whether the output stopped in the middle of a line."""


_last_line = _LastLine()


def columns(stream: TextIO) -> Optional[int]:
    """How many characters a line of this terminal has; None if the stream goes elsewhere."""
    if not stream.isatty():
        return None
    wanted = os.environ.get("COLUMNS", "")
    if wanted.isdecimal() and int(wanted) > 0:
        return int(wanted)
    try:
        return os.get_terminal_size(stream.fileno()).columns or _USUAL_COLUMNS
    except OSError:  # it does not know
        return _USUAL_COLUMNS


def _obeys(stream: TextIO) -> bool:
    """Whether this is a terminal that can write over a line."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


# What is printed ------------------------------------------------------------------------------------------------------


def show(text: str, *, end: str = "\n", label: str = "") -> None:
    """Print to the standard output, at once; on a terminal without what could steer it.

    Models, tools and servers write what they like: an escape sequence could rewrite what stands there already.
    ``label`` stands before the text. It is ours, and may have a colour.
    """
    clear_status()
    print(label + (_CONTROLS.sub("", text) if sys.stdout.isatty() else text), end=end, flush=True)
    _last_line.is_output = not f"{text}{end}".endswith("\n")


def finish_line() -> None:
    """End the line of the output, if there is one that is not ended."""
    if _last_line.is_output:
        show("")


def note(text: str) -> None:
    """Print one line beside the output, in brackets."""
    print_beside(painted(f"({one_line(text)})", "faint", sys.stderr))


def report(text: str) -> None:
    """Print why a command ends."""
    print(f"realtime-sync: {painted('error:', 'red', sys.stderr)} {text}", file=sys.stderr)


def print_beside(line: str) -> None:
    """Print a line to the standard error, above the status or the prompt. Any thread may call it."""
    unfinished = _last_line.draw() if sys.stderr.isatty() else ""
    begin = "" if not unfinished else _CLEAR_LINE if _obeys(sys.stderr) else "\n"
    if sys.stderr.isatty() and sys.stdout.isatty() and _last_line.is_output:
        begin, _last_line.is_output = "\n", False
    print(f"{begin}{line}\n{unfinished}", end="", file=sys.stderr, flush=True)


def show_status(text: str) -> None:
    """Write a status over the one before; of a long one, its end. Nothing if the standard error cannot do that."""
    if _obeys(sys.stderr):
        room = (columns(sys.stderr) or _USUAL_COLUMNS) - 1
        line = one_line(text)
        line = line if cells.width_of(line) <= room else "…" + cells.ending(line, room - 1)
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

    Raises ``ConfigurationError`` if the text is empty, ``InvalidInputError`` if it is no text.
    """
    if not words and sys.stdin.isatty():
        return None
    piped = texts.piped_text() if not words or "-" in words else ""
    given = [texts.checked(word, f"the {what}", sys.getfilesystemencoding()) for word in words]
    text = " ".join(piped if word == "-" else word for word in given or ["-"]).strip()
    if not text:
        raise ConfigurationError(f"there is no {what}: the text is empty.")
    return text


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
        except InvalidInputError as error:
            note(str(error))
            continue
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
    if not sys.stdout.isatty():
        print(painted(prompt, "cyan", sys.stderr), end="", file=sys.stderr, flush=True)
    _last_line.draw = lambda: painted(prompt, "cyan", sys.stderr) + _typed_so_far()
    try:
        line = input(_for_readline(painted(prompt, "cyan", sys.stdout)) if sys.stdout.isatty() else "").strip()
        return texts.checked(line, "what was typed in", sys.stdin.encoding)
    except UnicodeDecodeError as error:
        raise InvalidInputError(texts.no_text("what was typed in", error)) from error
    finally:
        _last_line.draw = str


def _for_readline(prompt: str) -> str:
    """With the marks by which readline knows what takes no room; else it would break long lines at the wrong place."""
    return _COLOUR.sub("\x01\\g<0>\x02", prompt) if "readline" in sys.modules else prompt


def _typed_so_far() -> str:
    """What is typed in so far; empty if nobody knows."""
    readline = sys.modules.get("readline")
    return readline.get_line_buffer() if readline is not None else ""
