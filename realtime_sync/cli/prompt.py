"""A prompt on a terminal, with line editing and a history that is there again next time."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Optional

from realtime_sync.cli.terminal import note

_MOST_LINES = 1000


class Prompt:
    """Asks for lines. ``history``: the file of what was entered before; None keeps it for this time only."""

    def __init__(self, text: str, history: Optional[Path]) -> None:
        self._text = text
        self._history = history
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
        """The next line that is not empty; None at the end (Ctrl-D). Ctrl-C begins it anew."""
        while True:
            try:
                # Into a pipe or a file, input() would write the prompt, too.
                print("" if sys.stdout.isatty() else self._text, end="", file=sys.stderr, flush=True)
                line = input(self._text if sys.stdout.isatty() else "").strip()
            except EOFError:
                print(file=sys.stderr)
                return None
            except KeyboardInterrupt:
                print(file=sys.stderr)
                continue
            if line:
                return line

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


def history_file() -> Path:
    """Where the lines entered in ``chat`` are kept."""
    state = os.environ.get("XDG_STATE_HOME", "")
    return (Path(state) if state else Path.home() / ".local" / "state") / "realtime-sync" / "chat_history"
