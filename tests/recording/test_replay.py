"""A recording replayed as a server: the same to any client, and readable words where a client does otherwise."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
import websocket

from realtime_sync import ConversationItem, OpenAIClient, ResponseDoneUpdate
from realtime_sync.errors import CloseInfo, InvalidInputError
from realtime_sync.protocol.dialects import Dialect
from realtime_sync.recording import Recording
from realtime_sync.server import RealtimeServer, faults
from realtime_sync.testing.replay import ReplayScript, replay_server
from tests.recording.made import SESSION, Made, tone
from tests.recording.recorded_peer import RecordedPeer, recorded_peer
from tests.server import sounds

SPEECH = sounds.tone(800) + sounds.silence(800)


def written(peer: RecordedPeer) -> None:
    peer.until("session.created")
    for question in ("Hello", "And then?"):
        peer.user_says(question)
        peer.until("conversation.item.done" if peer.dialect == "ga" else "conversation.item.created")
        peer.say("response.create")
        peer.until("rate_limits.updated")


def spoken(peer: RecordedPeer) -> None:
    peer.until("session.created")
    peer.append(SPEECH)
    peer.until("rate_limits.updated")


def refused(peer: RecordedPeer) -> None:
    peer.until("session.created")
    peer.say("conversation.item.delete", item_id="none", event_id="mine")
    peer.until("error")
    peer.send("not JSON")
    peer.until("error")


def nameless(item: ConversationItem) -> ConversationItem:
    return attrs.evolve(item, id=None)


def failures(server: RealtimeServer) -> list[str]:
    script = server.settings.script
    assert isinstance(script, ReplayScript)
    return script.failures


@pytest.mark.parametrize("dialect", list(Dialect))
@pytest.mark.parametrize("talk", [written, spoken])
def test_a_session_recorded_against_the_server_replays_to_the_same_updates(
    tmp_path: Path, talk: Callable[[RecordedPeer], None], dialect: Dialect
) -> None:
    path = tmp_path / "r.jsonl"
    with RealtimeServer() as server, recorded_peer(server, path, dialect) as peer:
        talk(peer)
    recording = Recording.read(path)
    assert [update.raw_content for update in recording.updates()] == peer.received
    again = tmp_path / "again.jsonl"
    with replay_server(recording) as server, recorded_peer(server, again, dialect) as other:
        talk(other)
        assert failures(server) == []
    replayed = Recording.read(again)
    assert list(replayed.updates()) == list(recording.updates())
    assert replayed.conversation() == recording.conversation()
    assert [entry.text for entry in replayed.entries if entry.direction == "out"] == [
        entry.text for entry in recording.entries if entry.direction == "out"
    ]


def test_a_session_of_this_library_has_the_same_conversation_with_the_replay(tmp_path: Path) -> None:
    with RealtimeServer() as server, recorded_peer(server, tmp_path / "r.jsonl") as peer:
        written(peer)
    recording = Recording.read(tmp_path / "r.jsonl")
    with replay_server(recording) as server:
        client = OpenAIClient("any-key", endpoint=server.url, proxy=False).get_realtime_conversation_client("m")
        with client, client.start_conversation_session() as session:
            for question in ("Hello", "And then?"):
                session.add_item(question).wait()
                session.start_response().wait()
                session.wait_for(ResponseDoneUpdate, timeout=10)
            replayed = session.conversation
        assert failures(server) == []
    expected = recording.conversation()
    # The client has named its own items, and knows them by these names.
    assert [nameless(item) for item in replayed.items] == [nameless(item) for item in expected.items]
    assert replayed.usage == expected.usage


def test_audio_may_come_in_other_pieces(tmp_path: Path) -> None:
    with RealtimeServer() as server, recorded_peer(server, tmp_path / "r.jsonl", audio="elide") as peer:
        spoken(peer)
    with replay_server(Recording.read(tmp_path / "r.jsonl")) as server, recorded_peer(server) as other:
        other.until("session.created")
        other.append(SPEECH[:4802], size=2)
        other.append(SPEECH[4802:], size=31_000)
        other.append(SPEECH, size=9600)  # more than was recorded
        other.until("rate_limits.updated")
        assert failures(server) == []


def test_what_the_server_said_in_the_midst_of_audio_waits_for_as_much_of_it(tmp_path: Path) -> None:
    made = Made(tmp_path / "r.jsonl")
    made.says(bytes(4800)).told("first").says(bytes(4800)).told("second").says(bytes(4800)).told("third")
    with replay_server(made.done()) as server, recorded_peer(server) as peer:
        peer.append(bytes(9598))
        assert peer.recv()["type"] == "first"
        (live,) = server.sessions
        peer.append(bytes(2))
        assert peer.recv()["type"] == "second"
        assert [message["type"] for message in live.sent] == ["first", "second"]
        peer.append(bytes(4800))
        assert peer.recv()["type"] == "third"


def test_ids_that_the_client_chooses_take_the_place_of_the_recorded_ones(tmp_path: Path) -> None:
    made = Made(tmp_path / "r.jsonl")
    made.sent("conversation.item.create", event_id="old", item={"id": "item_old", "type": "message"})
    made.told("conversation.item.added", item={"id": "item_old", "type": "message"}, previous_item_id=None)
    made.sent("response.create", event_id="old2", response={"metadata": {"key": "m_old"}})
    made.told("response.created", response={"id": "r", "metadata": {"key": "m_old"}})
    made.told("error", error={"event_id": "old", "message": 'not "item_old2"'})
    with replay_server(made.done()) as server, recorded_peer(server) as peer:
        peer.say("conversation.item.create", event_id="new", item={"id": "item_new", "type": "message"})
        assert peer.recv()["item"]["id"] == "item_new"
        peer.say("response.create", event_id="new2", response={"metadata": {"key": "m_new"}})
        assert peer.recv()["response"]["metadata"] == {"key": "m_new"}
        assert peer.recv()["error"] == {"event_id": "new", "message": 'not "item_old2"'}


def test_a_new_id_that_is_another_ones_old_id_stays_apart(tmp_path: Path) -> None:
    made = Made(tmp_path / "r.jsonl")
    for name in ("item_1", "item_2"):
        made.sent("conversation.item.create", item={"id": name, "type": "message"})
    made.told("told", ids=["item_1", "item_2"], said='no "item_1"', empty="", path="C:\\")
    with replay_server(made.done()) as server, recorded_peer(server) as peer:
        for name in ("item_2", "item_3"):
            peer.say("conversation.item.create", item={"id": name, "type": "message"})
        told = peer.recv()
        assert (told["ids"], told["said"], told["path"]) == (["item_2", "item_3"], 'no "item_1"', "C:\\")


def test_errors_that_name_a_command_and_frames_that_are_not_json_replay(tmp_path: Path) -> None:
    with RealtimeServer() as server, recorded_peer(server, tmp_path / "r.jsonl") as peer:
        refused(peer)
    recording = Recording.read(tmp_path / "r.jsonl")
    with replay_server(recording) as server, recorded_peer(server) as other:
        other.until("session.created")
        other.say("conversation.item.delete", item_id="none", event_id="another")
        assert other.until("error")["error"]["event_id"] == "another"


def test_a_client_that_does_otherwise_is_told_what_and_where(tmp_path: Path) -> None:
    made = Made(tmp_path / "r.jsonl").told("session.created", session=SESSION).wait(2.5).sent("response.create")
    with replay_server(made.done()) as server, recorded_peer(server) as peer:
        peer.until("session.created")
        peer.say("input_audio_buffer.commit")
        with pytest.raises(ConnectionError, match="1002"):
            peer.recv()
        (failure,) = failures(server)
    assert failure == (
        "at 2.500 s of the recording (message 2 of connection 1) the client sent response.create; "
        "this client sent input_audio_buffer.commit"
    )


def test_a_client_that_says_nothing_is_told_so(tmp_path: Path) -> None:
    made = Made(tmp_path / "r.jsonl").told("session.created", session=SESSION).sent("response.create")
    with replay_server(made.done(), timeout=0.1) as server, recorded_peer(server) as peer:
        peer.until("session.created")
        with pytest.raises(ConnectionError, match="1002"):
            peer.recv()
        (failure,) = failures(server)
    assert "response.create" in failure
    assert "sent nothing more (waited at most 0.1 s)" in failure


def test_the_recorded_pace_is_kept_and_begins_anew_with_each_message_of_the_client(tmp_path: Path) -> None:
    made = Made(tmp_path / "r.jsonl").told("first").wait(0.2).told("second").wait(0.1).sent("response.create")
    made.wait(0.4).told("third")
    with replay_server(made.done(), speed=2.0) as server, recorded_peer(server) as peer:
        assert peer.recv()["type"] == "first"
        begun = time.monotonic()
        assert peer.recv()["type"] == "second"
        time.sleep(0.15)  # longer than the recorded client took
        asked = time.monotonic()
        peer.say("response.create")
        assert peer.recv()["type"] == "third"
        assert time.monotonic() - asked >= 0.2
        assert asked - begun >= 0.15


def test_the_servers_close_is_replayed(tmp_path: Path) -> None:
    with RealtimeServer() as server, recorded_peer(server, tmp_path / "r.jsonl") as peer:
        peer.until("session.created")
        server.sessions[0].inject(faults.close(4001, "enough"))
        with pytest.raises(ConnectionError, match="4001 enough"):
            peer.recv()
    with replay_server(Recording.read(tmp_path / "r.jsonl")) as server, recorded_peer(server) as other:
        other.until("session.created")
        with pytest.raises(ConnectionError, match="4001 enough"):
            other.recv()


def test_a_connection_that_was_lost_is_lost_again(tmp_path: Path) -> None:
    made = Made(tmp_path / "r.jsonl").told("first").told("second")
    made.writer.disconnected(CloseInfo(1006, "", "lost"), at=made.at)
    made.writer.close()
    with replay_server(Recording.read(made.path)) as server, recorded_peer(server) as peer:
        assert [peer.recv()["type"] for _ in range(2)] == ["first", "second"]
        with pytest.raises(websocket.WebSocketConnectionClosedException):
            peer.recv()


def test_the_servers_close_keeps_the_pace_too(tmp_path: Path) -> None:
    made = Made(tmp_path / "r.jsonl").told("first").wait(0.6)
    made.writer.disconnected(CloseInfo(4001, "enough", "remote"), at=made.at)
    made.writer.close()
    begun = time.monotonic()
    with replay_server(Recording.read(made.path), speed=2.0) as server, recorded_peer(server) as peer:
        with pytest.raises(ConnectionError, match="4001 enough"):
            peer.until("never")
        assert time.monotonic() - begun >= 0.3


def test_several_connections_are_played_to_one_session_after_the_other(tmp_path: Path) -> None:
    made = Made(tmp_path / "r.jsonl").told("first")
    made.writer.disconnected(CloseInfo(1001, "bye", "remote"), at=made.at)
    made.writer.connected("wss://example.com", 2, at=made.at)
    with replay_server(made.told("second").done()) as server:
        for wire_type in ("first", "second", "first"):
            with recorded_peer(server) as peer:
                assert peer.recv()["type"] == wire_type


def test_a_binary_frame_is_replayed_as_one(tmp_path: Path) -> None:
    made = Made(tmp_path / "r.jsonl")
    made.writer.received(b"\0\1\2", at=made.at)
    with replay_server(made.done()) as server, recorded_peer(server) as peer:
        assert peer.ws.recv() == b"\0\1\2"


def test_a_speed_that_is_none_is_refused(tmp_path: Path) -> None:
    recording = Made(tmp_path / "r.jsonl").says(tone(0.1)).done()
    with pytest.raises(InvalidInputError, match="speed"):
        ReplayScript(recording, speed=0)


def test_what_is_replayed_is_on_the_servers_record(tmp_path: Path) -> None:
    made = Made(tmp_path / "r.jsonl").told("session.created", session=SESSION)
    with replay_server(made.done()) as server, recorded_peer(server) as peer:
        message: dict[str, Any] = peer.until("session.created")
        assert server.wait_for_session().wait_for_sent("session.created") == message
        assert json.loads(peer.received[0]) == message
