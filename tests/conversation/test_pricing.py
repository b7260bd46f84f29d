"""What tokens cost, and what is not guessed."""

from __future__ import annotations

import re
from typing import Any, Optional

import attrs
import pytest

from realtime_sync import InputTokenDetails, OutputTokenDetails, TokenUsage, TranscriptionUsage
from realtime_sync.conversation.pricing import PRICES, ModelPrices, Prices, UsageTotals, cost
from realtime_sync.protocol.resources import CachedTokenDetails

MILLION = 1_000_000


def usage(
    text: int = 0,
    audio: int = 0,
    image: int = 0,
    *,
    said_text: int = 0,
    said_audio: int = 0,
    cached: Optional[int] = None,
    cached_details: Optional[CachedTokenDetails] = None,
) -> TokenUsage:
    return TokenUsage(
        input_tokens=text + audio + image,
        output_tokens=said_text + said_audio,
        input_token_details=InputTokenDetails(
            text_tokens=text,
            audio_tokens=audio,
            image_tokens=image,
            cached_tokens=cached,
            cached_tokens_details=cached_details,
        ),
        output_token_details=OutputTokenDetails(text_tokens=said_text, audio_tokens=said_audio),
    )


EVERYTHING = usage(
    2 * MILLION,
    2 * MILLION,
    2 * MILLION,
    said_text=MILLION,
    said_audio=MILLION,
    cached=3 * MILLION,
    cached_details=CachedTokenDetails(text_tokens=MILLION, audio_tokens=MILLION, image_tokens=MILLION),
)


@pytest.mark.parametrize(
    ("model", "dollars"),
    [
        # text in, cached, out; audio in, cached, out; image in, cached: each for a million tokens
        ("gpt-realtime", 4 + 0.40 + 16 + 32 + 0.40 + 64 + 5 + 0.50),
        ("gpt-realtime-1.5", 4 + 0.40 + 16 + 32 + 0.40 + 64 + 5 + 0.50),
        ("gpt-realtime-2", 4 + 0.40 + 24 + 32 + 0.40 + 64 + 5 + 0.50),
        ("gpt-realtime-2.1", 4 + 0.40 + 24 + 32 + 0.40 + 64 + 5 + 0.50),
        ("gpt-realtime-mini", 0.60 + 0.06 + 2.40 + 10 + 0.30 + 20 + 0.80 + 0.08),
        ("gpt-realtime-2.1-mini", 0.60 + 0.06 + 2.40 + 10 + 0.30 + 20 + 0.80 + 0.08),
    ],
)
def test_a_million_tokens_of_everything_cost_what_the_list_says(model: str, dollars: float) -> None:
    assert cost(EVERYTHING, model) == pytest.approx(dollars)


@pytest.mark.parametrize(
    ("model", "listed"),
    [
        ("gpt-realtime-2025-08-28", "gpt-realtime"),
        ("gpt-realtime-mini-2025-10-06", "gpt-realtime-mini"),
        ("gpt-realtime-2-2026-05-01", "gpt-realtime-2"),
        ("gpt-realtime-2.1-mini-2026-07-01", "gpt-realtime-2.1-mini"),
        ("gpt-4o-mini-realtime-preview-2024-12-17", "gpt-4o-mini-realtime-preview"),
    ],
)
def test_a_dated_version_costs_what_its_model_costs(model: str, listed: str) -> None:
    assert PRICES.of(model) is PRICES.models[listed]


@pytest.mark.parametrize(
    "model",
    [
        None,
        "",
        "gpt-realtime-20250828",
        "gpt-realtime-global-standard",
        "GPT-REALTIME",
        "grok-voice-latest",
        "my-deployment",
    ],
)
def test_an_unknown_model_costs_none_and_not_zero(model: Optional[str]) -> None:
    assert PRICES.of(model) is None
    assert cost(usage(), model) is None


@pytest.mark.parametrize("model", ["gpt-realtime-translate", "gpt-realtime-whisper", "gpt-transcribe"])
def test_tokens_of_a_model_that_is_billed_by_time_have_no_price(model: str) -> None:
    assert cost(usage(5), model) is None


