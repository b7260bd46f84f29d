"""The command line: ``python -m realtime_sync`` and the script ``realtime-sync``.

A command is a function of the arguments that returns the exit code. Its docstring is what ``--help`` prints, and its
first line stands in the list of commands. A second function adds the command's options. ``_COMMANDS`` lists both.
"""

from __future__ import annotations

import argparse
import inspect
import io
import logging
import os
import platform
import sys
import warnings
from typing import Callable, NoReturn, Optional, Sequence

from realtime_sync.advice import nearest
from realtime_sync.cli import chat, completion, doctor, recordings, say, serve, talk, terminal, transcribe
from realtime_sync.cli.help import HelpFormatter
from realtime_sync.errors import ConfigurationError, InvalidInputError, RealtimeSyncError
from realtime_sync.version import __version__

Command = Callable[[argparse.Namespace], int]
"""Raises ``RealtimeSyncError`` or ``OSError`` if it fails."""

_COMMANDS: tuple[tuple[Command, Callable[[argparse.ArgumentParser], object]], ...] = (
    (chat.chat, chat.add_options),
    (talk.talk, talk.add_options),
    (say.say, say.add_options),
    (transcribe.transcribe, transcribe.add_options),
    (talk.record, talk.add_record_options),
    (serve.serve, serve.add_options),
    (recordings.replay, recordings.add_replay_options),
    (recordings.timeline, recordings.add_timeline_options),
    (doctor.doctor, doctor.add_options),
    (completion.completion, completion.add_options),
)

_EPILOG = """\
exit codes: 0 done; 1 it failed; 2 wrong arguments or settings; 130 interrupted; 141 nobody
reads the output any more (`| head`).

`realtime-sync COMMAND --help` explains each command's options, with examples."""


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run one command; None: the process's arguments. Returns the exit code.

    An error is one line on the standard error; with ``--debug`` it is raised, for its traceback.
    """
    _open_what_is_closed()
    try:
        try:
            return _run(argv)
        finally:
            sys.stdout.flush()  # here, so that a closed pipe is noticed while it can be handled
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the interpreter's own flush fails, too
        return 141


def _open_what_is_closed() -> None:
    """If a standard stream is closed (``2>&-``, a service), Python has None in its place."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115  for as long as the process lives


def _run(argv: Optional[Sequence[str]]) -> int:
    arguments, unknown = parser().parse_known_args(argv)
    if unknown:
        _refuse(unknown, arguments.parser)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a model may say what the output's encoding has not
    form = logging.BASIC_FORMAT if arguments.debug else "realtime-sync: %(message)s"
    logging.basicConfig(format=form, handlers=[terminal.LogHandler()])
    warnings.filterwarnings("ignore", module=r"realtime_sync\.user_code")  # the log tells more
    terminal.show_ends()
    logging.getLogger("realtime_sync").setLevel(logging.DEBUG if arguments.debug else logging.WARNING)
    try:
        return int(arguments.run(arguments))
    except KeyboardInterrupt:
        return 130
    except (RealtimeSyncError, OSError) as error:
        if arguments.debug or isinstance(error, BrokenPipeError):
            raise
        file = getattr(error, "filename", None)
        terminal.report(f"{f'{file}: ' if file else ''}{terminal.cause(error)}")
        return 2 if isinstance(error, (ConfigurationError, InvalidInputError)) else 1


def _refuse(unknown: list[str], command: argparse.ArgumentParser) -> NoReturn:
    """End with what is unknown; the usage that helps is that of the command."""
    options = [
        name for action in command._actions for name in action.option_strings if action.help != argparse.SUPPRESS
    ]
    near = nearest(unknown[0].partition("=")[0], options)
    command.error(f"unrecognized arguments: {' '.join(unknown)}{f' (did you mean {near}?)' if near else ''}")


def _help(arguments: argparse.Namespace) -> int:
    """What is done without a command: as ``docker``, ``pip`` and ``cargo`` do."""
    arguments.parser.print_help()
    return 0


def parser() -> argparse.ArgumentParser:
    """The parser of the command line, also for its help pages and completions."""
    parser = argparse.ArgumentParser(
        prog="realtime-sync",
        description="The realtime voice API from the command line.",
        epilog=_EPILOG,
        formatter_class=HelpFormatter,
    )
    version = f"realtime_sync {__version__} (Python {platform.python_version()})"
    parser.add_argument("--version", action="version", version=version)
    parser.add_argument("--debug", action="store_true", help="show tracebacks and everything that is logged")
    parser.set_defaults(run=_help, parser=parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for run, add_options in _COMMANDS:
        text, _, examples = (inspect.getdoc(run) or "").partition("Examples:\n")
        command = commands.add_parser(
            run.__name__,
            help=text.partition("\n")[0].rstrip("."),
            description=text.strip(),
            epilog=f"examples:\n{examples}",
            formatter_class=HelpFormatter,
        )
        command.set_defaults(run=run, parser=command)
        # SUPPRESS: else a sub-parser's default would undo the flag given before the command's name.
        command.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        add_options(command)
    return parser
