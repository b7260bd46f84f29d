"""A recording as text, on its own time line, whatever happens to the connection meanwhile."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

from realtime_sync import (
    AudioFormatError,
    AuthenticationError,
    AzureOpenAIClient,
    ConnectCancelledError,
    ConnectionClosedError,
    InputTranscriptionOptions,
    InvalidInputError,
    ServerError,
    Transcription,
    TranscriptionFailedError,
    TranscriptionSessionOptions,
    WaitTimeoutError,
    transcribe,
)
from realtime_sync.server import RealtimeServer, Refusal, Script, expect, faults
from realtime_sync.server.session import ServerSession
from realtime_sync.server.speech import Speech
from tests.server.sounds import silence, tone
from tests.server.speech.told_parts import ToldRecognizer, speech
from tests.transcribing.serving import AUDIO, HELLO, client_of

pytestmark = pytest.mark.medium

# Five things said, each half a second longer than the one before; a second of silence around each.
SAID = [3000 + 500 * number for number in range(5)]
RECORDING = silence(1000) + b"".join(tone(ms) + silence(1000) for ms in SAID)
STARTS = [1.0, 5.0, 9.5, 14.5, 20.0]


def seconds(pcm: bytes, rate: int) -> str:
    return f"{len(pcm) / 2 / rate:.1f}"


@pytest.fixture
def server() -> Iterator[RealtimeServer]:
    with RealtimeServer(transcriber=seconds) as running:
        yield running


def received(session: ServerSession, wire_type: str) -> list[dict[str, Any]]:
    return [told for told in session.received if told["type"] == wire_type]


def test_each_piece_is_a_segment_on_the_recordings_time_line(server: RealtimeServer) -> None:
    told = transcribe(RECORDING, client_of(server))
    assert [(one.start, one.end) for one in told.segments] == [
        (pytest.approx(start, abs=0.03), pytest.approx(start + ms / 1000, abs=0.03))
        for start, ms in zip(STARTS, SAID, strict=True)
    ]
    assert [float(one.text) for one in told.segments] == pytest.approx([ms / 1000 + 0.4 for ms in SAID], abs=0.11)
    assert told.text == " ".join(one.text for one in told.segments)
    assert told.duration == pytest.approx(len(RECORDING) / 48_000)
    assert told.usage.transcriptions == 5


def test_the_session_is_as_it_was_asked_for(server: RealtimeServer) -> None:
    options = TranscriptionSessionOptions(
        input_transcription_options=InputTranscriptionOptions(prompt="Tea", keywords=["Assam"]),
        input_audio_format="g711_ulaw",  # which the recording is not in
    )
    transcribe(HELLO, client_of(server), model="my-scribe", language="en", logprobs=True, options=options)
    (session,) = server.sessions
    heard = session.options["audio"]["input"]
    assert session.query == {"intent": "transcription"}
    assert heard["transcription"] == {"model": "my-scribe", "language": "en", "prompt": "Tea", "keywords": ["Assam"]}
    assert heard["turn_detection"] is None
    assert heard["format"] == {"type": "audio/pcm", "rate": 24000}
    assert session.options["include"] == ["item.input_audio_transcription.logprobs"]


@pytest.mark.parametrize("name", ["hello.wav", "hello_16khz.wav", "hello_alaw.wav", "hello_ulaw.wav"])
def test_any_file_is_on_the_same_time_line(server: RealtimeServer, name: str) -> None:
    told = transcribe(AUDIO / name, client_of(server))
    assert (told.segments[0].start, told.segments[0].end) == (pytest.approx(0.6, abs=0.1), pytest.approx(1.8, abs=0.1))
    assert told.duration == pytest.approx(3.025, abs=0.01)


@pytest.mark.parametrize("version", ["v1", "2025-04-01-preview"])
def test_azure_is_spoken_to_in_its_own_way(server: RealtimeServer, version: str) -> None:
    client = AzureOpenAIClient(server.azure_endpoint, "any-key", api_version=version)
    told = transcribe(RECORDING, client.get_realtime_conversation_client("d"), logprobs=True)
    assert len(told.segments) == 5


def test_no_more_than_four_pieces_are_with_the_service_at_once() -> None:
    recognizer = ToldRecognizer(*["text"] * 8)
    recognizer.may_go_on.clear()
    with RealtimeServer(speech=speech(recognizer=recognizer)) as server:
        recording = b"".join(tone(3000) + silence(1000) for _ in range(8))
        done: list[Transcription] = []
        work = threading.Thread(target=lambda: done.append(transcribe(recording, client_of(server))), daemon=True)
        work.start()
        session = server.wait_for_session()
        session.wait_for_message("input_audio_buffer.commit", count=4)
        with pytest.raises(WaitTimeoutError):
            session.wait_for_message("input_audio_buffer.commit", 0.3, count=5)
        recognizer.may_go_on.set()
        work.join(10)
    assert len(done[0].segments) == 8


def test_a_recording_of_silence_opens_no_session(server: RealtimeServer) -> None:
    told = transcribe(silence(5000), client_of(server))
    assert (told.text, told.segments, told.duration) == ("", (), 5.0)
    assert server.sessions == []


def test_what_cannot_be_read_opens_no_session(server: RealtimeServer, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        transcribe(tmp_path / "absent.wav", client_of(server))
    with pytest.raises(AudioFormatError):
        transcribe(io.BytesIO(b""), client_of(server))
    assert server.sessions == []


def test_progress_is_told_in_seconds(server: RealtimeServer) -> None:
    told: list[tuple[float, float | None]] = []
    transcribe(RECORDING, client_of(server), progress=lambda done, total: told.append((done, total)))
    assert [done for done, _ in told] == pytest.approx(
        [s + ms / 1000 for s, ms in zip(STARTS, SAID, strict=True)], abs=0.03
    )
    assert {total for _, total in told} == {len(RECORDING) / 48_000}


class Stumbling:
    """A transcriber that does something the first time that it hears the third piece."""

    def __init__(self, act: Callable[[ServerSession], object]) -> None:
        self.act = act
        self.server: RealtimeServer
        self.stumbled = False

    def __call__(self, pcm: bytes, rate: int) -> str:
        if seconds(pcm, rate) == seconds(tone(SAID[2] + 400), rate) and not self.stumbled:
            self.stumbled = True
            self.act(self.server.sessions[-1])
        return seconds(pcm, rate)


def fail(session: ServerSession) -> None:
    raise ValueError("I did not catch that")


@pytest.mark.parametrize(
    "act",
    [
        lambda session: session.inject(faults.drop()),
        lambda session: session.close(1001, "the session has expired"),
        lambda session: session.emit({"type": "error", "error": {"type": "server_error", "message": "Sorry"}}),
        fail,
    ],
    ids=["lost", "closed", "error", "failed"],
)
def test_what_may_pass_costs_nothing_that_was_done(act: Callable[[ServerSession], object]) -> None:
    stumbling = Stumbling(act)
    with RealtimeServer(transcriber=stumbling) as server:
        stumbling.server = server
        told = transcribe(RECORDING, client_of(server))
        assert [one.start for one in told.segments] == pytest.approx(STARTS, abs=0.03)
        assert [float(one.text) for one in told.segments] == pytest.approx([ms / 1000 + 0.4 for ms in SAID], abs=0.11)
        first, second = server.sessions
    assert stumbling.stumbled
    done_before = sum(told["type"].endswith("transcription.completed") for told in first.sent)
    assert len(received(second, "input_audio_buffer.commit")) >= 5 - done_before


def test_a_piece_that_fails_for_good_fails_all_and_keeps_what_was_done() -> None:
    texts = iter(["one", "two"])

    def hears_two(pcm: bytes, rate: int) -> str:
        return next(texts)  # StopIteration fails the transcription

    with RealtimeServer(transcriber=hears_two) as server, pytest.raises(TranscriptionFailedError) as caught:
        transcribe(RECORDING, client_of(server), retries=0)
    error = caught.value
    assert str(error).startswith("the service could not transcribe ")
    assert error.code == "audio_unintelligible"
    assert error.transcription is not None
    assert len(error.transcription.segments) <= 2


def test_without_retries_a_loss_is_raised() -> None:
    stumbling = Stumbling(lambda session: session.inject(faults.drop()))
    with RealtimeServer(transcriber=stumbling) as server:
        stumbling.server = server
        with pytest.raises(ConnectionClosedError):
            transcribe(RECORDING, client_of(server), retries=0)


def test_a_busy_service_is_asked_again(server: RealtimeServer) -> None:
    server.faults = faults.Faults(refuse=Refusal(503, {"retry-after": "0"}, times=4))  # the client itself tries thrice
    assert len(transcribe(RECORDING, client_of(server)).segments) == 5


def test_what_does_not_pass_is_not_tried_again() -> None:
    with RealtimeServer(api_keys=["another"]) as server, pytest.raises(AuthenticationError):
        transcribe(HELLO, client_of(server), retries=1000)
    told = InputTranscriptionOptions(delay="for ever")
    options = TranscriptionSessionOptions(input_transcription_options=told)
    with RealtimeServer() as server, pytest.raises(ServerError, match="delay"):
        transcribe(HELLO, client_of(server), retries=1000, options=options)


def test_a_pause_between_two_tries_ends_when_it_is_stopped(server: RealtimeServer) -> None:
    server.faults = faults.Faults(refuse=Refusal(503, {"retry-after": "3600"}))
    stop = threading.Event()
    stop.set()
    with pytest.raises(ConnectCancelledError):
        transcribe(HELLO, client_of(server), stop=stop)


def test_a_service_that_says_nothing_is_not_waited_for_for_ever() -> None:
    def silent(pcm: bytes, rate: int) -> str:
        over.wait(30)
        return ""

    over = threading.Event()
    with RealtimeServer(transcriber=silent) as server:
        with pytest.raises(WaitTimeoutError, match=r"nothing for 0\.2 s .* given up") as caught:
            transcribe(HELLO, client_of(server), timeout=0.2)
        over.set()
        assert len(server.sessions) == 1  # not tried again: the caller said how long to wait
    assert "the session goes on" not in str(caught.value)


def test_speakers_are_told_apart_where_the_model_does() -> None:
    head = {"event_id": "e", "item_id": "item_1", "content_index": 0}
    prefix = "conversation.item.input_audio_transcription."
    script = Script(
        [
            expect("session.update"),
            lambda session: {"type": "session.updated", "event_id": "e", "session": session.received[-1]["session"]},
            expect("input_audio_buffer.commit"),
            {"type": "input_audio_buffer.committed", "event_id": "e", "item_id": "item_1", "previous_item_id": None},
            {"type": prefix + "segment", **head, "id": "s1", "text": "Hi.", "speaker": "A", "start": 0.2, "end": 1.0},
            {"type": prefix + "segment", **head, "id": "s2", "text": "Hello.", "speaker": "B", "start": 1, "end": 3.2},
            {"type": prefix + "completed", **head, "transcript": "Hi. Hello.", "usage": {"type": "tokens"}},
        ]
    )
    with RealtimeServer(responder=script) as server:
        told = transcribe(silence(10_000) + tone(3000), client_of(server), model="scribe-diarize")
    assert [(one.speaker, one.text) for one in told.segments] == [("A", "Hi."), ("B", "Hello.")]
    # The piece begins 0.2 s before the tone.
    assert [(one.start, one.end) for one in told.segments] == [
        (pytest.approx(10.0), pytest.approx(10.8)),
        (pytest.approx(10.8), pytest.approx(13.0)),
    ]
    assert told.speakers == ("A", "B")


def test_logprobs_come_where_they_are_asked_for() -> None:
    kit: Speech = speech("Hello you")
    with RealtimeServer(speech=kit) as server:
        told = transcribe(HELLO, client_of(server), logprobs=True)
    assert [(one.token, one.logprob) for one in told.segments[0].logprobs] == [(" Hello", -0.5), (" you", -0.5)]
    assert told.segments[0].confidence == pytest.approx(0.6065, abs=1e-3)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"retries": -1}, "retries"),
        ({"retries": True}, "retries"),
        ({"longest_piece": 1000}, "1 to 600"),
        ({"longest_piece": 0}, "1 to 600"),
        ({"options": {"model": "gpt-transcribe"}}, "TranscriptionSessionOptions"),
    ],
)
def test_arguments_without_sense_are_refused(server: RealtimeServer, arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidInputError, match=told):
        transcribe(HELLO, client_of(server), **arguments)
    assert server.sessions == []
