"""Audio on its way to the server: every kind of source, on sample boundaries, one stream at a time, never committed."""

from __future__ import annotations

import base64
import io
import pathlib
import queue
import random
import threading
import time
import wave
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Callable

import pytest

from realtime_sync import (
    AudioFormatError,
    AudioSendInProgressError,
    ConnectionClosedError,
    ConnectionLostError,
    ConversationSessionOptions,
    InvalidInputError,
    ServerError,
    TurnDetectionOptions,
    UsageError,
    WaitTimeoutError,
)
from realtime_sync.audio.formats import PCM
from realtime_sync.core.commands import CommandHandle
from realtime_sync.interrupts import Flag
from realtime_sync.server import Script, expect, faults
from realtime_sync.voice.sending import AudioClaim, AudioSend, UncommittedAudio
from tests.core.harness import House, Running, until, within

SAMPLES = random.Random(7).randbytes(2 * 24_000 + 2 * 77)  # a second and 77 samples
MANUAL = ConversationSessionOptions(turn_detection_options=TurnDetectionOptions.disabled())


def wav(samples: bytes, rate: int = 24_000, width: int = 2, channels: int = 1) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setframerate(rate)
        writer.setsampwidth(width)
        writer.setnchannels(channels)
        writer.writeframes(samples)
    return file.getvalue()


def pieces(samples: bytes) -> Iterator[bytes]:
    """Odd ones, and empty ones."""
    numbers = random.Random(3)
    while samples:
        count = numbers.choice([0, 1, 3, 777, 5001])
        yield samples[:count]
        samples = samples[count:]


def received(house: House, session: Any) -> list[bytes]:
    """What the server was sent so far, frame by frame."""
    mark = f"all_{time.monotonic_ns()}"
    session.send_message({"type": mark})
    house.live.wait_for_message(mark)
    return [
        base64.b64decode(message["audio"], validate=True)
        for message in house.live.received
        if message["type"] == "input_audio_buffer.append"
    ]


SOURCES: dict[str, Callable[[pathlib.Path], Any]] = {
    "bytes": lambda path: SAMPLES,
    "bytearray": lambda path: bytearray(SAMPLES),
    "memoryview": lambda path: memoryview(SAMPLES),
    "WAV bytes": lambda path: wav(SAMPLES),
    "file": lambda path: io.BytesIO(SAMPLES),
    "WAV file": lambda path: io.BytesIO(wav(SAMPLES)),
    "path": lambda path: path / "bare.pcm",
    "str path": lambda path: str(path / "bare.pcm"),
    "WAV path": lambda path: path / "a.wav",
    "list": lambda path: list(pieces(SAMPLES)),
    "generator": lambda path: pieces(SAMPLES),
    "WAV pieces": lambda path: pieces(wav(SAMPLES)),
}


@pytest.fixture
def files(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "bare.pcm").write_bytes(SAMPLES)
    (tmp_path / "a.wav").write_bytes(wav(SAMPLES))
    return tmp_path


@pytest.mark.parametrize("source", SOURCES)
def test_the_server_receives_the_samples_exactly(house: House, files: pathlib.Path, source: str) -> None:
    house.serve(responder=Script([]))
    session = house.open()
    session.send_audio(SOURCES[source](files))
    chunks = received(house, session)
    assert b"".join(chunks) == SAMPLES
    assert {len(chunk) for chunk in chunks[:-1]} == {4800}
    assert all(len(chunk) % 2 == 0 for chunk in chunks)


class CountingSocket:
    """A socket that counts its writes."""

    def __init__(self, sock: Any) -> None:
        self.fileno, self.recv, self.close, self._sock = sock.fileno, sock.recv, sock.close, sock
        self.writes = 0

    def send(self, data: Any) -> Any:
        self.writes += 1
        return self._sock.send(data)


def test_a_source_that_is_there_needs_fewer_writes_than_messages(house: House) -> None:
    house.serve(responder=Script([]))
    session = house.open()
    duplex: Any = session._engine.connection.transport._duplex  # type: ignore[attr-defined]
    duplex._socket = sock = CountingSocket(duplex._socket)
    session.send_audio(SAMPLES)
    assert sock.writes < 8
    assert [len(chunk) for chunk in received(house, session)] == [4800] * 10 + [154]


