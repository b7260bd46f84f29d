"""``RulesBrain``: answers by rules, the same each time, so that tests can be exact. No model, and it says so."""

from __future__ import annotations

import datetime
import re
from typing import Callable, Optional, Sequence

from realtime_sync.server.responder import Piece, Turn
from realtime_sync.server.speech import sums
from realtime_sync.server.speech.tool_routing import call_for, result_in_words
from realtime_sync.server.wire import Json

_WHO = (
    "I am the demo brain of an embedded server: some rules, no language model. "
    "I can greet, tell the time, do sums, remember what you tell me, and use your tools."
)
_ABOUT_ITEMS = ("mcp_list_tools", "mcp_approval_request", "mcp_approval_response")
Rule = Callable[[str, "Memory"], Optional[str]]


def _local_time() -> datetime.datetime:
    return datetime.datetime.now().astimezone()


class RulesBrain:
    """A responder that greets, echoes, tells the time, does sums, remembers what was said in the conversation, and
    calls the session's tools by the words of their names and descriptions. English.

    It remembers nothing by itself: all it knows is in the conversation's items, so what is deleted is forgotten, and
    of an answer that was truncated it knows what was heard.

    Args:
        now: tells the time; None: this machine's clock and time zone.
    """

    def __init__(self, now: Optional[Callable[[], datetime.datetime]] = None) -> None:
        self._now = now or _local_time
        self._rules: Sequence[Rule] = (
            _who_are_you,
            _repeat,
            _say,
            _recall,
            _note,
            _sum,
            self._time,
            _greet,
            _part,
        )

    def __call__(self, turn: Turn) -> Piece:
        """The answer to a turn."""
        items = [item for item in turn.items if item["type"] not in _ABOUT_ITEMS]
        if not items:
            return f"Hello! {_WHO}"
        last = items[-1]
        if last["type"] in ("function_call_output", "mcp_call"):
            return " ".join(result_in_words(output) for output in _outputs(items))
        text = turn.text_of(last)
        if last.get("role") != "user" or not text:
            return "I did not understand any words."
        call = call_for(turn, text)
        if call is not None:
            return call
        memory = Memory(turn, items[:-1])
        answers = (rule(text, memory) for rule in self._rules)
        return next((answer for answer in answers if answer is not None), None) or _echo(text)

    def _time(self, text: str, memory: Memory) -> Optional[str]:
        now = self._now()
        if _has(text, r"what('s| is)? (the )?(current )?time|time is it|what('s| is) the time"):
            return f"It is {now.hour % 12 or 12}:{now.minute:02} {'AM' if now.hour < 12 else 'PM'}."
        if _has(text, r"(what|which) day|what('s| is) (the|today's) date|what('s| is) the day"):
            return f"It is {now:%A}, {now:%B} {now.day}, {now.year}."
        return None


class Memory:
    """What was said so far, oldest first."""

    def __init__(self, turn: Turn, items: Sequence[Json]) -> None:
        self.user = [turn.text_of(item) for item in items if item.get("role") == "user"]
        said = [item for item in items if item.get("role") == "assistant"]
        self.answers = [turn.text_of(item) for item in said]
        self.was_cut_short = bool(said) and str(said[-1]["id"]) in turn.heard

    def told(self, subject: str) -> Optional[str]:
        """What the user said that a thing of theirs is, the latest; None where they did not."""
        return next(filter(None, (_told(text, subject) for text in reversed(self.user))), None)


_TELLING = {"name": (r"\bcall me ([\w'-]+)", r"\b(?-i:I am|I'm) ((?-i:[A-Z])[\w'-]+)")}


def _told(text: str, subject: str) -> Optional[str]:
    """What follows on "my <subject> is" in a text that is no question; None where nothing does."""
    if text.rstrip().endswith("?"):
        return None
    for pattern in (*_TELLING.get(subject, ()), rf"\bmy {re.escape(subject)}(?: is|'s) ([^.,!?]+)"):
        found = re.search(pattern, text, re.IGNORECASE)
        if found:
            return re.split(r"\s+(?:and|but)\s+(?:i|my)\b", found[1], flags=re.IGNORECASE)[0].strip()
    return None


def _has(text: str, pattern: str) -> bool:
    return re.search(pattern, text, re.IGNORECASE) is not None


def _who_are_you(text: str, memory: Memory) -> Optional[str]:
    return _WHO if _has(text, r"\b(who|what) are you\b|are you (a |an )?(real|human|person|ai|robot|model)") else None


def _repeat(text: str, memory: Memory) -> Optional[str]:
    if _has(text, r"what did i (just )?say"):
        return f"You said: {memory.user[-1]}" if memory.user else "You have said nothing yet."
    if not _has(text, r"what did you (just )?say|what were you saying|say (that|it) again|repeat (that|it)"):
        return None
    if not memory.answers:
        return "I have said nothing yet."
    if memory.was_cut_short:
        said = memory.answers[-1]
        return f"Before you interrupted me, I said: {said}" if said else "You interrupted me before I said a word."
    return f"I said: {memory.answers[-1]}"


def _say(text: str, memory: Memory) -> Optional[str]:
    found = re.match(r"\W*(?:please )?(?:say|repeat after me|repeat)\b[\s,:]+(.+)", text, re.IGNORECASE | re.DOTALL)
    return found[1].strip('"“” ') if found else None


def _recall(text: str, memory: Memory) -> Optional[str]:
    found = re.search(r"\b(?:what|who|where|when)(?: is|'s| was| are) my ([\w' -]+?)\s*\?*\s*$", text, re.IGNORECASE)
    subject = "name" if _has(text, r"\bwho am i\b|\bdo you (know|remember) my name\b") else found and found[1].lower()
    if not subject:
        return None
    told = memory.told(subject)
    return f"You have not told me your {subject}." if told is None else f"Your {subject} is {told}."


def _note(text: str, memory: Memory) -> Optional[str]:
    if text.rstrip().endswith("?"):
        return None
    name = _told(text, "name")
    if name is not None:
        return f"Nice to meet you, {name}."
    found = re.search(r"\bmy ([\w' -]+?)(?: is|'s) ([^.,!?]+)", text, re.IGNORECASE)
    return f"I will remember that your {found[1].lower()} is {found[2].strip()}." if found else None


def _sum(text: str, memory: Memory) -> Optional[str]:
    return sums.answer(text)


def _greet(text: str, memory: Memory) -> Optional[str]:
    if not _has(text, r"^\W*(hello|hi|hey|good (morning|day|afternoon|evening))\b"):
        return None
    name = memory.told("name")
    greeting = f"Hello, {name}!" if name else "Hello!"
    if _has(text, r"can you hear me"):
        return f"{greeting} Yes, I can hear you."
    return f"{greeting} How can I help you?"


def _part(text: str, memory: Memory) -> Optional[str]:
    if _has(text, r"\bthank(s| you)\b"):
        return "You are welcome."
    return "Goodbye!" if _has(text, r"\b(good ?bye|bye|see you)\b") else None


def _echo(text: str) -> str:
    if text.rstrip().endswith("?"):
        return f"You asked: {text} I do not know. I only follow rules."
    return f"You said: {text}"


def _outputs(items: Sequence[Json]) -> list[str]:
    """What the calls returned since the user spoke last, in their order."""
    outputs: list[str] = []
    for item in reversed(items):
        if item["type"] == "function_call_output":
            outputs.insert(0, str(item["output"]))
        elif item["type"] == "mcp_call":
            outputs.insert(0, str(item["output"] or (item.get("error") or {}).get("message")))
        elif item["type"] == "message":
            break
    return outputs
