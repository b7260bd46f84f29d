"""A service that answers each question with the messages that a real one sends, and ids of its own each time.

A process of its own; it prints its port. Two conversations at once can be compared with each other. A question's item
is acknowledged under the id that the client gave it; a request's metadata come back.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

from events import ANSWER, EVENTS, frame
from load_server import CLOSE, PING, SHORT, TEXT, serve_all, shake_hands


def serve(sock: socket.socket) -> None:
    shake_hands(sock)
    sock.sendall(frame(EVENTS["created"]))
    converse(sock)


def converse(sock: socket.socket) -> None:
    last_id: str | None = None  # of the conversation's items
    for number, message in enumerate(messages(sock)):
        if message["type"] == "conversation.item.create":
            item = {**message["item"], "status": "completed"}
            acknowledgements = (
                {
                    "type": f"conversation.item.{step}",
                    "event_id": f"event_{number}_{step}",
                    "previous_item_id": last_id,
                    "item": item,
                }
                for step in ("added", "done")
            )
            sock.sendall(b"".join(frame(json.dumps(each)) for each in acknowledgements))
            last_id = item["id"]
        elif message["type"] == "response.create":
            answer = ANSWER.replace("NUMBER", str(number)).replace('"LAST"', json.dumps(last_id))
            answer = answer.replace('"METADATA"', json.dumps(message["response"]["metadata"]))
            sock.sendall(b"".join(map(frame, answer.splitlines())))
            last_id = f"item_{number}"


def messages(sock: socket.socket) -> Iterator[dict[str, Any]]:
    """The client's messages, each below 64 KiB. Ends with the connection."""
    file = sock.makefile("rb")
    while head := file.read(2):
        opcode, length = head[0] & 15, head[1] & 127
        if length == SHORT:
            length = int.from_bytes(file.read(2), "big")
        mask, masked = file.read(4), file.read(length)
        if opcode == CLOSE:
            sock.sendall(b"\x88\x02\x03\xe8")
            return
        if opcode == PING:
            sock.sendall(b"\x8a\x00")
        elif opcode == TEXT:
            key = (mask * (length // 4 + 1))[:length]
            text = int.from_bytes(masked, "big") ^ int.from_bytes(key, "big")
            yield json.loads(text.to_bytes(length, "big"))


if __name__ == "__main__":
    serve_all(serve)
