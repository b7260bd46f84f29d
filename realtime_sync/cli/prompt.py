"""A prompt on a terminal, with line editing and a history that is there again next time."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Optional

from realtime_sync.cli.terminal import note

END_KEYS = "Ctrl-Z, then Enter," if os.name == "nt" else "Ctrl-D"
"""How a person ends what is typed in."""

_MOST_LINES = 1000
_WORDS_OF_THE_END = ("quit", "exit")


class Prompt:
    """Asks for lines. ``history``: the file of what was entered before; None keeps it for this time only."""

    def __init__(self, text: str, history: Optional[Path]) -> None:
        self._text = text
        self._history = history
        self._asking = False  # written by the thread that asks, read by those that tell
        try:
            import readline
        except ImportError:  # Windows: its console edits lines by itself
            return
        readline.set_history_length(_MOST_LINES)
        if history is not None:
            try:
                readline.read_history_file(history)
            except OSError:
                pass  # there is none yet

    def next_line(self) -> Optional[str]:
        """The next line that is not empty; None at the end (Ctrl-D, ``quit``, ``exit``). Ctrl-C begins it anew."""
        stopped = False  # by Ctrl-C, and nothing entered since
        while True:
            try:
                line = self._ask()
            except EOFError:
                print(file=sys.stderr)
                return None
            except KeyboardInterrupt:
                print(file=sys.stderr)
                if stopped:
                    note(f"{END_KEYS} ends")
                stopped = True
                continue
            if line in _WORDS_OF_THE_END:
                return None
            if line:
                return line
            stopped = False

    def tell(self, text: str) -> None:
        """A note, from any thread: above the prompt and what is typed in so far, where it asks."""
        if not (self._asking and sys.stderr.isatty()):
            note(text)
            return
        print("\r\x1b[K", end="", file=sys.stderr)
        note(text)
        print(f"{self._text}{_typed()}", end="", file=sys.stderr, flush=True)

    def _ask(self) -> str:
        # Into a pipe or a file, input() would write the prompt, too.
        print("" if sys.stdout.isatty() else self._text, end="", file=sys.stderr, flush=True)
        self._asking = True
        try:
            return input(self._text if sys.stdout.isatty() else "").strip()
        finally:
            self._asking = False

    def save(self) -> None:
        """Keep what was entered, readable for this user alone; where that fails, it is told."""
        if self._history is None or "readline" not in sys.modules:
            return
        import readline

        try:
            self._history.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(self._history, os.O_CREAT | os.O_WRONLY, 0o600))
            readline.write_history_file(self._history)
        except OSError as error:
            note(f"what you entered is not kept: {error}")


def _typed() -> str:
    """What is typed in so far; nothing where nobody knows."""
    readline = sys.modules.get("readline")
    return readline.get_line_buffer() if readline is not None else ""


def history_file() -> Path:
    """Where the lines entered in ``chat`` are kept."""
    state = os.environ.get("XDG_STATE_HOME", "")
    return (Path(state) if state else Path.home() / ".local" / "state") / "realtime-sync" / "chat_history"
