"""The models of OpenAI's realtime API in one dated table: what each is for, when it ends, what succeeds it, its prices.

Prices, warnings and ``realtime-sync doctor`` read it. It holds what OpenAI's pages told until ``DATE``; what they did
not tell is None, and nothing is guessed. The pages are ``developers.openai.com/api/docs/models/NAME`` (prices, limits)
and ``.../deprecations``, whose dates the types of the package openai 3.57 repeat. Azure's deployments have names and
retirement dates of their own, which are not here. The audio family (``gpt-audio-1.5``, ...), which the schemas list
beside these, is not served by ``/v1/realtime``, as its pages say; the live models (``gpt-live-1.1``, ...) are served by
``/v1/live/sessions`` alone.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from typing import Final, Literal, Optional, Union

import attrs

from realtime_sync.values import Value

__all__ = [
    "DATE",
    "MODELS",
    "PROMPTS_END",
    "ConversationModelName",
    "LiveModelName",
    "ModelInfo",
    "ModelPrices",
    "ServiceEndsWarning",
    "TranscriptionModelName",
    "TranslationModelName",
    "find_model",
]

DATE: Final = "2026-11-29"
"""When the table was made: YYYY-MM-DD."""

PROMPTS_END: Final = "2026-11-30"
"""When OpenAI ends prompts that are kept at the service (``prompt=``, ``PromptReference``)."""

# What editors offer, as the schemas have it (2026-08); any other text is accepted.
ConversationModelName = Union[
    Literal["gpt-realtime-2.1", "gpt-realtime-2.1-mini", "gpt-realtime-2", "gpt-realtime-1.5"],
    Literal["gpt-realtime", "gpt-realtime-2025-08-28"],
    Literal["gpt-realtime-mini", "gpt-realtime-mini-2025-10-06", "gpt-realtime-mini-2025-12-15"],
    Literal["gpt-4o-realtime-preview", "gpt-4o-realtime-preview-2024-10-01"],
    Literal["gpt-4o-realtime-preview-2024-12-17", "gpt-4o-realtime-preview-2025-06-03"],
    Literal["gpt-4o-mini-realtime-preview", "gpt-4o-mini-realtime-preview-2024-12-17"],
    Literal["gpt-audio-1.5", "gpt-audio-mini", "gpt-audio-mini-2025-10-06", "gpt-audio-mini-2025-12-15"],
    str,
]
TranscriptionModelName = Union[
    Literal["gpt-transcribe", "gpt-live-transcribe", "gpt-realtime-whisper"],
    Literal["gpt-4o-transcribe", "gpt-4o-mini-transcribe", "gpt-4o-mini-transcribe-2025-12-15"],
    Literal["gpt-4o-transcribe-diarize", "whisper-1"],
    str,
]
TranslationModelName = Union[Literal["gpt-realtime-translate"], str]
LiveModelName = Union[Literal["gpt-live-1.1", "gpt-live-1"], str]

ModelKind = Literal["conversation", "live", "transcription", "translation", "preview"]

# A model's dated version: "gpt-realtime-2025-08-28". Nothing else may follow a name, for "gpt-realtime-2.1-mini" is
# no gpt-realtime-2, and "gpt-realtime-translate" is priced by the minute.
_DATED = re.compile(r"-\d{4}-\d{2}-\d{2}")


class ServiceEndsWarning(FutureWarning):
    """The service ends something that is used here, such as a model; the message says when, and what to use instead.

    It is given once a process for each such thing, at the call that uses it. To silence it:
    ``warnings.filterwarnings("ignore", category=realtime_sync.ServiceEndsWarning)``.
    """


@attrs.frozen(kw_only=True, repr=False, eq=False)
class ModelPrices(Value):
    """The prices of one model, in USD for a million tokens, or for a minute.

    None (the default everywhere): the model has none, or it is not known.

    Attributes:
        text_in: Text that it reads.
        text_cached: Text that it reads from the cache.
        text_out: Text that it writes.
        audio_in: Audio that it hears.
        audio_cached: Audio that it hears from the cache.
        audio_out: Audio that it speaks.
        image_in: Images that it sees.
        image_cached: Images that it sees from the cache.
        minute: A minute, for a model that is billed by time: of the audio that it hears; of a live model the session's,
            which counts silence, too.
    """

    text_in: Optional[float] = None
    text_cached: Optional[float] = None
    text_out: Optional[float] = None
    audio_in: Optional[float] = None
    audio_cached: Optional[float] = None
    audio_out: Optional[float] = None
    image_in: Optional[float] = None
    image_cached: Optional[float] = None
    minute: Optional[float] = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class ModelInfo(Value):
    """What is known of one model.

    Attributes:
        name: As it is written in a URL or in options.
        kind: What it is for: ``"conversation"``, ``"live"`` (``client.start_live_session``), ``"transcription"``,
            ``"translation"``, or ``"preview"``: a conversation in the time before general availability.
        ends: The last date on which the service promises it, YYYY-MM-DD, also if that is past. None: no end is
            announced.
        successor: What OpenAI recommends in its place. None: it is not to be replaced, or nothing is recommended.
        prices: None: not known.
        context_tokens: What it can keep in mind, in tokens. None: not told.
        output_tokens: What one answer of it may have, in tokens. None: not told.
        takes_languages: Transcription: True if it takes the hint of the language as ``languages`` alone, and not as
            ``language`` (the default: False).
        detects_turns: Transcription: True (the default) if it works with turn detection. False: the service refuses
            any with it.
    """

    name: str
    kind: ModelKind
    ends: Optional[str] = None
    successor: Optional[str] = None
    prices: Optional[ModelPrices] = None
    context_tokens: Optional[int] = None
    output_tokens: Optional[int] = None
    takes_languages: bool = False
    detects_turns: bool = True


def match(model: Optional[str], names: Iterable[str]) -> Optional[str]:
    """The name that is the model's, or that of which it is a dated version; None if there is none."""
    fitting = [name for name in names if model and (model == name or _is_dated_version(model, name))]
    return max(fitting, key=len, default=None)


