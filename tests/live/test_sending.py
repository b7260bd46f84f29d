"""Audio of a live session: at real time whatever its source is, in the session's format, one stream at a time."""

from __future__ import annotations

import base64
import io
import itertools
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from realtime_sync import (
    AudioFormat,
    AudioFormatError,
    AudioSendInProgressError,
    ConnectionClosedError,
    InvalidInputError,
    LiveSessionInputAudioAppendCommand,
    LiveSessionOptions,
    SessionNotOpenError,
)
from realtime_sync.audio import ALAW, MULAW, PCM, SampleFormat, Samples
from realtime_sync.audio.wav import WavWriter
from realtime_sync.server import TwinSession
from tests.live.harness import LiveHouse, Running, until, within

pytestmark = pytest.mark.medium

# What may be ahead of real time (``live/pace.py``), and what a busy machine may be late.
AHEAD_SECONDS = 0.1 + 0.2 + 0.1
LATE_SECONDS = 0.4
TONE = b"\x10\x27" * 24  # a millisecond


def pieces(twin: TwinSession) -> list[bytes]:
    """The samples that the twin was sent, message by message."""
    sent = (each["audio"] for each in twin.received if each["type"] == "session.input_audio.append")
    return list(map(base64.b64decode, sent))


def heard(twin: TwinSession) -> bytes:
    """All the samples that the twin was sent, in order."""
    return b"".join(pieces(twin))


def words(twin: TwinSession, format: SampleFormat = PCM) -> bytes:
    """The samples that are not silence."""
    size, silence = format.sample_bytes, format.silence_sample
    told = heard(twin)
    return b"".join(told[at : at + size] for at in range(0, len(told), size) if told[at : at + size] != silence)


def test_a_recording_takes_as_long_as_it_lasts_and_arrives_whole(house: LiveHouse) -> None:
    session = house.start()
    began = time.monotonic()
    with within(1.0 + LATE_SECONDS):
        session.send_audio(TONE * 1000)
    assert time.monotonic() - began >= 1.0 - AHEAD_SECONDS
    until(lambda: words(house.twin) == TONE * 1000)


def test_the_timeline_goes_with_real_time_while_audio_is_sent(plain: LiveHouse) -> None:
    session = plain.start(keep_clock=False)
    sending = session.start_sending_audio(TONE * 3000)
    until(lambda: plain.twin.timeline_ms > 0)
    began, first = time.monotonic(), plain.twin.timeline_ms
    left = 3.0 - first / 1000
    with within(left + AHEAD_SECONDS):
        sending.wait(10)
    assert time.monotonic() - began >= left - AHEAD_SECONDS


def test_a_writer_holds_up_who_pushes_faster_than_real_time(plain: LiveHouse) -> None:
    session = plain.start(keep_clock=False)
    began = time.monotonic()
    with within(1.0 + LATE_SECONDS), session.audio_writer() as writer:
        writer.write(TONE * 500)  # one piece, however long
        for _ in range(25):
            writer.write(TONE * 20)
    assert time.monotonic() - began >= 1.0 - AHEAD_SECONDS
    until(lambda: heard(plain.twin) == TONE * 1000)
    assert max(map(len, pieces(plain.twin))) == len(TONE) * 100


def test_after_a_stall_of_the_source_nothing_bursts(plain: LiveHouse) -> None:
    def source() -> Iterator[bytes]:
        yield TONE * 200
        pause.wait(1.0)
        yield TONE * 1000

    pause = threading.Event()
    session = plain.start()
    arrivals: list[tuple[float, int]] = []
    began = time.monotonic()
    sending = session.start_sending_audio(source())
    while not sending.done:
        arrivals.append((time.monotonic(), len(heard(plain.twin))))
        sending._finished.wait(0.01)
    assert time.monotonic() - began >= 2.2 - AHEAD_SECONDS
    for (one, before), (other, after) in itertools.combinations(arrivals, 2):
        assert PCM.seconds(after - before) <= other - one + AHEAD_SECONDS + LATE_SECONDS / 2


def test_one_stream_at_a_time_and_the_first_goes_on(plain: LiveHouse) -> None:
    session = plain.start()
    first = session.start_sending_audio(TONE * 300)
    with pytest.raises(AudioSendInProgressError):
        session.send_audio(TONE)
    with pytest.raises(AudioSendInProgressError), session.audio_writer():
        pass
    assert first.wait(5) == len(TONE) * 300
    session.send_audio(TONE)
    until(lambda: words(plain.twin) == TONE * 301)


