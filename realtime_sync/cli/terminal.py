"""What a person sees: text that cannot steer the terminal, a line that tells what goes on, what it has cost."""

from __future__ import annotations

import re
import shutil
import sys
from typing import TYPE_CHECKING

from realtime_sync.errors import InvalidInputError

if TYPE_CHECKING:
    from realtime_sync.conversation import Conversation

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def say(text: str, *, end: str = "\n") -> None:
    """Print to the standard output, at once; on a terminal without what could steer it.

    Models, tools and servers write what they like: an escape sequence could rewrite what stands there already.
    """
    print(_CONTROLS.sub("", text) if sys.stdout.isatty() else text, end=end, flush=True)


def piped_in() -> str:
    """All of the standard input. Raises InvalidInputError where it is no text."""
    try:
        return sys.stdin.read()
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"what was piped in is no text in {error.encoding}") from error


def note(text: str) -> None:
    """One line beside the output, on the standard error."""
    print(f"({one_line(text)})", file=sys.stderr, flush=True)


def one_line(told: object) -> str:
    """A message's first paragraph on one line: the rest of a long one are instructions to copy."""
    paragraph = str(told).strip().partition("\n\n")[0]
    line = _CONTROLS.sub("", " ".join(paragraph.split()))
    return line[:-1] + "." if line.endswith(":") else line or type(told).__name__


class StatusLine:
    """A line that is written over and over, on the standard error; nothing where that is no terminal."""

    def __init__(self) -> None:
        self._shown = False
        self._on = sys.stderr.isatty()

    def show(self, text: str) -> None:
        """Put ``text`` in the place of what stands there; of a long one, its end."""
        if self._on:
            width = shutil.get_terminal_size().columns - 1
            line = one_line(text)
            print(f"\r\x1b[K{line if len(line) <= width else '…' + line[-width + 1 :]}", end="", file=sys.stderr)
            sys.stderr.flush()
            self._shown = True

    def clear(self) -> None:
        """Make room for what is printed next."""
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            self._shown = False


def counted(count: int, what: str) -> str:
    """``1 answer``, ``2 answers``."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def note_cost(conversation: Conversation, *, priced: bool) -> None:
    """Tell what the conversation used and, where somebody is paid for it, cost; nothing where nothing was answered."""
    usage = conversation.usage
    if usage.responses == 0:
        return
    cost = conversation.cost() if priced else None
    price = f", ${cost:.4f} by list prices" if cost is not None else ""
    note(f"{counted(usage.responses, 'answer')}, {usage.input_tokens} tokens read, {usage.output_tokens} said{price}")
