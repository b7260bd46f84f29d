"""Reading a recording: what was said comes back, and a damaged file goes as far as it goes."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from realtime_sync import ConversationUpdate, timeline
from realtime_sync.errors import CloseInfo, InvalidInputError
from realtime_sync.protocol.commands import InputAudioBufferAppendCommand, ResponseCreateCommand
from realtime_sync.recording import Recording, RecordingWriter
from tests.recording.made import SESSION, Made, spoken_conversation, tone


def test_updates_commands_and_the_conversation_come_back(tmp_path: Path) -> None:
    read = spoken_conversation(tmp_path / "r.jsonl", 3)
    kinds = [update.type for update in read.updates()]
    assert kinds.count("response.done") == 3
    assert all(isinstance(update, ConversationUpdate) and not update.oddities for update in read.updates())
    commands = list(read.commands())
    assert sum(isinstance(command, InputAudioBufferAppendCommand) for command in commands) > 30
    conversation = read.conversation()
    assert len(conversation.responses) == 3
    assert conversation.heard_ms("a2") == 900
    assert [turn.interrupted for turn in read.turns()] == [False, False, True]
    assert read.turns()[0].user_transcript == "What is the height of the tallest tree number 1?"


def test_commands_that_this_version_does_not_know_come_back_as_dicts(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path / "r.jsonl") as writer:
        for text in ('{"type":"response.create"}', '{"type":"from.the.future","x":1}', "not JSON", "[1]"):
            writer.sent(text)
    create, future, *others = Recording.read(tmp_path / "r.jsonl").commands()
    assert isinstance(create, ResponseCreateCommand)
    assert future == {"type": "from.the.future", "x": 1}
    assert others == [{"raw_content": "not JSON"}, {"raw_content": "[1]"}]


def test_connections_are_told_with_their_ends(tmp_path: Path) -> None:
    made = Made(tmp_path / "r.jsonl").told("session.created", session=SESSION).wait(2)
    made.writer.disconnected(CloseInfo(1006, "", "lost"), at=made.at)
    made.wait(1).writer.connected("wss://example.com/v1/realtime", 2, at=made.at)
    read = made.wait(1).told("session.created", session=SESSION).wait(1).done()
    first, second = read.connections
    assert (first.number, first.opened, first.closed, str(first.info)) == (1, 0.0, 2.0, "lost (1006)")
    assert (second.number, second.opened, second.closed, str(second.info)) == (2, 3.0, 5.0, "closed here (1000)")
    assert [entry.connection for entry in read.entries] == [1, 2]
    assert read.duration == 5.0


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_a_last_line_that_is_cut_off_is_left_out_and_told(tmp_path: Path, cut: int) -> None:
    made = Made(tmp_path / "r.jsonl")
    for _ in range(3):
        made.told("session.created", session=SESSION)
    made.writer.close()
    whole = (tmp_path / "r.jsonl").read_bytes()
    (tmp_path / "r.jsonl").write_bytes(whole[: -1 - cut])
    read = Recording.read(tmp_path / "r.jsonl")
    assert len(read.entries) == 2
    assert read.faults == ("line 5 is cut off, as by a crash, and was left out",)
    assert "cut off" in timeline.text(read)


def test_a_line_that_makes_no_sense_is_left_out_and_told(tmp_path: Path) -> None:
    Made(tmp_path / "r.jsonl").told("session.created", session=SESSION).done()
    first, *rest = (tmp_path / "r.jsonl").read_text("utf-8").splitlines()
    odd = ["nonsense", '{"t": 0.1, "dir": "in"}', '{"t": "x", "dir": "in", "text": ""}', "[]", '{"t": 1, "dir": "new"}']
    odd += ['{"t": 1e300, "dir": "in", "text": ""}', '{"t": NaN, "dir": "in", "text": ""}']
    odd += ['{"t": 1, "dir": "closed", "code": 1e999, "reason": "", "initiator": ""}']
    (tmp_path / "r.jsonl").write_text("\n".join([first, *odd, *rest, ""]), "utf-8")
    read = Recording.read(tmp_path / "r.jsonl")
    assert len(read.entries) == 1
    assert [fault.split(" cannot")[0] for fault in read.faults] == [f"line {n}" for n in (2, 3, 4, 5, 7, 8, 9)]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "not a recording"),
        ('{"t": 0}\n', "not a recording"),
        ("PNG\n", "not a recording"),
        ('{"recording": 99, "dialect": "ga", "audio": "keep"}\n', "version 99"),
        ('{"recording": 1, "dialect": "klingon", "audio": "keep"}\n', "cannot be understood"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "r.jsonl").write_text(text, "utf-8")
    with pytest.raises(InvalidInputError, match=told):
        Recording.read(tmp_path / "r.jsonl")


def test_updates_at_a_pace_come_no_earlier_than_they_came(tmp_path: Path) -> None:
    made = Made(tmp_path / "r.jsonl")
    for _ in range(3):
        made.told("session.created", session=SESSION).wait(1)
    begun = time.monotonic()
    assert len(list(made.done().updates(speed=10))) == 3
    assert time.monotonic() - begun >= 0.2


@pytest.mark.parametrize("speed", [0, -1, float("nan")])
def test_a_speed_that_is_none_is_refused(tmp_path: Path, speed: float) -> None:
    with pytest.raises(InvalidInputError, match="speed"):
        list(Made(tmp_path / "r.jsonl").done().updates(speed))


def test_a_recording_shows_itself_without_flooding_the_screen(tmp_path: Path) -> None:
    read = Made(tmp_path / "r.jsonl").says(tone(1)).done()
    assert len(repr(read)) < 1000
    assert len(repr(read.entries[0])) < 300
    assert json.loads(read.entries[0].text)["type"] == "input_audio_buffer.append"
