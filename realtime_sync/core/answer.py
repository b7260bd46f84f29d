"""An answer of the model as a value: finished, and the pieces in which it came.

Values only: frozen, made by ``core/response.py``, safe to share between threads.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, BinaryIO, Literal, Optional, Union

import attrs

from realtime_sync.audio.formats import SampleFormat, pcm_at
from realtime_sync.boundary import public_call
from realtime_sync.conversation.accumulator import sample_format
from realtime_sync.errors import InvalidInputError
from realtime_sync.protocol.items import ConversationItem, FunctionCallItem, MCPApprovalRequestItem
from realtime_sync.protocol.options import AudioFormat
from realtime_sync.protocol.resources import ConversationResponse, TokenUsage
from realtime_sync.values import Value
from realtime_sync.words import cut

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_SHOWN = 200  # characters of an answer, in a REPL


def _size(audio: bytes) -> str:
    return f"<{len(audio)} bytes>"


def _beginning(text: str) -> str:
    return repr(cut(text, _SHOWN))


def _types(items: Sequence[ConversationItem]) -> str:
    return f"[{', '.join(item.type for item in items)}]"


@attrs.frozen(repr=False, eq=False)
class Delta(Value):
    """A piece of an answer; ``str(delta)`` is its text.

    Attributes:
        kind: ``"text"`` if the model wrote it, ``"transcript"`` if the model spoke it.
        text: The piece itself.
    """

    kind: Literal["text", "transcript"]
    text: str = attrs.field(repr=_beginning)

    def __str__(self) -> str:
        return self.text


@attrs.frozen(kw_only=True, repr=False, eq=False)
class Timings(Value):
    """When things happened, in seconds after the answer was asked for; None if they did not.

    Attributes:
        created: The service began to answer (``response.created``).
        first_text: The first piece of text or of a transcript came.
        first_audio: The first piece of audio came.
        done: The service said that the answer is done (``response.done``).
    """

    created: Optional[float] = None
    first_text: Optional[float] = None
    first_audio: Optional[float] = None
    done: Optional[float] = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class Answer(Value):
    """A finished answer. ``str(answer)`` is its text, or its transcript if it has no text.

    Attributes:
        id: The service's name for the response; None if it gave none.
        status: ``"completed"``, ``"incomplete"``, ``"cancelled"`` or ``"failed"``; None if the service gave none.
        reason: Why the answer is not completed (``"max_output_tokens"``, ``"turn_detected"``, ...); None if it is.
        text: What the model wrote; empty if it spoke.
        transcript: What the model spoke, in writing.
        audio: The speech: samples in ``audio_format``.
        audio_format: The format of ``audio``.
        items: The items that the answer put into the conversation.
        usage: The tokens that the service counted; None if it did not report them.
        cost: US dollars by ``realtime_sync.PRICES``; None if it is not known, and ``cost_note`` says why.
        cost_note: Why ``cost`` is None, and what to do about it; None if the cost is known.
        timings: When the answer began, came and ended.
        response: The response as the service reported it last.
        user_transcript: What the service heard in the recording that was asked; None if it was not asked to write that
            down, see ``ask``.
    """

    id: Optional[str]
    status: Optional[str]
    reason: Optional[str]
    text: str = attrs.field(repr=_beginning)
    transcript: str = attrs.field(repr=_beginning)
    audio: bytes = attrs.field(repr=_size)
    audio_format: AudioFormat = attrs.field(repr=False)
    items: Sequence[ConversationItem] = attrs.field(repr=_types)
    usage: Optional[TokenUsage] = attrs.field(repr=False)
    cost: Optional[float]
    cost_note: Optional[str] = attrs.field(default=None, repr=False)
    timings: Timings = attrs.field(repr=False)
    response: ConversationResponse = attrs.field(repr=False)
    user_transcript: Optional[str] = None

    @property
    def completed(self) -> bool:
        """True if nothing cut the answer short."""
        return self.status == "completed"

    @property
    def function_calls(self) -> list[FunctionCallItem]:
        """The function calls that the model asks for."""
        return [item for item in self.items if isinstance(item, FunctionCallItem)]

    @property
    def audio_seconds(self) -> float:
        """The length of the audio, in seconds."""
        return SampleFormat.of(self.audio_format).seconds(len(self.audio))

    @public_call
    def save_audio(self, target: Union[str, os.PathLike[str], BinaryIO], rate: Optional[int] = None) -> None:
        """Write the audio into a file: ``answer.save_audio("answer.wav")``.

        Args:
            target: A path, whose suffix says what the file becomes: ``.wav``; with the extra ``audio`` ``.mp3``,
                ``.flac``, ``.ogg`` or ``.aiff``; ``.pcm`` or ``.raw`` for the bare samples. Or a binary file object,
                which is given WAV and stays open.
            rate: Samples per second of 16-bit PCM. None: the audio is written in the format in which it came.

        Raises:
            InvalidInputError: The answer has no audio; the message says why.
            ConfigurationError: The suffix is of no kind that can be written. Or the extra ``audio`` is missing, which
                writes this kind of file, or converts to that rate.
        """
        from realtime_sync.audio.converting import write_audio

        self._check_audio()
        write_audio(target, self.audio, SampleFormat.of(self.audio_format), rate)

    @public_call
    def play(self, device: Union[str, int, None] = None) -> None:
        """Play the audio on a speaker of this machine; returns when all is played. Ctrl-C ends it at once.

        Args:
            device: The speaker's name or a part of it, or its number (``realtime-sync doctor`` lists them). None: the
                system's default.

        Raises:
            InvalidInputError: The answer has no audio.
            ConfigurationError: The extra ``devices`` is missing, or the system's PortAudio.
            AudioDeviceError: There is no such speaker, or it cannot be opened, or it was unplugged.
        """
        from realtime_sync.devices.playing import play

        self._check_audio()
        play(self.audio, SampleFormat.of(self.audio_format), device)

    def _check_audio(self) -> None:
        """Raise ``InvalidInputError`` if there is no sound, and say why."""
        if self.audio:
            return
        if not self.completed:
            why = f"it is {self.status}{f' ({self.reason})' if self.reason else ''}, and no sound had come"
        elif self.function_calls and not str(self):
            why = "the model called functions and said nothing"
        elif self.text:
            why = 'the model wrote it. For a spoken one leave content_modalities out, or set it to ["audio"]'
        else:
            why = "the service sent none"
        raise InvalidInputError(f"this answer has no audio: {why}")

    def samples(self, rate: Optional[int] = None) -> npt.NDArray[np.float32]:
        """The audio as a numpy array.

        Args:
            rate: Samples per second. None: the rate at which the audio came.

        Returns:
            Mono samples, floating point from -1 to 1.

        Raises:
            ConfigurationError: The extra ``audio`` is missing.
        """
        from realtime_sync.audio.arrays import from_bytes

        return from_bytes(self.audio, SampleFormat.of(self.audio_format), rate and pcm_at(rate).rate)

    @property
    def approvals(self) -> list[MCPApprovalRequestItem]:
        """The calls of remote tools (MCP) that wait for an approval; see ``ask``."""
        return [item for item in self.items if isinstance(item, MCPApprovalRequestItem)]

    def __str__(self) -> str:
        return self.text or self.transcript

    def _repr_html_(self) -> str:
        from realtime_sync.audio.players import player
        from realtime_sync.notebook import card, paragraph

        usage = self.usage
        facts = {
            "status": f"{self.status}: {self.reason}" if self.reason else self.status,
            "tokens": f"{usage.input_tokens} read, {usage.output_tokens} said" if usage is not None else None,
            "cost": f"${self.cost:.6f}" if self.cost is not None else None,
            "calls": ", ".join(call.name or "?" for call in self.function_calls) or None,
        }
        heard = f"You said: {self.user_transcript}" if self.user_transcript else ""
        body = paragraph(heard) + paragraph(self.text) + paragraph(self.transcript)
        body += player(self.audio, sample_format(self.audio_format))
        return card(f"Answer {self.id or ''}", facts, body)
