"""The command line as a process of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from types import TracebackType
from typing import Optional

from tests.core.harness import Running

COMMAND = [sys.executable, "-m", "realtime_sync"]
PATIENCE = 50.0  # seconds; an interpreter starts slowly where six run at once


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    env = {**os.environ, **environment}
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=PATIENCE, env=env, check=False
    )


class Serving:
    """A ``serve`` that runs on a free port; ``stop`` ends it, and the block's end what was not stopped."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, "serve", "--port", "0", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        assert self.process.stdout is not None
        read = self.process.stdout.readline
        self.told = "".join(Running(lambda: [read(), read(), read()]).result(PATIENCE))
        self.exported = dict(re.findall(r"(\w+)=(\S+)", self.told))

    def __enter__(self) -> Serving:
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()

    @property
    def url(self) -> str:
        return self.exported["OPENAI_BASE_URL"]

    def next_line(self) -> str:
        """The next line of its standard output."""
        assert self.process.stdout is not None
        line: str = Running(self.process.stdout.readline).result(PATIENCE)
        return line

    def stop(self, how: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """End it by a signal: its exit code, and all that it wrote to the terminal since."""
        self.process.send_signal(how)
        told, logged = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, self.told + told + logged
