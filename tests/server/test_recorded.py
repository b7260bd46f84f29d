"""Live services' recorded clients, said again to this server: it answers in their order, with their fields."""

from __future__ import annotations

import json
from typing import Any, Callable, Iterator

import pytest

from realtime_sync.server import FunctionCall, RealtimeServer, Turn
from realtime_sync.server.client_secrets import Configuration
from tests.server.conftest import Json, Peer
from tests.server.sounds import silence, tone
from tests.server.wire_schemas import RECORDED

# OpenAI's GA and Azure's; those of other services have an order and fields of their own.
NAMES = [
    "azure_ws-audio_in_server_vad_transcribes",
    "azure_ws-text_in_audio_out_turn",
    "openai_ws-audio_in_server_vad_turn",
    "openai_ws-tool_call_round",
    "openai_ws_sideband-webrtc_sideband_text_turn",
    "parity_ws-history_seeding_parity-openai-previous",
    "parity_ws-text_tool_round_parity-azure-current",
]


def frames(name: str) -> list[tuple[str, Json]]:
    lines = map(json.loads, (RECORDED / f"{name}.jsonl").read_text("utf-8").splitlines())
    return [(line["dir"], json.loads(line["raw"])) for line in lines if "raw" in line]


class Recited:
    """A responder that says what the recorded model said, answer by answer."""

    def __init__(self, theirs: list[Json]) -> None:
        answers = (event["response"]["output"] for event in theirs if event["type"] == "response.done")
        self._items: Iterator[Json] = iter([item for output in answers for item in output])

    def __call__(self, turn: Turn) -> str | FunctionCall:
        item = next(self._items)
        if item["type"] == "function_call":
            return FunctionCall(item["name"], item["arguments"], call_id=item["call_id"])
        part = item["content"][0]
        return str(part.get("text") or part["transcript"])


def converse(server: RealtimeServer, open_peer: Callable[..., Peer], name: str) -> list[Json]:
    """Say what the recorded client said, when it said it; what the server answers."""
    path = "/openai/v1/realtime?model=gpt-realtime" if "azure" in name else "/v1/realtime?model=gpt-realtime"
    if "sideband" in name:
        call_id = server.place_call()
        server.call(call_id).accept(Configuration.from_client(None))
        path = f"/v1/realtime?call_id={call_id}"
    peer = open_peer(server, path, headers=("api-key: k",))
    heard, begun, done = False, 0, 0
    for direction, message in [*frames(name), ("c2s", {"type": "the end"})]:
        begun += message["type"] == "response.created"
        if direction == "s2c" or (heard and message["type"] == "input_audio_buffer.append"):
            continue
        while done < begun:  # or what is said next could overtake the end of an answer
            peer.until("response.done")
            done += 1
        if message["type"] == "input_audio_buffer.append":
            # The recorded audio is cut short; this is a turn of about its length.
            peer.append(silence(600) + tone(1500) + silence(900))
            heard = True
        elif message["type"] != "the end":
            peer.ws.send(json.dumps(message))
    if heard and "conversation.item.input_audio_transcription.completed" not in peer.types():
        peer.until("conversation.item.input_audio_transcription.completed")
    return peer.seen


def label(event: Json) -> str:
    """The type; of an item also what it is, and how it stands."""
    item = event.get("item")
    if item is None:
        return str(event["type"])
    parts = [part["type"] for part in item.get("content", ())]
    return f"{event['type']} {item['type']} {item.get('role')} {item.get('status')} {parts}"


def order(events: list[Json]) -> list[str]:
    """Deltas of audio and of its transcript come in any mixture: each is told once. Transcriptions come at any time."""
    result: list[str] = []
    for kind in map(label, events):
        if "input_audio_transcription" not in kind and not (kind.endswith(".delta") and kind in result[-2:]):
            result.append(kind)
    return result


def fields(value: Any, path: str) -> Iterator[str]:
    """Each object with its fields in their order, each field with the type of its value."""
    if isinstance(value, dict) and ".tools[]" not in path:  # which are told back as the client said them
        yield f"{path} {list(value)}"
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        where = f"{path}.{key}" if isinstance(value, dict) else f"{path}[]"
        yield f"{where} {type(inner).__name__}"
        yield from fields(inner, where)


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_client_is_answered_as_the_live_service_did(open_peer: Callable[..., Peer], name: str) -> None:
    theirs = [message for direction, message in frames(name) if direction == "s2c"]
    # Recorded without rate limits.
    with RealtimeServer(responder=Recited(theirs), rate_limits=False) as server:
        ours = converse(server, open_peer, name)
    assert order(ours) == order(theirs)
    told = {line for event in theirs for line in fields(event, label(event))}
    assert {line for event in ours for line in fields(event, label(event))} == told
