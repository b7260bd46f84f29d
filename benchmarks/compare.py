"""Speed against the peers: one command, one table, every ratio from one run.

``python benchmarks/compare.py`` takes some two minutes, ``--quick`` a few seconds. Each measurement is a process of
its own that talks to one and the same server process over loopback; who goes first changes from round to round, and
each client's best round counts, because a busy machine only ever makes things slower. Needs the extra ``dev``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import costs
from events import EVENTS

HERE = Path(__file__).parent
OURS, OPENAI, BARE, AS_IT_COMES = "realtime_sync", "openai-python", "websocket-client-unvalidated", "websocket-client"
SOURCE = "realtime_sync-source"
LABELS = {
    OURS: "realtime_sync",
    SOURCE: "realtime_sync, one long source",
    OPENAI: f"openai-python {version('openai')}",
    BARE: "websocket-client, no UTF-8 check",
    AS_IT_COMES: f"websocket-client {version('websocket-client')}",
}
# task -> title, number of events, clients. Counts stay below the bound on bytes that may wait in a session.
TASKS: dict[str, tuple[str, int, tuple[str, ...]]] = {
    "text": (f"receive text deltas of {len(EVENTS['text'])} bytes", 30_000, (OURS, OPENAI, BARE, AS_IT_COMES)),
    "audio": ("receive audio deltas of 4,800 PCM bytes", 6_000, (OURS, OPENAI, BARE, AS_IT_COMES)),
    "upload": ("upload audio in chunks of 100 ms", 6_000, (OURS, SOURCE, OPENAI, BARE)),
    "latency": ("ask and be answered, one at a time", 1_000, (OURS, OPENAI, BARE)),
}
# UTF-8 checked in Python takes 0.3 to 1 ms for an audio delta; a tenth of the events says so as well.
TENTH = {("audio", AS_IT_COMES)}
Best = dict[tuple[str, str], dict[str, float]]


@contextmanager
def load_server() -> Iterator[str]:
    """The server process; its URL."""
    command = [sys.executable, str(HERE / "load_server.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


def measured(peer: str, task: str, count: int, url: str) -> dict[str, float]:
    """One measurement in a process of its own: seconds, for one event."""
    command = [sys.executable, str(HERE / "peers.py"), peer, task, str(count), url]
    environ = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=60, check=True, env=environ)
    seconds: dict[str, float] = json.loads(done.stdout)
    return {name: value / (1 if name == "latency" else count) for name, value in seconds.items()}


def run(url: str, repeat: int, shrink: int, until: float) -> Best:
    """Every task by every client, ``repeat`` times or until time is up; the least seconds for one event."""
    best: Best = {}
    for round_number in range(repeat):
        for task, (_, count, peers) in TASKS.items():
            for peer in peers if round_number % 2 == 0 else reversed(peers):
                share = count // shrink // (10 if (task, peer) in TENTH else 1)
                found = best.setdefault((task, peer), {})
                for name, seconds in measured(peer, task, share, url).items():
                    found[name] = min(seconds, found.get(name, seconds))
        if time.monotonic() > until:
            break
    return best


def print_throughput(best: Best) -> None:
    """Events per second and CPU for one event, each with how many times better than openai-python and than bare."""
    ratios = f"{'x openai':>9} {'x bare':>7}"
    for task, (title, _, peers) in TASKS.items():
        if task == "latency":
            continue
        print(f"\n{title:40} {'events/s':>10} {ratios} {'CPU us':>10} {ratios}")
        for peer in peers:
            wall, cpu = best[task, peer]["wall"], best[task, peer]["cpu"]
            print(f"  {LABELS[peer]:38} {1 / wall:10,.0f}", end="")
            print(f" {best[task, OPENAI]['wall'] / wall:9.2f} {best[task, BARE]['wall'] / wall:7.2f}", end="")
            print(f" {cpu * 1e6:10.1f} {best[task, OPENAI]['cpu'] / cpu:9.2f} {best[task, BARE]['cpu'] / cpu:7.2f}")


def print_latency(best: Best) -> None:
    title, _, peers = TASKS["latency"]
    print(f"\n{title:40} {'median us':>10}")
    for peer in peers:
        print(f"  {LABELS[peer]:38} {best['latency', peer]['latency'] * 1e6:10.0f}")


def print_costs(repeat: int) -> None:
    print(f"\n{'one message from text to object, us':40} " + " ".join(f"{event:>9}" for event in EVENTS))
    for name, seconds in costs.decode_seconds(repeat).items():
        print(f"  {LABELS.get(name, name):38} " + " ".join(f"{s * 1e6:9.1f}" for s in seconds.values()))
    print(f"\n{'import, beside starting Python':40} {'ms':>10}")
    for name, taken in costs.import_seconds(repeat).items():
        print(f"  {LABELS[name]:38} {taken * 1e3:10.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare the speed of clients for the realtime API.")
    parser.add_argument("--quick", action="store_true", help="two rounds with a tenth of the events")
    parser.add_argument("--repeat", type=int, default=5, help="rounds, of which the best counts (default: 5)")
    arguments = parser.parse_args()
    repeat, shrink = (2, 10) if arguments.quick else (arguments.repeat, 1)
    cores = os.cpu_count()
    print(f"{platform.python_implementation()} {platform.python_version()}, {cores} cores, best of {repeat}")
    with load_server() as url:
        best = run(url, repeat, shrink, until=time.monotonic() + 120)
    print_throughput(best)
    print_latency(best)
    print_costs(2 if arguments.quick else 7)


if __name__ == "__main__":
    main()
