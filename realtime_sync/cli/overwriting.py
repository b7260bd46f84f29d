"""What must not be written over: a file that the same command reads or writes, and what somebody may still want."""

from __future__ import annotations

import argparse
import itertools
import os
from collections.abc import Sequence
from typing import Optional

from realtime_sync.errors import ConfigurationError
from realtime_sync.recording.layout import is_recording


def check_files(
    arguments: argparse.Namespace, *, read: Optional[Sequence[str]] = None, written: Optional[str] = None
) -> None:
    """Look at the files of a command before one is opened, that of ``--record`` included.

    ``read``, ``written``: paths, None for none. Raises ``ConfigurationError`` where one would be written and is another
    of them as well, by whatever name, and where ``--record`` names what is no recording, or an earlier one without
    ``--overwrite``; ``OSError``.
    """
    check_apart(read or (), [path for path in (written, arguments.record) if path])
    if arguments.record:
        _check_record(arguments.record, arguments.overwrite)


def check_apart(read: Sequence[str], written: Sequence[str]) -> None:
    """Raise ``ConfigurationError`` where a file would be written and is another of these, by whatever name."""
    for path, other in [*itertools.product(written, read), *itertools.combinations(written, 2)]:
        if _is_same(path, other):
            names = path if path == other else f"{path} and {other}"
            raise ConfigurationError(f"{names}: one file for two purposes, which would destroy it. Give another name.")


def _check_record(path: str, overwrite: bool) -> None:
    if not os.path.isfile(path) or os.path.getsize(path) == 0:  # a new one, a pipe, or nothing to lose
        return
    if not is_recording(path):
        raise ConfigurationError(f"{path} is there already, and is no recording: give a name such as talk.jsonl.")
    if not overwrite:
        raise ConfigurationError(f"{path} holds an earlier recording: give another name, or --overwrite.")


def _is_same(path: str, other: str) -> bool:
    try:
        return os.path.samefile(path, other) and os.path.isfile(path)  # two ways into /dev/null do no harm
    except OSError:  # one of them is still to be made
        return os.path.realpath(path) == os.path.realpath(other)
