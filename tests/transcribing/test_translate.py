"""Translation: live, and of a recording."""

from __future__ import annotations

import pytest

from realtime_sync import (
    InputTranscriptionOptions,
    InvalidInputError,
    ServerError,
    TranslationSessionOptions,
    TranslationStream,
    WaitTimeoutError,
    translate,
)
from realtime_sync.server import RealtimeServer, Script, Turn, expect
from tests.server.sounds import silence, tone
from tests.transcribing.serving import HELLO, client_of

MODEL = "gpt-realtime-translate"
SOURCE = InputTranscriptionOptions(model="gpt-realtime-whisper")


def spanish(turn: Turn) -> str:
    return f"{turn.instructions} Hola mundo. "


def test_a_recording_is_translated_as_text_and_speech() -> None:
    with RealtimeServer(responder=spanish, transcriber=lambda pcm, rate: "Hello world. ") as server:
        options = TranslationSessionOptions(input_transcription_options=SOURCE)
        recording = tone(900) + silence(800) + tone(900)
        told = translate(recording, client_of(server, MODEL), "es", options=options)
        (session,) = server.sessions
    assert told.text == "Translate into es. Hola mundo. " * 2
    assert told.source == "Hello world. " * 2
    assert len(told.audio) > 48_000
    assert told.pieces[0].elapsed is not None
    assert session.path.startswith("/v1/realtime/translations")
    assert session.query == {"model": MODEL}


def test_a_live_translation_is_iterated_piece_by_piece() -> None:
    with (
        RealtimeServer(responder=spanish) as server,
        client_of(server).start_translation_session("fr", model=MODEL) as session,
        TranslationStream(session.subscribe(), timeout=10) as translation,
    ):
        session.send_audio(tone(900) + silence(800))
        assert next(piece.text for piece in translation if piece.text) == "Translate"
        session.end_translation()
        pieces = list(translation)
    assert "".join(piece.text for piece in pieces) == " into fr. Hola mundo. "
    assert b"".join(piece.audio for piece in pieces)
    assert not any(piece.source for piece in pieces)  # nobody asked for it


@pytest.mark.parametrize(
    ("positional", "named", "language"),
    [
        (TranslationSessionOptions(target_language="de"), {}, "de"),
        (TranslationSessionOptions(target_language="de"), {"target_language": "fr"}, "fr"),
        ("es", {}, "es"),
        (None, {"target_language": "it"}, "it"),
        (None, {}, "en"),
    ],
)
def test_the_language_may_be_told_in_several_ways(positional: object, named: dict[str, str], language: str) -> None:
    with RealtimeServer() as server:
        client_of(server, MODEL).start_translation_session(positional, **named).close()  # type: ignore[arg-type]
        assert server.sessions[0].options["audio"]["output"]["language"] == language


def test_a_language_told_twice_or_not_at_all_is_refused() -> None:
    with RealtimeServer() as server:
        with pytest.raises(InvalidInputError, match="twice"):
            client_of(server, MODEL).start_translation_session("es", target_language="fr")
        with pytest.raises(InvalidInputError, match="empty"):
            client_of(server, MODEL).start_translation_session("")


def test_a_stream_that_gets_nothing_says_so_and_goes_on() -> None:
    with RealtimeServer() as server, client_of(server, MODEL).start_translation_session("es") as session:
        updates = session.subscribe()
        with pytest.raises(WaitTimeoutError):
            next(TranslationStream(updates, timeout=0.05))
        session.end_translation()
        assert list(TranslationStream(updates, timeout=10)) == []


def test_a_translation_that_does_not_come_in_time_is_no_empty_one() -> None:
    with RealtimeServer(responder=spanish) as server, pytest.raises(WaitTimeoutError, match="given up"):
        translate(HELLO, client_of(server, MODEL), "es", timeout=0)


def test_what_the_service_refuses_is_raised() -> None:
    refusal = {
        "type": "error",
        "event_id": "e",
        "error": {"type": "invalid_request_error", "message": "No such tongue"},
    }
    script = Script(
        [
            expect("session.update"),
            lambda session: {"type": "session.updated", "event_id": "e", "session": session.received[-1]["session"]},
            expect("session.close"),
            refusal,
        ]
    )
    with RealtimeServer(responder=script) as server, pytest.raises(ServerError, match="No such tongue"):
        translate(HELLO, client_of(server, MODEL), "tlh")
