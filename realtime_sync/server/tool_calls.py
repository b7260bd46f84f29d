"""Which of a session's tools a sentence asks for, with which arguments: by the words of its name, with no model."""

from __future__ import annotations

import re
from typing import Mapping, Optional

from realtime_sync.server.responder import FunctionCall, Turn
from realtime_sync.server.wire import Json

_SMALL_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_TEN_WORDS = "twenty thirty forty fifty sixty seventy eighty ninety"
_SMALL, _TENS = _SMALL_WORDS.split(), _TEN_WORDS.split()
_NUMBER = re.compile(
    rf"\b(?:({'|'.join(_TENS)})(?:[\s-]({'|'.join(_SMALL[1:10])}))?|({'|'.join(_SMALL)}))\b", re.IGNORECASE
)
_NAME = re.compile(r"[A-Z][\w'’-]*(?:\s+[A-Z][\w'’-]*)*")


def figures(text: str) -> str:
    """The text with its numbers below a hundred in figures."""
    return _NUMBER.sub(_figure, text)


def _figure(found: re.Match[str]) -> str:
    tens, unit, small = (word and word.lower() for word in found.groups())
    if small:
        return str(_SMALL.index(small))
    return str(20 + 10 * _TENS.index(tens) + (_SMALL.index(unit) if unit else 0))


def call_for(turn: Turn, text: str) -> Optional[FunctionCall]:
    """The call that the text asks for, or that ``tool_choice`` demands; None if there is none."""
    functions = [tool for tool in turn.tools if tool.get("type", "function") == "function"]
    if isinstance(turn.tool_choice, dict):
        wanted = [tool for tool in functions if tool["name"] == turn.tool_choice.get("name")]
    elif turn.tool_choice == "none":
        wanted = []
    else:
        wanted = [tool for tool in functions if is_named(str(tool["name"]), text)]
        if turn.tool_choice == "required":
            wanted += functions
    return FunctionCall(str(wanted[0]["name"]), _arguments(wanted[0], text)) if wanted else None


def is_named(name: str, text: str) -> bool:
    """Whether a tool's name, or each long word of it, stands in the text ("get_weather" or "weather")."""
    text = text.lower()
    words = [word for word in re.split(r"[_\W]+", name.lower()) if len(word) > 3]
    return name.lower() in text or (bool(words) and all(word in text for word in words))


def _arguments(tool: Json, text: str) -> dict[str, object]:
    """A value for each parameter that the text has one for, and for each that is required."""
    parameters = tool.get("parameters") or {}
    arguments: dict[str, object] = {}
    for name, schema in (parameters.get("properties") or {}).items():
        schema = _chosen(schema)
        value = _found(schema, text)
        if value is None and name in (parameters.get("required") or ()):
            value = _default(schema, text)
        if value is not None:
            arguments[name] = value
    return arguments


def _found(schema: Mapping[str, object], text: str) -> object:
    """What the text has for a parameter: one of its choices, the first number, or the last capitalised words."""
    choices = schema.get("enum")
    if isinstance(choices, list):
        return next((choice for choice in choices if str(choice).lower() in text.lower()), None)
    if _kind_of(schema) in ("integer", "number"):
        number = re.search(r"\d+", figures(text))
        return int(number[0]) if number else None
    names = _NAME.findall(text[1:])  # the first letter is a capital for another reason
    return names[-1] if names and _kind_of(schema) == "string" else None


def _default(schema: Mapping[str, object], text: str) -> object:
    choices = schema.get("enum")
    if isinstance(choices, list) and choices:
        return choices[0]
    by_kind: dict[str, object] = {"integer": 1, "number": 1, "boolean": True, "array": [], "object": {}, "string": text}
    return by_kind.get(_kind_of(schema))


def _chosen(schema: object) -> Mapping[str, object]:
    """A parameter's schema; of several (``anyOf``) the first that is something."""
    schema = schema if isinstance(schema, dict) else {}
    several = schema.get("anyOf") or schema.get("oneOf")
    if not isinstance(several, list):
        return schema
    return next((each for each in several if isinstance(each, dict) and _kind_of(each) != "null"), {})


def _kind_of(schema: Mapping[str, object]) -> str:
    """The JSON type that a schema wants; of several (``["string", "null"]``) the first that is something."""
    kind = schema.get("type", "string")
    kinds = kind if isinstance(kind, list) else [kind]
    return next((str(each) for each in kinds if each != "null"), "null")
