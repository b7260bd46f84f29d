"""The settings of a live session: what ``session.start`` and ``session.update`` may hold, and what comes of them."""

from __future__ import annotations

import time
from typing import Any, Mapping, Optional

from realtime_sync.server import checks
from realtime_sync.server.checks import Check, array_of, by_tag, either, integer, one_of, record, string
from realtime_sync.server.wire import Json, Refused, given

_VOICE_NAMES = (
    "alloy ash ballad beacon bossa cedar cinder coral delta echo gleam marin meridian quartz ripple sage shida shimmer "
    "stone tempo verse vesper willow"
)
VOICES = tuple(_VOICE_NAMES.split())
_FORBIDDEN_VOICES = ("fable", "nova", "onyx")  # of other APIs; refused with a code of their own (2026-09)
DEFAULT_FORMAT = {"type": "audio/pcm", "rate": 24_000}
_MOST_INSTRUCTIONS = 16_384  # tokens
_MOST_MESSAGES = 128
_MOST_HISTORY = 8_192  # tokens
_TOKENS_OF_A_MESSAGE = 7  # on top of its text: twenty of 402 tokens were taken, and of 422 refused
# What session.update may name; it refuses the other settings by another code than names that do not exist.
_MUTABLE = ("delegation", "triggers")
_TRANSCRIPTS = ("session.input_transcript.delta", "session.output_transcript.delta")