def find_model(model: Optional[str]) -> Optional[ModelInfo]:
    """What is known of a model or of a dated version of it (``gpt-realtime-2025-08-28``); None for an unknown one."""
    name = match(model, MODELS)
    return MODELS[name] if name is not None else None


def days_until(date: str) -> int:
    """From today, by this machine's clock, to a date (YYYY-MM-DD); negative if it is past. Raises ValueError."""
    year, month, day = map(int, date.split("-"))
    begun, ended = (time.mktime((*each, 0, 0, 0, 0, 0, -1)) for each in (time.localtime()[:3], (year, month, day)))
    return round((ended - begun) / 86_400)  # for one day has 23 hours, and one has 25


def _is_dated_version(model: str, name: str) -> bool:
    return model.startswith(name) and _DATED.fullmatch(model, len(name)) is not None


_REALTIME = ModelPrices(
    text_in=4, text_cached=0.40, text_out=16, audio_in=32, audio_cached=0.40, audio_out=64, image_in=5, image_cached=0.5
)
_REALTIME_2 = attrs.evolve(_REALTIME, text_out=24)
_MINI = ModelPrices(
    text_in=0.60,
    text_cached=0.06,
    text_out=2.40,
    audio_in=10,
    audio_cached=0.30,
    audio_out=20,
    image_in=0.80,
    image_cached=0.08,
)
_PREVIEW = ModelPrices(text_in=5, text_cached=2.50, text_out=20, audio_in=40, audio_cached=2.50, audio_out=80)
_MINI_PREVIEW = attrs.evolve(_MINI, text_cached=0.30, image_in=None, image_cached=None)
# The page tells one price of what these read, text and audio alike.
_4O_TRANSCRIBE = ModelPrices(text_in=2.50, audio_in=2.50, text_out=10)
_4O_MINI_TRANSCRIBE = ModelPrices(text_in=1.25, audio_in=1.25, text_out=5)

_JANUARY = "2027-01-20"
_FEBRUARY = "2027-02-26"
# With the protocol of the preview; announced were gpt-realtime-1.5 and gpt-realtime-mini, which have successors by now.
_MAY = "2026-05-07"