@pytest.mark.parametrize(
    ("told", "model", "why"),
    [
        (usage(5), "my-deployment", r"'my-deployment' has no price .* PRICES\.with_model\('my-deployment', "),
        (usage(5), None, "which the service did not name"),
        (None, "gpt-realtime", "did not tell what each response used"),
        (TokenUsage(input_tokens=5, output_tokens=0), "gpt-realtime", "which tokens are text"),
        (usage(5, image=1), "gpt-4o-mini-realtime-preview", "no price of the model .* for images"),
    ],
)
def test_where_the_cost_is_not_known_a_note_says_why(told: Any, model: Optional[str], why: str) -> None:
    assert cost(told, model) is None
    note = PRICES.cost_note(told, model)
    assert note is not None
    assert re.search(why, note)


def test_where_the_cost_is_known_there_is_no_note() -> None:
    assert PRICES.cost_note(usage(5), "gpt-realtime-2.1") is None


@pytest.mark.parametrize(
    ("told", "model", "dollars"),
    [
        (TranscriptionUsage(type="duration", seconds=90), "gpt-transcribe", 1.5 * 0.0045),
        (TranscriptionUsage(type="duration", seconds=30.0), "gpt-live-transcribe", 0.5 * 0.017),
        (TranscriptionUsage(type="duration", seconds=60), "whisper-1", 0.006),
        (TranscriptionUsage(type="tokens", input_tokens=MILLION, output_tokens=0), "gpt-4o-transcribe", 2.50),
        (TranscriptionUsage(type="tokens", input_tokens=0, output_tokens=MILLION), "gpt-4o-mini-transcribe", 5),
        (TranscriptionUsage(type="tokens", input_tokens=5), "gpt-4o-transcribe", None),
        (TranscriptionUsage(type="duration", seconds=60), "gpt-4o-transcribe", None),
        (TranscriptionUsage(type="duration", seconds=60), "my-scribe", None),
        (None, "gpt-transcribe", None),
    ],
)
def test_a_transcription_costs_by_time_or_by_tokens_as_the_service_tells(
    told: Optional[TranscriptionUsage], model: str, dollars: Optional[float]
) -> None:
    assert PRICES.transcription_cost(told, model) == (None if dollars is None else pytest.approx(dollars))


def test_nothing_of_a_known_model_costs_nothing() -> None:
    assert cost(usage(), "gpt-realtime") == 0.0


def test_a_modality_without_a_price_costs_none_only_where_it_was_used() -> None:
    model = "gpt-4o-mini-realtime-preview"
    assert cost(usage(MILLION), model) == pytest.approx(0.60)
    assert cost(usage(MILLION, image=1), model) is None


def test_cached_tokens_are_a_part_of_the_input_and_priced_apart() -> None:
    told = usage(100, cached=64, cached_details=CachedTokenDetails(text_tokens=64))
    assert cost(told, "gpt-realtime") == pytest.approx((36 * 4 + 64 * 0.40) / MILLION)


@pytest.mark.parametrize(
    ("cached", "text", "image", "audio"), [(50, 50, 0, 0), (120, 100, 20, 0), (150, 100, 30, 20), (999, 100, 30, 40)]
)
def test_cached_tokens_without_details_are_laid_to_text_then_images_then_audio(
    cached: int, text: int, image: int, audio: int
) -> None:
    totals = UsageTotals.of_response(usage(100, audio=40, image=30, cached=cached))
    assert (totals.cached_text_tokens, totals.cached_image_tokens, totals.cached_audio_tokens) == (text, image, audio)


def test_that_rule_never_tells_the_cost_too_low() -> None:
    for model, prices in PRICES.models.items():
        savings = [
            (prices.text_in or 0) - (prices.text_cached or 0),
            (prices.audio_in or 0) - (prices.audio_cached or 0),
        ]
        if prices.image_in is not None and prices.image_cached is not None:
            savings.insert(1, prices.image_in - prices.image_cached)
        assert savings == sorted(savings), model


def test_more_cached_than_read_is_no_credit() -> None:
    # async-openai's own example tells such numbers: 384 cached of 127 read.
    details = CachedTokenDetails(text_tokens=128, audio_tokens=256)
    totals = UsageTotals.of_response(usage(119, 8, cached=384, cached_details=details))
    assert (totals.cached_text_tokens, totals.cached_audio_tokens) == (119, 8)


