"""``realtime-sync record``: a spoken conversation that is kept, with both sides as sound."""

from __future__ import annotations

import argparse

from realtime_sync.cli import talk
from realtime_sync.cli.client_options import add_client_options
from realtime_sync.cli.session_options import add_model_options, add_session_options
from realtime_sync.cli.terminal import note

_DESCRIPTION = """\
Talk with the model, as `talk` does, and keep all that is sent and received in FILE: JSON
lines without keys, for `timeline` and `replay`. (chat, talk and say take --record FILE.)"""

_EXAMPLES = """\
examples:
  realtime-sync record talk.jsonl
  realtime-sync record talk.jsonl --input question.wav --output answer.wav --local
  realtime-sync timeline talk.jsonl --audio talk.wav   # what was said when; both sides, in stereo"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """See ``realtime_sync.cli``."""
    parser = subparsers.add_parser(
        "record",
        help="talk with the model, and keep the whole session in a file",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.add_argument("record", metavar="FILE.jsonl", help="where to; an earlier recording takes --overwrite")
    talk.add_talk_options(parser)
    add_model_options(add_session_options(parser, record=False))
    add_client_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Hold the conversation. Raises ``OSError`` and the errors of a session."""
    code = talk.run(arguments)
    note(f"the session is in {arguments.record}: `realtime-sync timeline {arguments.record}` tells of it")
    return code
