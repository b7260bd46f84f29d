"""``realtime-sync completion``: what a shell reads to complete commands, options and files."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from realtime_sync.cli import terminal
from realtime_sync.extras import require

_SHELLS = ("bash", "zsh", "fish", "tcsh")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what ``completion`` reads."""
    parser.add_argument("shell", choices=_SHELLS, metavar="SHELL", help=", ".join(_SHELLS))


def completion(arguments: argparse.Namespace) -> int:
    """Print what makes a shell complete commands, options and files.

    It needs: pip install 'realtime-sync[completion]'. What is printed does not: it may be kept.

    Examples:
      eval "$(realtime-sync completion bash)"      # in ~/.bashrc
      eval "$(realtime-sync completion zsh)"       # in ~/.zshrc, after compinit
      realtime-sync completion fish | source       # in ~/.config/fish/config.fish
      realtime-sync completion bash > ~/.local/share/bash-completion/completions/realtime-sync

    Kept in a file it costs a new shell no time; write it again after an update.
    """
    from realtime_sync.cli import parser

    shtab = require("shtab", "completion", "Completion")
    whole = parser()
    for action in _actions(whole):
        if str(action.metavar).startswith(("FILE", "RECORDING")):
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        elif action.metavar == "FOLDER":
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
    terminal.show(shtab.complete(whole, arguments.shell), end="")
    return 0


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Those of a parser and of its commands."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)
