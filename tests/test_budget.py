"""A budget: what is counted, what cannot be, and how a session ends whose budget is passed."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest
import trustme

from realtime_sync import (
    PRICES,
    BudgetExceededError,
    ConfigurationError,
    ConnectionClosedError,
    ConversationResponseOptions,
    ConversationSessionOptions,
    ConversationUpdate,
)
from realtime_sync.budget import BUDGET_PASSED, Budget, BudgetGuard
from realtime_sync.conversation.pricing import ModelPrices
from realtime_sync.models import MODELS, ModelInfo
from realtime_sync.server import Reply, Turn
from tests.core.answers import Gate
from tests.core.harness import House, Running, client_threads, until
from tests.server.sounds import silence, tone

TEXT = ConversationResponseOptions(content_modalities=["text"])


def event(kind: str, **fields: Any) -> ConversationUpdate:
    return ConversationUpdate.from_json(json.dumps({"type": kind, "event_id": "e", **fields}))


def session(model: Any = "gpt-realtime-2.1", transcriber: Any = None) -> ConversationUpdate:
    told: dict[str, Any] = {"type": "realtime", "id": "s", "model": model}
    if transcriber is not None:
        told["audio"] = {"input": {"transcription": {"model": transcriber}}}
    return event("session.updated", session=told)


def done(name: str = "r", inside: Any = None, /, **beside: Any) -> ConversationUpdate:
    told = {"id": name, "object": "realtime.response", "status": "completed", "output": [], "usage": inside}
    return event("response.done", response=told, **beside)


def tokens(read: int = 0, said: int = 0, kind: str = "text") -> dict[str, Any]:
    return {
        "total_tokens": read + said,
        "input_tokens": read,
        "output_tokens": said,
        "input_token_details": {f"{kind}_tokens": read},
        "output_token_details": {f"{kind}_tokens": said},
    }


def transcribed(usage: Any, item: str = "i") -> ConversationUpdate:
    kind = "conversation.item.input_audio_transcription.completed"
    return event(kind, item_id=item, content_index=0, transcript="hello", usage=usage)


def applied(budget: Budget, *updates: ConversationUpdate) -> Budget:
    for update in updates:
        budget.apply(update)
    return budget


MILLION = 1_000_000


def test_responses_add_up_by_the_models_prices() -> None:
    budget = applied(
        Budget(100), session(), done("a", tokens(MILLION, MILLION)), done("b", tokens(0, MILLION, "audio"))
    )
    assert budget.spent == pytest.approx(4 + 24 + 64)
    assert not budget.passed
    assert applied(budget, done("c", tokens(MILLION, 0, "audio"))).passed
    assert budget.spent == pytest.approx(124)


def test_a_budget_is_passed_by_more_than_it_and_not_by_all_of_it() -> None:
    budget = applied(Budget(4), session(), done("a", tokens(MILLION)))
    assert budget.spent == 4
    assert not budget.passed
    assert applied(budget, done("b", tokens(1))).passed


def test_each_response_and_transcription_is_counted_once() -> None:
    prices = PRICES.with_model("scribe", ModelPrices(audio_in=6, text_out=10))
    budget = Budget(100, prices)
    heard = {"type": "tokens", "input_tokens": MILLION, "output_tokens": MILLION, "total_tokens": 2 * MILLION}
    for _ in range(2):
        applied(budget, session(transcriber="scribe"), done("a", tokens(MILLION)), transcribed(heard))
    assert budget.spent == pytest.approx(4 + 16)
    assert applied(budget, transcribed(heard, "another")).spent == pytest.approx(4 + 32)


def test_what_has_no_id_is_never_taken_for_a_repetition() -> None:
    heard, answered = transcribed({"type": "duration", "seconds": 60}, ""), done("", tokens(MILLION))
    budget = applied(Budget(100), session(transcriber="gpt-transcribe"), heard, heard, answered, answered)
    assert budget.spent == pytest.approx(2 * 0.0045 + 2 * 4)


def test_negative_tokens_are_no_credit() -> None:
    prices = PRICES.with_model("scribe", ModelPrices(text_in=1, audio_in=6, text_out=10))
    for wrong in ({"input_tokens": -MILLION, "output_tokens": 0}, {"input_tokens": 0, "output_tokens": -MILLION}):
        budget = applied(Budget(9, prices), session(transcriber="scribe"), transcribed({"type": "tokens", **wrong}))
        assert budget.spent == 0
    details = {"text_tokens": -MILLION}
    heard = {"type": "tokens", "input_tokens": 0, "output_tokens": 0, "input_token_details": details}
    assert applied(Budget(9, prices), session(transcriber="scribe"), transcribed(heard)).spent == 0


def test_a_transcription_tells_its_text_apart() -> None:
    prices = PRICES.with_model("scribe", ModelPrices(text_in=1, audio_in=6, text_out=10))
    details = {"text_tokens": MILLION // 2, "audio_tokens": MILLION // 2}
    heard = {"type": "tokens", "input_tokens": MILLION, "output_tokens": 0, "input_token_details": details}
    assert applied(Budget(9, prices), session(transcriber="scribe"), transcribed(heard)).spent == pytest.approx(3.5)


@pytest.mark.parametrize(
    "update",
    [
        done("a", None),
        transcribed({"type": "duration", "seconds": 3.5}),
        transcribed({"type": "tokens", "input_tokens": 5, "output_tokens": 5}),
        transcribed(None),
    ],
)
def test_what_has_no_price_is_told_and_not_guessed(
    update: ConversationUpdate, caplog: pytest.LogCaptureFixture
) -> None:
    budget = applied(Budget(1), session(transcriber="my-scribe"), update)
    assert (budget.spent, budget.unpriced) == (0, 1)
    assert "without a price" in repr(budget)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_a_transcription_that_is_billed_by_time_counts_by_its_seconds() -> None:
    budget = applied(Budget(1), session(transcriber="gpt-transcribe"), transcribed({"type": "duration", "seconds": 80}))
    assert budget.spent == pytest.approx(80 / 60 * 0.0045)
    assert budget.unpriced == 0


def translated(elapsed_ms: Any, kind: str = "output_transcript") -> ConversationUpdate:
    return event(f"session.{kind}.delta", delta="", elapsed_ms=elapsed_ms)


def translation(name: str = "s", model: str = "gpt-realtime-translate") -> ConversationUpdate:
    return event("session.created", session={"type": "translation", "id": name, "model": model})


def test_a_translation_counts_by_the_audio_that_its_pieces_stand_for() -> None:
    pieces = [translated(200), translated(400, "output_audio"), translated(400), translated(200), translated(None)]
    budget = applied(Budget(1), translation(), *pieces)
    assert budget.spent == pytest.approx(0.4 / 60 * 0.034)
    applied(budget, translation("another"), translated(600, "input_transcript"))  # of a new connection
    assert budget.spent == pytest.approx(1.0 / 60 * 0.034)


def test_a_translation_by_a_model_without_a_price_by_the_minute_is_refused() -> None:
    prices = PRICES.with_model("mine", ModelPrices(audio_in=1))
    with pytest.raises(ConfigurationError, match=r"'mine', which translates, has no price by the minute"):
        applied(Budget(1, prices), translation(model="mine"), translated(200))


def test_a_session_that_only_transcribes_at_a_price_that_is_not_known_is_refused() -> None:
    told = {"type": "transcription", "id": "s", "audio": {"input": {"transcription": {"model": "my-scribe"}}}}
    budget = applied(Budget(1), event("session.updated", session=told))
    with pytest.raises(ConfigurationError, match="'my-scribe' has no price"):
        budget.apply(transcribed({"type": "duration", "seconds": 3}))


CONVERSING = [
    model for model in MODELS.values() if model.kind != "live"
]  # live sessions have a budget of their own kind


@pytest.mark.parametrize("model", CONVERSING, ids=lambda model: model.name)
def test_a_budget_works_with_every_model_of_the_table(model: ModelInfo) -> None:
    budget = Budget(100)
    budget.check_model(model.name)
    if model.kind == "translation":
        applied(budget, translation(model=model.name), translated(60_000))
    elif model.kind == "transcription":
        by_time = {"type": "duration", "seconds": 60}
        by_tokens = {"type": "tokens", "input_tokens": MILLION, "output_tokens": MILLION}
        usage = by_time if model.prices and model.prices.minute else by_tokens
        applied(budget, session(transcriber=model.name), transcribed(usage))
    else:
        applied(budget, session(model.name), done("a", tokens(MILLION, MILLION, "audio")))
    assert budget.spent > 0
    assert budget.unpriced == 0


def test_tokens_of_an_unknown_modality_are_counted_as_the_dearest() -> None:
    usage = {"input_tokens": MILLION, "output_tokens": MILLION, "total_tokens": 2 * MILLION}
    assert applied(Budget(1), session(), done("a", usage)).spent == pytest.approx(32 + 64)


def test_usage_that_is_told_beside_the_response_counts() -> None:
    assert applied(Budget(1), session(), done("a", {}, usage=tokens(MILLION))).spent == pytest.approx(4)


def test_a_model_without_a_price_is_refused_at_its_first_usage() -> None:
    budget = applied(Budget(1), session("my-deployment"), done("quiet", None))
    with pytest.raises(ConfigurationError, match=r"'my-deployment' has no price.*prices=PRICES\.with_model"):
        budget.apply(done("a", tokens(1)))
    with pytest.raises(ConfigurationError, match="my-deployment"):
        budget.check_model("my-deployment")
    budget.check_model("gpt-realtime-2.1")
    budget.check_model(None)


def test_a_session_that_does_not_tell_its_model_cannot_be_priced() -> None:
    with pytest.raises(ConfigurationError, match="does not name the model"):
        Budget(1).apply(done("a", tokens(1)))


def test_a_kind_of_token_without_a_price_is_refused() -> None:
    prices = PRICES.with_model("text-only", ModelPrices(text_in=1, text_out=1))
    budget = applied(Budget(1, prices), session("text-only"), done("a", tokens(5)))
    with pytest.raises(ConfigurationError, match="kind that has no price"):
        budget.apply(done("b", tokens(5, kind="audio")))


@pytest.mark.parametrize("wrong", [-1, float("nan"), float("inf"), "5", None, True])
def test_a_budget_is_an_amount(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match="number of US dollars"):
        Budget(wrong)


def test_a_budget_shows_how_it_stands() -> None:
    assert repr(applied(Budget(100), session(), done("a", tokens(MILLION)))) == "<Budget $4.0000 of $100.00>"


# In a session -----------------------------------------------------------------------------------------------------


@pytest.fixture
def house(ca: trustme.CA) -> Iterator[House]:
    with ExitStack() as stack:
        yield House("ws", ca, stack)
    until(lambda: not client_threads())


def guarded(house: House, usd: float) -> Any:
    """A session with a budget; its model costs what gpt-realtime-2.1 does."""
    talk = house.open(start={"options": ConversationSessionOptions(content_modalities=["text"])})
    prices = PRICES.with_model("m", PRICES.models["gpt-realtime-2.1"])
    BudgetGuard(Budget(usd, prices), talk._engine).start()
    return talk


def test_a_session_is_closed_when_its_budget_is_passed_and_says_why(house: House) -> None:
    house.serve()
    talk = guarded(house, 0.0001)
    reading = Running(lambda: list(talk.updates()))
    assert talk.ask("Say something, please", TEXT).text  # what was paid for is had
    error: Any = reading.join(20)
    assert isinstance(error, BudgetExceededError)
    assert isinstance(error, ConnectionClosedError)
    assert "$0.0001" in str(error)
    assert error.spent > error.usd == 0.0001
    until(lambda: house.live.close_code)
    assert (house.live.close_code, house.live.close_reason) == (BUDGET_PASSED, "the budget was passed")
    with pytest.raises(BudgetExceededError):
        talk.ask("And now?", TEXT)


def test_iteration_raises_after_the_last_update(house: House) -> None:
    house.serve()
    talk = guarded(house, 0)
    talk.add_item("Say something")
    talk.start_response(TEXT)
    seen: list[str] = []

    def read() -> None:
        for update in talk.updates():
            seen.append(update.type)

    with pytest.raises(BudgetExceededError):
        Running(read).result(20)
    assert "response.done" in seen


def test_an_answer_in_progress_is_cancelled_first(house: House) -> None:
    """An answer beside the conversation passes the budget, while another one is being said in it."""
    gate = Gate()
    house.serve(responder=lambda turn: gate(turn) if "input" not in turn.params else Reply("aside"))
    talk = guarded(house, 0)
    response = talk.respond("Speak", TEXT)
    aside = ConversationResponseOptions(content_modalities=["text"], conversation="none")
    talk.ask("An aside", aside)
    assert response.wait(20).status == "cancelled"
    until(lambda: talk.closed)
    with pytest.raises(BudgetExceededError):
        talk.ask("More?", TEXT)


def test_a_session_that_cannot_be_priced_is_refused_a_budget_at_once(house: House) -> None:
    talk = house.open()
    with pytest.raises(ConfigurationError, match="'m' has no price"):
        BudgetGuard(Budget(5), talk._engine).start()
    assert talk.ask("Go", TEXT).text


def test_a_session_whose_usage_turns_out_to_have_no_price_is_ended_with_the_reason(house: House) -> None:
    house.serve()
    talk = house.open(start={"options": ConversationSessionOptions(content_modalities=["text"])})
    BudgetGuard(Budget(5, PRICES.with_model("m", ModelPrices(text_in=1))), talk._engine).start()
    talk.ask("Say something", TEXT)
    until(lambda: talk.closed)
    with pytest.raises(BudgetExceededError, match="'m' used tokens of a kind that has no price"):
        talk.ask("More?", TEXT)


def test_a_budget_that_lasts_changes_nothing(house: House) -> None:
    def answer(turn: Turn) -> str:
        return "yes"

    house.serve(responder=answer)
    talk = guarded(house, 5)
    assert [talk.ask("Well?", TEXT).text for _ in range(3)] == ["yes"] * 3
    talk.close()
    assert list(talk.updates())[-1].type.startswith(("response.done", "rate_limits"))


def test_a_client_gives_a_session_its_budget(house: House) -> None:
    budget = Budget(0, PRICES.with_model("m", PRICES.models["gpt-realtime-2.1"]))
    talk = house.open(start={"budget": budget})
    assert talk.ask("Go", TEXT).text
    until(lambda: talk.closed)
    with pytest.raises(BudgetExceededError):
        talk.ask("More?", TEXT)
    assert budget.spent > 0


def test_a_session_that_only_transcribes_keeps_its_budget(house: House) -> None:
    house.serve(transcriber=lambda pcm, rate: "Hello.")
    client = house.client()
    with pytest.raises(ConfigurationError, match="'my-scribe' has no price"):
        client.start_transcription_session(model="my-scribe", budget=1)
    with client.start_transcription_session(model="gpt-transcribe", budget=0.0001) as live:
        with suppress(BudgetExceededError):  # it may be ended before the silence is sent
            live.send_audio(tone(3000), trailing_silence_ms=1000)
        with pytest.raises(BudgetExceededError, match="its budget is"):
            for _ in live.updates():
                pass
    assert live.budget is not None
    assert live.budget.spent > 0.0001


def test_a_translation_keeps_its_budget(house: House) -> None:
    house.serve(responder=lambda turn: "Hola.")
    with house.client().start_translation_session("es", model="gpt-realtime-translate", budget=0.0001) as live:
        live.send_audio(tone(2000) + silence(800))
        with pytest.raises(BudgetExceededError, match="its budget is"):
            for _ in live.updates():
                pass


def test_an_amount_is_a_budget_and_a_model_without_a_price_has_none(house: House) -> None:
    with pytest.raises(ConfigurationError, match="'m' has no price"):
        house.open(start={"budget": 5})
    with pytest.raises(ConfigurationError, match="number of US dollars"):
        house.open(start={"budget": -5})
    until(lambda: all(session.close_code is not None for session in house.server.sessions))
