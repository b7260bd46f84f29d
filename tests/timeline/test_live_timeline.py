"""The timeline of a live session: who spoke when, also at once, what was delegated, and how it sounds."""

from __future__ import annotations

import itertools
import json
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from realtime_sync import timeline
from realtime_sync.cli import main
from realtime_sync.conversation.live.turns import LiveTurn
from realtime_sync.timeline.live_events import live_events, overlap_seconds
from realtime_sync.timeline.tracks import RATE, Tracks
from tests.recording.made_live import SESSION, MadeLive, live_session
from tests.timeline.test_timeline import drawn, overlapping_texts

pytestmark = pytest.mark.medium


def test_the_table_has_a_line_for_each_turn_and_for_what_happened_between(tmp_path: Path) -> None:
    lines = timeline.text(live_session(tmp_path / "r.jsonl")).splitlines()

    assert "3 turns" in lines[0]
    assert "12 s used, context 1.2% full" in lines[0]
    rows = [" ".join(line.split()) for line in lines[4:]]
    assert rows == [
        "0:01.95 0:04.15 800 ms user Where is my parcel? It should have been here by now.",
        "0:03.35 0:04.55 800 ms assistant One moment please, I am looking.",
        "0:05.10 delegation item_1 to client (first result after 2.90 s)",
        "0:08.00 commentary It is in Utrecht. (acknowledged after 750 ms)",
        "0:08.55 0:09.35 assistant It is in Utrecht.",
        "0:11.50 thinking The caller is in a hurry. (not acknowledged)",
        "0:12.20 error context_injection_incomplete: It was too late.",
        "0:12.90 closed close_requested",
    ]


def test_the_table_fits_into_a_width(tmp_path: Path) -> None:
    recording = live_session(tmp_path / "r.jsonl")

    cut = timeline.text(recording, width=70).splitlines()[1:]
    narrow = timeline.text(recording, width=30).splitlines()[1:]

    assert max(map(len, cut)) <= 70
    assert any(line.endswith("...") for line in cut)
    assert max(map(len, narrow)) <= 30


def test_work_of_a_backend_is_told_with_its_calls(tmp_path: Path) -> None:
    made = MadeLive(tmp_path / "r.jsonl").told(0.6, "session.started", session=SESSION)
    made.told(2.0, "session.delegation.created", offset_ms=900, delegation={"id": "d", "target": "responses"})
    call = {"type": "function_call", "status": "completed", "name": "weather", "arguments": '{"city": "Delft"}'}
    for at, event in (
        (2.5, {"type": "response.output_item.done", "item": {"type": "reasoning"}}),
        (2.6, {"type": "response.output_item.done", "item": call}),
        (4.5, {"type": "response.output_text.done", "text": "Rain."}),
    ):
        made.told(at, "response.event", delegation_id="d", event=event)
    made.sent(5.0, "session.input_audio.mute").sent(6.0, "session.input_audio.unmute")
    recording = made.told(7.0, "session.delegation.created", offset_ms=1, delegation={"id": "e", "target": "x"}).done()

    told = [(event.kind, event.words, event.seconds) for event in live_events(recording, [])]

    assert told == [
        ("delegation", "d to responses", 2.5),
        ("function call", 'weather({"city": "Delft"})', None),
        ("mute", "", None),
        ("unmute", "", None),
        ("delegation", "e to x", None),
    ]
    assert "e to x (no result)" in timeline.text(recording)


def test_turns_of_two_timelines_do_not_overlap() -> None:
    def turn(speaker: Any, number: int) -> LiveTurn:
        return LiveTurn(speaker=speaker, text="x", start_ms=0, end_ms=500, reason="gap", timeline=number)

    turns = [turn("user", 1), turn("assistant", 1), turn("assistant", 2), turn("user", 1)]

    assert [overlap_seconds(each, turns) for each in turns] == [0.5, 1.0, 0, 0.5]


def test_an_acknowledgement_without_a_command_changes_nothing(tmp_path: Path) -> None:
    made = MadeLive(tmp_path / "r.jsonl")

    recording = made.told(1.0, "session.commentary.appended", start_ms=1, end_ms=2).done()

    assert live_events(recording, []) == []


# The command line -----------------------------------------------------------------------------------------------------


def test_the_command_prints_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    live_session(tmp_path / "r.jsonl")

    assert main(["timeline", str(tmp_path / "r.jsonl")]) == 0

    assert "One moment please, I am looking." in capsys.readouterr().out


def test_the_command_prints_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    live_session(tmp_path / "r.jsonl")

    assert main(["timeline", str(tmp_path / "r.jsonl"), "--json"]) == 0

    told = json.loads(capsys.readouterr().out)
    assert [(turn["speaker"], turn["start"], turn["end"]) for turn in told["turns"]] == [
        ("user", 1.0, 3.2),
        ("assistant", 2.4, 3.6),
        ("assistant", 7.6, 8.4),
    ]
    assert told["events"][0] == {"began": 5.1, "kind": "delegation", "words": "item_1 to client", "seconds": 2.9}
    assert told["usage"] == {"seconds": 12.0, "context_ratio": 0.0125}


