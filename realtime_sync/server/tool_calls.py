"""Which of a session's tools a sentence asks for, with which arguments: by the words of its name, with no model."""

from __future__ import annotations

import re
from typing import Mapping

from realtime_sync.server.responder import FunctionCall, MCPCall, Turn
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
# What a question typed in small letters is about: "the weather in new york today?"
_ASKED_ABOUT = re.compile(
    r"\b(?:in|for|of|at|about)\s+([^\W\d][\w'’ -]*?)(?=\s*(?:[?.!,;:]|$|\b(?:today|tomorrow|now|please)\b))",
    re.IGNORECASE,
)

_LONGEST = 1000  # characters; that pattern would take minutes over a long text


def figures(text: str) -> str:
    """The text with its numbers below a hundred in figures."""
    return _NUMBER.sub(_figure, text)


def _figure(found: re.Match[str]) -> str:
    tens, unit, small = (word and word.lower() for word in found.groups())
    if small:
        return str(_SMALL.index(small))
    return str(20 + 10 * _TENS.index(tens) + (_SMALL.index(unit) if unit else 0))


def calls_for(turn: Turn, text: str) -> list[FunctionCall]:
    """The calls that the text asks for, or the one that ``tool_choice`` demands."""
    functions = [tool for tool in turn.tools if tool.get("type", "function") == "function"]
    if isinstance(turn.tool_choice, dict):
        wanted = [tool for tool in functions if tool["name"] == turn.tool_choice.get("name")]
    elif turn.tool_choice == "none":
        wanted = []
    else:
        wanted = [tool for tool in functions if is_named(str(tool["name"]), text)]
        if turn.tool_choice == "required" and not wanted:
            wanted = functions[:1]
    return [FunctionCall(str(tool["name"]), _arguments(tool, text)) for tool in wanted]


def mcp_calls_for(turn: Turn, last: Json, text: str) -> list[MCPCall]:
    """The call of the remote tool that the user's text names; it finds what it was asked for."""
    if turn.tool_choice == "none" or last.get("role") != "user":
        return []
    tools = [(item["server_label"], str(tool["name"])) for item in turn.items for tool in item.get("tools") or ()]
    named = [(label, name) for label, name in tools if is_named(name, text)]
    output = f"one result for {text!r}"
    return [MCPCall(label, name, {"query": text}, output=output) for label, name in named[:1]]


def is_named(name: str, text: str) -> bool:
    """Whether a tool's name, or each long word of it, stands in the text ("get_weather" or "weather")."""
    text = text.lower()
    words = [word for word in re.split(r"[_\W]+", name.lower()) if len(word) > 3]
    return name.lower() in text or (bool(words) and all(re.search(rf"\b{re.escape(word)}", text) for word in words))


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
        number = re.search(r"\d{1,15}", figures(text))  # more would be no exact number elsewhere
        return int(number[0]) if number else None
    names = _NAME.findall(text[1:])  # the first letter is a capital for another reason
    return names[-1] if names and _kind_of(schema) == "string" else None


def _default(schema: Mapping[str, object], text: str) -> object:
    choices = schema.get("enum")
    if isinstance(choices, list) and choices:
        return choices[0]
    by_kind: dict[str, object] = {"integer": 1, "number": 1, "boolean": True, "array": [], "object": {}}
    by_kind["string"] = asked[-1] if (asked := _ASKED_ABOUT.findall(text[-_LONGEST:])) else text
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
