"""Many live sessions at once, in real time: what each of them costs in CPU, memory, descriptors and threads.

Run as a process of its own: ``python live.py PEER sessions COUNT SECONDS URL`` prints a JSON line. Each session gets
100 ms of audio each 100 ms, and sends as much, each on a thread (or in a task) of its own.
"""

# ruff: noqa: D102  what the methods do is told by Peer

from __future__ import annotations

import asyncio
import base64
import gc
import itertools
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

from events import CHUNK
from names import BARE, OPENAI, OPENAI_ASYNC, OURS

PERIOD = 0.1  # seconds
SETTLE = 1.0  # seconds between the first audio and the measurement
DELTA = "response.output_audio.delta"


class Peer(Protocol):
    """A client and its open sessions."""

    def open(self) -> None:
        """One more session."""

    def begin(self, taken: list[int]) -> None:
        """Begin to take and to send audio in each session; ``taken`` gets how many deltas each has taken."""


class Threads:
    """A client that blocks: two threads a session."""

    def __init__(self, url: str, model: str) -> None:
        self.url = url
        self.model = model
        self.sessions: list[Any] = []

    def open(self) -> None:
        self.sessions.append(self.connect())

    def begin(self, taken: list[int]) -> None:
        begin = time.monotonic()
        for number, session in enumerate(self.sessions):
            first = begin + number / len(self.sessions) * PERIOD
            threading.Thread(target=self.take_all, args=(session, taken, number), daemon=True).start()
            threading.Thread(target=self.send_all, args=(session, first), daemon=True).start()

    def take_all(self, session: Any, taken: list[int], number: int) -> None:
        for _ in self.deltas(session):
            taken[number] += 1

    def send_all(self, session: Any, first: float) -> None:
        for due in itertools.count(first, PERIOD):
            time.sleep(max(0.0, due - time.monotonic()))
            self.send(session)

    def connect(self) -> Any:
        raise NotImplementedError

    def deltas(self, session: Any) -> Iterator[object]:
        raise NotImplementedError

    def send(self, session: Any) -> None:
        raise NotImplementedError


class RealtimeSync(Threads):
    """This library."""

    def __init__(self, url: str, model: str) -> None:
        from realtime_sync import OpenAIClient

        super().__init__(url, model)
        self.client = OpenAIClient("any-key", endpoint=url).get_realtime_conversation_client(model)

    def connect(self) -> Any:
        return self.client.start_conversation_session()

    def deltas(self, session: Any) -> Iterator[object]:
        from realtime_sync import ConversationUpdateKind as Kind

        return (update for update in session.updates() if update.kind is Kind.RESPONSE_OUTPUT_AUDIO_DELTA)

    def send(self, session: Any) -> None:
        session.send_audio(CHUNK)


class OpenAIPython(Threads):
    """openai-python's synchronous client."""

    def __init__(self, url: str, model: str) -> None:
        from openai import OpenAI

        super().__init__(url, model)
        self.client = OpenAI(api_key="any-key", base_url=url)

    def connect(self) -> Any:
        return self.client.realtime.connect(model=self.model).enter()

    def deltas(self, session: Any) -> Iterator[object]:
        return (event for event in session if event.type == DELTA)

    def send(self, session: Any) -> None:
        session.input_audio_buffer.append(audio=base64.b64encode(CHUNK).decode())


class WebsocketClient(Threads):
    """websocket-client without a look at UTF-8, with ``json``."""

    def connect(self) -> Any:
        import websocket

        address = f"{self.url.replace('http', 'ws', 1)}/realtime?model={self.model}"
        header = ["Authorization: Bearer any-key"]
        return websocket.create_connection(address, header=header, skip_utf8_validation=True)

    def deltas(self, session: Any) -> Iterator[object]:
        while True:
            event = json.loads(session.recv())
            if event["type"] == DELTA:
                yield event

    def send(self, session: Any) -> None:
        audio = base64.b64encode(CHUNK).decode()
        session.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))


class OpenAIPythonAsync:
    """openai-python's asynchronous client: one loop, on a thread of its own, with two tasks a session."""

    def __init__(self, url: str, model: str) -> None:
        from openai import AsyncOpenAI

        self.client = AsyncOpenAI(api_key="any-key", base_url=url)
        self.model = model
        self.loop = asyncio.new_event_loop()
        self.sessions: list[Any] = []
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def open(self) -> None:
        entering = self.client.realtime.connect(model=self.model).enter()
        self.sessions.append(asyncio.run_coroutine_threadsafe(entering, self.loop).result())

    def begin(self, taken: list[int]) -> None:
        begin = time.monotonic()
        self.tasks = []  # a loop keeps no task alive
        for number, session in enumerate(self.sessions):
            first = begin + number / len(self.sessions) * PERIOD
            for each in (self.take_all(session, taken, number), self.send_all(session, first)):
                self.tasks.append(asyncio.run_coroutine_threadsafe(each, self.loop))

    async def take_all(self, session: Any, taken: list[int], number: int) -> None:
        async for event in session:
            if event.type == DELTA:
                taken[number] += 1

    async def send_all(self, session: Any, first: float) -> None:
        for due in itertools.count(first, PERIOD):
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            await session.input_audio_buffer.append(audio=base64.b64encode(CHUNK).decode())


PEERS: dict[str, Callable[[str, str], Peer]] = {
    OURS: RealtimeSync,
    OPENAI: OpenAIPython,
    OPENAI_ASYNC: OpenAIPythonAsync,
    BARE: WebsocketClient,
}


def measure(name: str, count: int, seconds: float, url: str) -> dict[str, float]:
    """CPU seconds for a second of a session, and what is there for each open session: bytes, descriptors, threads."""
    peer = PEERS[name](url, f"live-{count}")
    taken = [0] * count
    peer.open()  # the first one imports
    first = resources()
    for _ in range(count - 1):
        peer.open()
    opened = resources()
    peer.begin(taken)
    time.sleep(SETTLE)
    live, deltas = resources(), sum(taken)
    cpu, wall = time.process_time(), time.monotonic()
    time.sleep(seconds)
    cpu, wall = time.process_time() - cpu, time.monotonic() - wall
    deltas = sum(taken) - deltas
    if deltas < 0.7 * count * seconds / PERIOD:
        raise SystemExit(f"{name} fell behind: {deltas} deltas in {count} sessions and {seconds} s")
    each = {resource: (opened[resource] - first[resource]) / (count - 1) for resource in first}
    callers = {resource: (live[resource] - opened[resource]) / count for resource in first}
    both = {f"{resource}_live": each[resource] + callers[resource] for resource in first}
    return {"sessions": count, "cpu": cpu / wall / count, **each, **both}


def resources() -> dict[str, float]:
    """What this process has."""
    gc.collect()
    if not Path("/proc/self/statm").exists():  # not Linux
        return {}
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "memory": pages * os.sysconf("SC_PAGE_SIZE"),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "threads": threading.active_count(),
    }


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], int(sys.argv[3]), float(sys.argv[4]), sys.argv[5])), flush=True)
    os._exit(0)  # the server answers no goodbye