def test_the_command_prints_the_messages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    live_session(tmp_path / "r.jsonl")

    assert main(["replay", str(tmp_path / "r.jsonl"), "--print", "--fast"]) == 0

    assert "session.delegation.created" in capsys.readouterr().out


# Sound ----------------------------------------------------------------------------------------------------------------


def loud(samples: np.ndarray[tuple[int], np.dtype[np.int16]]) -> list[tuple[float, float]]:
    """From when to when there is sound, in seconds, with pauses of 50 ms and more."""
    places = np.flatnonzero(np.abs(samples.astype(int)) > 500)
    cuts = np.flatnonzero(np.diff(places) > RATE // 20)
    starts, ends = [places[0], *places[cuts + 1]], [*places[cuts], places[-1]]
    return [(float(start) / RATE, float(end) / RATE) for start, end in zip(starts, ends, strict=True)]


def test_in_stereo_each_side_stands_where_it_was_said(tmp_path: Path) -> None:
    timeline.save_stereo(live_session(tmp_path / "r.jsonl"), tmp_path / "r.wav")

    with wave.open(str(tmp_path / "r.wav")) as wav:
        both = np.frombuffer(wav.readframes(wav.getnframes()), "<i2")
        assert wav.getnframes() / RATE == pytest.approx(12.9, abs=0.01)
    [(start, end)] = loud(both[0::2])
    assert (start, end) == (pytest.approx(2.0, abs=0.02), pytest.approx(4.2, abs=0.02))
    first, second = loud(both[1::2])
    assert first == (pytest.approx(3.4, abs=0.02), pytest.approx(4.6, abs=0.02))  # while the user speaks
    assert second == (pytest.approx(8.6, abs=0.02), pytest.approx(9.4, abs=0.02))


def test_filler_is_sent_too_and_small_jitter_is_no_gap(tmp_path: Path) -> None:
    made = MadeLive(tmp_path / "r.jsonl").told(0.6, "session.started", session=SESSION).tracks(4.0)
    frames = sorted(made.frames)
    made.frames = [(at + 0.03 * (index % 3), *rest) for index, (at, *rest) in enumerate(frames)]  # type: ignore[misc]

    tracks = Tracks.of(made.done())

    for track in (tracks.user, tracks.model):
        assert len(track) == 30
        assert all(before.end == piece.start for before, piece in itertools.pairwise(track))


def test_where_the_track_stood_there_is_silence(tmp_path: Path) -> None:
    made = MadeLive(tmp_path / "r.jsonl").told(0.6, "session.started", session=SESSION).tracks(3.0)
    later = [(at + 5.0, *rest) for at, *rest in made.frames if at >= 1.0]
    made.frames += later  # type: ignore[arg-type]

    tracks = Tracks.of(made.done())

    gaps = [b.start - a.end for a, b in itertools.pairwise(tracks.model) if b.start != a.end]
    assert [gap / RATE for gap in gaps] == [pytest.approx(3.0, abs=0.11)]


# The picture ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [6, 14])
def test_the_picture_shows_both_sides_at_once_and_what_was_delegated(tmp_path: Path, width: float) -> None:
    figure = drawn(live_session(tmp_path / "r.jsonl"), width)

    named = {text.get_text() for text in figure.legends[0].get_texts()}
    assert {
        "audio sent",
        "user speech, as the service heard it",
        "model speech, as the service told it",
        "delegation",
        "delegated work, to its first result",
        "append, until it was acknowledged",
        "commentary",
        "error",
    } <= named
    assert overlapping_texts(figure) == []
    shown = " ".join(text.get_text() for axes in figure.axes for text in axes.texts)
    assert "Where is my" in shown
    assert "2 One" in shown


@pytest.mark.parametrize(("suffix", "begin"), [(".png", b"\x89PNG"), (".svg", b"<?xml")])
def test_the_picture_is_written(tmp_path: Path, suffix: str, begin: bytes) -> None:
    pytest.importorskip("matplotlib", reason="needs the extra plot")
    target = tmp_path / f"r{suffix}"

    timeline.save_picture(live_session(tmp_path / "r.jsonl"), target)

    assert target.read_bytes().startswith(begin)


def test_a_notebook_shows_picture_table_and_sound(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs the extra plot")
    view = timeline.view(live_session(tmp_path / "r.jsonl"))

    page = view._repr_html_()

    assert "data:image/png" in page
    assert "<td>One moment please, I am looking.</td>" in page
    assert "data:audio/wav" in page
    assert "3 turns" in repr(view)
