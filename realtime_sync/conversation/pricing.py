"""What a conversation has used, and what that costs by a dated and replaceable table of list prices.

Nothing here guesses: an unknown model, tokens of a modality that has no price, or tokens whose modality was not told
make the cost ``None``, never 0.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Optional, Union

import attrs

from realtime_sync.protocol.resources import TokenUsage, TranscriptionUsage
from realtime_sync.values import Value

__all__ = ["PRICES", "ModelPrices", "Prices", "UsageTotals", "cost"]

_MODALITIES = ("text", "image", "audio")
# A model's dated version: "gpt-realtime-2025-08-28". Nothing else may follow a name, for "gpt-realtime-2.1-mini" is
# no gpt-realtime-2, and "gpt-realtime-translate" is priced by the minute.
_DATED = re.compile(r"-\d{4}-\d{2}-\d{2}")


@attrs.frozen(kw_only=True, repr=False, eq=False)
class UsageTotals(Value):
    """Tokens used, summed over responses; ``+`` adds two. Read them, they do not change.

    ``cached_...`` are a part of ``input_...``, not beside them; what was not cached is the difference.
    ``unsplit_...``: tokens that the service told only as a number, without their modality; they are in none of the
    others. Cached tokens told only as a number are laid to text first, then to images, then to audio, as far as the
    input has them: the cached beginning of a conversation is its instructions and tools, and this order never tells
    the cost too low, because a cached audio token saves the most.
    ``silent_responses``: responses that ended without telling what they read and said. ``transcription_...``: what the
    transcription of the user's speech used, by a model of its own; ``transcription_seconds`` where that model is
    billed by time.
    """

    responses: int = 0
    silent_responses: int = 0
    input_text_tokens: int = 0
    input_image_tokens: int = 0
    input_audio_tokens: int = 0
    unsplit_input_tokens: int = 0
    cached_text_tokens: int = 0
    cached_image_tokens: int = 0
    cached_audio_tokens: int = 0
    output_text_tokens: int = 0
    output_audio_tokens: int = 0
    unsplit_output_tokens: int = 0
    transcriptions: int = 0
    transcription_input_tokens: int = 0
    transcription_output_tokens: int = 0
    transcription_seconds: float = 0.0

    @property
    def input_tokens(self) -> int:
        """All that the responses read, cached or not."""
        by_modality = self.input_text_tokens + self.input_image_tokens + self.input_audio_tokens
        return by_modality + self.unsplit_input_tokens

    @property
    def cached_tokens(self) -> int:
        """The part of ``input_tokens`` that came from the cache."""
        return self.cached_text_tokens + self.cached_image_tokens + self.cached_audio_tokens

    @property
    def output_tokens(self) -> int:
        """All that the responses said."""
        return self.output_text_tokens + self.output_audio_tokens + self.unsplit_output_tokens

    @property
    def total_tokens(self) -> int:
        """Input and output of the responses; the transcriptions are apart."""
        return self.input_tokens + self.output_tokens

    def __repr__(self) -> str:
        counts = ((field.name, getattr(self, field.name)) for field in _FIELDS)
        return f"UsageTotals({', '.join(f'{name}={count}' for name, count in counts if count)})"

    def __add__(self, other: UsageTotals) -> UsageTotals:
        return UsageTotals(**{field.name: getattr(self, field.name) + getattr(other, field.name) for field in _FIELDS})

    @classmethod
    def sum(cls, totals: Iterable[UsageTotals]) -> UsageTotals:
        """All of them added up."""
        totals = list(totals)
        return cls(**{field.name: sum(getattr(one, field.name) for one in totals) for field in _FIELDS})

    @classmethod
    def of_response(cls, usage: Optional[TokenUsage]) -> UsageTotals:
        """The usage of one response; None, or a usage without its input or its output, is a silent response."""
        if usage is None:
            return cls(responses=1, silent_responses=1)
        told = usage.input_token_details
        read = {name: _count(told, f"{name}_tokens") for name in _MODALITIES}
        cached = _cached(usage, read)
        said = {name: _count(usage.output_token_details, f"{name}_tokens") for name in ("text", "audio")}
        return cls(
            responses=1,
            silent_responses=0 if _tells_both_sides(usage) else 1,
            **{f"input_{name}_tokens": count for name, count in read.items()},
            **{f"cached_{name}_tokens": count for name, count in cached.items()},
            **{f"output_{name}_tokens": count for name, count in said.items()},
            unsplit_input_tokens=max(0, _count(usage, "input_tokens") - sum(read.values())),
            unsplit_output_tokens=max(0, _count(usage, "output_tokens") - sum(said.values())),
        )

    @classmethod
    def of_transcription(cls, usage: Optional[TranscriptionUsage]) -> UsageTotals:
        """The usage of one transcription of the user's speech."""
        if usage is None:
            return cls(transcriptions=1)
        return cls(
            transcriptions=1,
            transcription_input_tokens=_count(usage, "input_tokens"),
            transcription_output_tokens=_count(usage, "output_tokens"),
            transcription_seconds=max(0.0, usage.seconds or 0.0),
        )


_FIELDS = attrs.fields(UsageTotals)


def _count(told: Optional[object], name: str) -> int:
    value = getattr(told, name, None)
    return max(0, value) if isinstance(value, int) else 0


