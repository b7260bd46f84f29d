"""The other side of the benchmarks: as cheap as can be, so that the clients are what is measured.

A process of its own; it prints its port. The model in the URL is the task:

- ``text-20000``, ``audio-5000``: each message of the client is answered with a ``response.created``, so many deltas,
  prebuilt, and a ``response.done``; the first message with a tenth, to warm up. The client's messages are not looked
  at.
- ``upload-0``: appends are counted by their headers; a short message is answered with how many there were since the
  last one, as ``item_id`` of ``input_audio_buffer.committed``.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

from events import BEGUN, EVENTS, IDS, frame

TEXT, CLOSE, PING = 1, 8, 9
BLOCK = 100  # frames in one sendall
SHORT = 126
IDLE = 60.0  # seconds without a connection, after which the process ends


def serve_all(serve: Callable[[socket.socket], None]) -> None:
    """Print a port, and serve each connection that comes there, on a thread of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        listener.settimeout(IDLE)
        while True:
            try:
                sock, _ = listener.accept()
            except TimeoutError:
                if threading.active_count() == 1:  # who started this process is gone
                    return
            else:
                threading.Thread(target=serve_one, args=(serve, sock), daemon=True).start()


def serve_one(serve: Callable[[socket.socket], None], sock: socket.socket) -> None:
    """Serve a connection to its end."""
    with sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with suppress(ConnectionError):
            serve(sock)


def serve(sock: socket.socket) -> None:
    task, count = shake_hands(sock)
    sock.sendall(frame(EVENTS["created"]))
    if task == "upload":
        count_appends(sock)
    else:
        send_deltas(sock, frame(EVENTS[task]), count)


def shake_hands(sock: socket.socket) -> tuple[str, int]:
    """Accept any WebSocket; the task and the number that the model says."""
    request = b""
    while b"\r\n\r\n" not in request:
        received = sock.recv(65536)
        if not received:
            raise ConnectionError
        request += received
    key = re.search(rb"(?im)^sec-websocket-key: *(\S+)", request)
    model = re.search(rb"model=(\w+)-(\d+)", request)
    assert key is not None
    assert model is not None
    digest = hashlib.sha1(key[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    sock.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n"
    )
    return model[1].decode(), int(model[2])


def send_deltas(sock: socket.socket, delta: bytes, count: int) -> None:
    amount = max(1, count // 10)
    for number, _ in enumerate(messages(sock)):
        begun, piece, done = (named(each, number) for each in (frame(BEGUN), delta, frame(EVENTS["done"])))
        sock.sendall(begun)
        blocks, rest = divmod(amount, BLOCK)
        for _ in range(blocks):
            sock.sendall(piece * BLOCK)
        sock.sendall(piece * rest + done)
        amount = count


def named(data: bytes, number: int) -> bytes:
    """The frame with ids of its own, of the same length: no service gives two responses one id."""
    for name in (IDS["response_id"], IDS["item_id"]):
        data = data.replace(name.encode(), f"{name[:-3]}{number % 1000:03}".encode())
    return data


def count_appends(sock: socket.socket) -> None:
    appends = 0
    for length in messages(sock):
        if length >= SHORT:
            appends += 1
            continue
        answer = {"type": "input_audio_buffer.committed", "event_id": "event_1", "item_id": str(appends)}
        sock.sendall(frame(json.dumps(answer)))
        appends = 0


def messages(sock: socket.socket) -> Iterator[int]:
    """The length of each text frame; payloads are skipped, not unmasked. Ends with the connection."""
    data = b""
    at = 0  # where the next frame begins, relative to ``data``; it may be beyond what has come
    while True:
        while len(data) < at + 6:  # the shortest masked frame, and the whole header of one below 64 KiB but its mask
            received = sock.recv(1 << 18)
            if not received:
                return
            data, at = data[at:] + received, max(0, at - len(data))
        opcode, length = data[at] & 15, data[at + 1] & 127
        if length == SHORT:
            length = int.from_bytes(data[at + 2 : at + 4], "big")
            at += 2
        at += 6 + length
        if opcode == CLOSE:
            sock.sendall(b"\x88\x02\x03\xe8")
            return
        if opcode == PING:
            sock.sendall(b"\x8a\x00")
        elif opcode == TEXT:
            yield length


if __name__ == "__main__":
    serve_all(serve)
