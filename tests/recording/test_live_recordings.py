"""Recordings of live sessions: they say whose messages they hold, and are read by those."""

from __future__ import annotations

import base64
import json
import wave
from pathlib import Path
from typing import Any

import pytest

from realtime_sync import (
    LiveSessionCommentaryAppendCommand,
    LiveSessionDelegationCreatedUpdate,
    LiveSessionInputAudioAppendCommand,
    LiveSessionOutputAudioDeltaUpdate,
    UnknownUpdate,
)
from realtime_sync.errors import InvalidInputError, UsageError
from realtime_sync.recording import Recording
from tests.recording.made import Made, spoken_conversation, tone
from tests.recording.made_live import SESSION, MadeLive, live_session

SAID = [
    ("user", "Where is my parcel? It should have been here by now."),
    ("assistant", "One moment please, I am looking."),
    ("assistant", "It is in Utrecht."),
]


def words(turns: list[Any]) -> list[tuple[str, str]]:
    return [(turn.speaker, turn.text) for turn in sorted(turns, key=lambda turn: turn.start_ms)]


@pytest.mark.parametrize("audio", ["keep", "elide", "beside"])
def test_it_is_read_by_the_vocabulary_of_live_sessions(tmp_path: Path, audio: Any) -> None:
    recording = live_session(tmp_path / "r.jsonl", audio=audio)

    assert recording.protocol == "live"
    assert recording.faults == ()
    updates = list(recording.updates())
    assert sum(isinstance(update, LiveSessionDelegationCreatedUpdate) for update in updates) == 1
    assert not any(isinstance(update, UnknownUpdate) for update in updates)
    commands = list(recording.commands())
    assert sum(isinstance(command, LiveSessionInputAudioAppendCommand) for command in commands) == 110
    assert sum(isinstance(command, LiveSessionCommentaryAppendCommand) for command in commands) == 1
    assert not any(isinstance(command, dict) for command in commands)
    pieces = [each.audio_bytes for each in updates if isinstance(each, LiveSessionOutputAudioDeltaUpdate)]
    assert all(piece is not None and len(piece) == 4800 for piece in pieces)


def test_its_turns_and_conversation_are_those_of_the_session(tmp_path: Path) -> None:
    recording = live_session(tmp_path / "r.jsonl")

    assert words(recording.live_turns()) == SAID
    assert words(recording.live_conversation().turns) == SAID
    first, _, last = recording.live_turns(keep_audio=True)
    assert first.audio is None
    assert last.audio
    assert 9.3 < last.started < 9.4  # seconds since the recording began
    assert "It is in Utrecht." in recording._repr_html_()


def test_a_recording_says_which_kind_of_turns_it_has(tmp_path: Path) -> None:
    live, other = live_session(tmp_path / "live.jsonl"), spoken_conversation(tmp_path / "other.jsonl", 1)

    with pytest.raises(UsageError, match=r"the recording of a live session, which has live_conversation\(\)"):
        live.turns()
    with pytest.raises(UsageError, match="a live session"):
        live.conversation()
    with pytest.raises(UsageError, match=r"a conversation session, which has conversation\(\) and turns\(\)"):
        other.live_turns()
    with pytest.raises(UsageError, match="a conversation session"):
        other.live_conversation()


def test_an_older_version_of_this_library_is_told_that_it_cannot_read_it(tmp_path: Path) -> None:
    live_session(tmp_path / "live.jsonl")
    spoken_conversation(tmp_path / "other.jsonl", 1)

    header, other = (
        json.loads((tmp_path / name).read_text().splitlines()[0]) for name in ("live.jsonl", "other.jsonl")
    )

    assert (header["recording"], header["protocol"]) == (2, "live")
    assert (other["recording"], "protocol" in other) == (1, False)


def test_a_recording_of_a_protocol_that_is_not_known_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    Made(path).done()
    path.write_text(path.read_text().replace('"dialect"', '"protocol": "morse", "dialect"'))

    with pytest.raises(InvalidInputError, match="header cannot be understood"):
        Recording.read(path)


def test_the_format_of_a_live_session_is_that_of_the_files_beside_it(tmp_path: Path) -> None:
    made = MadeLive(tmp_path / "r.jsonl", audio="beside")
    told = {**SESSION, "audio": {"format": {"type": "audio/pcm", "rate": 16000}}}
    made.told(0.5, "session.started", session=told).says("user", 1.2, "Hello.").tracks(2.0).done()

    for side in ("user", "model"):
        header = (tmp_path / f"r.jsonl.{side}.wav").read_bytes()[:28]
        assert int.from_bytes(header[24:28], "little") == 16000


def test_a_clip_is_in_no_file_beside_because_it_is_the_sound_of_neither_side(tmp_path: Path) -> None:
    kept, beside = (MadeLive(tmp_path / f"{mode}.jsonl", audio=mode) for mode in ("keep", "beside"))
    clip = base64.b64encode(tone(0.5)).decode()
    read = []
    for made in (kept, beside):
        made.told(0.5, "session.started", session=SESSION).sent(1.1, "session.output_audio.fixture.play", audio=clip)
        read.append(made.tracks(2.0).done())

    assert read[0].entries == read[1].entries
    for side in ("user", "model"):
        with wave.open(str(tmp_path / f"beside.jsonl.{side}.wav")) as file:
            assert file.getnframes() == 24_000
