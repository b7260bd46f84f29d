"""Items: their places, what is told of them, and the service's refusals."""

from __future__ import annotations

import base64
import json
from typing import Callable

from realtime_sync.server import RealtimeServer, Reply
from realtime_sync.testing import ManualClock
from tests.server.conftest import Peer
from tests.server.sounds import tone


def spoken_answer(peer: Peer) -> str:
    """An assistant's item with audio; its id."""
    peer.user_says("Tell me a story")
    peer.say("response.create")
    item_id: str = peer.until("response.done")["response"]["output"][0]["id"]
    return item_id


def create(peer: Peer, item_id: str, previous: str | None = None) -> str | None:
    item = {"id": item_id, "type": "message", "role": "user", "content": [{"type": "input_text", "text": item_id}]}
    fields = {} if previous is None else {"previous_item_id": previous}
    peer.say("conversation.item.create", item=item, **fields)
    return peer.until("conversation.item.done")["previous_item_id"]  # type: ignore[no-any-return]


def test_an_item_goes_where_previous_item_id_says(peer: Peer) -> None:
    assert create(peer, "one") is None
    assert create(peer, "three") == "one"
    assert create(peer, "two", "one") == "one"
    assert create(peer, "zero", "root") is None
    peer.say("conversation.item.delete", item_id="two")
    assert peer.until("conversation.item.deleted")["item_id"] == "two"
    assert create(peer, "last") == "three"
    assert create(peer, "behind it", "") == "last"  # the service takes it for none (live, 2026)


def test_an_unknown_previous_item_is_an_error_that_names_it(peer: Peer) -> None:
    create(peer, "one")
    peer.say("conversation.item.delete", item_id="one")
    peer.user_says("after it", previous_item_id="one", event_id="mine")
    error = peer.error()
    assert "'one'" in error["message"]
    assert "does not exist" in error["message"]
    assert error["event_id"] == "mine"


def test_an_id_can_be_given_once(peer: Peer) -> None:
    create(peer, "one")
    item = {"id": "one", "type": "message", "role": "user", "content": [{"type": "input_text", "text": "again"}]}
    peer.say("conversation.item.create", item=item)
    error = peer.error()
    assert (error["code"], error["param"]) == ("item_create_duplicate_item_id", None)
    assert error["message"] == "Error adding item: an item with id 'one' already exists."  # live, 2026-09
    peer.say("conversation.item.delete", item_id="one")
    assert create(peer, "one") is None


def test_retrieving_brings_the_audio(peer: Peer) -> None:
    audio = base64.b64encode(tone(250)).decode()
    part = {"type": "input_audio", "audio": audio, "transcript": "hello"}
    item = {"id": "spoken", "type": "message", "role": "user", "content": [part]}
    peer.say("conversation.item.create", item=item)
    assert "audio" not in peer.until("conversation.item.done")["item"]["content"][0]
    peer.say("conversation.item.retrieve", item_id="spoken")
    assert peer.until("conversation.item.retrieved")["item"]["content"][0] == part


def test_the_unknown_cannot_be_retrieved_deleted_or_truncated(peer: Peer) -> None:
    peer.say("conversation.item.retrieve", item_id="nobody")
    assert peer.error()["code"] == "item_retrieve_invalid_item_id"
    peer.say("conversation.item.delete", item_id="nobody")
    assert peer.error()["code"] == "item_delete_invalid_item_id"
    peer.say("conversation.item.truncate", item_id="nobody", content_index=0, audio_end_ms=0)
    assert peer.error()["code"] == "item_truncate_invalid_item_id"


