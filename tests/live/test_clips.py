"""Muting, and clips that the service plays: one at a time, thirty seconds at most, nothing appended meanwhile."""

from __future__ import annotations

import base64
import time

import pytest

from realtime_sync import (
    AudioFormatError,
    ClockStoppedError,
    ConnectionClosedError,
    InvalidInputError,
    LiveSessionOptions,
    ServerError,
    UsageError,
    WaitTimeoutError,
)
from realtime_sync.audio import Samples
from tests.live.harness import LiveHouse, Running, until

pytestmark = pytest.mark.medium

CLIP = b"\x10\x27" * 24 * 500  # half a second


def test_a_muted_session_hears_nothing_and_an_unmuted_one_does(plain: LiveHouse) -> None:
    session = plain.start()
    assert session.mute_input().wait().type == "session.input_audio.muted"
    assert plain.twin.ears.muted
    assert session.unmute_input().wait().type == "session.input_audio.unmuted"
    assert not plain.twin.ears.muted


@pytest.mark.parametrize("told", ["audio/pcm", "audio/pcmu"])
def test_a_clip_is_played_to_its_end_whatever_the_sessions_format_is(plain: LiveHouse, told: str) -> None:
    session = plain.start(LiveSessionOptions(audio_format=told))
    clip = session.play_clip(CLIP)
    assert clip.wait().type == "session.output_audio.fixture.playing"
    began = time.monotonic()
    assert clip.playing
    assert not clip.played
    clip.wait_until_played()
    assert clip.played
    assert not clip.playing
    assert time.monotonic() - began >= 0.3
    assert clip.seconds == 0.5
    (sent,) = (each for each in plain.twin.received if each["type"] == "session.output_audio.fixture.play")
    assert base64.b64decode(sent["audio"]) == CLIP


def test_while_a_clip_plays_nothing_is_appended_and_no_other_is_played(plain: LiveHouse) -> None:
    session = plain.start()
    clip = session.play_clip(CLIP)
    for append in (session.append_commentary, session.append_thinking, session.append_instructions):
        with pytest.raises(UsageError, match="wait_until_played"):
            append("Hello.")
    with pytest.raises(UsageError, match="another"):
        session.play_clip(CLIP)
    clip.wait_until_played()
    session.append_commentary("Hello.").wait()
    session.play_clip(CLIP).wait_until_played()


def test_a_clip_lasts_thirty_seconds_at_most_and_has_a_sound(plain: LiveHouse) -> None:
    session = plain.start()
    with pytest.raises(InvalidInputError, match="30 s at most"):
        session.play_clip(bytes(48_000 * 30 + 2))
    with pytest.raises(AudioFormatError):
        session.play_clip(b"")
    with pytest.raises(FileNotFoundError):
        session.play_clip("no-such-file.wav")
    session.append_commentary("Nothing plays.").wait()


def test_a_clip_that_is_refused_ends_at_once(plain: LiveHouse) -> None:
    session = plain.start()
    plain.twin.fixture.is_playing = True  # by a sideband, say
    clip = session.play_clip(CLIP)
    with pytest.raises(ServerError):
        clip.wait_until_played()
    with pytest.raises(ServerError):
        clip.wait()
    assert not clip.playing
    plain.twin.fixture.is_playing = False
    session.append_commentary("Hello.").wait()


def test_a_clip_that_was_cut_short_is_no_end_of_the_world(plain: LiveHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realtime_sync.live.handles._LATE_SECONDS", 0.1)
    session = plain.start()
    monkeypatch.setattr(plain.twin.fixture, "_played", lambda event_id: None)
    clip = session.play_clip(CLIP)
    with pytest.raises(WaitTimeoutError, match="cut short"):
        clip.wait_until_played(0.4)
    until(lambda: not clip.playing)
    assert not clip.played
    plain.twin.fixture.is_playing = False
    session.append_commentary("Hello.").wait()


def test_nobody_waits_for_a_clip_whose_clock_stands_or_whose_connection_has_ended(plain: LiveHouse) -> None:
    clip = plain.start(keep_clock=False).play_clip(CLIP)
    with pytest.raises(ClockStoppedError):
        clip.wait_until_played()
    clip = plain.start().play_clip(CLIP * 8)
    clip.wait()
    waiting = Running(clip.wait_until_played)
    plain.twin.drop(1011)
    assert isinstance(waiting.join(), ConnectionClosedError)


def test_arrays_are_clips_too(plain: LiveHouse) -> None:
    np = pytest.importorskip("numpy")
    clip = plain.start(LiveSessionOptions(audio_format="audio/pcmu")).play_clip(Samples(np.full(4800, 0.3), 48_000))
    assert clip.seconds == pytest.approx(0.1)
    clip.wait_until_played()