_ALL = (
    ModelInfo(
        name="gpt-realtime-2.1",
        kind="conversation",
        prices=_REALTIME_2,
        context_tokens=128_000,
        output_tokens=32_000,
    ),
    ModelInfo(
        name="gpt-realtime-2.1-mini",
        kind="conversation",
        prices=_MINI,
        context_tokens=128_000,
        output_tokens=32_000,
    ),
    ModelInfo(
        name="gpt-realtime-2",
        kind="conversation",
        prices=_REALTIME_2,
        context_tokens=128_000,
        output_tokens=32_000,
    ),
    ModelInfo(
        name="gpt-realtime-1.5",
        kind="conversation",
        prices=_REALTIME,
        context_tokens=32_000,
        output_tokens=4096,
    ),
    ModelInfo(
        name="gpt-realtime",
        kind="conversation",
        ends=_JANUARY,
        successor="gpt-realtime-2.1",
        prices=_REALTIME,
        context_tokens=32_000,
        output_tokens=4096,
    ),
    ModelInfo(
        name="gpt-realtime-mini",
        kind="conversation",
        ends=_JANUARY,
        successor="gpt-realtime-2.1-mini",
        prices=_MINI,
    ),
    ModelInfo(
        name="gpt-realtime-mini-2025-10-06",
        kind="conversation",
        ends="2026-07-23",
        successor="gpt-realtime-2.1-mini",
        prices=_MINI,
    ),
    ModelInfo(
        name="gpt-live-1.1",
        kind="live",
        prices=ModelPrices(minute=0.05),
        context_tokens=128_000,
    ),
    ModelInfo(  # its price was not read on its own page: others' tables have it, the same as its successor's
        name="gpt-live-1",
        kind="live",
        prices=ModelPrices(minute=0.05),
        context_tokens=128_000,
    ),
    ModelInfo(
        name="gpt-4o-realtime-preview",
        kind="preview",
        ends=_MAY,
        successor="gpt-realtime-2.1",
        prices=_PREVIEW,
        context_tokens=32_000,
        output_tokens=4096,
    ),
    ModelInfo(
        name="gpt-4o-mini-realtime-preview",
        kind="preview",
        ends=_MAY,
        successor="gpt-realtime-2.1-mini",
        prices=_MINI_PREVIEW,
        context_tokens=16_000,
        output_tokens=4096,
    ),
    ModelInfo(
        name="gpt-transcribe",
        kind="transcription",
        prices=ModelPrices(minute=0.0045),
        takes_languages=True,
    ),
    ModelInfo(
        name="gpt-live-transcribe",
        kind="transcription",
        prices=ModelPrices(minute=0.017),
        takes_languages=True,
        detects_turns=False,
    ),
    ModelInfo(
        name="gpt-realtime-whisper",
        kind="transcription",
        prices=ModelPrices(minute=0.017),
        context_tokens=16_000,
        output_tokens=2000,
        detects_turns=False,
    ),
    ModelInfo(
        name="gpt-4o-transcribe",
        kind="transcription",
        ends=_FEBRUARY,
        successor="gpt-transcribe",
        prices=_4O_TRANSCRIBE,
        context_tokens=16_000,
        output_tokens=2000,
    ),
    ModelInfo(
        name="gpt-4o-mini-transcribe",
        kind="transcription",
        ends=_FEBRUARY,
        successor="gpt-transcribe",
        prices=_4O_MINI_TRANSCRIBE,
        context_tokens=16_000,
        output_tokens=2000,
    ),
    ModelInfo(
        name="gpt-4o-transcribe-diarize",  # its successor does not tell speakers apart
        kind="transcription",
        ends=_FEBRUARY,
        successor="gpt-transcribe",
        prices=_4O_TRANSCRIBE,
        context_tokens=16_000,
        output_tokens=2000,
    ),
    ModelInfo(
        name="whisper-1",
        kind="transcription",
        ends=_FEBRUARY,
        successor="gpt-transcribe",
        prices=ModelPrices(minute=0.006),
    ),
    ModelInfo(
        name="gpt-realtime-translate",
        kind="translation",
        prices=ModelPrices(minute=0.034),
        context_tokens=16_000,
        output_tokens=2000,
    ),
)

MODELS: Final[Mapping[str, ModelInfo]] = {model.name: model for model in _ALL}
"""Each model by its name."""