def _tells_both_sides(usage: TokenUsage) -> bool:
    read = usage.input_tokens is not None or usage.input_token_details is not None
    said = usage.output_tokens is not None or usage.output_token_details is not None
    return read and said


def _cached(usage: TokenUsage, read: Mapping[str, int]) -> dict[str, int]:
    """Cached tokens by modality, never more than were read; see ``UsageTotals`` for the rule."""
    told = usage.input_token_details
    details = told.cached_tokens_details if told is not None else None
    cached = {name: min(read[name], _count(details, f"{name}_tokens")) for name in _MODALITIES}
    left = _count(told, "cached_tokens") - sum(cached.values())
    for name in _MODALITIES:
        more = max(0, min(left, read[name] - cached[name]))
        cached[name] += more
        left -= more
    return cached


@attrs.frozen(kw_only=True, repr=False, eq=False)
class ModelPrices(Value):
    """The prices of one model, in USD for a million tokens. None (the default everywhere): the model has none, or it is
    not known.

    Attributes:
        text_in: Text that it reads.
        text_cached: Text that it reads from the cache.
        text_out: Text that it writes.
        audio_in: Audio that it hears.
        audio_cached: Audio that it hears from the cache.
        audio_out: Audio that it speaks.
        image_in: Images that it sees.
        image_cached: Images that it sees from the cache.
    """

    text_in: Optional[float] = None
    text_cached: Optional[float] = None
    text_out: Optional[float] = None
    audio_in: Optional[float] = None
    audio_cached: Optional[float] = None
    audio_out: Optional[float] = None
    image_in: Optional[float] = None
    image_cached: Optional[float] = None


@attrs.frozen(repr=False, eq=False)
class Prices(Value):
    """A table of prices by model name.

    Tables do not change: ``with_model`` makes another. A model is found by its own name, or by that of which it is a
    dated version (``gpt-realtime-2025-08-28`` is ``gpt-realtime``); an Azure deployment with a name of its own is added
    under that name.

    Attributes:
        date: When the prices held: YYYY-MM-DD, or less if the day is not known.
        models: The prices by model name; none by default.
    """

    date: str
    models: Mapping[str, ModelPrices] = attrs.field(factory=dict, repr=lambda models: f"<{', '.join(models)}>")

    def with_model(self, name: str, prices: ModelPrices, *, date: Optional[str] = None) -> Prices:
        """The table with this model added or replaced; ``date``: None keeps the table's."""
        return Prices(date or self.date, {**self.models, name: prices})

    def of(self, model: Optional[str]) -> Optional[ModelPrices]:
        """The prices of a model, or None where the table does not have it."""
        if not model:
            return None
        fitting = [name for name in self.models if model == name or _is_dated_version(model, name)]
        return self.models[max(fitting, key=len)] if fitting else None

    def cost(self, usage: Union[TokenUsage, UsageTotals, None], model: Optional[str]) -> Optional[float]:
        """What the tokens of the responses cost, in USD; transcriptions are by other models and are not in it.

        None: the model is unknown, or a response or a token cannot be priced (no usage told, modality not told, or no
        price for it).
        """
        totals = usage if isinstance(usage, UsageTotals) else UsageTotals.of_response(usage)
        prices = self.of(model)
        if prices is None or totals.silent_responses or totals.unsplit_input_tokens or totals.unsplit_output_tokens:
            return None
        counts = [
            (totals.input_text_tokens - totals.cached_text_tokens, prices.text_in),
            (totals.input_image_tokens - totals.cached_image_tokens, prices.image_in),
            (totals.input_audio_tokens - totals.cached_audio_tokens, prices.audio_in),
            (totals.cached_text_tokens, prices.text_cached),
            (totals.cached_image_tokens, prices.image_cached),
            (totals.cached_audio_tokens, prices.audio_cached),
            (totals.output_text_tokens, prices.text_out),
            (totals.output_audio_tokens, prices.audio_out),
        ]
        cost = 0.0
        for count, price in counts:
            if count and price is None:
                return None
            cost += count * (price or 0.0)
        return cost / 1_000_000


def _is_dated_version(model: str, name: str) -> bool:
    return model.startswith(name) and _DATED.fullmatch(model, len(name)) is not None


_REALTIME = ModelPrices(
    text_in=4, text_cached=0.40, text_out=16, audio_in=32, audio_cached=0.40, audio_out=64, image_in=5, image_cached=0.5
)
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

PRICES = Prices(
    "2026",
    {
        "gpt-realtime": _REALTIME,
        "gpt-realtime-1.5": _REALTIME,
        "gpt-realtime-2": attrs.evolve(_REALTIME, text_out=24),
        "gpt-realtime-2.1": attrs.evolve(_REALTIME, text_out=24),
        "gpt-realtime-mini": _MINI,
        "gpt-realtime-2.1-mini": _MINI,
        "gpt-4o-mini-realtime-preview": attrs.evolve(_MINI, text_cached=0.30, image_in=None, image_cached=None),
    },
)
"""The vendor's list prices, as its model pages told them in 2026."""


def cost(
    usage: Union[TokenUsage, UsageTotals, None], model: Optional[str], prices: Optional[Prices] = None
) -> Optional[float]:
    """What tokens of a model cost in USD, by ``prices`` (None: ``PRICES``); None where that cannot be told.

    See ``Prices.cost``.
    """
    return (prices or PRICES).cost(usage, model)