def tokens_of(text: str) -> int:
    """About so many tokens, without a tokenizer: three ASCII characters are one, and any other character."""
    ascii_count = sum(character < "\x80" for character in text)
    return -(-ascii_count // 3) + len(text) - ascii_count


# Shapes ------------------------------------------------------------------------------------------------------------


def _voice(value: Any, path: str) -> None:
    if value in _FORBIDDEN_VOICES:
        raise Refused("forbidden", f"The voice '{value}' is not available in live sessions.", path)
    one_of(*VOICES)(value, path)


def _rate(*rates: int) -> Check:
    def check(value: Any, path: str) -> None:
        integer()(value, path)
        if value not in rates:
            told = " or ".join(map(str, rates))
            raise Refused("invalid_value", f"Invalid value: '{value}'. The rate must be {told}.", path)

    return check


def _pcm_format(*rates: int) -> Check:
    return record({"type": string, "rate": _rate(*rates)}, ["rate"])


def _message_of(*kinds: str) -> Check:
    part = by_tag("type", {kind: record({"type": string, "text": string}, ["text"]) for kind in kinds})
    fields = {"type": one_of("message"), "role": string, "content": array_of(part), "id": string, "status": string}
    check_fields = record(fields, ["content"])

    def check(value: Any, path: str) -> None:
        check_fields(value, path)
        if len(value["content"]) != 1:
            raise Refused("invalid_value", f"'{path}.content' must have exactly one part.", f"{path}.content")

    return check


def _question(value: Any, path: str) -> None:
    instructions = either({str: string, list: array_of(checks.json_object)})
    common: dict[str, Check] = {"type": string, "name": string, "instructions": instructions}
    option = record({"value": either({str: string, bool: checks.boolean}), "description": string}, ["value"])
    level = record({"label": string, "description": string}, ["label"])
    shapes = {
        "choice": record({**common, "choices": array_of(option)}, ["choices", "instructions"]),
        "predicate": record(common, ["instructions"]),
        "score": record({**common, "levels": array_of(level)}, ["levels", "instructions"]),
    }
    by_tag("type", shapes)(value, path)


def _tool(value: Any, path: str) -> None:
    checks.json_object(value, path)
    if value.get("type") is None:
        raise checks.missing(f"{path}.type")
    if value["type"] == "function":
        fields = {"type": string, "name": checks.name_up_to(64), "description": string, "strict": checks.boolean}
        record({**fields, "parameters": checks.json_object, "defer_loading": checks.boolean}, ["name"])(value, path)


_RESPONSES: dict[str, Check] = {
    "model": string,
    "instructions": string,
    "tools": array_of(_tool),
    "tool_choice": either({str: one_of("auto", "none", "required"), dict: checks.json_object}),
    "parallel_tool_calls": checks.boolean,
    "max_output_tokens": integer(16),
    "reasoning": checks.json_object,
    "text": checks.json_object,
    "service_tier": string,
}
_DECISIONS: dict[str, Check] = {"model": string, "questions": array_of(_question)}
_DELAY = integer(0)


def _delegation(*, whole: bool) -> Check:
    """Of a start, which must tell the backend as a whole, or of an update."""
    common = {"type": string, "acknowledgement_delay_ms": _DELAY}
    responses, decisions = record(_RESPONSES, ["model"] if whole else []), record(_DECISIONS, [*_DECISIONS] * whole)
    return by_tag(
        "type",
        {
            "client": record(common),
            "responses": record({**common, "responses": responses}, ["responses"] * whole),
            "decisions": record({**common, "decisions": decisions}, ["decisions"] * whole),
        },
    )


_trigger = by_tag(
    "type",
    {
        "decisions": record(
            {
                "type": string,
                "event_type": one_of(*_TRANSCRIPTS),
                "decisions": record({"questions": array_of(_question)}, ["questions"]),
            },
            ["event_type", "decisions"],
        )
    },
)


def _triggers(value: Any, path: str) -> None:
    array_of(_trigger)(value, path)
    kinds = [trigger["event_type"] for trigger in value]
    if len(set(kinds)) < len(kinds):
        raise Refused("invalid_value", "At most one trigger for each type of transcript event is allowed.", path)


_format = by_tag(
    "type", {"audio/pcm": _pcm_format(24_000, 16_000), "audio/pcmu": _pcm_format(8000), "audio/pcma": _pcm_format(8000)}
)
_output = record({"voice": either({str: _voice, dict: record({"id": string}, ["id"])})})
_user, _assistant = _message_of("input_text"), _message_of("output_text", "text")
_START: Mapping[str, Check] = {
    "model": string,
    "instructions": string,
    "input": array_of(by_tag("role", {"developer": _user, "user": _user, "assistant": _assistant})),
    "audio": record({"format": _format, "output": _output}),
    "delegation": _delegation(whole=True),
    "store": checks.boolean,
    "triggers": _triggers,
    "safety_identifier": string,
}
_check_start = record(_START, ["model"])
_check_update = record({"delegation": _delegation(whole=False), "triggers": _triggers})


# Settings ----------------------------------------------------------------------------------------------------------


def check_start(told: Any) -> None:
    """Raise ``Refused`` if these are no settings that a live session can start with."""
    _check_start(told, "session")
    _check_length(tokens_of(told.get("instructions") or ""), _MOST_INSTRUCTIONS, "tokens", "session.instructions")
    messages = told.get("input") or ()
    _check_length(len(messages), _MOST_MESSAGES, "messages", "session.input")
    history = sum(tokens_of(message["content"][0]["text"]) + _TOKENS_OF_A_MESSAGE for message in messages)
    _check_length(history, _MOST_HISTORY, "tokens", "session.input")


def _check_length(length: int, most: int, what: str, path: str) -> None:
    if length > most:
        raise Refused("invalid_value", f"'{path}' has {length} {what}, but may have at most {most}.", path)


def resolved(told: Json, session_id: str, seconds: float) -> Json:
    """The session as ``session.started`` tells it, from checked settings."""
    told = given(told)
    audio = told.get("audio", {})
    session: Json = {
        "id": session_id,
        "expires_at": int(time.time() + seconds),
        "model": told["model"],
        "instructions": told.get("instructions"),
        "audio": {
            "output": {"voice": audio.get("output", {}).get("voice", "marin")},
            "format": audio.get("format", DEFAULT_FORMAT),
        },
        "delegation": _resolved_delegation(told.get("delegation", {"type": "client"})),
        "status": "active",
        "input": told.get("input", []),
    }
    kept = {name: told[name] for name in ("store", "triggers", "safety_identifier") if told.get(name)}
    return {**session, **kept}


def _resolved_delegation(told: Json) -> Json:
    if "responses" not in told:
        return told
    return {**told, "responses": {**told["responses"], **_with_tools(told["responses"])}}


def _with_tools(responses: Json) -> Json:
    return {"tools": responses.get("tools", []), "tool_choice": responses.get("tool_choice", "auto")}


def updated(session: Json, told: Any, *, replaces: bool) -> Json:
    """The session after an update. ``replaces``: the delegation is taken as a whole. Raises ``Refused``."""
    checks.json_object(told, "session")
    for name in told:
        if name in _START and name not in _MUTABLE:
            raise _immutable(f"session.{name}")
    delegation = told.get("delegation")
    own = session["delegation"]
    if isinstance(delegation, dict) and delegation.get("type", own["type"]) != own["type"]:
        raise _immutable("session.delegation.type")
    if isinstance(delegation, dict):  # the one type that it can have need not be told
        told = {**told, "delegation": {"type": own["type"], **delegation}}
    _check_update(told, "session")
    changed = dict(session)
    if told.get("delegation"):
        changed["delegation"] = _merged(own, given(told["delegation"]), replaces=replaces)
    if told.get("triggers") is not None:
        changed["triggers"] = told["triggers"]
    return changed


def _merged(own: Json, told: Json, *, replaces: bool) -> Json:
    if replaces:
        _delegation(whole=True)(told, "session.delegation")
        return _resolved_delegation(told)
    merged = {**own, **told}
    for backend in ("responses", "decisions"):
        if backend in told:
            merged[backend] = {**own[backend], **told[backend]}
    return merged


def _immutable(path: str) -> Refused:
    return Refused("immutable_field_update", f"'{path}' cannot be changed once the session has started.", path)


def format_of(session: Optional[Json]) -> Json:
    """The audio format of a session; the default before it has started."""
    return dict(session["audio"]["format"]) if session is not None else dict(DEFAULT_FORMAT)
