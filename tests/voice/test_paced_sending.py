"""Audio of any kind, at the speed of speech, through a session."""

from __future__ import annotations

import base64
import io
import time

import numpy as np
import pytest
import soundfile

from realtime_sync import AudioSendInProgressError, ConnectionClosedError, InvalidInputError, SessionNotOpenError
from realtime_sync.audio import Samples
from realtime_sync.server import Script
from tests.core.answers import received
from tests.core.harness import House, Running, until


def arrived(house: House) -> bytes:
    return b"".join(base64.b64decode(each["audio"]) for each in received(house.live, "input_audio_buffer.append"))


def test_audio_arrives_at_the_pace_with_silence_behind_it_and_is_reported(plain: House) -> None:
    plain.serve(responder=Script([]))
    session, told = plain.open(), []
    started = time.monotonic()
    session.send_audio(b"\1\1" * 24_000, pace=4.0, trailing_silence_ms=200, progress=lambda *now: told.append(now))
    assert time.monotonic() - started >= 0.3
    until(lambda: arrived(plain) == b"\1\1" * 24_000 + bytes(9600))
    assert told[-1] == (1.2, 1.2)


def test_a_cancelled_sender_does_not_wait_for_its_next_chunk(plain: House) -> None:
    session = plain.open()
    sending = session.start_sending_audio(bytes(2 * 480_000), chunk_ms=10_000, pace=0.01)
    until(lambda: sending.bytes_sent)
    sending.cancel()
    assert sending.wait(20) == 480_000
    session.send_audio(bytes(480))


def test_files_and_arrays_are_converted_on_their_way(plain: House) -> None:
    plain.serve(responder=Script([]))
    session, file = plain.open(), io.BytesIO()
    soundfile.write(file, np.zeros((48_000, 2)), 48_000, format="FLAC")
    session.send_audio(file.getvalue())
    until(lambda: len(arrived(plain)) >= 48_000, message="a second of sound did not arrive")
    assert arrived(plain) == bytes(48_000)
    session.start_sending_audio(Samples(np.zeros(8000), 8000)).wait(10)
    until(lambda: arrived(plain) == bytes(96_000))


def test_what_makes_no_sense_is_told_at_the_call_and_leaves_the_right_to_send(plain: House) -> None:
    session = plain.open()
    for wrong in ({"pace": 0}, {"trailing_silence_ms": -1}, {"progress": "bar"}):
        for send in (session.send_audio, session.start_sending_audio):
            with pytest.raises(InvalidInputError):
                send(bytes(480), **wrong)
    first = Running(lambda: session.send_audio(bytes(4_800_000), pace=1.0))
    until(lambda: arrived(plain))
    with pytest.raises(AudioSendInProgressError):
        session.send_audio(bytes(480), pace=1.0)
    session.close()
    assert isinstance(first.join(), SessionNotOpenError | ConnectionClosedError)
