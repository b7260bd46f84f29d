"""What is said in a live session: in order, whatever finishes first."""

from __future__ import annotations

from typing import Any

import pytest

from realtime_sync import (
    ConversationUpdate,
    InputTranscriptionOptions,
    TranscriptionSessionOptions,
    TranscriptStream,
    TurnDetectionOptions,
    WaitTimeoutError,
    transcribe,
)
from realtime_sync.conversation.transcripts import Transcript, TranscriptCollector
from realtime_sync.protocol.codec import to_text
from realtime_sync.server import RealtimeServer
from tests.server.sounds import silence, tone
from tests.transcribing.serving import client_of

PREFIX = "conversation.item.input_audio_transcription."


def update(wire_type: str, item_id: str, **fields: Any) -> ConversationUpdate:
    return ConversationUpdate.from_json(to_text({"type": wire_type, "event_id": "e", "item_id": item_id, **fields}))


def committed(item_id: str) -> ConversationUpdate:
    return update("input_audio_buffer.committed", item_id, previous_item_id=None)


def completed(item_id: str, text: str, **fields: Any) -> ConversationUpdate:
    usage = {"type": "duration", "seconds": 1}
    return update(PREFIX + "completed", item_id, content_index=0, transcript=text, usage=usage, **fields)


def applied(*updates: ConversationUpdate) -> list[Transcript]:
    collector = TranscriptCollector()
    return [transcript for one in updates for transcript in collector.apply(one)]


def test_a_later_turn_that_is_transcribed_first_waits_for_the_earlier() -> None:
    collector = TranscriptCollector()
    for one in (committed("a"), committed("b"), completed("b", "second")):
        assert collector.apply(one) == []
    assert [told.text for told in collector.apply(completed("a", "first"))] == ["first", "second"]


def test_times_are_those_of_the_detected_speech() -> None:
    (told,) = applied(
        update("input_audio_buffer.speech_started", "a", audio_start_ms=1200),
        update("input_audio_buffer.speech_stopped", "a", audio_end_ms=3400),
        committed("a"),
        completed("a", "Hello."),
    )
    assert (told.start, told.end, told.text) == (1.2, 3.4, "Hello.")


def test_parts_with_speakers_are_on_the_sessions_time_line() -> None:
    part = {"content_index": 0, "id": "s"}
    (told,) = applied(
        update("input_audio_buffer.speech_started", "a", audio_start_ms=10_000),
        committed("a"),
        update(PREFIX + "segment", "a", text="Hello.", speaker="A", start=0.5, end=1.0, **part),
        update(PREFIX + "segment", "a", text="Hi.", speaker="B", start=1.0, end=1.5, **part),
        completed("a", "Hello. Hi.", languages=[{"code": "en"}], logprobs=[{"token": "Hello", "logprob": -0.1}]),
    )
    assert [(one.speaker, one.start, one.end) for one in told.segments] == [("A", 10.5, 11.0), ("B", 11.0, 11.5)]
    assert told.languages == ("en",)
    assert [one.token for one in told.logprobs] == ["Hello"]


def test_one_that_failed_tells_why_and_holds_nobody_up() -> None:
    failed = update(PREFIX + "failed", "a", content_index=0, error={"code": "audio_unintelligible", "message": "Noise"})
    first, second = applied(committed("a"), committed("b"), completed("b", "Hello."), failed)
    assert first.error is not None
    assert (first.error.message, first.text, second.text) == ("Noise", "", "Hello.")


def test_a_deleted_item_is_not_waited_for() -> None:
    told = applied(committed("a"), committed("b"), completed("b", "Hello."), update("conversation.item.deleted", "a"))
    assert [one.item_id for one in told] == ["b"]


def test_an_item_that_was_never_committed_is_told_when_it_is_transcribed() -> None:
    assert [one.text for one in applied(completed("by hand", "Hello."))] == ["Hello."]


def test_at_the_end_what_is_finished_is_told() -> None:
    collector = TranscriptCollector()
    for one in (committed("a"), committed("b"), completed("b", "second")):
        collector.apply(one)
    assert [one.text for one in collector.rest()] == ["second"]


SPEECH = tone(900) + silence(700)


def test_a_live_session_is_iterated_turn_by_turn() -> None:
    detected = TranscriptionSessionOptions(
        turn_detection_options=TurnDetectionOptions.server_vad(silence_duration_ms=300)
    )
    with RealtimeServer(transcriber=lambda pcm, rate: f"turn of {len(pcm) // 4800}") as server:
        with client_of(server).start_transcription_session(detected, model="gpt-transcribe", language="en") as live:
            told = live.session
            assert told is not None
            transcription = told.input_transcription_options
            assert isinstance(transcription, InputTranscriptionOptions)
            assert (transcription.model, transcription.languages) == ("gpt-transcribe", ["en"])
            with TranscriptStream(live.subscribe(), timeout=10) as turns:
                live.send_audio(SPEECH + SPEECH)
                first, second = next(turns), next(turns)
        assert first.text.startswith("turn of ")
        assert first.end is not None
        assert second.start is not None
        assert 0.9 <= first.end <= second.start + 0.31  # the padding before the second reaches into the silence


def test_a_time_out_leaves_the_stream_as_it_is_and_an_orderly_end_ends_it() -> None:
    with RealtimeServer() as server, client_of(server).start_transcription_session(model="m") as live:
        updates = live.subscribe()
        with pytest.raises(WaitTimeoutError):
            next(TranscriptStream(updates, timeout=0.05))
        live.close()
        assert list(TranscriptStream(updates, timeout=10)) == []


@pytest.mark.parametrize(
    ("model", "hint"),
    [("gpt-transcribe", {"languages": ["fr"]}), ("gpt-live-transcribe", {"languages": ["fr"]})]
    + [(model, {"language": "fr"}) for model in ("gpt-realtime-whisper", "my-scribe")],
)
def test_a_language_is_sent_as_the_model_takes_it(model: str, hint: dict[str, object]) -> None:
    with RealtimeServer() as server:
        with client_of(server).start_transcription_session(model=model, language="fr"):
            live = server.sessions[-1].options["audio"]["input"]["transcription"]
        transcribe(SPEECH, client_of(server), model=model, language="fr")
        filed = server.sessions[-1].options["audio"]["input"]["transcription"]
    for told in (live, filed):
        assert {name: told[name] for name in ("language", "languages") if told.get(name)} == hint


def test_a_language_in_the_options_of_a_recording_is_sent_as_the_default_model_takes_it() -> None:
    options = TranscriptionSessionOptions(input_transcription_options=InputTranscriptionOptions(language="fr"))
    with RealtimeServer() as server:
        transcribe(SPEECH, client_of(server), options=options)
        told = server.sessions[-1].options["audio"]["input"]["transcription"]
    assert (told["language"], told["languages"]) == (None, ["fr"])


def test_the_model_and_language_go_before_the_options() -> None:
    options = TranscriptionSessionOptions(
        input_transcription_options=InputTranscriptionOptions(model="my-scribe", language="de", prompt="Tea")
    )
    with RealtimeServer() as server, client_of(server).start_transcription_session(options, language="fr"):
        told = server.sessions[-1].options["audio"]["input"]["transcription"]
    assert told == {"model": "my-scribe", "language": "fr", "prompt": "Tea"}
