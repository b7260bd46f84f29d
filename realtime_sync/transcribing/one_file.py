"""One recording: cut into pieces, sent as fast as the service takes them, and put together again in its own time."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import closing
from typing import Callable, Optional, Union

import attrs

from realtime_sync.audio.formats import SampleFormat
from realtime_sync.audio.source import AudioChunks, AudioSource, audio_chunks
from realtime_sync.boundary import public_call
from realtime_sync.checks import check_whole
from realtime_sync.client import RealtimeConversationClient
from realtime_sync.conversation.pricing import UsageTotals
from realtime_sync.conversation.transcripts import Transcript, TranscriptCollector, TranscriptionSegment
from realtime_sync.core.commands import server_error
from realtime_sync.errors import (
    ConnectCancelledError,
    InvalidInputError,
    RealtimeSyncError,
    ServerError,
    TranscriptionFailedError,
    WaitTimeoutError,
)
from realtime_sync.interrupts import Flag
from realtime_sync.models import TranscriptionModelName
from realtime_sync.protocol.options import InputTranscriptionOptions, TranscriptionSessionOptions, TurnDetectionOptions
from realtime_sync.protocol.registry import UNSET
from realtime_sync.protocol.shortcuts import transcribed_by
from realtime_sync.protocol.updates import ErrorUpdate
from realtime_sync.reconnect.policy import Reconnect, is_worth_another_try
from realtime_sync.session import RealtimeConversationSession
from realtime_sync.transcribing.pieces import SpeechPiece, pieces
from realtime_sync.transcribing.servers import (
    OpenAIServer,
    ServerKind,
    TranscribingServer,
    VLLMServer,
    check_server,
)
from realtime_sync.transcribing.transcription import Transcription

logger = logging.getLogger(__name__)

# OpenAI's guides of 2026-11 recommend it for recordings and for turns that are committed in a realtime session, with
# turn detection or without. gpt-live-transcribe, which they recommend for live captions, refuses any turn detection
# ("Turn detection is not supported for this transcription model") and costs four times as much.
DEFAULT_TRANSCRIPTION_MODEL = "gpt-transcribe"
LOGPROBS = "item.input_audio_transcription.logprobs"

_PASSING_CODES = frozenset({"rate_limit_exceeded", "server_error", "session_expired"})
_BACKOFF = Reconnect()

SecondsDone = Callable[[float, Optional[float]], object]
"""``progress(done_seconds, total_seconds)``; the total is None if the source does not tell it."""


@public_call
def transcribe(
    source: AudioSource,
    client: RealtimeConversationClient,
    *,
    model: Optional[TranscriptionModelName] = None,
    language: Optional[str] = None,
    logprobs: bool = False,
    options: Optional[TranscriptionSessionOptions] = None,
    longest_piece: Optional[float] = None,
    retries: int = 2,
    timeout: float = 60.0,
    progress: Optional[SecondsDone] = None,
    stop: Union[threading.Event, Flag, None] = None,
    server: ServerKind = "openai",
) -> Transcription:
    """Write down what a recording says: ``transcribe("interview.mp3", client).text``.

    ``source``: whatever ``session.send_audio`` takes; bare samples are PCM16 at 24,000 Hz (for vLLM at 16,000 Hz). It
    is cut at pauses into pieces of at most ``longest_piece`` seconds (1 to 600; None: 15, or 300 for a model that by
    its name tells speakers apart, whose labels are good within a piece), which are sent in a session of their own as
    fast as the service transcribes them. Each becomes a segment, or several where speakers are told apart.

    ``model``: None takes that of ``options``, else ``gpt-transcribe``. ``language``: ISO-639-1, such as ``"en"``;
    None lets the model find out. ``logprobs``: ask how sure the model was of each token, which not every model tells.
    ``options``: further settings of the session (keywords, noise reduction); turn detection and the audio's format are
    set here.

    ``retries``: how often in a row, without a piece being done in between, to try again after what may pass (a lost
    connection, an overloaded service), with growing pauses; what is done is kept. ``timeout``: seconds that the service
    may say nothing while it has work; then it is given up, and not tried again. ``progress``: called on this thread
    after each piece. ``stop``: set by another thread, ends a pause between two tries.

    ``server``: ``"vllm"`` for vLLM's own realtime endpoint, which has messages of its own, and no settings but the
    model: that of ``model``, else the client's.

    Raises ``OSError``, ``AudioFormatError`` and ``ConfigurationError`` as ``send_audio`` does,
    ``TranscriptionFailedError``, which holds what was done, where the service cannot transcribe a piece,
    ``ServerError`` where it refuses the settings, ``WaitTimeoutError``, a ``ConnectionFailedError`` or a
    ``ConnectionClosedError``.
    """
    check_whole("retries", retries)
    check_server(server, language, logprobs, options)
    given = _server(server, model, client, session_options(model, language, logprobs, options))
    if longest_piece is None:
        longest_piece = 300.0 if "diarize" in given.model else 15.0
    with closing(audio_chunks(source, given.format, given.format.bytes_for(1.0))) as chunks:
        work = _Work(chunks, given.format, longest_piece, progress)
        try:
            _work_off(work, client, given, retries, timeout, stop or Flag())
        except TranscriptionFailedError as error:
            error.transcription = work.result(given.model)
            raise
    return work.result(given.model)


def _server(
    kind: ServerKind, model: Optional[str], client: RealtimeConversationClient, settings: TranscriptionSessionOptions
) -> TranscribingServer:
    if kind == "vllm":
        return VLLMServer(model or client.model)
    return OpenAIServer(settings)


def session_options(
    model: Optional[str],
    language: Optional[str] = None,
    logprobs: bool = False,
    options: Optional[TranscriptionSessionOptions] = None,
) -> TranscriptionSessionOptions:
    """The settings of a session that transcribes committed pieces of PCM16. The arguments are those of ``transcribe``.

    Raises InvalidInputError.
    """
    options = options or TranscriptionSessionOptions()
    if not isinstance(options, TranscriptionSessionOptions):
        raise InvalidInputError(f"options must be TranscriptionSessionOptions, not {type(options).__name__}")
    told = options.input_transcription_options or InputTranscriptionOptions()
    told = transcribed_by(told, model or told.model or DEFAULT_TRANSCRIPTION_MODEL, language)
    include = [*(options.include or ())]
    return attrs.evolve(
        options,
        input_audio_format="audio/pcm",
        input_transcription_options=told,
        turn_detection_options=TurnDetectionOptions.disabled(),
        include=[*include, LOGPROBS] if logprobs and LOGPROBS not in include else include or UNSET,
    )


class _Work:
    """The pieces of one recording: those done, those with the service, those still to be read. For one thread."""

    def __init__(
        self, chunks: AudioChunks, format: SampleFormat, longest: float, progress: Optional[SecondsDone]
    ) -> None:
        self._chunks = chunks
        self._format = format
        self._progress = progress
        self._bytes = 0
        self._unread = pieces(self._counted(), longest=longest, shortest=longest / 5, format=format)
        self.waiting: deque[SpeechPiece] = deque()
        """With the service, or to be given to it again; in order."""
        self.done: list[tuple[SpeechPiece, Transcript]] = []

    def next(self, sent: int) -> Optional[SpeechPiece]:
        """The piece to send when so many of those waiting have been; None if there is none."""
        if sent == len(self.waiting):
            piece = next(self._unread, None)
            if piece is None:
                return None
            self.waiting.append(piece)
        return self.waiting[sent]

    def finish(self, transcript: Transcript) -> None:
        """The first that waits is done. Raises ``TranscriptionFailedError`` where it failed; then it still waits."""
        piece = self.waiting[0]
        if transcript.error is not None:
            told = transcript.error.message or transcript.error.code or transcript.error.type or "no reason given"
            raise TranscriptionFailedError(
                f"the service could not transcribe {piece.start:.1f} to {piece.end:.1f} s: {told}",
                code=transcript.error.code,
            )
        self.waiting.popleft()
        self.done.append((piece, transcript))
        if self._progress is not None:
            total = self._chunks.total_bytes
            self._progress(piece.end, None if total is None else max(self._format.seconds(total), piece.end))

    def result(self, model: str) -> Transcription:
        """What is done so far."""
        languages = (code for _, transcript in self.done for code in transcript.languages)
        return Transcription(
            segments=tuple(segment for piece, transcript in self.done for segment in _segments(piece, transcript)),
            duration=self._format.seconds(self._bytes),
            model=model,
            languages=tuple(dict.fromkeys(languages)),
            usage=UsageTotals.sum(UsageTotals.of_transcription(transcript.usage) for _, transcript in self.done),
        )

    def _counted(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self._bytes += len(chunk)
            yield chunk


def _work_off(
    work: _Work,
    client: RealtimeConversationClient,
    server: TranscribingServer,
    retries: int,
    timeout: float,
    stop: Union[threading.Event, Flag],
) -> None:
    failures = 0
    while work.next(0) is not None:  # before connecting: an unreadable file costs no session, and silence needs none
        done = len(work.done)
        try:
            with client.start_transcription_session(server.options) as session:
                server.begin(session)
                _send_and_receive(work, session, server, timeout)
        except RealtimeSyncError as error:
            failures = 1 if len(work.done) > done else failures + 1
            if failures > retries or not _may_pass(error):
                raise
            delay = _BACKOFF.pause(failures + 1, error)
            logger.info("resuming the transcription in %.1f s, after: %s", delay, error)
            if stop.wait(delay):
                raise ConnectCancelledError("The transcription was stopped while it waited to try again.") from error


def _send_and_receive(
    work: _Work, session: RealtimeConversationSession, server: TranscribingServer, timeout: float
) -> None:
    """In one session, until all is done."""
    collector = TranscriptCollector()
    sent = 0
    while True:
        while sent < server.in_flight and (piece := work.next(sent)) is not None:
            server.send(session, piece)
            sent += 1
        if not sent:
            return
        try:
            update = session.receive_update(timeout)
        except WaitTimeoutError:
            late = f"the service said nothing for {timeout:g} s (timeout) with audio to transcribe, so it was given up"
            raise WaitTimeoutError(late) from None
        if isinstance(update, ErrorUpdate):
            raise server_error(update)
        for transcript in collector.apply(update):
            work.finish(transcript)
            sent -= 1


def _may_pass(error: RealtimeSyncError) -> bool:
    if isinstance(error, WaitTimeoutError):
        return False  # the caller said how long to wait
    if isinstance(error, ServerError):
        return error.type == "server_error" or error.code in _PASSING_CODES
    return isinstance(error, TranscriptionFailedError) or is_worth_another_try(error)


def _segments(piece: SpeechPiece, transcript: Transcript) -> Iterator[TranscriptionSegment]:
    """A piece's text on the recording's time line."""
    text = transcript.text.strip()
    for part in transcript.segments:
        yield attrs.evolve(part, start=part.start + piece.audio_start, end=part.end + piece.audio_start)
    if text and not transcript.segments:
        yield TranscriptionSegment(start=piece.start, end=piece.end, text=text, logprobs=transcript.logprobs)