def test_truncating_shortens_the_audio_and_drops_the_transcript(peer: Peer) -> None:
    item_id = spoken_answer(peer)
    peer.say("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=300)
    told = peer.until("conversation.item.truncated")
    assert (told["item_id"], told["content_index"], told["audio_end_ms"]) == (item_id, 0, 300)
    peer.say("conversation.item.retrieve", item_id=item_id)
    part = peer.until("conversation.item.retrieved")["item"]["content"][0]
    assert len(base64.b64decode(part["audio"])) == 300 * 48
    assert part["transcript"] == ""


def test_an_answer_can_be_truncated_while_it_is_being_said(open_peer: Callable[..., Peer]) -> None:
    long = Reply("A long answer that is cut short.", audio=tone(5000))
    with RealtimeServer(responder=lambda turn: long, audio_pace=1.0) as server:
        peer = open_peer(server)
        peer.say("response.create")
        item_id = peer.until("response.output_audio.delta")["item_id"]
        peer.say("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=5000)
        assert "ms is already shorter than 5000ms" in peer.error()["message"]
        peer.say("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=60)
        assert peer.until("conversation.item.truncated")["audio_end_ms"] == 60
        peer.until("response.output_audio.delta")  # it goes on, and is not heard
        peer.say("response.cancel")
        assert peer.until("conversation.item.done")["item"]["content"][0]["transcript"] == ""
        assert peer.until("response.done")["response"]["status"] == "cancelled"
        peer.say("conversation.item.retrieve", item_id=item_id)
        part = peer.until("conversation.item.retrieved")["item"]["content"][0]
        assert len(base64.b64decode(part["audio"])) == 60 * 48


def test_an_answer_of_which_nothing_was_said_yet_cannot_be_truncated(open_peer: Callable[..., Peer]) -> None:
    with RealtimeServer(responder=lambda turn: Reply("Slowly", delta_delay=1.0), clock=ManualClock()) as server:
        peer = open_peer(server)
        peer.say("response.create")
        item_id = peer.until("response.content_part.added")["item_id"]
        peer.say("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=0)
        assert peer.error()["message"] == "Only model output audio messages can be truncated"
        peer.say("conversation.item.retrieve", item_id=item_id)
        assert peer.until("conversation.item.retrieved")["item"]["content"] == []


def test_what_was_never_said_cannot_be_truncated(peer: Peer) -> None:
    item_id = spoken_answer(peer)
    peer.say("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=10**7)
    error = peer.error()
    assert error["code"] == "invalid_value"
    assert "is already shorter than 10000000ms" in error["message"]


def test_only_spoken_answers_can_be_truncated(peer: Peer) -> None:
    peer.update(output_modalities=["text"])
    create(peer, "one")
    for item_id in ("one", spoken_answer(peer)):
        peer.say("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=0)
        error = peer.error()
        # Live, 2026.
        assert (error["code"], error["param"]) == (None, None)
        assert error["message"] == "Only model output audio messages can be truncated"


def test_what_was_truncated_costs_less_to_read(peer: Peer) -> None:
    item_id = spoken_answer(peer)
    tokens = []
    for audio_end_ms in (500, 100):
        peer.say("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=audio_end_ms)
        peer.say("response.create", response={"output_modalities": ["text"]})
        usage = peer.until("response.done")["response"]["usage"]
        tokens.append(usage["input_token_details"]["audio_tokens"])
    assert tokens == [5, 1]


def test_the_output_of_an_unknown_call_is_refused(peer: Peer) -> None:
    item = {"type": "function_call_output", "call_id": "call_x", "output": json.dumps(1)}
    peer.say("conversation.item.create", item=item)
    error = peer.error()
    assert error["code"] == "invalid_tool_call_id"
    assert error["message"] == "Tool call ID 'call_x' not found in conversation."


def test_audio_of_the_assistant_fixes_the_voice(peer: Peer) -> None:
    assert peer.update(audio={"output": {"voice": "marin"}})["audio"]["output"]["voice"] == "marin"
    spoken_answer(peer)
    peer.say("session.update", session={"type": "realtime", "audio": {"output": {"voice": "cedar"}}})
    error = peer.error()
    assert (error["code"], error["param"]) == ("cannot_update_voice", None)
    assert peer.update(audio={"output": {"voice": "marin"}})["audio"]["output"]["voice"] == "marin"