def test_a_file_is_left_open_and_read_from_where_it_stands(plain: House) -> None:
    plain.serve(responder=Script([]))
    session = plain.open()
    file = io.BytesIO(b"header" + SAMPLES)
    file.seek(6)
    session.send_audio(file)
    assert not file.closed
    assert b"".join(received(plain, session)) == SAMPLES


@pytest.mark.parametrize(("chunk_ms", "size"), [(20, 960), (1, 48), (1000, 48_000), (33.3, 1598)])
def test_chunks_last_as_long_as_asked_for_in_whole_samples(plain: House, chunk_ms: float, size: int) -> None:
    plain.serve(responder=Script([]))
    session = plain.open()
    session.send_audio(SAMPLES, chunk_ms=chunk_ms)
    assert {len(chunk) for chunk in received(plain, session)[:-1]} == {size}


@pytest.mark.parametrize("chunk_ms", [0, -5, 0.5, 10_001, float("nan"), "100", None, True])
def test_a_chunk_length_without_sense_is_refused(plain: House, chunk_ms: Any) -> None:
    session = plain.open()
    with pytest.raises(InvalidInputError, match="milliseconds"):
        session.send_audio(SAMPLES, chunk_ms=chunk_ms)
    session.send_audio(SAMPLES)  # nobody holds the right to send


def test_what_is_only_equal_to_a_default_is_refused_for_a_short_piece_too(plain: House) -> None:
    session = plain.open()
    with pytest.raises(InvalidInputError, match="milliseconds"):
        session.send_audio(SAMPLES[:960], trailing_silence_ms=False)


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (wav(SAMPLES, rate=16_000), "16,?000 Hz"),
        (wav(SAMPLES, channels=2), "channels|stereo"),
        (wav(SAMPLES[:9999], width=1), "8.bit"),
        (b"ID3\x04" + SAMPLES, "MP3"),
        (b"", "no audio"),
        (wav(b""), "no audio"),
    ],
)
@pytest.mark.usefixtures("no_audio_extra")
def test_audio_that_would_be_heard_as_noise_is_refused_before_anything_is_sent(
    plain: House, source: bytes, told: str
) -> None:
    plain.serve(responder=Script([]))
    session = plain.open()
    with pytest.raises(AudioFormatError, match=told):
        session.send_audio(source)
    with pytest.raises(AudioFormatError, match=told):
        session.start_sending_audio(source).wait()
    assert received(plain, session) == []
    session.send_audio(SAMPLES)
    assert b"".join(received(plain, session)) == SAMPLES


@pytest.mark.parametrize("source", [5, None, io.StringIO("text"), ["text"], [5]])
def test_what_is_no_audio_at_all_is_refused(plain: House, source: Any) -> None:
    session = plain.open()
    with pytest.raises((InvalidInputError, AudioFormatError)):
        session.send_audio(source)
    session.send_audio(SAMPLES)


def test_a_file_that_is_not_there_is_told_as_such(plain: House) -> None:
    session = plain.open()
    with pytest.raises(FileNotFoundError):
        session.send_audio("no such file.wav")
    with pytest.raises(FileNotFoundError):
        session.start_sending_audio("no such file.wav").wait()
    session.send_audio(SAMPLES)


def test_nothing_is_committed(house: House) -> None:
    session = house.open()
    session.configure_session(MANUAL).wait()
    session.send_audio(SAMPLES)
    assert not [m for m in house.live.received if m["type"] == "input_audio_buffer.commit"]
    update = session.commit_pending_audio().wait()
    item = session.wait_for("conversation.item.added", timeout=5)
    assert item.item.id == update.item_id


def test_other_commands_get_in_between(house: House) -> None:
    session = house.open()
    session.configure_session(MANUAL).wait()
    acknowledged = threading.Event()

    def source() -> Iterator[bytes]:
        yield bytes(48_000)
        assert acknowledged.wait(5)
        yield bytes(48_000)

    sending = session.start_sending_audio(source())
    session.add_item("in between").wait()
    acknowledged.set()
    assert sending.wait(5) == 96_000
    received(house, session)
    kinds = [message["type"] for message in house.live.received]
    assert "input_audio_buffer.append" in kinds[: kinds.index("conversation.item.create") + 3]
    assert "input_audio_buffer.append" in kinds[kinds.index("conversation.item.create") :]


def test_the_source_may_send_commands_itself(plain: House) -> None:
    session = plain.open()

    def source() -> Iterator[bytes]:
        session.add_item("from the source").wait()
        yield SAMPLES

    session.send_audio(source())


