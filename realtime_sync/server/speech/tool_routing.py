"""Which of a session's tools a sentence asks for, with which arguments, and what its result is in words."""

from __future__ import annotations

import json
import re
from typing import Mapping, Optional, Sequence

from realtime_sync.server.responder import FunctionCall, Turn, kind_of
from realtime_sync.server.speech import sums
from realtime_sync.server.wire import Json

# Words that stand in the names and descriptions of tools of all kinds, and in sentences that want none of them.
_COMMON = (
    "about all and any are ask call can check could create current data does find for from function get give given has "
    "have how into its list look make me name new not one out please return returns run say set show tell than that "
    "the their them there this time tool up use used user value what when where which will with would you your"
)
_NAME = re.compile(r"[A-Z][\w'’-]*(?:\s+[A-Z][\w'’-]*)*")
_QUOTED = re.compile(r"[\"“]([^\"”]+)[\"”]")
_AFTER_PREPOSITION = re.compile(r"\b(?:in|at|for|of|to|about|from|on|near)\s+((?:the\s+)?[\w'’-]+)", re.IGNORECASE)
_WHOLE_TEXT = ("content", "message", "prompt", "query", "question", "search", "text")
_NO = re.compile(r"\b(no|not|off|don't|without|never|disable|stop)\b", re.IGNORECASE)


def call_for(turn: Turn, text: str) -> Optional[FunctionCall]:
    """The call that the text asks for, or that ``tool_choice`` demands; None where there is none."""
    tools = [tool for tool in turn.tools if tool.get("type", "function") == "function"]
    if turn.tool_choice == "none" or not tools:
        return None
    if isinstance(turn.tool_choice, dict):
        chosen = next((tool for tool in tools if tool["name"] == turn.tool_choice.get("name")), None)
    else:
        best = max(tools, key=lambda tool: _likeness(tool, text))
        chosen = best if turn.tool_choice == "required" or _likeness(best, text) >= 2 else None
    return None if chosen is None else FunctionCall(str(chosen["name"]), _arguments(chosen, text))


def result_in_words(output: str) -> str:
    """What a function returned, as a sentence."""
    try:
        value = json.loads(output)
    except ValueError:
        value = output
    if isinstance(value, dict) and set(value) == {"error"}:
        return f"That did not work: {_spoken(value['error'])}."
    said = _spoken(value).rstrip(".")
    return f"Here is the answer: {said}." if said else "It is done."


def _likeness(tool: Json, text: str) -> int:
    """Two for each word of the name that the text has, one for each of the description's."""
    said = _words(text)
    name = _words(str(tool["name"]))
    return 2 * len(name & said) + len((_words(str(tool.get("description") or "")) - name) & said)


def _words(text: str) -> set[str]:
    """Words that tell something, without the plural's ``s``."""
    parts = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text).replace("_", " ").lower()
    return {word.rstrip("s") for word in re.findall(r"[a-z]{3,}", parts) if word not in _COMMON.split()}


def _arguments(tool: Json, text: str) -> dict[str, object]:
    """A value for each parameter that the text has one for, and for each that is required."""
    schema = tool.get("parameters") or {}
    found = _Found(text)
    arguments: dict[str, object] = {}
    for name, wanted in (schema.get("properties") or {}).items():
        value = found.value(str(name), wanted if isinstance(wanted, dict) else {})
        if value is None and name in (schema.get("required") or ()):
            value = _default(wanted if isinstance(wanted, dict) else {}, text)
        if value is not None:
            arguments[str(name)] = value
    return arguments


class _Found:
    """What a text has to fill arguments with; each piece is used once, in the order of the text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._numbers = sums.numbers(text)
        quoted = _QUOTED.findall(text)
        # The first word has a capital letter for another reason, and so has "I".
        names = [
            match.group() for match in _NAME.finditer(text) if match.start() and not _is_start(text, match.start())
        ]
        self._names = quoted or [name for name in names if not re.match(r"I\b", name)]
        others = [] if self._names else _AFTER_PREPOSITION.findall(text)
        self._others = [word for word in others if not sums.numbers(word)]

    def value(self, name: str, schema: Mapping[str, object]) -> object:
        choices = schema.get("enum")
        kind = kind_of(schema)
        if isinstance(choices, list):
            return next((choice for choice in choices if str(choice).lower() in self._text.lower()), None)
        if kind in ("integer", "number"):
            if not self._numbers:
                return None
            number = self._numbers.pop(0)
            return int(number) if kind == "integer" or number.denominator == 1 else float(number)
        if kind == "boolean":
            return not _NO.search(self._text)
        if kind == "array":
            taken, self._names = self._names, []
            return taken or None
        if kind != "string":
            return None
        if name.lower() in _WHOLE_TEXT:
            return self._text
        left = self._names or self._others
        return left.pop(0) if left else None


def _is_start(text: str, index: int) -> bool:
    return re.search(r"[.!?]\s*$", text[:index]) is not None


def _default(schema: Mapping[str, object], text: str) -> object:
    choices = schema.get("enum")
    if isinstance(choices, list) and choices:
        return choices[0]
    by_type: dict[str, object] = {"integer": 1, "number": 1, "boolean": True, "array": [], "object": {}, "string": text}
    return by_type.get(kind_of(schema))


def _spoken(value: object) -> str:
    """A JSON value without its punctuation."""
    if isinstance(value, dict):
        return ", ".join(f"{str(key).replace('_', ' ')}: {_spoken(inner)}" for key, inner in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(_spoken, value))
    if value is None or isinstance(value, bool):
        return {None: "nothing", True: "yes", False: "no"}[value]
    return str(value)
