"""A budget for a session: its cost is counted as the service reports usage, and the session ends once it is passed."""

from __future__ import annotations

import logging
import threading
from decimal import Decimal
from typing import Optional

import attrs

from realtime_sync.checks import check_number
from realtime_sync.conversation.drafts import usage_of
from realtime_sync.conversation.pricing import PRICES, Prices, UsageTotals
from realtime_sync.core.engine import Engine
from realtime_sync.core.realtime import RealtimeEngine, responses_on
from realtime_sync.core.streams import End
from realtime_sync.errors import BudgetExceededError, ConfigurationError, NoMoreThreadsError, RealtimeSyncError
from realtime_sync.protocol.commands import ResponseCancelCommand
from realtime_sync.protocol.connection_updates import SessionReconnectedUpdate
from realtime_sync.protocol.options import InputTranscriptionOptions, SessionOptions, TranscriptionSessionOptions
from realtime_sync.protocol.resources import RealtimeSession, TranscriptionUsage
from realtime_sync.protocol.update_base import ConversationUpdate, SessionUpdateBase
from realtime_sync.protocol.updates import ConversationItemInputAudioTranscriptionCompletedUpdate as _Transcribed
from realtime_sync.protocol.updates import (
    ResponseDoneUpdate,
    SessionInputTranscriptDeltaUpdate,
    SessionOutputAudioDeltaUpdate,
    SessionOutputTranscriptDeltaUpdate,
)
from realtime_sync.secret import reportable

logger = logging.getLogger(__name__)

_TRANSLATED = (
    SessionInputTranscriptDeltaUpdate,
    SessionOutputAudioDeltaUpdate,
    SessionOutputTranscriptDeltaUpdate,
)
_MOST_REMEMBERED = 4096  # responses and transcriptions that were counted; servers repeat the last ones
BUDGET_PASSED = 4002
"""The code with which a session is closed whose budget was passed."""


