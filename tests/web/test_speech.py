"""Spoken answers as WAV files, without any framework: what is heard, what fails, and who goes away."""

from __future__ import annotations

import io
import threading
import wave
from collections.abc import Iterator
from typing import Any

import pytest

from realtime_sync import ConversationSessionOptions, InvalidInputError, ResponseFailedError, WaitTimeoutError
from realtime_sync.server import Reply, Turn
from realtime_sync.web.speech import wav_stream
from tests.core.answers import received
from tests.core.harness import House

SOUND = b"\1\0\2\0" * 24_000


def test_a_spoken_answer_is_a_wav_file_with_its_samples(plain: House) -> None:
    plain.serve(responder=lambda turn: Reply("Good morning.", audio=SOUND))
    with plain.open() as session:
        whole = b"".join(wav_stream(session.respond("Hello")))
    with wave.open(io.BytesIO(whole)) as sound:
        assert (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) == (24_000, 1, 2)
    assert whole[44:] == SOUND


def test_the_header_says_the_format_of_the_session(plain: House) -> None:
    plain.serve(responder=lambda turn: "Good morning.")
    with plain.open(start={"options": ConversationSessionOptions(output_audio_format="audio/pcmu")}) as session:
        whole = b"".join(wav_stream(session.respond("Hello")))
    assert whole[20:22] == b"\7\0"  # mu-law
    assert whole[24:28] == (8_000).to_bytes(4, "little")


def test_it_begins_before_the_answer_is_finished(plain: House) -> None:
    finish = threading.Event()

    def slowly(turn: Turn) -> Iterator[str]:
        yield "Good morning. "
        finish.wait(10)
        yield "Good night."

    plain.serve(responder=slowly)
    with plain.open() as session:
        response = session.respond("Hello")
        stream = wav_stream(response)
        assert next(stream).startswith(b"RIFF")
        assert next(stream)
        assert not response.done
        finish.set()
        assert list(stream)
        assert response.done


def test_who_goes_away_cancels_the_answer_and_closes_the_session(plain: House) -> None:
    def endless(turn: Turn) -> Iterator[str]:
        while not turn.cancelled.wait(0.01):
            yield "more "

    plain.serve(responder=endless)
    session = plain.open()
    stream = wav_stream(session.respond("Hello"), then_close=session)
    assert next(stream)
    stream.close()
    stream.close()
    assert session.closed
    plain.live.wait_until_closed()
    assert len(received(plain.live, "response.cancel")) == 1


def test_a_failure_ends_the_stream_with_its_error_and_closes_the_session(plain: House) -> None:
    def failing(turn: Turn) -> Iterator[str]:
        yield "Good "
        raise ValueError("out of order")

    plain.serve(responder=failing)
    session = plain.open()
    with pytest.raises(ResponseFailedError):
        list(wav_stream(session.respond("Hello"), then_close=session))
    assert session.closed


def test_a_silence_that_is_too_long_ends_it(plain: House) -> None:
    plain.serve(responder=lambda turn: Reply("late", delay=20))
    session = plain.open()
    with pytest.raises(WaitTimeoutError):
        list(wav_stream(session.respond("Hello"), timeout=0.1, then_close=session))
    assert session.closed
    assert len(received(plain.live, "response.cancel")) == 1


@pytest.mark.parametrize("timeout", [0, -1, "30", float("nan")])
def test_what_is_no_number_of_seconds_is_refused(plain: House, timeout: Any) -> None:
    with plain.open() as session, session.respond("Hello") as response:
        with pytest.raises(InvalidInputError, match="timeout must be a number of seconds"):
            wav_stream(response, timeout=timeout)
        response.wait(10)
