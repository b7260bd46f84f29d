"""The clients that are compared, each written as its users write it.

Run as a process of its own for each measurement: ``python peers.py PEER TASK COUNT URL`` prints a JSON line.
"""

# ruff: noqa: D102  what the methods do is told by Peer

from __future__ import annotations

import base64
import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any, Protocol

from events import CHUNK
from names import AS_IT_COMES, BARE, OPENAI, OURS, SOURCE, WEBSOCKETS


class Peer(Protocol):
    """A connection of one client to the load server: ``receive`` and ``upload`` return how many events there were."""

    def receive(self) -> int:
        """Ask for a response, and take all of it."""

    def upload(self, count: int) -> int:
        """Append so many chunks, commit, and wait for the acknowledgement."""

    def close(self) -> None:
        """End the connection."""


class RealtimeSync:
    """This library."""

    def __init__(self, url: str, model: str) -> None:
        from realtime_sync import OpenAIClient

        client = OpenAIClient("any-key", endpoint=url).get_realtime_conversation_client(model)
        self.session = client.start_conversation_session()

    def receive(self) -> int:
        from realtime_sync import ConversationUpdateKind as Kind

        deltas = 0
        self.session.start_response()
        for update in self.session.updates():
            if update.kind in (Kind.RESPONSE_OUTPUT_TEXT_DELTA, Kind.RESPONSE_OUTPUT_AUDIO_DELTA):
                deltas += 1
            elif update.kind is Kind.RESPONSE_DONE:
                break
        return deltas

    def upload(self, count: int) -> int:
        for _ in range(count):
            self.session.send_audio(CHUNK)
        return self._commit()

    def _commit(self) -> int:
        from realtime_sync import InputAudioBufferCommittedUpdate

        self.session.send_message({"type": "input_audio_buffer.commit"})
        return int(self.session.wait_for(InputAudioBufferCommittedUpdate).item_id)

    def close(self) -> None:
        self.session.close()


class RealtimeSyncSource(RealtimeSync):
    """This library, given the whole recording at once."""

    def upload(self, count: int) -> int:
        self.session.send_audio(CHUNK * count)
        return self._commit()


class OpenAIPython:
    """openai-python's synchronous client."""

    def __init__(self, url: str, model: str) -> None:
        from openai import OpenAI

        self.manager = OpenAI(api_key="any-key", base_url=url).realtime.connect(model=model)
        self.connection = self.manager.enter()

    def receive(self) -> int:
        deltas = 0
        self.connection.response.create()
        for event in self.connection:
            if event.type in ("response.output_text.delta", "response.output_audio.delta"):
                deltas += 1
            elif event.type == "response.done":
                break
        return deltas

    def upload(self, count: int) -> int:
        for _ in range(count):
            self.connection.input_audio_buffer.append(audio=base64.b64encode(CHUNK).decode())
        self.connection.input_audio_buffer.commit()
        for event in self.connection:
            if event.type == "input_audio_buffer.committed":
                return int(event.item_id)
        return 0

    def close(self) -> None:
        self.connection.close()


class WithJson:
    """A WebSocket library with ``json``: no classes, no time-outs."""

    socket: Any

    def __init__(self, url: str, model: str) -> None:
        self.address = f"{url.replace('http', 'ws', 1)}/realtime?model={model}"

    def receive(self) -> int:
        deltas = 0
        self.socket.send(json.dumps({"type": "response.create"}))
        while True:
            event = json.loads(self.socket.recv())
            if event["type"] in ("response.output_text.delta", "response.output_audio.delta"):
                deltas += 1
            elif event["type"] == "response.done":
                return deltas

    def upload(self, count: int) -> int:
        for _ in range(count):
            audio = base64.b64encode(CHUNK).decode()
            self.socket.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))
        self.socket.send(json.dumps({"type": "input_audio_buffer.commit"}))
        while True:
            event = json.loads(self.socket.recv())
            if event["type"] == "input_audio_buffer.committed":
                return int(event["item_id"])

    def close(self) -> None:
        self.socket.close()


class WebsocketClient(WithJson):
    """websocket-client as it comes: no thread."""

    def __init__(self, url: str, model: str, **options: Any) -> None:
        import websocket

        super().__init__(url, model)
        self.socket = websocket.create_connection(self.address, header=["Authorization: Bearer any-key"], **options)


def websocket_client_unvalidated(url: str, model: str) -> WebsocketClient:
    return WebsocketClient(url, model, skip_utf8_validation=True)


class Websockets(WithJson):
    """websockets' synchronous client, which has a thread that receives, as this library has."""

    def __init__(self, url: str, model: str) -> None:
        from websockets.sync.client import connect

        super().__init__(url, model)
        self.socket = connect(self.address, additional_headers={"Authorization": "Bearer any-key"})


PEERS: dict[str, Callable[[str, str], Peer]] = {
    OURS: RealtimeSync,
    SOURCE: RealtimeSyncSource,
    OPENAI: OpenAIPython,
    AS_IT_COMES: WebsocketClient,
    BARE: websocket_client_unvalidated,
    WEBSOCKETS: Websockets,
}


def measure(name: str, task: str, count: int, url: str) -> dict[str, float]:
    """One measurement, after a tenth of it to warm up: seconds of wall and CPU (all threads), for one event."""
    model = "text-1" if task == "latency" else f"{task}-{count}"
    peer = PEERS[name](url, model)
    if task == "latency":
        return {"latency": latency(peer, count)}
    check(work(peer, task, count // 10), count // 10)
    wall, cpu = time.perf_counter(), time.process_time()
    done = work(peer, task, count)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    check(done, count)
    peer.close()
    return {"wall": wall / count, "cpu": cpu / count}


def work(peer: Peer, task: str, count: int) -> int:
    return peer.upload(count) if task == "upload" else peer.receive()


def latency(peer: Peer, count: int) -> float:
    """Median seconds from asking to having an answer of one delta and a ``response.done``."""
    times = []
    for _ in range(count):
        begin = time.perf_counter()
        check(peer.receive(), 1)
        times.append(time.perf_counter() - begin)
    peer.close()
    return statistics.median(times)


def check(done: int, expected: int) -> None:
    if done != expected:
        raise SystemExit(f"{done} events instead of {expected}")


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])))