@reportable
class Budget:
    """What one session may cost. It is not locked; one budget is for one session.

    ``apply`` counts what the updates report: each response and each transcription once, when it has ended, by tokens or
    by time, as the service bills its model. Tokens whose modality is not known are counted as the dearest that they can
    be. A response without any usage (some servers report none for a cancelled one), and a transcription beside a
    conversation whose model has no price here, are not counted in ``spent``, but in ``unpriced``. Give the price of the
    transcription's model with ``PRICES.with_model("my-scribe", ModelPrices(minute=...))``, or its prices of tokens.

    A translation is billed by time, and the service reports no usage of it: what counts is how much of the audio the
    pieces of the translation say that they stand for (``elapsed_ms``). Audio that the service has not answered yet, and
    the transcript of the source by another model, are not in it.

    A GPT-Live session is billed by the second, silence included: ``spent`` is the most that it may have cost until now,
    by what the service has reported and the time since then, and what the backend's tokens cost. Give the price of the
    backend's model with ``PRICES.with_model("my-backend", ModelPrices(text_in=..., text_cached=..., text_out=...))``.

    Args:
        usd: the most that the session may cost, in US dollars.
        prices: the prices of each model; None: ``PRICES``, the list prices.

    Attributes:
        spent: what was counted so far, in US dollars.
        unpriced: how many responses, transcriptions and answers of backends have a cost that is not known.

    Raises:
        ConfigurationError: the budget is no amount.
    """

    def __init__(self, usd: float, prices: Optional[Prices] = None) -> None:
        check_number("a budget", usd, "US dollars", error=ConfigurationError)
        self.usd = float(usd)
        self.prices = PRICES if prices is None else prices
        self.spent = 0.0
        self.unpriced = 0
        self._model: Optional[str] = None
        self._transcriber: Optional[str] = None
        self._session: Optional[RealtimeSession] = None
        self._translated_ms = 0  # of this session
        self._counted: dict[str, None] = {}  # an ordered set

    @property
    def passed(self) -> bool:
        """True once more was spent than the budget allows."""
        return self.spent > self.usd

    def check_model(self, model: Optional[str]) -> None:
        """Raise ``ConfigurationError`` if the model has no price; None is a model that is not known yet."""
        if model is not None and self.prices.of(model) is None:
            raise ConfigurationError(
                f"a budget was given, and the model {model!r} has no price in the table of {self.prices.date}, so that "
                f"the budget could not be kept. Leave it out, or give the price, for an Azure deployment under its own "
                f"name: budget=Budget({self.usd:g}, prices=PRICES.with_model({model!r}, ModelPrices(...)))"
            )

    def _minute_price(self, model: Optional[str], which: str) -> float:
        """What a minute of a model costs. Raises ``ConfigurationError`` if that is not known; ``which``: a clause."""
        prices = self.prices.of(model)
        if prices is None or prices.minute is None:
            raise ConfigurationError(
                f"a budget was given, and the model {model!r}, {which}, has no price by the minute in the table of "
                f"{self.prices.date}. Pass prices= with one: ModelPrices(minute=...)"
            )
        return prices.minute

    def apply(self, update: ConversationUpdate) -> None:
        """Count what an update reports. Raises ``ConfigurationError`` at the first usage that has no price."""
        if isinstance(update, SessionUpdateBase):
            self.note_session(update.session)
        elif isinstance(update, SessionReconnectedUpdate):
            if isinstance(update.session, RealtimeSession):  # perhaps with another model, at another service
                self.note_session(update.session)
        elif isinstance(update, ResponseDoneUpdate) and self._is_new(update.response_id):
            self._count_response(update)
        elif isinstance(update, _Transcribed) and self._is_new(
            update.item_id and f"{update.item_id} {update.content_index}"
        ):
            self._count_transcription(update.usage)
        elif isinstance(update, _TRANSLATED) and update.elapsed_ms is not None:
            self._count_translation(update.elapsed_ms)

    def note_session(self, session: RealtimeSession) -> None:
        """Learn which models work from now on."""
        if self._session is None or session.id != self._session.id:
            self._translated_ms = 0
        self._session = session
        self._model = session.model or self._model
        options = session.input_transcription_options
        self._transcriber = (options.model or None) if isinstance(options, InputTranscriptionOptions) else None

    def _is_new(self, key: Optional[str]) -> bool:
        """Whether it was not counted yet; what has no id is counted each time, so that none is missed."""
        if key in self._counted:
            return False
        if key:
            self._counted[key] = None
            if len(self._counted) > _MOST_REMEMBERED:
                del self._counted[next(iter(self._counted))]
        return True

    def _count_response(self, update: ResponseDoneUpdate) -> None:
        totals = UsageTotals.of_response(usage_of(update))
        if totals.silent_responses:
            self._note_unpriced("a response came without its usage")
            return
        if self._model is None:
            raise ConfigurationError(
                "a budget was given, and the service does not name the model, so that its price is not known"
            )
        self.check_model(self._model)
        cost = self.prices.cost(_at_most(totals), self._model)
        if cost is None:
            raise ConfigurationError(
                f"a budget was given, and the model {self._model!r} used tokens of a kind that has no price: "
                f"{totals!r}. Pass prices= with the missing ones"
            )
        self.spent += cost

    def _count_transcription(self, usage: Optional[TranscriptionUsage]) -> None:
        cost = self.prices.transcription_cost(usage, self._transcriber)
        if cost is not None:
            self.spent += cost
            return
        if self._session is not None and self._session.type == "transcription":  # it costs nothing else
            self.check_model(self._transcriber)
        self._note_unpriced(f"a transcription by {self._transcriber or 'an unknown model'} has no price")

    def _count_translation(self, elapsed_ms: int) -> None:
        minute = self._minute_price(self._model, "which translates")
        more = max(0, elapsed_ms - self._translated_ms)
        self._translated_ms += more
        self.spent += more / 60_000 * minute

    def _note_unpriced(self, what: str) -> None:
        if not self.unpriced:
            logger.warning("%s; the budget does not count it", what)
        self.unpriced += 1

    def __repr__(self) -> str:
        unpriced = f", {self.unpriced} without a price" if self.unpriced else ""
        return f"<Budget ${self.spent:.4f} of ${self.usd:.2f}{unpriced}>"


