"""One recording, translated into another language."""

from __future__ import annotations

from contextlib import closing
from typing import Optional

import attrs

from realtime_sync.audio.formats import PCM
from realtime_sync.audio.outgoing import outgoing_chunks
from realtime_sync.audio.source import AudioSource
from realtime_sync.boundary import public_call
from realtime_sync.client import RealtimeConversationClient
from realtime_sync.conversation.translations import TranslatedPiece
from realtime_sync.core.commands import server_error
from realtime_sync.errors import WaitTimeoutError
from realtime_sync.models import TranslationModelName
from realtime_sync.protocol.options import TranslationSessionOptions
from realtime_sync.protocol.updates import ErrorUpdate, SessionClosedUpdate
from realtime_sync.session import RealtimeConversationSession

# What the service hears at once (2026): less waits for the rest, more is cut.
_FRAME_MS = 200


@attrs.frozen(kw_only=True)
class Translation:
    """What a recording says in another language.

    ``text``: the translation. ``source``: what was said, where its transcription was asked for, else empty. ``audio``:
    the translation spoken, PCM16 at 24,000 Hz (``write_wav`` writes it). ``pieces``: as they came.
    """

    pieces: tuple[TranslatedPiece, ...] = attrs.field(repr=False)
    text: str = attrs.field(init=False)
    source: str = attrs.field(init=False)
    audio: bytes = attrs.field(init=False, repr=lambda audio: f"<{len(audio)} bytes>")

    @text.default
    def _text(self) -> str:
        return "".join(piece.text for piece in self.pieces)

    @source.default
    def _source(self) -> str:
        return "".join(piece.source for piece in self.pieces)

    @audio.default
    def _audio(self) -> bytes:
        return b"".join(piece.audio for piece in self.pieces)


@public_call
def translate(
    source: AudioSource,
    client: RealtimeConversationClient,
    target_language: str,
    *,
    model: Optional[TranslationModelName] = None,
    options: Optional[TranslationSessionOptions] = None,
    pace: Optional[float] = None,
    timeout: float = 60.0,
) -> Translation:
    """Translate a recording: ``translate("talk.mp3", client, "es").text``.

    ``source``: whatever ``session.send_audio`` takes. ``target_language``: a code such as ``"es"``. ``model``: None
    takes the client's, which must be one that translates. ``options``: further settings; with
    ``input_transcription_options`` what was said is written down, too. ``pace``: 1.0 sends at the speed of speech; None
    as fast as the connection takes it. ``timeout``: seconds that the service may say nothing once all is sent.

    Raises as ``send_audio`` does, ``WaitTimeoutError``, ``ServerError``, and what ``start_translation_session`` raises.
    """
    pieces: list[TranslatedPiece] = []
    with (
        closing(outgoing_chunks(source, PCM, chunk_ms=_FRAME_MS, pace=pace)) as chunks,
        client.start_translation_session(options, target_language=target_language, model=model) as session,
    ):
        with session.audio_writer() as writer:
            for chunk in chunks:
                writer.write(chunk)
                # What comes meanwhile is taken meanwhile: an hour of speech would be more than a session keeps.
                _take(session, pieces, 0.0, until_over=False)
        session.end_translation()
        _take(session, pieces, timeout)
    return Translation(pieces=tuple(pieces))


def _take(
    session: RealtimeConversationSession, pieces: list[TranslatedPiece], timeout: float, *, until_over: bool = True
) -> None:
    """Take all until the translation is over, or else what has come."""
    while True:
        try:
            update = session.receive_update(timeout)
        except WaitTimeoutError:
            if not until_over:
                return
            late = f"the service did not end the translation, and said nothing for {timeout:g} s (timeout)"
            raise WaitTimeoutError(f"{late}; it was given up") from None
        if isinstance(update, ErrorUpdate):
            raise server_error(update)
        if isinstance(update, SessionClosedUpdate):
            return
        piece = TranslatedPiece.of(update)
        if piece is not None:
            pieces.append(piece)
