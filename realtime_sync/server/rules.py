"""``RulesBrain``: answers by rules, the same each time, so that tests can be exact. It has no model, and says so."""

from __future__ import annotations

import datetime
import json
import operator
import re
from typing import Callable, Optional, Sequence

from realtime_sync.server.defaults import ABOUT_REMOTE_TOOLS, GREETING
from realtime_sync.server.responder import Piece, Reply, Turn
from realtime_sync.server.tool_calls import calls_for, figures, mcp_calls_for
from realtime_sync.server.user_names import told_name
from realtime_sync.server.wire import Json

_WHO = (
    "I am the demo brain of an embedded server: some rules, no language model. "
    "I can greet, tell the time, do a small sum, remember your name, and use your tools."
)
# Whatever the conversation holds. The questions about the tree and the weather are those of examples/audio.
_FIXED = (
    (r"\b(who|what) are you\b|are you (a |an )?(real|human|person|ai|robot|model)|\byour name\b|what can you do", _WHO),
    (r"\btallest tree\b", "The tallest tree is Hyperion, a coast redwood in California. It is 116 metres tall."),
    (
        r"\boldest tree\b|^\W*(and )?the oldest\?*$",
        "The oldest tree whose rings were counted is a bristlecone pine in California. It is over 4,800 years old.",
    ),
    (
        r"^\W*(how|what|is|will|tell)\b.*\bweather\b|\bweather\b.*\?",
        "I do not know the weather: I have no tool for it.",
    ),
    (r"\bare you (still )?there\b", "Yes, I am here."),
    (r"\bthank(s| you)\b", "You are welcome."),
    (r"\b(good ?bye|bye|see you)\b", "Goodbye!"),
)
# What is longer is no question for these rules, and some of their patterns would take minutes over it.
_LONGEST = 1000  # characters
_SIGNS = str.maketrans({"+": " plus ", "*": " times ", "×": " times ", "÷": " divided by "})
# The other signs want blanks around them: "9/11" and "10-20" are no sums.
_SUM = re.compile(
    r"(?<![\w.-])(-?\d+(?:\.\d+)?) +(?:(plus)|(minus|-)|(times|multiplied by|x)|(divided by|over|/))"
    r" +(-?\d+(?:\.\d+)?)",
    re.IGNORECASE,
)
# Instructions to read the user's text, and not to answer it; "never read it aloud" begins with another word.
_READ_ALOUD = re.compile(
    r"(?:^|[.!?:;\n])[^\S\n]*(?:please )?(?:read|repeat|speak)\b[^.!?]{,200}"
    r"\b(?:aloud|out loud|word for word|verbatim)\b",
    re.IGNORECASE,
)
# What a user, or the instructions of one response, want said.
_SAY = re.compile(r"\W*(?:please )?say(?: exactly| only| this)?\b[\s,:]+(.+)", re.IGNORECASE | re.DOTALL)
_QUESTION = re.compile(
    r"\W*(what|who|whose|where|when|why|how|which|is|are|do|does|did|can|could|will|would|should)\b|.*\?\W*$",
    re.IGNORECASE | re.DOTALL,
)
_OPERATIONS: Sequence[tuple[str, Callable[[float, float], float]]] = (
    ("plus", operator.add),
    ("minus", operator.sub),
    ("times", operator.mul),
    ("divided by", operator.truediv),
)


class RulesBrain:
    """A responder that greets, tells the time, does a small sum, remembers a name, and calls the session's tools by the
    words of their names. It reads aloud what it is told to: "Say: ..." by the user, "Read the user's text aloud" or
    "Say: ..." by the instructions. It repeats what no rule is for. English.

    It remembers nothing by itself: all that it knows is in the conversation's items, so it forgets what is deleted, and
    of an answer that was truncated it knows what was heard.

    Args:
        now: Gives the time. None: this machine's clock and time zone.
        limits: What it adds if it has understood no words of an audio: why, and what would help; see ``Speech.limits``.
    """

    def __init__(self, now: Optional[Callable[[], datetime.datetime]] = None, *, limits: str = "") -> None:
        self._now = now or (lambda: datetime.datetime.now().astimezone())
        self._limits = limits

    def __call__(self, turn: Turn) -> Piece:
        """The answer to a turn."""
        said = _SAY.fullmatch(str(turn.params.get("instructions") or ""))
        if said:
            return _unquoted(said[1])
        items = [item for item in turn.items if item["type"] not in ABOUT_REMOTE_TOOLS]
        if not items:
            return f"Hello! {_WHO}"
        last = items[-1]
        if last["type"] in ("function_call_output", "mcp_call"):
            return " ".join(result_in_words(output) for output in _outputs(items))
        text = turn.text_of(last)
        if last.get("role") != "user" or not text:
            return f"I did not understand any words. {self._limits}".strip()
        if _READ_ALOUD.search(turn.instructions):
            return text
        calls = calls_for(turn, text)
        if calls:
            return Reply(function_calls=calls) if len(calls) > 1 else calls[0]
        return next(iter(mcp_calls_for(turn, last, text)), None) or self._answer(turn, text, items[:-1])

    def _answer(self, turn: Turn, text: str, before: Sequence[Json]) -> str:
        said = _SAY.match(text)
        if said:
            return _unquoted(said[1])
        if len(text) > _LONGEST:
            return f"You said: {text}"
        if _has(text, r"what did you (just )?say"):
            return _repeated(turn, before)
        told = told_name(text)
        if told:
            return f"Nice to meet you, {told}. {_sum(text) or _fixed(text) or ''}".strip()
        if _has(text, r"what('s| is) my name|\bmy name\b.*\?|\bwho am i\b"):
            name = _name(turn, before)
            return f"Your name is {name}." if name else "You have not told me your name."
        if _has(text, r"what time is it|what('s| is) the time"):
            now = self._now()
            return f"It is {now.hour % 12 or 12}:{now.minute:02} {'AM' if now.hour < 12 else 'PM'}."
        return _sum(text) or _fixed(text) or _greeting(turn, text, before) or _echo(text)


