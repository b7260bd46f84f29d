"""What one machine holds: memory, descriptors, threads and CPU of many sessions of either protocol, quiet and talking.

    python benchmarks/holds.py                  # 50, 200 and 500 sessions, two minutes
    python benchmarks/holds.py --sessions 50    # fewer

Each figure is one session's, of a process that holds nothing else; the embedded server is a process of its own. Talking
is sound both ways in real time: 100 ms of it ten times a second, sent by the library and taken by a thread of the
caller's. Quiet is an open session in which nobody speaks; a live one sends silence then, because its clock needs it.
More than ``MOST_BUSY`` that do something are more than one interpreter and the embedded server keep up with.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from realtime_sync import ConnectionClosedError, ConversationSessionOptions, OpenAIClient

COUNTS = (50, 200, 500)
MOST_BUSY = 200
SETTLE, SECONDS = 2.0, 5.0
CHUNK = b"\x00\x10" * 2400  # 100 ms
COLUMNS = ("kB", "kB talking", "files", "threads", "quiet ms", "talking ms")
FEWEST = 0.7  # of the messages that were due; below it the machine has fallen behind

SERVER = """
import sys
from realtime_sync.server import RealtimeServer, Reply

long = Reply("A long answer.", audio=bytes(2 * 24_000 * 120))
with RealtimeServer(responder=lambda turn: long, audio_pace=1.0, record=False, rate_limits=False) as server:
    print(server.url, flush=True)
    sys.stdin.read()
"""


def open_one(client: Any, protocol: str) -> Any:
    """One more session."""
    if protocol == "live":
        return client.start_live_session()
    return client.start_conversation_session(ConversationSessionOptions(turn_detection_options="none"))


def sound() -> Iterator[bytes]:
    """As a microphone gives it, for ever."""
    return itertools.repeat(CHUNK)


def talk(session: Any, protocol: str, taken: list[int], number: int) -> None:
    """Send sound, and take what comes, until the process ends."""
    if protocol == "live":
        session.start_sending_audio(sound())
    else:
        session.start_sending_audio(sound(), pace=1.0)
        session.start_response()
    with contextlib.suppress(ConnectionClosedError):  # the machine is too slow, and the figures tell it
        for _ in session.updates():
            taken[number] += 1


def resources() -> dict[str, float]:
    """What this process has now, on Linux."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "kB": pages * os.sysconf("SC_PAGE_SIZE") / 1000,
        "files": len(os.listdir("/proc/self/fd")),
        "threads": len(os.listdir("/proc/self/task")),
    }


def cpu_ms() -> float:
    """CPU of this process, for each second of wall time."""
    cpu, wall = time.process_time(), time.monotonic()
    time.sleep(SECONDS)
    return 1000 * (time.process_time() - cpu) / (time.monotonic() - wall)


def measure(protocol: str, count: int, url: str) -> dict[str, float]:
    """One session's part of all that so many of them take."""
    client = OpenAIClient("any-key", endpoint=url).get_realtime_conversation_client("gpt-realtime-2.1")
    sessions = [open_one(client, protocol)]  # the first one imports
    before = resources()
    sessions += [open_one(client, protocol) for _ in range(count - 1)]
    time.sleep(SETTLE)
    after = resources()
    quiet = cpu_ms()
    told = {name: (after[name] - before[name]) / (count - 1) for name in before}
    told["quiet ms"] = quiet / count
    if count > MOST_BUSY:
        return told
    taken = [0] * count
    for number, session in enumerate(sessions):
        threading.Thread(target=talk, args=(session, protocol, taken, number), daemon=True).start()
    time.sleep(SETTLE)
    came = sum(taken)
    talking = cpu_ms()
    came = sum(taken) - came
    if came < FEWEST * count * SECONDS * 10:
        print(f"{count} sessions fell behind: {came} pieces in {SECONDS:g} s; is the machine busy?", file=sys.stderr)
        return told
    told["kB talking"] = (resources()["kB"] - before["kB"]) / (count - 1)
    told["talking ms"] = talking / count
    return told


def main() -> None:
    """Measure each protocol with each number of sessions, in processes of their own, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sessions", type=int, nargs="+", default=COUNTS)
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        protocol, count, url = options.measure
        print(json.dumps(measure(protocol, int(count), url)), flush=True)
        os._exit(0)  # hundreds of goodbyes are another thing
    print(f"{'protocol':10}{'sessions':>9}" + "".join(f"{name:>12}" for name in COLUMNS))
    for protocol in ("realtime", "live"):
        for count in options.sessions:
            if protocol == "live" and count > MOST_BUSY:
                continue  # it is never at rest
            with subprocess.Popen(
                [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            ) as server:
                assert server.stdout is not None
                url = server.stdout.readline().strip()
                command = [sys.executable, __file__, "--measure", protocol, str(count), url]
                done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                server.communicate()
            told = json.loads(done.stdout)
            row = (f"{told[name]:12.2f}" if name in told else f"{'-':>12}" for name in COLUMNS)
            print(f"{protocol:10}{count:9}" + "".join(row), flush=True)


if __name__ == "__main__":
    main()
