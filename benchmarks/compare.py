"""Speed against the peers: one command, one table, every ratio from one run. README.md beside it says what each row is.

``python benchmarks/compare.py`` takes some four minutes, ``--quick`` less than one, ``--only latency`` has one row.
Each measurement is a process of its own that talks to a server process over loopback; who goes first changes from
round to round, and each client's best round counts, because a busy machine only ever makes things slower. Needs the
extra ``dev``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import tables
from events import EVENTS
from names import AS_IT_COMES, BARE, OPENAI, OPENAI_ASYNC, OURS, SOURCE, WEBSOCKETS

HERE = Path(__file__).parent
SECONDS = 200  # within which the rounds are done, but for the first


class Row(NamedTuple):
    """What is measured: ``clients`` are measured by ``script`` with ``numbers``, or with ``quick`` ones."""

    title: str
    clients: tuple[str, ...]
    numbers: tuple[int, ...]
    quick: tuple[int, ...]
    script: str = "peers.py"
    server: str = "load_server.py"


# Counts stay below the bound on bytes that may wait in a session.
ROWS = {
    "text": Row(
        f"receive text deltas of {len(EVENTS['text'])} bytes", (OURS, OPENAI, BARE, AS_IT_COMES), (30_000,), (3_000,)
    ),
    "audio": Row("receive audio deltas of 4,800 PCM bytes", (OURS, OPENAI, BARE, AS_IT_COMES), (6_000,), (600,)),
    "upload": Row("upload audio in chunks of 100 ms", (OURS, SOURCE, OPENAI, BARE), (6_000,), (600,)),
    "latency": Row("ask and be answered, one at a time", (OURS, OPENAI, WEBSOCKETS, BARE), (1_000,), (300,)),
    "sessions": Row(
        "live sessions in real time", (OURS, OPENAI, OPENAI_ASYNC, BARE), (100, 5), (20, 1), "live.py", "live_server.py"
    ),
    "growth": Row("a conversation that grows", (OURS,), (10_000,), (1_000,), "growth.py", "ask_server.py"),
}
COSTS = ("decode", "import")
# UTF-8 checked in Python takes 0.3 to 1 ms for an audio delta; a tenth of the events says so as well.
TENTH = {("audio", AS_IT_COMES)}


@contextmanager
def server(script: str) -> Iterator[str]:
    """The server process; its URL."""
    command = [sys.executable, str(HERE / script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


def measured(row: Row, client: str, name: str, numbers: tuple[int, ...], url: str) -> dict[str, float]:
    """One measurement in a process of its own: its figures by name."""
    command = [sys.executable, str(HERE / row.script), client, name, *map(str, numbers), url]
    environ = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=100, check=True, env=environ)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def run(names: Collection[str], repeat: int, quick: bool) -> tables.Results:
    """Every row by every client, ``repeat`` times or until time is up: the figures of each round."""
    results: tables.Results = {}
    until = time.monotonic() + SECONDS
    for round_number in range(repeat):
        for name in names:
            if round_number and time.monotonic() > until:
                return results
            row = ROWS[name]
            with server(row.server) as url:
                for client in row.clients if round_number % 2 == 0 else reversed(row.clients):
                    numbers = row.quick if quick else row.numbers
                    if (name, client) in TENTH:
                        numbers = (numbers[0] // 10,)
                    figures = measured(row, client, name, numbers, url)
                    results.setdefault(name, {}).setdefault(client, []).append(figures)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare the speed of clients for the realtime API.")
    parser.add_argument("--quick", action="store_true", help="two rounds with a tenth of the events")
    parser.add_argument("--repeat", type=int, default=5, help="rounds, of which the best counts (default: 5)")
    parser.add_argument("--only", nargs="+", choices=(*ROWS, *COSTS), default=(*ROWS, *COSTS), help="these rows alone")
    arguments = parser.parse_args()
    repeat = 2 if arguments.quick else arguments.repeat
    python = f"{platform.python_implementation()} {platform.python_version()}"
    print(f"{python}, {os.cpu_count()} cores, best of up to {repeat} rounds")
    names = [name for name in ROWS if name in arguments.only]
    results = run(names, repeat, arguments.quick)
    for name in names:
        tables.PRINTERS[name](ROWS[name].title, results[name])
    repeat = 2 if arguments.quick else 7
    if "decode" in arguments.only:
        tables.print_decoding(repeat)
    if "import" in arguments.only:
        tables.print_imports(repeat)


if __name__ == "__main__":
    main()
