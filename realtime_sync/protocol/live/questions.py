"""Decisions: the questions that are asked of what was said, and their answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Optional, Union

import attrs

from realtime_sync.protocol.converters import add_family
from realtime_sync.protocol.live.parts import LiveContent, TranscriptEvent
from realtime_sync.protocol.registry import UNSET, Options, Setting, WireObject, public_classes
from realtime_sync.protocol.tool_options import as_list

# Questions ---------------------------------------------------------------------------------------------------


@attrs.define(kw_only=True, repr=False, eq=False)
class LiveQuestion(Options):
    """A question for a decision: a ``LiveChoiceQuestion``, ``LivePredicateQuestion`` or ``LiveScoreQuestion``.

    Attributes:
        type: ``"choice"``, ``"predicate"`` or ``"score"``.
        instructions: What is asked: a text, or parts (text, images, JSON).
        name: The answer repeats it. UNSET: no name.
    """

    type: str
    instructions: LiveContent
    name: Setting[str] = UNSET


@attrs.define(kw_only=True, repr=False, eq=False)
class LiveChoice(Options):
    """One of the things among which to choose.

    Attributes:
        value: What the answer says: a text, True or False.
        description: When it is to be chosen. UNSET: no description.
    """

    value: Union[str, bool]
    description: Setting[str] = UNSET


def _choices(choices: Sequence[Union[LiveChoice, str, bool]]) -> list[LiveChoice]:
    given = as_list("choices", choices)
    return [each if isinstance(each, LiveChoice) else LiveChoice(value=each) for each in given]


@attrs.define(kw_only=True, repr=False, eq=False)
class LiveChoiceQuestion(LiveQuestion):
    """Which one of several?

    Attributes:
        type: ``"choice"``.
        choices: Among what to choose; a text, True or False is a choice of this value.
    """

    type: str = "choice"
    choices: list[LiveChoice] = attrs.field(converter=_choices)


@attrs.define(kw_only=True, repr=False, eq=False)
class LivePredicateQuestion(LiveQuestion):
    """Is it so? The answer is a probability.

    Attributes:
        type: ``"predicate"``.
    """

    type: str = "predicate"


@attrs.define(kw_only=True, repr=False, eq=False)
class LiveLevel(Options):
    """A step of a scale.

    Attributes:
        label: Its name.
        description: What it means. UNSET: no description.
    """

    label: str
    description: Setting[str] = UNSET


def _levels(levels: Sequence[Union[LiveLevel, str]]) -> list[LiveLevel]:
    given = as_list("levels", levels)
    return [each if isinstance(each, LiveLevel) else LiveLevel(label=each) for each in given]


@attrs.define(kw_only=True, repr=False, eq=False)
class LiveScoreQuestion(LiveQuestion):
    """How much, on a scale?

    Attributes:
        type: ``"score"``.
        levels: The steps, from the lowest to the highest; a text is a step of this name.
    """

    type: str = "score"
    levels: list[LiveLevel] = attrs.field(converter=_levels)


@attrs.define(kw_only=True, repr=False, eq=False)
class UnknownLiveQuestion(LiveQuestion):
    """A question of a type that this version does not know; its fields are in ``extra``.

    Attributes:
        type: As the server wrote it.
        instructions: UNSET if it has none.
    """

    type: str = ""
    instructions: Setting[LiveContent] = UNSET  # type: ignore[assignment]


@attrs.define(kw_only=True, repr=False, eq=False)
class LiveDecisionsSettings(Options):
    """What is asked, and of which model.

    Attributes:
        model: The model that decides. A trigger has none: it asks that of the session.
        questions: What it is asked. UNSET, of an update: as before.
    """

    model: Setting[str] = UNSET
    questions: Setting[list[LiveQuestion]] = UNSET


@attrs.define(kw_only=True, repr=False, eq=False)
class LiveTrigger(Options):
    """Asks questions by itself, whenever something was said. A session has at most one for each ``event_type``.

    Attributes:
        type: ``"decisions"``.
        event_type: ``"session.input_transcript.delta"`` (the user has said something) or
            ``"session.output_transcript.delta"`` (the model has).
        decisions: The questions.
    """

    type: Union[Literal["decisions"], str] = "decisions"
    event_type: TranscriptEvent
    decisions: LiveDecisionsSettings


# Answers -----------------------------------------------------------------------------------------------------


@attrs.define(kw_only=True, repr=False, eq=False)
class LiveAnswer(WireObject):
    """The answer to one question: a ``LivePredicateAnswer``, ``LiveChoiceAnswer``, ``LiveScoreAnswer`` or
    ``LiveRefusalAnswer``. A field that the server did not send is None.

    Attributes:
        type: ``"predicate"``, ``"choice"``, ``"score"`` or ``"refusal"``.
        name: The question's.
    """

    type: str
    name: Optional[str] = None


@attrs.define(kw_only=True, repr=False, eq=False)
class LivePredicateAnswer(LiveAnswer):
    """How probable it is that it is so.

    Attributes:
        type: ``"predicate"``.
        probability: 0.0 to 1.0.
    """

    type: str = "predicate"
    probability: Optional[float] = None


@attrs.define(kw_only=True, repr=False, eq=False)
class LiveChoiceProbability(WireObject):
    """How probable one of the choices is.

    Attributes:
        value: The choice's.
        probability: 0.0 to 1.0.
    """

    value: Optional[Union[str, bool]] = None
    probability: Optional[float] = None


@attrs.define(kw_only=True, repr=False, eq=False)
class LiveChoiceAnswer(LiveAnswer):
    """Which one it is.

    Attributes:
        type: ``"choice"``.
        choice: The value of the choice.
        confidence: 0.0 to 1.0.
        probabilities: Of all choices.
    """

    type: str = "choice"
    choice: Optional[Union[str, bool]] = None
    confidence: Optional[float] = None
    probabilities: list[LiveChoiceProbability] = attrs.field(factory=list)


@attrs.define(kw_only=True, repr=False, eq=False)
class LiveScoreProbability(WireObject):
    """How probable one step of the scale is.

    Attributes:
        label: The step's name.
        value: Its number.
        probability: 0.0 to 1.0.
    """

    label: Optional[str] = None
    value: Optional[int] = None
    probability: Optional[float] = None


@attrs.define(kw_only=True, repr=False, eq=False)
class LiveScoreAnswer(LiveAnswer):
    """How much it is.

    Attributes:
        type: ``"score"``.
        score: On the scale of the levels; it may lie between two.
        confidence: 0.0 to 1.0.
        probabilities: Of all steps.
    """

    type: str = "score"
    score: Optional[float] = None
    confidence: Optional[float] = None
    probabilities: list[LiveScoreProbability] = attrs.field(factory=list)


@attrs.define(kw_only=True, repr=False, eq=False)
class LiveRefusalAnswer(LiveAnswer):
    """The model would not answer.

    Attributes:
        type: ``"refusal"``.
    """

    type: str = "refusal"


@attrs.define(kw_only=True, repr=False, eq=False)
class UnknownLiveAnswer(LiveAnswer):
    """An answer of a type that this version does not know; its fields are in ``extra``.

    Attributes:
        type: As the server wrote it.
    """

    type: str = ""


@attrs.define(kw_only=True, repr=False, eq=False)
class LiveInputTokens(WireObject):
    """Of the tokens that a backend read.

    Attributes:
        cached_tokens: From the cache.
        cache_write_tokens: Written into the cache.
    """

    cached_tokens: Optional[int] = None
    cache_write_tokens: Optional[int] = None


@attrs.define(kw_only=True, repr=False, eq=False)
class LiveOutputTokens(WireObject):
    """Of the tokens that a backend wrote.

    Attributes:
        reasoning_tokens: To think, before it answered.
    """

    reasoning_tokens: Optional[int] = None


@attrs.define(kw_only=True, repr=False, eq=False)
class LiveBackendUsage(WireObject):
    """The tokens of a backend's work: of a decision, or of a Responses call. Billed beside the session's seconds.

    A field that the server did not send is None.

    Attributes:
        input_tokens: All that the model read.
        input_tokens_details: Of these, what came from the cache and went into it.
        output_tokens: All that it wrote.
        output_tokens_details: Of these, what it thought.
        total_tokens: Both.
    """

    input_tokens: Optional[int] = None
    input_tokens_details: Optional[LiveInputTokens] = None
    output_tokens: Optional[int] = None
    output_tokens_details: Optional[LiveOutputTokens] = None
    total_tokens: Optional[int] = None


@attrs.define(kw_only=True, repr=False, eq=False)
class LiveDecision(WireObject):
    """The answers to all questions.

    Attributes:
        answers: One for each question, in their order.
        model: The model that has decided.
        usage: Its tokens.
    """

    answers: list[LiveAnswer] = attrs.field(factory=list)
    model: Optional[str] = None
    usage: Optional[LiveBackendUsage] = None


@attrs.define(kw_only=True, repr=False, eq=False)
class LiveDecisionResult(WireObject):
    """What became of a decision.

    Attributes:
        type: ``"decision.completed"``.
        decision: The answers. None if it is of another type.
    """

    type: Optional[Union[Literal["decision.completed"], str]] = None
    decision: Optional[LiveDecision] = None


add_family(
    LiveQuestion,
    {"choice": LiveChoiceQuestion, "predicate": LivePredicateQuestion, "score": LiveScoreQuestion},
    UnknownLiveQuestion,
)
add_family(
    LiveAnswer,
    {
        "predicate": LivePredicateAnswer,
        "choice": LiveChoiceAnswer,
        "score": LiveScoreAnswer,
        "refusal": LiveRefusalAnswer,
    },
    UnknownLiveAnswer,
)

if not TYPE_CHECKING:  # checkers, which read no such expression, take all names without an underscore
    __all__ = public_classes(globals())
