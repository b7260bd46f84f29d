"""What a function returns, as the text that goes to the model."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import json
import os
import uuid
from typing import Any

import attrs

from realtime_sync.protocol.characters import joined


def result_text(value: object) -> str:
    """A string as it is, everything else as JSON: ``0`` is ``"0"``, ``None`` is ``"null"``, ``[]`` is ``"[]"``.

    attrs classes and dataclasses become objects, enums their values, dates ISO 8601, sets arrays; UUIDs, paths and
    decimals become strings.

    Raises:
        TypeError, ValueError: JSON has no form for the value (NaN, a cycle, a file).
    """
    if isinstance(value, str) and not isinstance(value, enum.Enum):
        return joined(value)
    return joined(json.dumps(value, default=_plain, ensure_ascii=False, allow_nan=False))


def plain_value(value: object) -> Any:
    """The JSON value (of dicts, lists and the like) that stands for ``value``. Raises as ``result_text`` does."""
    return json.loads(json.dumps(value, default=_plain, allow_nan=False))


def _plain(value: Any) -> Any:
    """One step towards JSON, for what ``json`` does not know."""
    if isinstance(value, type):
        raise TypeError(f"{value.__name__} is a class, and JSON has only values; return an instance of it")
    if attrs.has(type(value)):
        return {field.alias: getattr(value, field.name) for field in attrs.fields(type(value))}
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, (set, frozenset)):
        return list(value)
    if isinstance(value, (uuid.UUID, decimal.Decimal)):
        return str(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"JSON has no form for {type(value).__name__}; return a str, dict, list, attrs class or dataclass")
