"""Settings of what is heard and said: formats, transcription, noise reduction, turn detection, voices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Union

import attrs

from realtime_sync.boundary import public_call
from realtime_sync.models import TranscriptionModelName
from realtime_sync.protocol.registry import UNSET, Options, Setting

Voice = Union[
    Literal["alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar"],
    Literal["fable", "onyx", "nova"],  # named by preview's schemas alone
    str,
]
Eagerness = Union[Literal["low", "medium", "high", "auto"], str]


@attrs.define(kw_only=True, repr=False, eq=False)
class AudioFormat(Options):
    """How audio bytes are to be read.

    Attributes:
        type: ``"audio/pcm"`` (the default) is 16 bit little endian mono; ``"audio/pcmu"`` and ``"audio/pcma"`` are
            G.711 µ-law and A-law, 8 bit mono at 8,000 Hz.
        rate: Samples a second (Hz), for PCM; the service knows 24,000. UNSET: the rate of the type (24,000 for PCM).
    """

    type: Union[Literal["audio/pcm", "audio/pcmu", "audio/pcma"], str] = "audio/pcm"
    rate: Setting[int] = UNSET


def as_audio_format(value: Setting[Union[AudioFormat, str]]) -> Setting[AudioFormat]:
    """``"pcm16"``, ``"g711_ulaw"``, ``"audio/pcmu"``, ... as an ``AudioFormat``."""
    if not isinstance(value, str):
        return value
    name = {"pcm16": "audio/pcm", "g711_ulaw": "audio/pcmu", "g711_alaw": "audio/pcma"}.get(value, value)
    return AudioFormat(type=name, rate=24000) if name == "audio/pcm" else AudioFormat(type=name)


@attrs.define(kw_only=True, repr=False, eq=False)
class InputTranscriptionOptions(Options):
    """Ask for the user's speech as text, by a model of its own beside the conversation's.

    Each field is UNSET by default: the service chooses. None is for no field.

    Attributes:
        model: ``"gpt-transcribe"`` writes down each turn when it is over. ``"gpt-live-transcribe"`` and
            ``"gpt-realtime-whisper"`` write while one speaks; they work with turn detection off, so that the caller
            commits the audio, and in transcription and translation sessions only.
        language: The language that is spoken, in ISO-639-1, such as ``"en"``; with it, transcription is better and
            faster. Not for ``gpt-transcribe`` and ``gpt-live-transcribe``, which take ``languages``.
        languages: The languages that may be spoken. For ``gpt-transcribe`` and ``gpt-live-transcribe`` alone.
        keywords: Words and phrases that are likely to be said. For the same two models alone.
        prompt: What the speech is about, in a sentence. Not for ``gpt-realtime-whisper``.
        delay: How long to wait for context: ``"minimal"``, ``"low"``, ``"medium"``, ``"high"`` or ``"xhigh"``. For
            models that transcribe while one speaks, such as ``gpt-realtime-whisper``.
    """

    model: Setting[TranscriptionModelName] = UNSET
    language: Setting[str] = UNSET
    languages: Setting[list[str]] = UNSET
    keywords: Setting[list[str]] = UNSET
    prompt: Setting[str] = UNSET
    delay: Setting[Union[Literal["minimal", "low", "medium", "high", "xhigh"], str]] = UNSET


@attrs.define(kw_only=True, repr=False, eq=False)
class InputNoiseReductionOptions(Options):
    """How noise is taken out of the input audio, before voice activity detection and the model.

    Attributes:
        type: ``"near_field"`` for a headset, ``"far_field"`` for a room microphone. UNSET: the service chooses.
        strength: How strongly, 1.0 being the service's usual strength. UNSET: the strength that is set, at first 1.0.
    """

    type: Setting[Union[Literal["near_field", "far_field"], str]] = UNSET
    strength: Setting[float] = UNSET


@attrs.define(kw_only=True, repr=False, eq=False)
class TurnDetectionOptions(Options):
    """How the service notices that the user has begun or ended to speak.

    Use ``server_vad(...)``, ``semantic_vad(...)`` or ``disabled()``. A field that is UNSET (the default) has the
    service's value, of which OpenAI's are named (2026). None is for ``idle_timeout_ms`` alone.

    Attributes:
        type: ``"server_vad"`` (by loudness, the default), ``"semantic_vad"`` (by what was said), or ``"none"`` (off).
        threshold: ``server_vad``: from this loudness on, 0.0 to 1.0, sound is speech. UNSET: 0.5.
        prefix_padding_ms: ``server_vad``: so many milliseconds of audio before the speech are heard with it. UNSET:
            300.
        silence_duration_ms: ``server_vad``: so many milliseconds of quiet end a turn. UNSET: 500.
        create_response: False: turns are noticed, and the caller starts the responses. UNSET: True.
        interrupt_response: False: speech does not cut off an answer. UNSET: True.
        idle_timeout_ms: ``server_vad``: so many milliseconds (5,000 to 30,000) after an answer was heard, the model
            speaks again by itself. None and UNSET: never.
        eagerness: ``semantic_vad``: how soon to answer: ``"low"`` (within 8 seconds), ``"medium"`` (4), ``"high"`` (2),
            or ``"auto"``, which is medium. UNSET: ``"auto"``.
    """

    type: Union[Literal["server_vad", "semantic_vad", "none"], str] = "server_vad"
    threshold: Setting[float] = UNSET
    prefix_padding_ms: Setting[int] = UNSET
    silence_duration_ms: Setting[int] = UNSET
    create_response: Setting[bool] = UNSET
    interrupt_response: Setting[bool] = UNSET
    idle_timeout_ms: Setting[int] = UNSET
    eagerness: Setting[Eagerness] = UNSET

    @classmethod
    @public_call
    def server_vad(
        cls,
        *,
        threshold: Setting[float] = UNSET,
        prefix_padding_ms: Setting[int] = UNSET,
        silence_duration_ms: Setting[int] = UNSET,
        create_response: Setting[bool] = UNSET,
        interrupt_response: Setting[bool] = UNSET,
        idle_timeout_ms: Setting[int] = UNSET,
    ) -> TurnDetectionOptions:
        """By loudness: above ``threshold`` (0.0 to 1.0) is speech, ``silence_duration_ms`` of quiet end a turn.

        ``prefix_padding_ms`` of sound before the speech are heard with it. ``create_response=False``: turns are
        noticed, and the caller starts the responses; ``interrupt_response=False``: speech does not cut off an answer.
        ``idle_timeout_ms`` (5,000 to 30,000; None: never) after an answer the model speaks again by itself.
        """
        return cls(
            type="server_vad",
            threshold=threshold,
            prefix_padding_ms=prefix_padding_ms,
            silence_duration_ms=silence_duration_ms,
            create_response=create_response,
            interrupt_response=interrupt_response,
            idle_timeout_ms=idle_timeout_ms,
        )

    @classmethod
    @public_call
    def semantic_vad(
        cls,
        *,
        eagerness: Setting[Eagerness] = UNSET,
        create_response: Setting[bool] = UNSET,
        interrupt_response: Setting[bool] = UNSET,
    ) -> TurnDetectionOptions:
        """By what was said; ``eagerness`` to answer is ``low``, ``medium``, ``high`` or ``auto`` (``medium``).

        ``create_response`` and ``interrupt_response`` as in ``server_vad``.
        """
        return cls(
            type="semantic_vad",
            eagerness=eagerness,
            create_response=create_response,
            interrupt_response=interrupt_response,
        )

    @classmethod
    def disabled(cls) -> TurnDetectionOptions:
        """Off: the caller commits the audio and starts the responses."""
        return cls(type="none")


@attrs.define(kw_only=True, repr=False, eq=False)
class CustomVoice(Options):
    """A voice of one's own.

    Attributes:
        id: The id under which the service keeps it. UNSET: not sent.
    """

    id: Setting[str] = UNSET


# A word, or the wire's JSON, in place of a class: as other libraries take them, and as one tries at first.


def as_transcription(
    value: Setting[Union[InputTranscriptionOptions, TranscriptionModelName, str, Mapping[str, Any]]],
) -> Setting[InputTranscriptionOptions]:
    """``"gpt-transcribe"`` as options with this model."""
    if isinstance(value, str):
        return InputTranscriptionOptions(model=value)
    return InputTranscriptionOptions(**value) if isinstance(value, Mapping) else value


def as_noise_reduction(
    value: Setting[Union[InputNoiseReductionOptions, str, Mapping[str, Any]]],
) -> Setting[InputNoiseReductionOptions]:
    """``"near_field"`` as options of this type."""
    if isinstance(value, str):
        return InputNoiseReductionOptions(type=value)
    return InputNoiseReductionOptions(**value) if isinstance(value, Mapping) else value


def as_turn_detection(
    value: Setting[Union[TurnDetectionOptions, str, Mapping[str, Any]]],
) -> Setting[TurnDetectionOptions]:
    """``"semantic_vad"``, ``"none"``, ... as options of this type."""
    if isinstance(value, str):
        return TurnDetectionOptions(type=value)
    return TurnDetectionOptions(**value) if isinstance(value, Mapping) else value