def test_a_second_stream_is_refused_at_once_and_the_first_goes_on(house: House) -> None:
    house.serve(responder=Script([]))
    session = house.open()
    release, started = threading.Event(), threading.Event()

    def source() -> Iterator[bytes]:
        yield SAMPLES[:4800]
        started.set()
        assert release.wait(5)
        yield SAMPLES[4800:]

    sending = session.start_sending_audio(source())
    assert started.wait(5)
    others: list[Callable[[], Any]] = [
        lambda: session.send_audio(SAMPLES),
        lambda: session.start_sending_audio(SAMPLES),
        lambda: session.audio_writer().__enter__(),
    ]
    for other in others:
        with pytest.raises(AudioSendInProgressError, match="already"):
            other()
    release.set()
    assert sending.wait(5) == len(SAMPLES)
    assert b"".join(received(house, session)) == SAMPLES
    session.send_audio(SAMPLES)


# In the background ---------------------------------------------------------------------------------------------------


def test_audio_in_the_background_is_waited_for(house: House) -> None:
    house.serve(responder=Script([]))
    session = house.open()
    sending = session.start_sending_audio(wav(SAMPLES))
    assert sending.wait(5) == len(SAMPLES) == sending.bytes_sent
    assert sending.done
    assert sending.error is None
    assert not sending.cancelled
    assert "sent" in repr(sending)
    assert b"".join(received(house, session)) == SAMPLES


def test_audio_in_the_background_can_be_cancelled(plain: House) -> None:
    session = plain.open()
    sent = threading.Event()

    def source() -> Iterator[bytes]:
        while True:
            yield bytes(4800)
            sent.set()

    sending = session.start_sending_audio(source())
    assert sent.wait(5)
    with pytest.raises(WaitTimeoutError):
        sending.wait(0)
    sending.cancel()
    assert sending.wait(5) > 0
    assert (sending.cancelled, sending.done, sending.error) == (True, True, None)
    assert "cancelled" in repr(sending)
    session.send_audio(SAMPLES)


def test_what_the_source_raises_is_raised_by_wait(plain: House) -> None:
    session = plain.open()

    def source() -> Iterator[bytes]:
        yield bytes(48_000)
        raise OSError("the microphone was pulled out")

    sending = session.start_sending_audio(source())
    with pytest.raises(OSError, match="microphone"):
        sending.wait(5)
    assert isinstance(sending.error, OSError)
    assert "microphone" in repr(sending)
    with pytest.raises(OSError, match="microphone"):
        session.send_audio(source())
    session.send_audio(SAMPLES)


def test_the_end_of_the_session_that_the_audio_comes_from_is_raised_by_wait_at_once(plain: House) -> None:
    session, other = plain.open(), plain.open()

    def source() -> Iterator[bytes]:
        yield bytes(4800)
        other.close()
        other.receive_update()
        yield other.receive_update().audio_bytes

    sending = session.start_sending_audio(source())
    with within(3), pytest.raises(ConnectionClosedError):
        sending.wait(30)
    assert (sending.cancelled, sending.bytes_sent) == (False, 4800)


@pytest.mark.parametrize("orderly", [True, False])
def test_a_slow_pace_does_not_outlive_the_session(
    plain: House, orderly: bool, caplog: pytest.LogCaptureFixture
) -> None:
    plain.serve(responder=Script([]))
    session = plain.open()
    sending = session.start_sending_audio(bytes(2 * 24_000), chunk_ms=500, pace=0.001)  # the second chunk in 500 s
    until(lambda: sending.bytes_sent == 24_000)
    if orderly:
        session.close()
        assert sending.wait(30) == 24_000
        assert caplog.text == ""
    else:
        plain.live.inject(faults.drop())
        with pytest.raises(ConnectionClosedError):
            sending.wait(30)
    assert sending.cancelled is orderly
    until(lambda: not [thread for thread in threading.enumerate() if thread.name.endswith("-audio")])


def sending_by(claim: AudioClaim, chunks: Any) -> AudioSend:
    return AudioSend(chunks, lambda chunk: None, claim, Flag(), lambda: None)


class BadEnd:
    """Chunks whose closing fails: a file on a network that is gone."""

    def __iter__(self) -> BadEnd:
        return self

    def __next__(self) -> bytes:
        raise StopIteration

    def close(self) -> None:
        raise OSError("the network is gone")


