"""The command line: ``python -m realtime_sync`` and the script ``realtime-sync``.

A command is a module with ``add_parser(subparsers)``, which sets ``run`` as its parser's default, and
``run(arguments) -> int``. It is registered by its name in ``COMMANDS``; what is heavy it imports inside ``run``.
"""

from __future__ import annotations

import argparse
import io
import logging
import os
import sys
from typing import Optional, Sequence

from realtime_sync.cli import chat, doctor, record, replay, say, serve, talk, timeline, transcribe
from realtime_sync.cli.command import Command
from realtime_sync.cli.terminal import one_line
from realtime_sync.errors import ConfigurationError, InvalidInputError, RealtimeSyncError
from realtime_sync.version import __version__

COMMANDS: tuple[Command, ...] = (chat, talk, say, transcribe, record, serve, replay, timeline, doctor)

_EPILOG = """\
exit codes: 0 done; 1 it failed; 2 wrong arguments or settings; 130 interrupted; 141 nobody
reads the output any more (`| head`).
`realtime-sync COMMAND --help` tells each command's options, with examples."""


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run one command; None: the process's arguments. Returns the exit code.

    An error is one line on the standard error; with ``--debug`` it is raised, for its traceback.
    """
    _open_what_is_closed()
    try:
        try:
            return _run(argv)
        finally:
            sys.stdout.flush()  # here, where somebody hears of a pipe that was closed
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the interpreter's own flush fails, too
        return 141


def _open_what_is_closed() -> None:
    """Where a standard stream is closed (``2>&-``, a service), Python has None in its place."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115  for as long as the process lives


def _run(argv: Optional[Sequence[str]]) -> int:
    arguments, unknown = _parser().parse_known_args(argv)
    if unknown:  # told by the command's parser: the usage that helps is the command's
        arguments.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a model may say what the output's encoding has not
    logging.basicConfig(format=logging.BASIC_FORMAT if arguments.debug else "realtime-sync: %(message)s")
    logging.getLogger("realtime_sync").setLevel(logging.DEBUG if arguments.debug else logging.WARNING)
    try:
        return int(arguments.run(arguments))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        raise
    except (RealtimeSyncError, OSError) as error:
        if arguments.debug:
            raise
        print(f"realtime-sync: error: {_told(error)}", file=sys.stderr)
        return 2 if isinstance(error, (ConfigurationError, InvalidInputError)) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="realtime-sync",
        description="The realtime voice API from the command line.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"realtime_sync {__version__}")
    parser.add_argument("--debug", action="store_true", help="show tracebacks and everything that is logged")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add_parser(subparsers)
    for subparser in subparsers.choices.values():
        subparser.set_defaults(parser=subparser)
        # SUPPRESS: else a sub-parser's default would undo the flag given before the command's name.
        subparser.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    return parser


def _told(error: BaseException) -> str:
    """What happened, without the number that the system gives it."""
    if isinstance(error, OSError) and not isinstance(error, RealtimeSyncError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return one_line(error)