@pytest.mark.parametrize(
    "told",
    [
        None,
        TokenUsage(),
        TokenUsage(total_tokens=10),
        TokenUsage(input_tokens=10),
        TokenUsage(output_tokens=0),
        TokenUsage(input_tokens=10, output_tokens=0),
        TokenUsage(input_tokens=10, output_tokens=0, input_token_details=InputTokenDetails(text_tokens=9)),
        TokenUsage(input_tokens=0, output_tokens=3),
    ],
)
def test_what_was_not_told_is_not_guessed(told: Optional[TokenUsage]) -> None:
    assert cost(told, "gpt-realtime") is None
    assert cost(UsageTotals.of_response(told) + UsageTotals.of_response(usage(5)), "gpt-realtime") is None


def test_details_alone_are_enough() -> None:
    told = TokenUsage(
        input_token_details=InputTokenDetails(text_tokens=10), output_token_details=OutputTokenDetails(text_tokens=1)
    )
    assert cost(told, "gpt-realtime") == pytest.approx((10 * 4 + 16) / MILLION)


def test_tokens_without_a_modality_are_counted_all_the_same() -> None:
    totals = UsageTotals.of_response(TokenUsage(input_tokens=10, output_tokens=4))
    assert (totals.input_tokens, totals.output_tokens, totals.total_tokens) == (10, 4, 14)
    assert (totals.unsplit_input_tokens, totals.input_text_tokens) == (10, 0)


def test_negative_numbers_count_as_nothing() -> None:
    assert UsageTotals.of_response(usage(-5, audio=3, cached=-7)).input_tokens == 3


def test_totals_add_up() -> None:
    one = UsageTotals.of_response(usage(1, 2, 3, said_text=4, said_audio=5, cached=1))
    total = UsageTotals.sum([one, one, UsageTotals.of_transcription(TranscriptionUsage(type="duration", seconds=2.5))])
    assert total == one + one + UsageTotals(transcriptions=1, transcription_seconds=2.5)
    assert (total.responses, total.input_tokens, total.output_tokens, total.cached_tokens) == (2, 12, 18, 2)
    assert UsageTotals.sum([]) == UsageTotals()


def test_transcriptions_are_apart() -> None:
    told = TranscriptionUsage(type="tokens", total_tokens=22, input_tokens=17, output_tokens=5)
    totals = UsageTotals.of_transcription(told)
    assert (totals.transcription_input_tokens, totals.transcription_output_tokens, totals.total_tokens) == (17, 5, 0)
    assert cost(totals, "gpt-realtime") == 0.0


def test_a_table_can_be_replaced_and_a_deployment_added() -> None:
    mine = PRICES.with_model("my-deployment", ModelPrices(text_in=1, text_out=2), date="2027-01-31")
    told = usage(MILLION, said_text=MILLION)
    assert mine.date == "2027-01-31"
    assert mine.cost(told, "my-deployment") == pytest.approx(3)
    assert cost(told, "my-deployment", mine) == pytest.approx(3)
    assert PRICES.of("my-deployment") is None
    assert Prices("2027").cost(told, "gpt-realtime") is None


def test_tables_and_totals_do_not_change() -> None:
    things: list[Any] = [UsageTotals(), PRICES, PRICES.models["gpt-realtime"]]
    for thing in things:
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(thing, attrs.fields(type(thing))[0].name, 1)


def test_their_reprs_fit_to_read() -> None:
    assert repr(UsageTotals(responses=1, input_text_tokens=3)) == "UsageTotals(responses=1, input_text_tokens=3)"
    assert repr(PRICES).startswith("Prices(date='2026-11-29', models=<gpt-realtime-2.1, ")


@pytest.mark.parametrize("model", ["gpt-live-1.1", "gpt-live-1"])
def test_a_live_session_costs_by_its_seconds(model: str) -> None:
    assert PRICES.time_cost(90, model) == pytest.approx(0.075)
    assert PRICES.time_cost(0, model) == 0
    assert PRICES.with_model(model, ModelPrices(minute=1)).time_cost(90, model) == 1.5


def test_time_has_no_price_with_a_model_that_is_billed_by_tokens_or_unknown() -> None:
    assert PRICES.time_cost(90, "gpt-realtime-2.1") is None
    assert PRICES.time_cost(90, "my-deployment") is None
    assert PRICES.time_cost(90, None) is None
