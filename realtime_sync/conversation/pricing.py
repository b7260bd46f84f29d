"""What a conversation has used, and what that costs by a dated and replaceable table of list prices.

Nothing here guesses: an unknown model, tokens of a modality that has no price, or tokens whose modality was not told
make the cost ``None``, never 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Optional, Union

import attrs

from realtime_sync.models import DATE, MODELS, ModelPrices, match
from realtime_sync.protocol.resources import TokenUsage, TranscriptionUsage
from realtime_sync.values import Value

__all__ = ["PRICES", "ModelPrices", "Prices", "UsageTotals", "cost"]

_MODALITIES = ("text", "image", "audio")


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


@attrs.frozen(repr=False, eq=False)
class Prices(Value):
    """A table of prices by model name.

    Tables do not change: ``with_model`` makes another. A model is found by its own name, or by that of which it is a
    dated version (``NAME-2026-05-31`` is ``NAME``); an Azure deployment with a name of its own is added
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
        name = match(model, self.models)
        return self.models[name] if name is not None else None

    def cost(self, usage: Union[TokenUsage, UsageTotals, None], model: Optional[str]) -> Optional[float]:
        """What the tokens of the responses cost, in USD; transcriptions are by other models and are not in it.

        None: the model is unknown, or a response or a token cannot be priced (no usage told, modality not told, or no
        price for it); ``cost_note`` says which.
        """
        if self.cost_note(usage, model) is not None:
            return None
        return sum(count * (price or 0.0) for _, count, price in self._bill(usage, model)) / 1_000_000

    def cost_note(self, usage: Union[TokenUsage, UsageTotals, None], model: Optional[str]) -> Optional[str]:
        """Why ``cost`` is None for these, and what to do about it, in a sentence; None if the cost is known."""
        totals = _totals(usage)
        if self.of(model) is None:
            who = f"the model {model!r}" if model else "the model, which the service did not name,"
            advice = f"give it one by PRICES.with_model({model or 'name'!r}, ModelPrices(...))"
            return f"{who} has no price in the table of {self.date}; {advice}"
        if totals.silent_responses:
            return "the service did not tell what each response used"
        if totals.unsplit_input_tokens or totals.unsplit_output_tokens:
            return "the service did not tell which tokens are text, audio or images, whose prices differ"
        missing = [kind for kind, count, price in self._bill(usage, model) if count and price is None]
        if missing:
            return f"the table of {self.date} has no price of the model {model!r} for {' and '.join(missing)}"
        return None

    def transcription_cost(self, usage: Optional[TranscriptionUsage], model: Optional[str]) -> Optional[float]:
        """What one transcription cost, in USD: by its seconds if the service told them, else by its tokens.

        None: the usage is not told, or has no price here.
        """
        prices = self.of(model)
        if usage is None or prices is None:
            return None
        told = UsageTotals.of_transcription(usage)
        if usage.seconds is not None:
            return self.time_cost(told.transcription_seconds, model)
        if usage.input_tokens is None or usage.output_tokens is None:
            return None
        # As if it were a response; what is not told to be text is what it heard.
        read = told.transcription_input_tokens
        text = min(read, _count(usage.input_token_details, "text_tokens"))
        as_response = UsageTotals(
            input_text_tokens=text,
            input_audio_tokens=read - text,
            output_text_tokens=told.transcription_output_tokens,
        )
        return self.cost(as_response, model)

    def time_cost(self, seconds: float, model: Optional[str]) -> Optional[float]:
        """What so many seconds of a model that is billed by time cost, in USD; None: it has no price by the minute.

        Of a live model they are the session's seconds; what its backend uses is by another model, and not in it.
        """
        prices = self.of(model)
        return None if prices is None or prices.minute is None else seconds / 60 * prices.minute

    def _bill(
        self, usage: Union[TokenUsage, UsageTotals, None], model: Optional[str]
    ) -> Iterator[tuple[str, int, Optional[float]]]:
        """How many tokens of each kind there are, and the price of a million of them."""
        totals, prices = _totals(usage), self.of(model) or ModelPrices()
        yield "text read", totals.input_text_tokens - totals.cached_text_tokens, prices.text_in
        yield "images", totals.input_image_tokens - totals.cached_image_tokens, prices.image_in
        yield "audio heard", totals.input_audio_tokens - totals.cached_audio_tokens, prices.audio_in
        yield "text from the cache", totals.cached_text_tokens, prices.text_cached
        yield "images from the cache", totals.cached_image_tokens, prices.image_cached
        yield "audio from the cache", totals.cached_audio_tokens, prices.audio_cached
        yield "text written", totals.output_text_tokens, prices.text_out
        yield "audio spoken", totals.output_audio_tokens, prices.audio_out


def _totals(usage: Union[TokenUsage, UsageTotals, None]) -> UsageTotals:
    return usage if isinstance(usage, UsageTotals) else UsageTotals.of_response(usage)


PRICES = Prices(DATE, {name: model.prices for name, model in MODELS.items() if model.prices is not None})
"""The vendor's list prices: those of ``realtime_sync.models``."""


def cost(
    usage: Union[TokenUsage, UsageTotals, None], model: Optional[str], prices: Optional[Prices] = None
) -> Optional[float]:
    """What tokens of a model cost in USD, by ``prices`` (None: ``PRICES``); None where that cannot be told.

    See ``Prices.cost``.
    """
    return (prices or PRICES).cost(usage, model)
