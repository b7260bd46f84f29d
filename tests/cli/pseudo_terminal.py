"""A command on a pseudo-terminal: what a person types, and what a person sees."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Optional, Union

from tests.cli.serving import COMMAND, PATIENCE

# Ctrl-C is a signal only on the terminal that controls the process, and a fork with code of ours is none of a test
# with threads: so the new interpreter takes the terminal, then becomes the command.
_TAKE_THE_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class PseudoTerminal:
    """``with PseudoTerminal("chat", ...) as terminal``; the block's end ends what still runs.

    ``program``: what gets the arguments, if it is not this package's command line.
    """

    def __init__(
        self,
        *arguments: str,
        program: Sequence[str] = COMMAND,
        stdout: Optional[int] = None,
        columns: int = 80,
        **environment: str,
    ) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))  # else it has none
        self.process = subprocess.Popen(
            [sys.executable, "-c", _TAKE_THE_TERMINAL, *program, *arguments],
            stdin=slave,
            stdout=slave if stdout is None else stdout,
            stderr=slave,
            env={**os.environ, "TERM": "xterm", "COLUMNS": str(columns), **environment},
            start_new_session=True,
        )
        os.close(slave)
        self.seen = ""
        """All that stood on it so far, escape sequences included."""
        self._read = 0

    def __enter__(self) -> PseudoTerminal:
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE)
        os.close(self._master)

    @property
    def text(self) -> str:
        """What was seen, without escape sequences."""
        return _ESCAPES.sub("", self.seen)

    def type(self, keys: Union[str, bytes]) -> None:
        os.write(self._master, keys.encode() if isinstance(keys, str) else keys)

    def interrupt(self, wanted: str) -> None:
        """Press Ctrl-C at a prompt, and wait until this is to be read.

        Again where nothing comes of it: readline misses one in the moment before it waits for keys (CPython 3.11).
        """
        deadline = time.monotonic() + PATIENCE
        while self.text.find(wanted, self._read) < 0:
            assert time.monotonic() < deadline, f"Ctrl-C does nothing; there is: {self.text!r}"
            self.type("\x03")
            while select.select([self._master], [], [], 2.0)[0] and self._receive(deadline):
                if self.text.find(wanted, self._read) >= 0:
                    break
        self.expect(wanted)

    def expect(self, wanted: Union[str, re.Pattern[str]]) -> str:
        """Wait until this is to be read behind what was expected before; what was read up to its end."""
        pattern = re.compile(re.escape(wanted)) if isinstance(wanted, str) else wanted
        deadline = time.monotonic() + PATIENCE
        while not (found := pattern.search(self.text, self._read)):
            assert self._receive(deadline), f"{wanted!r} did not come; there is: {self.text!r}"
        passed, self._read = self.text[self._read : found.end()], found.end()
        return passed

    def end(self) -> int:
        """Wait for the command's end: its exit code."""
        deadline = time.monotonic() + PATIENCE
        while self._receive(deadline):
            pass
        return self.process.wait(PATIENCE)

    def _receive(self, deadline: float) -> bool:
        """Read some more; False where the command has closed the terminal."""
        readable, _, _ = select.select([self._master], [], [], max(0.0, deadline - time.monotonic()))
        assert readable, f"nothing more came; there is: {self.text!r}"
        try:
            told = os.read(self._master, 65536)
        except OSError:  # how Linux says that nobody has the other end open
            told = b""
        self.seen += told.decode("utf-8", "replace")
        return bool(told)
