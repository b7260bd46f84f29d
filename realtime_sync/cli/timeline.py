"""``realtime-sync timeline``: a recording's turns and latencies, as a table, a picture, and to listen to."""

from __future__ import annotations

import argparse
import json

from realtime_sync.cli.overwriting import check_apart
from realtime_sync.cli.sound_output import check_wav_name
from realtime_sync.cli.terminal import note, say
from realtime_sync.cli.turn_display import turn_as_json

_EXAMPLES = """\
examples:
  realtime-sync timeline session.jsonl
  realtime-sync timeline session.jsonl --json | jq '.turns[].latency'
  realtime-sync timeline session.jsonl --picture session.png   # pip install 'realtime-sync[plot]'
  realtime-sync timeline session.jsonl --audio session.wav   # left the user, right what was heard"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """See ``realtime_sync.cli``."""
    parser = subparsers.add_parser(
        "timeline",
        help="tell what happened when in a recorded session",
        description="Tell what happened when in a session that was recorded with recording=PATH.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.add_argument("recording", metavar="RECORDING", help="the file of JSON lines")
    parser.add_argument("--json", action="store_true", help="print the turns as JSON; times are in seconds")
    parser.add_argument("--picture", metavar="FILE", help="draw it, too: FILE.png, FILE.svg or FILE.pdf")
    parser.add_argument("--audio", metavar="FILE", help="write both sides as a stereo WAV file, too")


def run(arguments: argparse.Namespace) -> int:
    """Print the table. Raises ``OSError``, ``InvalidInputError`` and ``ConfigurationError``."""
    from realtime_sync import timeline
    from realtime_sync.recording import Recording

    check_apart([arguments.recording], [path for path in (arguments.picture, arguments.audio) if path])
    check_wav_name("--audio", arguments.audio)
    recording = Recording.read(arguments.recording)
    if arguments.picture:  # before the table, under which an error would be lost
        timeline.save_picture(recording, arguments.picture)
        note(f"written to {arguments.picture}")
    if arguments.audio:
        timeline.save_stereo(recording, arguments.audio)
        note(f"written to {arguments.audio}")
    if arguments.json:
        turns = [{"began": round(turn.started, 3), **turn_as_json(turn)} for turn in recording.turns()]
        told = {"started": recording.started, "duration": round(recording.duration, 3), "turns": turns}
        say(json.dumps(told, ensure_ascii=False, indent=2))
    else:
        say(timeline.text(recording))
    return 0