def _has(text: str, pattern: str) -> bool:
    return re.search(pattern, text, re.IGNORECASE) is not None


def _unquoted(text: str) -> str:
    """What a text begins with in quotation marks, else all of it."""
    quoted = re.match(r'["“](.+?)["”]', text, re.DOTALL)
    return quoted[1] if quoted else text.strip()


def _fixed(text: str) -> Optional[str]:
    return next((answer for pattern, answer in _FIXED if _has(text, pattern)), None)


def _name(turn: Turn, items: Sequence[Json]) -> Optional[str]:
    """What the user said that the user's name is, the latest."""
    texts = [turn.text_of(item)[:_LONGEST] for item in reversed(items) if item.get("role") == "user"]
    return next(filter(None, map(told_name, texts)), None)


def _repeated(turn: Turn, before: Sequence[Json]) -> str:
    last = next((item for item in reversed(before) if item.get("role") == "assistant"), None)
    if last is None:
        return "I have said nothing yet."
    said = turn.text_of(last)
    return f"Before you interrupted me, I said: {said}" if str(last["id"]) in turn.heard else f"I said: {said}"


def _sum(text: str) -> Optional[str]:
    """One sum of two numbers, with its result, as a sentence; None where a number is too long to be told exactly."""
    without_commas = re.sub(r"(?<=\d),(?=\d{3}\b)", "", text)
    found = _SUM.search(figures(without_commas).translate(_SIGNS))
    if found is None:
        return None
    first, *signs, second = found.groups()
    name, operation = _OPERATIONS[next(index for index, sign in enumerate(signs) if sign)]
    try:
        result = operation(float(first), float(second))
    except ZeroDivisionError:
        return "I cannot divide by zero."
    return f"{first} {name} {second} is {round(result, 4):.15g}." if abs(result) < 1e15 else None


def _greeting(turn: Turn, text: str, before: Sequence[Json]) -> Optional[str]:
    how = "I am fine, thank you." if _has(text, r"\bhow are you\b") else ""
    if not GREETING.match(text):
        return how or None
    name = _name(turn, before)
    greeting = f"Hello, {name}!" if name else "Hello!"
    hears = "Yes, I can hear you." if _has(text, "can you hear me") else ""
    return f"{greeting} {hears or how or 'How can I help you?'}"


def _echo(text: str) -> str:
    if _QUESTION.match(text):
        return f"You asked: {text.rstrip(' ?')}? I do not know. I only follow rules."
    return f"You said: {text}"


def result_in_words(output: str) -> str:
    """What a function returned, as a sentence."""
    try:
        value = json.loads(output)
    except ValueError:
        value = output
    if isinstance(value, dict) and set(value) == {"error"}:
        return f"That did not work: {_spoken(value['error'])}."
    return f"Here is the answer: {_spoken(value).rstrip('.')}."


def _spoken(value: object) -> str:
    """A JSON value without its punctuation."""
    if isinstance(value, dict):
        return ", ".join(f"{str(key).replace('_', ' ')}: {_spoken(inner)}" for key, inner in value.items())
    return ", ".join(map(_spoken, value)) if isinstance(value, list) else str(value)


def _outputs(items: Sequence[Json]) -> list[str]:
    """What the calls returned since the user spoke last, in their order."""
    outputs: list[str] = []
    for item in reversed(items):
        if item["type"] == "message":
            break
        if item["type"] in ("function_call_output", "mcp_call"):
            outputs.insert(0, str(item["output"] or (item.get("error") or {}).get("message")))
    return outputs
