"""What a command of the command line is."""

from __future__ import annotations

import argparse
from typing import Protocol


class Command(Protocol):
    """A module of ``realtime_sync.cli``."""

    def add_parser(self, subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
        """Add the command's own parser, with ``run`` among its defaults."""

    def run(self, arguments: argparse.Namespace) -> int:
        """Do it; returns the exit code. Raises ``RealtimeSyncError`` or ``OSError`` where it fails."""