def test_a_source_that_cannot_even_be_closed_leaves_nobody_waiting(plain: House) -> None:
    claim = AudioClaim()
    sending = sending_by(claim, BadEnd())
    claim.take(sending)
    Running(lambda: sending._run(lambda listener: nullcontext())).join()
    with pytest.raises(OSError, match="network"):
        sending.wait(1)
    claim.take("another")


class WatchedClaim(AudioClaim):
    """Knows whether anybody's wait was over before it was given back."""

    def __init__(self) -> None:
        super().__init__()
        self.sending: Any = None
        self.waits_were_over: list[bool] = []

    def pop(self, *stream: Any) -> None:
        self.waits_were_over.append(self.sending.done)
        super().pop(*stream)


def test_whoever_has_waited_may_send_at_once() -> None:
    claim = WatchedClaim()
    claim.sending = sending_by(claim, (chunk for chunk in [bytes(2)]))
    claim.take(claim.sending)
    Running(lambda: claim.sending._run(lambda listener: nullcontext())).join()
    assert claim.sending.wait(1) == 2
    assert claim.waits_were_over == [False]
    claim.take("another")


# Piece by piece ------------------------------------------------------------------------------------------------------


def test_a_writer_takes_pieces_of_any_length(house: House) -> None:
    house.serve(responder=Script([]))
    session = house.open()
    with session.audio_writer() as writer:
        for piece in pieces(SAMPLES):
            writer.write(piece)
    chunks = received(house, session)
    assert b"".join(chunks) == SAMPLES
    assert all(len(chunk) % 2 == 0 and chunk for chunk in chunks)


def test_a_piece_of_any_size_is_sent_in_messages_that_the_service_takes(plain: House) -> None:
    plain.serve(responder=Script([]))
    session = plain.open()
    with session.audio_writer() as writer:
        writer.write(SAMPLES * 60 + b"\1")
        writer.write(b"\2")
    chunks = received(plain, session)
    assert b"".join(chunks) == SAMPLES * 60 + b"\1\2"
    assert max(map(len, chunks)) <= 2**20
    assert all(len(chunk) % 2 == 0 for chunk in chunks)


def test_a_commit_does_not_forget_what_another_thread_is_just_sending() -> None:
    """Its chunk may reach the service before the commit or behind it: then the next commit finds it."""
    audio, handle = UncommittedAudio(), CommandHandle("input_audio_buffer.commit", "event_1", 1, lambda: None)
    audio.last_commit = handle
    audio.begun = audio.sent = 4800
    audio.begun += 4800  # by a thread that waits for its turn on the wire,
    audio.committed = audio.sent  # which the commit had first
    audio.sent = audio.begun
    audio.check(PCM, None)
    audio.committed = audio.sent
    with pytest.raises(UsageError, match="Only 0 ms"):
        audio.check(PCM, None)


def test_a_writer_that_ends_within_a_sample_says_so(plain: House) -> None:
    session = plain.open()
    with pytest.raises(AudioFormatError, match="middle of a sample"), session.audio_writer() as writer:
        writer.write(b"123")
    session.send_audio(SAMPLES)


def test_what_is_raised_within_a_writers_block_is_not_hidden_by_half_a_sample(plain: House) -> None:
    session = plain.open()

    def write_and_fail() -> None:
        with session.audio_writer() as writer:
            writer.write(b"123")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_and_fail()
    session.send_audio(SAMPLES)


def test_a_writer_writes_only_within_its_block(plain: House) -> None:
    session = plain.open()
    writer = session.audio_writer()
    with pytest.raises(RuntimeError, match="with"):
        writer.write(SAMPLES)
    with writer:
        writer.write(SAMPLES)
    with pytest.raises(RuntimeError, match="with"):
        writer.write(SAMPLES)


# Formats -------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_audio_extra")
def test_a_changed_format_holds_for_what_is_sent_behind_the_change(house: House) -> None:
    session = house.open()
    mulaw = random.Random(1).randbytes(8001)
    session.configure_session(
        ConversationSessionOptions(
            input_audio_format="g711_ulaw", turn_detection_options=TurnDetectionOptions.disabled()
        )
    )
    session.send_audio(mulaw)  # at once, not acknowledged yet
    chunks = received(house, session)
    assert b"".join(chunks) == mulaw
    assert {len(chunk) for chunk in chunks[:-1]} == {800}
    with pytest.raises(AudioFormatError, match=r"24,?000"):
        session.send_audio(wav(SAMPLES))


