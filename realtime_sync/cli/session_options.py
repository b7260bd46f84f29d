"""What every command that holds a session asks: how the model shall be, what it may call and cost, what is kept."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from realtime_sync.budget import Budget
from realtime_sync.cli.connection_notes import Tell, note_over_status, noting_losses

if TYPE_CHECKING:
    from realtime_sync.client import RealtimeConversationClient
    from realtime_sync.protocol.options import ConversationSessionOptions
    from realtime_sync.session import RealtimeConversationSession


def add_session_options(parser: argparse.ArgumentParser, *, record: bool = True) -> argparse._ArgumentGroup:
    """Add ``--budget``, ``--overwrite`` and, unless the command has it otherwise, ``--record``; returns their group.

    What they name is looked at by ``overwriting.check_files``.
    """
    group = parser.add_argument_group("the session")
    if record:
        group.add_argument(
            "--record", metavar="FILE.jsonl", help="keep all that is sent and received, for `timeline` and `replay`"
        )
    group.add_argument("--overwrite", action="store_true", help="record over an earlier recording")
    group.add_argument("--budget", type=float, metavar="USD", help="end the session once it has cost so much")
    return group


def add_model_options(group: argparse._ArgumentGroup) -> None:
    """Add ``--instructions`` and ``--tools``."""
    group.add_argument("--instructions", metavar="TEXT", help="what the model is, and how it shall answer")
    group.add_argument(
        "--tools",
        action="append",
        default=[],
        metavar="FILE.py",
        help="let the model call the functions of this file: those with @function_tool, else all public ones",
    )


def given(**settings: Any) -> dict[str, Any]:
    """The settings that are not None: the others are the service's."""
    return {name: value for name, value in settings.items() if value is not None}


@contextmanager
def start_session(
    client: RealtimeConversationClient,
    arguments: argparse.Namespace,
    options: ConversationSessionOptions,
    tell: Tell = note_over_status,
) -> Iterator[RealtimeConversationSession]:
    """A session that survives the loss of its connection, within ``--budget``, recorded where ``--record`` says.

    ``tell``: takes a note for the person who waits, when the connection is lost.
    """
    session = client.start_conversation_session(
        options,
        reconnect=True,
        recording=arguments.record,
        budget=None if arguments.budget is None else Budget(arguments.budget),
    )
    with nullcontext() if arguments.debug else noting_losses(tell), session:  # the log itself has more to tell
        yield session
