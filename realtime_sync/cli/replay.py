"""``realtime-sync replay``: a recorded session, served to any client or printed."""

from __future__ import annotations

import argparse
import signal
import time
from typing import TYPE_CHECKING, Optional

from realtime_sync.cli.listening import add_listening_options, listening
from realtime_sync.errors import ConfigurationError

if TYPE_CHECKING:
    from realtime_sync.recording import Recording

DEFAULT_PORT = 8766

_DESCRIPTION = """\
Serve a session that was recorded with recording=PATH: to each client the same messages
in the same order, each after the client has sent what it followed on in the recording.
What a client does otherwise ends its session, and is told."""

_EXAMPLES = """\
examples:
  realtime-sync replay session.jsonl              # in the recorded pace
  realtime-sync replay session.jsonl --fast       # as fast as the client takes it
  realtime-sync replay session.jsonl --print      # no server: print what the session received"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """See ``realtime_sync.cli``."""
    parser = subparsers.add_parser(
        "replay",
        help="serve a recorded session to any client, or print it",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.add_argument("recording", metavar="RECORDING", help="the file of JSON lines")
    pace = parser.add_mutually_exclusive_group()
    pace.add_argument("--speed", type=float, default=1.0, help="times the recorded pace (default: %(default)s)")
    pace.add_argument("--fast", action="store_true", help="do not wait at all")
    parser.add_argument("--print", dest="printed", action="store_true", help="print the messages in place of serving")
    add_listening_options(parser, DEFAULT_PORT)


def run(arguments: argparse.Namespace) -> int:
    """Serve until Ctrl-C or SIGTERM, or print. Raises ``OSError``, ``InvalidInputError``, ``ConfigurationError``."""
    from realtime_sync.recording import Recording

    recording = Recording.read(arguments.recording)
    speed = None if arguments.fast else arguments.speed
    if arguments.printed:
        _print(recording, speed)
        return 0
    return _serve(recording, speed, arguments)


def _print(recording: Recording, speed: Optional[float]) -> None:
    from realtime_sync.recording.wire_log import shown

    for update in recording.updates(speed):
        print(shown(update.raw_content) if update.raw_content else update, flush=True)


def _serve(recording: Recording, speed: Optional[float], arguments: argparse.Namespace) -> int:
    try:
        from realtime_sync.testing.replay import replay_server
    except ImportError as error:
        raise ConfigurationError(str(error)) from error
    with listening(arguments):
        server = replay_server(recording, speed=speed, host=arguments.host, port=arguments.port)
    with server:
        # Raised where the main thread sleeps: a handler that set an event could meet the lock of its own wait.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        print(f"Replaying {recording.path} at {server.url}", flush=True)
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            return 0