def _dollars(amount: float) -> str:
    """Four decimals, or more if these would be zeros."""
    return f"${amount:.4f}" if amount == 0 or amount >= 0.001 else f"${Decimal(f'{amount:.2g}'):f}"


def _at_most(totals: UsageTotals) -> UsageTotals:
    """Tokens of which only the number is known, as audio: nothing is dearer."""
    return attrs.evolve(
        totals,
        input_audio_tokens=totals.input_audio_tokens + totals.unsplit_input_tokens,
        output_audio_tokens=totals.output_audio_tokens + totals.unsplit_output_tokens,
        unsplit_input_tokens=0,
        unsplit_output_tokens=0,
    )


class SpendingGuard:
    """Ends a session in an orderly way once its budget is passed; the half of a guard that knows no protocol.

    The session is closed with ``BUDGET_PASSED``; every wait, and iteration after the last update, raises
    ``BudgetExceededError``. A session whose cost cannot be known is ended likewise: its budget could not be kept.
    """

    _costs = "it has cost"

    def __init__(self, budget: Budget, engine: Engine) -> None:
        self.budget = budget
        self._engine = engine
        self._lock = threading.Lock()  # guards _ending
        self._ending = False

    def end(self, end: End) -> None:
        """The session has ended."""

    def _cannot_be_kept(self, error: ConfigurationError) -> None:
        self._begin_end(f"the session was ended because its budget cannot be kept: {error}")

    def _end_if_passed(self) -> None:
        if self.budget.passed:
            bill = f"{self._costs} {_dollars(self.budget.spent)}, and its budget is {_dollars(self.budget.usd)}"
            self._begin_end(f"the session was ended because {bill}")

    def _begin_end(self, message: str) -> None:
        with self._lock:
            begun, self._ending = self._ending, True
        if not begun:
            try:
                self._engine.start_thread(lambda: self._end(message), "budget")
            except NoMoreThreadsError:
                self._begin_close(message, within=0)  # this is the reader's thread, which must not wait

    def _end(self, message: str) -> None:
        logger.warning("%s", message)
        self._stop_answers()
        self._begin_close(message)
        self._engine.close_here(BUDGET_PASSED, "the budget was passed")  # waits for the server, and cuts it at last

    def _stop_answers(self) -> None:
        """Have the service stop what it would still bill, before the session is closed."""

    def _begin_close(self, message: str, within: Optional[float] = None) -> None:
        error = BudgetExceededError(message, spent=self.budget.spent, usd=self.budget.usd)
        self._engine.begin_close(BUDGET_PASSED, "the budget was passed", within, error)


class BudgetGuard(SpendingGuard):
    """Ends a session of the realtime protocol; the answer in progress is cancelled first.

    A listener: fed on the reader thread.
    """

    _engine: RealtimeEngine

    def start(self, options: Optional[SessionOptions] = None) -> None:
        """Begin to watch; ``options``: what the session will be asked for, None if that is not known.

        Raises ``ConfigurationError`` if the model has no price, before it has cost anything.
        """
        self._engine.listen(self)
        if self._engine.session is not None:
            self.budget.note_session(self._engine.session)
        try:
            self.budget.check_model(self._engine.model)
            if isinstance(options, TranscriptionSessionOptions) and options.input_transcription_options:
                self.budget.check_model(options.input_transcription_options.model or None)
        except ConfigurationError:
            self._engine.stop_listening(self)
            raise

    def deliver(self, update: ConversationUpdate) -> None:
        """Take over an update."""
        try:
            self.budget.apply(update)
        except ConfigurationError as error:
            self._cannot_be_kept(error)
        else:
            self._end_if_passed()

    def _stop_answers(self) -> None:
        connection = self._engine.connection  # on this connection only: with it the answer goes down
        active = responses_on(connection).active
        if active is not None:
            try:
                self._engine.send(ResponseCancelCommand(response_id=active), connection).wait()
            except RealtimeSyncError:
                pass  # it ended meanwhile, or the session did; it is closed all the same
