"""What settings, decisions and histories have in common: pieces of content, voices, formats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Union

import attrs

from realtime_sync.protocol.audio_options import AudioFormat, CustomVoice
from realtime_sync.protocol.registry import UNSET, Options, Setting, public_classes

LiveVoice = Union[
    Literal["alloy", "ash", "ballad", "beacon", "bossa", "cedar", "cinder", "coral", "delta", "echo", "gleam", "marin"],
    Literal["meridian", "quartz", "ripple", "sage", "shida", "shimmer", "stone", "tempo", "verse", "vesper", "willow"],
    str,
]
TranscriptEvent = Union[Literal["session.input_transcript.delta", "session.output_transcript.delta"], str]


@attrs.define(kw_only=True, repr=False, eq=False)
class LiveContentPart(Options):
    """A piece of a message, or of a question's instructions. A field that is UNSET (the default) is not sent.

    Attributes:
        type: ``"input_text"``, ``"input_image"``, ``"input_json"``, ``"output_text"``, ``"text"`` or ``"refusal"``.
        text: Of a text.
        image_url: Of an image: its URL, also ``data:``.
        detail: How closely to look at an image: ``"low"``, ``"high"``, ``"auto"`` or ``"original"``.
        data: Of JSON: an object, or a list of objects.
        refusal: Why the model would not answer, in its words.
    """

    type: Setting[Union[Literal["input_text", "input_image", "input_json", "output_text", "text", "refusal"], str]] = (
        UNSET
    )
    text: Setting[str] = UNSET
    image_url: Setting[str] = attrs.field(default=UNSET, repr=lambda url: repr(url[:60]) if url else repr(url))
    detail: Setting[Union[Literal["low", "high", "auto", "original"], str]] = UNSET
    data: Setting[Union[dict[str, Any], list[dict[str, Any]]]] = UNSET
    refusal: Setting[str] = UNSET


LiveContent = Union[str, list[LiveContentPart]]


@attrs.define(kw_only=True, repr=False, eq=False)
class LiveAudioOutput(Options):
    """How the model speaks.

    Attributes:
        voice: A name such as ``"marin"``, or a ``CustomVoice``. UNSET: the service chooses.
    """

    voice: Setting[Union[LiveVoice, CustomVoice]] = UNSET


@attrs.define(kw_only=True, repr=False, eq=False)
class LiveAudio(Options):
    """What is heard and said, as the wire nests it.

    Attributes:
        format: Of both directions. UNSET: the service's own, PCM at 24,000 Hz.
        output: How the model speaks. UNSET: the service chooses.
    """

    format: Setting[AudioFormat] = UNSET
    output: Setting[LiveAudioOutput] = UNSET


if not TYPE_CHECKING:  # checkers, which read no such expression, take all names without an underscore
    __all__ = public_classes(globals())
