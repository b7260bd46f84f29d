"""How servers are given pieces of speech to transcribe: as OpenAI's service is, and as vLLM's own endpoint is."""

from __future__ import annotations

from typing import Literal, Optional, Protocol, get_args

from realtime_sync.audio.formats import PCM, SampleFormat, pcm_at
from realtime_sync.audio.source import slices
from realtime_sync.errors import InvalidInputError
from realtime_sync.protocol.options import TranscriptionSessionOptions
from realtime_sync.session import RealtimeConversationSession
from realtime_sync.transcribing.pieces import SpeechPiece

ServerKind = Literal["openai", "vllm"]
"""``"openai"``: the service, and servers that imitate it. ``"vllm"``: vLLM's own realtime endpoint."""

_COMMIT = "input_audio_buffer.commit"


class TranscribingServer(Protocol):
    """What differs between servers.

    Attributes:
        model: The model that transcribes.
        format: What the pieces are in.
        in_flight: How many pieces it may have at once.
        options: The settings that a session is started with.
    """

    model: str
    format: SampleFormat
    in_flight: int
    options: Optional[TranscriptionSessionOptions]

    def begin(self, session: RealtimeConversationSession) -> None:
        """Say what a new session needs to be told besides."""

    def send(self, session: RealtimeConversationSession, piece: SpeechPiece) -> None:
        """Give it a piece to transcribe."""


class OpenAIServer:
    """OpenAI's service, and servers that imitate it."""

    format = PCM
    # It works on several, and a loss costs no more than these.
    in_flight = 4

    def __init__(self, options: TranscriptionSessionOptions) -> None:
        told = options.input_transcription_options
        self.model = told.model or "" if told else ""
        self.options: Optional[TranscriptionSessionOptions] = options

    def begin(self, session: RealtimeConversationSession) -> None:
        """See ``TranscribingServer``."""

    def send(self, session: RealtimeConversationSession, piece: SpeechPiece) -> None:
        """See ``TranscribingServer``."""
        _write(session, piece, self.format)
        session.commit_pending_audio()


class VLLMServer:
    """vLLM's own realtime endpoint, which only transcribes, in messages of its own (read in vLLM 0.33.0, 2026-11).

    It hears PCM16 at 16,000 Hz. ``session.update`` names the model and nothing else, and is not acknowledged. A commit
    makes it listen, and one that is ``final`` says that nothing more comes; ``transcription.done`` has the text then.
    What it was sent before it has said that is thrown away, so it is given one piece at a time.
    """

    format = pcm_at(16000)
    in_flight = 1
    options: Optional[TranscriptionSessionOptions] = None

    def __init__(self, model: Optional[str]) -> None:
        if not model:
            raise InvalidInputError(
                "name the model that vLLM serves, such as model='mistralai/Voxtral-Mini-4B-Realtime-2602': it must be "
                "told, and has no default"
            )
        self.model = model

    def begin(self, session: RealtimeConversationSession) -> None:
        """See ``TranscribingServer``."""
        session.send_message({"type": "session.update", "model": self.model})

    def send(self, session: RealtimeConversationSession, piece: SpeechPiece) -> None:
        """See ``TranscribingServer``."""
        session.send_message({"type": _COMMIT})
        _write(session, piece, self.format)
        session.send_message({"type": _COMMIT, "final": True})


def check_server(
    kind: object, language: Optional[str], logprobs: bool, options: Optional[TranscriptionSessionOptions]
) -> None:
    """Raise InvalidInputError for a kind of server that there is not, and for settings that vLLM does not have."""
    if kind not in get_args(ServerKind):
        raise InvalidInputError(f"server must be 'openai' or 'vllm', not {kind!r:.40}")
    if kind == "vllm" and (language or logprobs or options is not None):
        raise InvalidInputError(
            "vLLM's realtime endpoint has no setting but the model: leave language, logprobs and options out"
        )


def _write(session: RealtimeConversationSession, piece: SpeechPiece, format: SampleFormat) -> None:
    # Not send_audio(), which would look for a header in samples.
    with session.audio_writer() as writer:
        for chunk in slices(piece.audio, format.bytes_for(1.0)):
            writer.write(chunk)
