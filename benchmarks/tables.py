"""The tables that compare.py prints: the best round of each client, and how many times better than others it is."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from importlib.metadata import version

import costs
from events import EVENTS
from names import AS_IT_COMES, BARE, OPENAI, OPENAI_ASYNC, OURS, SOURCE, WEBSOCKETS

LABELS = {
    OURS: "realtime_sync",
    SOURCE: "realtime_sync, one long source",
    OPENAI: f"openai-python {version('openai')}",
    OPENAI_ASYNC: "openai-python, asynchronous",
    WEBSOCKETS: f"websockets {version('websockets')}, synchronous",
    BARE: "websocket-client, no UTF-8 check",
    AS_IT_COMES: f"websocket-client {version('websocket-client')}",
}

Rounds = dict[str, list[dict[str, float]]]
"""The figures of each round, by client."""

Results = dict[str, Rounds]


def best(rounds: Rounds, client: str, figure: str) -> float:
    return min(figures[figure] for figures in rounds[client])


def print_throughput(title: str, rounds: Rounds) -> None:
    """Events per second and CPU for one event, each with how many times better than openai-python and than bare."""
    ratios = f"{'x openai':>9} {'x bare':>7}"
    print(f"\n{title:40} {'events/s':>10} {ratios} {'CPU us':>10} {ratios}")
    for client in rounds:
        wall, cpu = (best(rounds, client, figure) for figure in ("wall", "cpu"))
        openai_wall, openai_cpu = (best(rounds, OPENAI, figure) for figure in ("wall", "cpu"))
        bare_wall, bare_cpu = (best(rounds, BARE, figure) for figure in ("wall", "cpu"))
        print(f"  {LABELS[client]:38} {1 / wall:10,.0f} {openai_wall / wall:9.2f} {bare_wall / wall:7.2f}", end="")
        print(f" {cpu * 1e6:10.1f} {openai_cpu / cpu:9.2f} {bare_cpu / cpu:7.2f}")


def print_latency(title: str, rounds: Rounds) -> None:
    """Median time of an answer, and how many times websockets' it is."""
    print(f"\n{title:40} {'median us':>10} {'x websockets':>12}")
    for client in rounds:
        seconds = best(rounds, client, "latency")
        print(f"  {LABELS[client]:38} {seconds * 1e6:10.0f} {seconds / best(rounds, WEBSOCKETS, 'latency'):12.2f}")


def print_sessions(title: str, rounds: Rounds) -> None:
    """CPU for a second of one session, and what each open session has; "kB live" with the caller's threads."""
    count = int(best(rounds, OPENAI, "sessions"))
    has_memory = "memory" in rounds[OPENAI][0]
    print(f"\n{f'{count} {title}':40} {'CPU ms':>10} {'x openai':>9} {'x async':>7}", end="")
    print(f" {'kB':>6} {'kB live':>7} {'files':>6} {'threads':>7}" if has_memory else "")
    for client in rounds:
        cpu, openai, asynchronous = (best(rounds, name, "cpu") for name in (client, OPENAI, OPENAI_ASYNC))
        print(f"  {LABELS[client]:38} {cpu * 1e3:10.2f} {openai / cpu:9.2f} {asynchronous / cpu:7.2f}", end="")
        if has_memory:
            alone, live = (best(rounds, client, figure) / 1000 for figure in ("memory", "memory_live"))
            files, threads = (best(rounds, client, figure) for figure in ("descriptors", "threads"))
            print(f" {alone:6.0f} {live:7.0f} {files:6.1f} {threads:7.1f}", end="")
        print()


def print_growth(title: str, rounds: Rounds) -> None:
    """Median time of the first asks, how many times as long the last ones take; pauses and memory.

    Of ratios, the middle one of the rounds counts: the best one would be that of the most noise.
    """
    (client,) = rounds
    columns = ("asks", "first", "longest", "copying")
    asks, first, longest, copying = (best(rounds, client, figure) for figure in columns)
    to_first = statistics.median(figures["last"] / figures["first"] for figures in rounds[client])
    to_fresh = statistics.median(figures["ratio"] for figures in rounds[client])
    has_memory = "memory" in rounds[client][0]
    print(f"\n{f'{title} to {asks:,.0f} asks':40} {'first us':>10} {'x first':>9} {'x fresh':>7}", end="")
    print(f" {'longest ms':>10} {'copy us':>9}", f"{'bytes an ask':>12}" if has_memory else "")
    print(f"  {LABELS[client]:38} {first * 1e6:10.0f} {to_first:9.2f} {to_fresh:7.2f}", end="")
    print(f" {longest * 1e3:10.0f} {copying * 1e6:9.0f}", end="")
    print(f" {best(rounds, client, 'memory'):12,.0f}" if has_memory else "")


PRINTERS: dict[str, Callable[[str, Rounds], None]] = {
    "text": print_throughput,
    "audio": print_throughput,
    "upload": print_throughput,
    "latency": print_latency,
    "sessions": print_sessions,
    "growth": print_growth,
}


def print_decoding(repeat: int) -> None:
    print(f"\n{'one message from text to object, us':40} " + " ".join(f"{event:>9}" for event in EVENTS))
    for name, seconds in costs.decode_seconds(repeat).items():
        print(f"  {LABELS.get(name, name):38} " + " ".join(f"{s * 1e6:9.1f}" for s in seconds.values()))


def print_imports(repeat: int) -> None:
    print(f"\n{'import, beside starting Python':40} {'ms':>10}")
    for name, taken in costs.import_seconds(repeat).items():
        print(f"  {LABELS.get(name, name):38} {taken * 1e3:10.0f}")
