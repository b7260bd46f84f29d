"""What other clients really send, replayed to the embedded server: it refuses nothing, and answers in the right order.

Each was driven against the embedded server, and its frames were taken down; ``tests/data/clients`` has them.
"""

from __future__ import annotations

import json
from typing import Any, Callable, Iterator

import pytest

from realtime_sync.server import Piece, RealtimeServer, Reply, Turn, default_responder
from tests.harness import DATA
from tests.server.conftest import Peer
from tests.server.sounds import silence, tone

Json = dict[str, Any]
Conversation = tuple[Json, list[Json]]
SOUNDS = {"a whole turn": silence(400) + tone(800) + silence(1500), "a word": tone(400)}


def conversations() -> Iterator[Any]:
    for path in sorted((DATA / "clients").glob("*.jsonl")):
        found: list[Conversation] = []
        for line in map(json.loads, path.read_text("utf-8").splitlines()):
            if "client" in line:
                found.append((line, []))
            else:
                found[-1][1].append(line)
        for head, steps in found:
            yield pytest.param(head, steps, id=f"{path.stem}: {head['does']}")


def answer(turn: Turn) -> Piece:
    """A long answer to who asks for a long story."""
    if "long story" in turn.text_of(turn.last or {}):
        return Reply("A long story that is cut short.", audio=tone(20_000), delta_delay=0.02)
    return default_responder(turn)


def filled(message: Json, peer: Peer) -> Json:
    """The message with the ids that this server has given: of the item and of the call that were told last."""
    told = [event["item"] for event in peer.seen if event["type"] == "response.output_item.added"]
    names = (("$item", "id"), ("$call", "call_id"))
    ids = {f'"{placeholder}"': json.dumps(item[name]) for item in told for placeholder, name in names if name in item}
    text = json.dumps(message)
    for placeholder, value in ids.items():
        text = text.replace(placeholder, value)
    return json.loads(text)  # type: ignore[no-any-return]


@pytest.mark.parametrize(("head", "steps"), list(conversations()))
def test_another_client_holds_its_conversation(open_peer: Callable[..., Peer], head: Json, steps: list[Json]) -> None:
    with RealtimeServer(responder=answer, transcriber=lambda pcm, rate: "Hello.") as server:
        of_azure = head["path"].startswith("/voice-live")  # whose voices the schemas do not know
        peer = open_peer(server, head["path"], headers=("api-key: k",), checked=not of_azure)
        for step in steps:
            if "until" in step:
                wanted = step["until"]
                event = peer.until(lambda event: event["type"] in (wanted, "error"))  # noqa: B023
                assert event["type"] == wanted, event
            elif "says" in step:
                peer.append(SOUNDS[step["says"]])
            else:
                peer.ws.send(json.dumps(filled(step, peer)))
    assert [event for event in peer.seen if event["type"] == "error"] == []
