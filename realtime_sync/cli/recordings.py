"""``realtime-sync replay`` and ``timeline``: a recorded session, served again or shown."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from realtime_sync.cli import options, terminal
from realtime_sync.cli.talk import turn_as_json

if TYPE_CHECKING:
    from realtime_sync.recording import Recording

_REPLAY_PORT = 8766


def add_replay_options(parser: argparse.ArgumentParser) -> None:
    """Add what ``replay`` reads."""
    parser.add_argument("recording", metavar="RECORDING", help="the file of JSON lines")
    pace = parser.add_mutually_exclusive_group()
    speed = options.number("pace", 0.01, 1000)
    pace.add_argument(
        "--speed", type=speed, metavar="X", default=1.0, help="times the recorded pace (default: %(default)s)"
    )
    pace.add_argument("--fast", action="store_true", help="do not wait at all")
    parser.add_argument("--print", dest="printed", action="store_true", help="print the messages in place of serving")
    options.add_listening_options(parser, _REPLAY_PORT)


def replay(arguments: argparse.Namespace) -> int:
    """Serve a recorded session to any client, or print it.

    Each client gets the messages of a session that was recorded with recording=PATH, in the same
    order, each after the client has sent what it followed on in the recording. If a client sends
    something else, its session ends with a message that says so.

    Examples:
      realtime-sync replay session.jsonl              # in the recorded pace
      realtime-sync replay session.jsonl --fast       # as fast as the client takes it
      realtime-sync replay session.jsonl --print      # no server: print what the session received
    """
    from realtime_sync.recording import Recording
    from realtime_sync.recording.wire_log import shown

    recording = Recording.read(arguments.recording)
    speed = None if arguments.fast else arguments.speed
    if arguments.printed:
        for update in recording.updates(speed):
            print(shown(update.raw_content) if update.raw_content else update, flush=True)
        return 0
    options.embedded_server()
    from realtime_sync.testing.replay import replay_server

    with options.listening(arguments):
        server = replay_server(recording, speed=speed, host=arguments.host, port=arguments.port)
    with server:
        options.serve_until_stopped(f"Replaying {recording.path} at {server.url} (Ctrl-C ends it)")
    return 0


def add_timeline_options(parser: argparse.ArgumentParser) -> None:
    """Add what ``timeline`` reads."""
    parser.add_argument("recording", metavar="RECORDING", help="the file of JSON lines")
    parser.add_argument("--json", action="store_true", help="print the turns as JSON; times are in seconds")
    parser.add_argument("--picture", metavar="FILE", help="draw it, too: FILE.png, FILE.svg or FILE.pdf")
    parser.add_argument("--audio", metavar="FILE", help="write both sides as a stereo WAV file, too")


def timeline(arguments: argparse.Namespace) -> int:
    """Show what happened when in a recorded session.

    It prints the turns and latencies of a session that was recorded with recording=PATH; of a live
    session (GPT-Live) the turns of both sides, delegated work, and what was appended.

    Examples:
      realtime-sync timeline session.jsonl
      realtime-sync timeline session.jsonl --json | jq '.turns[].latency'
      realtime-sync timeline session.jsonl --picture session.png   # pip install 'realtime-sync[plot]'
      realtime-sync timeline session.jsonl --audio session.wav   # left the user, right what was heard
    """
    from realtime_sync import timeline as views
    from realtime_sync.recording import Recording

    options.check_apart([arguments.recording], [path for path in (arguments.picture, arguments.audio) if path])
    options.check_wav_name("--audio", arguments.audio)
    recording = Recording.read(arguments.recording)
    for path, save in ((arguments.picture, views.save_picture), (arguments.audio, views.save_stereo)):
        if path:  # before the table, under which an error would be lost
            save(recording, path)
            terminal.note(f"written to {path}")
    if arguments.json:
        whole = {"started": recording.started, "duration": round(recording.duration, 3), **_as_json(recording)}
        terminal.show(json.dumps(whole, ensure_ascii=False, indent=2))
    else:
        terminal.show(views.text(recording, width=terminal.columns(sys.stdout)))
    return 0


def _as_json(recording: Recording) -> dict[str, Any]:
    if recording.protocol == "live":
        from realtime_sync.timeline import live_table

        return live_table.as_json(recording)
    return {"turns": [{"began": round(turn.started, 3), **turn_as_json(turn)} for turn in recording.turns()]}