def test_a_format_that_was_refused_does_not_hold(house: House) -> None:
    session = house.open()
    options = ConversationSessionOptions(input_audio_format="g711_ulaw", extra={"nonsense": 1})
    with pytest.raises(ServerError):
        session.configure_session(options).wait()
    session.send_audio(wav(SAMPLES))


def test_an_acknowledgement_of_an_earlier_change_does_not_bring_the_old_format_back(plain: House) -> None:
    pcm = {"type": "session.updated", "session": {"audio": {"input": {"format": {"type": "audio/pcm", "rate": 24000}}}}}
    plain.serve(responder=Script([expect("session.update"), expect("session.update"), pcm]))
    session = plain.open()
    first = session.configure_session(ConversationSessionOptions(instructions="x"))
    session.configure_session(ConversationSessionOptions(input_audio_format="g711_alaw"))
    first.wait()
    session.send_audio(bytes(801))  # one byte a sample; as 16-bit samples it would end within one


def test_a_format_that_the_server_does_not_repeat_holds_all_the_same(plain: House) -> None:
    plain.serve(responder=Script([expect("session.update"), {"type": "session.updated", "session": {}}]))
    session = plain.open()
    session.configure_session(ConversationSessionOptions(input_audio_format="g711_alaw")).wait()
    session.send_audio(bytes(801))


def test_sending_takes_no_longer_than_the_connection_does(house: House) -> None:
    """A minute of audio is not sent in a minute."""
    house.serve(responder=Script([]), record=False)
    session = house.open()
    with within(4):
        session.send_audio(bytes(2 * 24_000 * 60))


def test_no_thread_is_left_when_the_audio_is_sent(plain: House) -> None:
    session = plain.open()
    session.start_sending_audio(SAMPLES).wait(5)
    until(lambda: not [thread for thread in threading.enumerate() if thread.name.endswith("-audio")])


def test_a_writer_that_is_entered_again_begins_with_a_whole_sample(plain: House) -> None:
    session = plain.open(start={"options": MANUAL})
    writer = session.audio_writer()
    with pytest.raises(InvalidInputError, match="bytes"), writer:
        list(map(writer.write, [b"\x01\x02\x03", 5]))
    with writer:
        writer.write(b"\x10\x20")
    assert b"".join(received(plain, session)) == b"\x01\x02\x10\x20"


@pytest.mark.usefixtures("no_audio_extra")
def test_a_file_that_cannot_be_sent_is_told_at_the_call_and_not_in_the_background(plain: House, tmp_path: Path) -> None:
    session = plain.open()
    with pytest.raises(FileNotFoundError):
        session.start_sending_audio(tmp_path / "nothing.wav")
    (tmp_path / "slow.wav").write_bytes(wav(SAMPLES, rate=16_000))
    with pytest.raises(AudioFormatError, match="16000 Hz"):
        session.start_sending_audio(str(tmp_path / "slow.wav"))
    session.send_audio(bytes(480))  # nobody holds the right to send


def test_audio_that_fails_in_the_background_is_logged(plain: House, caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> Iterator[bytes]:
        yield bytes(9600)
        raise OSError("the microphone went away")

    sending = plain.open().start_sending_audio(broken())
    until(lambda: sending.done)
    assert "the microphone went away" in caplog.text


def test_who_waits_for_audio_whose_source_blocks_is_released_by_the_close(house: House) -> None:
    microphone: queue.SimpleQueue[Any] = queue.SimpleQueue()
    session = house.open()
    sending = session.start_sending_audio(iter(microphone.get, None))
    microphone.put(SAMPLES[:4800])
    until(lambda: sending.bytes_sent)
    waiting = Running(sending.wait)
    session.close()
    assert waiting.result() == 4800
    assert (sending.done, sending.cancelled, sending.error) == (True, True, None)
    assert "cancelled" in repr(sending)
    microphone.put(None)  # the thread's end


def test_who_waits_for_audio_whose_source_blocks_is_told_of_a_loss(house: House) -> None:
    microphone: queue.SimpleQueue[Any] = queue.SimpleQueue()
    session = house.open()
    sending = session.start_sending_audio(iter(microphone.get, None))
    waiting = Running(sending.wait)
    house.live.inject(faults.drop())
    with pytest.raises(ConnectionLostError):
        waiting.result()
    assert isinstance(sending.error, ConnectionLostError)
    microphone.put(None)