def test_a_cancelled_sender_sends_no_further_piece(plain: LiveHouse) -> None:
    session = plain.start()
    sending = session.start_sending_audio(TONE * 60_000)
    until(lambda: sending.bytes_sent)
    sending.cancel()
    assert sending.wait(5) < len(TONE) * 1000
    session.send_audio(TONE)


@pytest.mark.parametrize(
    ("told", "format"),
    [("g711_ulaw", MULAW), ("g711_alaw", ALAW), (AudioFormat(type="audio/pcm", rate=16000), None)],
    ids=["µ-law", "A-law", "16 kHz"],
)
def test_files_and_arrays_are_converted_to_the_sessions_format(
    plain: LiveHouse, told: Any, format: SampleFormat | None
) -> None:
    session = plain.start(LiveSessionOptions(audio_format=told), keep_clock=False)
    wanted = format or SampleFormat.of(told)
    assert session.sample_format == wanted
    file = io.BytesIO()
    with WavWriter(file, PCM) as wav:
        wav.write(TONE * 200)
    session.send_audio(file.getvalue())
    session.send_audio(Samples(np.full(9600, 0.3), 48_000))
    until(lambda: len(heard(plain.twin)) == wanted.bytes_for(0.4))


def test_telephone_audio_is_followed_by_telephone_silence(plain: LiveHouse) -> None:
    for told, format in (("audio/pcmu", MULAW), ("audio/pcma", ALAW)):
        plain.start(LiveSessionOptions(audio_format=told))
        until(lambda: len(heard(plain.twin)) >= 1600)
        assert heard(plain.twin) == format.silence_sample * len(heard(plain.twin))


def test_what_makes_no_sense_is_told_at_the_call_and_leaves_the_right_to_send(plain: LiveHouse) -> None:
    session = plain.start()
    for send in (session.send_audio, session.start_sending_audio):
        with pytest.raises(FileNotFoundError):
            send("no-such-file.wav")
        with pytest.raises(InvalidInputError):
            send(bytes(480), progress="bar")  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="pace"):
            send(bytes(480), pace=2.0)  # type: ignore[call-arg]
    with pytest.raises(AudioFormatError):
        session.send_audio(b"\1\2\3")
    session.send_audio(TONE)


def test_progress_is_told_in_seconds(plain: LiveHouse) -> None:
    told: list[tuple[float, float | None]] = []
    plain.start().send_audio(TONE * 250, progress=lambda *now: told.append(now))
    assert told == [(0.1, 0.25), (0.2, 0.25), (0.25, 0.25)]


def test_a_sender_ends_with_its_session(plain: LiveHouse) -> None:
    session = plain.start()
    sending = session.start_sending_audio(TONE * 60_000)
    writing = Running(lambda: plain.start().send_audio(TONE * 60_000))
    until(lambda: len(plain.server.live_sessions) == 2 and sending.bytes_sent)
    session.close()
    sending.wait(5)
    assert sending.cancelled
    with pytest.raises(SessionNotOpenError):
        session.send_audio(TONE)
    until(lambda: len(heard(plain.twin)) > 0)
    plain.twin.drop(1011)
    assert isinstance(writing.join(), ConnectionClosedError)


def test_audio_sent_by_hand_is_reckoned_with_so_that_it_is_no_gap(plain: LiveHouse) -> None:
    session, began = plain.start(), time.monotonic()
    piece = base64.b64encode(TONE * 500).decode()
    session.send_message(LiveSessionInputAudioAppendCommand(audio=piece))
    session.send_message({"type": "session.input_audio.append", "audio": piece})
    session.send_message(f'{{"type": "session.input_audio.append", "audio": "{piece}"}}')
    until(lambda: TONE * 1500 + bytes(960) in heard(plain.twin))
    assert time.monotonic() - began >= 1.5 + 0.3 - 0.05


def test_a_sender_that_waits_behind_audio_sent_by_hand_ends_with_its_session_too(plain: LiveHouse) -> None:
    session = plain.start()
    session.send_message({"type": "session.input_audio.append", "audio": base64.b64encode(bytes(48_000 * 30)).decode()})
    with within(10):
        sending = Running(lambda: session.send_audio(TONE))
        until(lambda: bool(session._audio._claim))
        session.close()
        assert isinstance(sending.join(), SessionNotOpenError)
