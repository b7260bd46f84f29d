"""Messages of other shapes than the protocol's, from servers that imitate it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from realtime_sync.protocol import codec, updates
from realtime_sync.protocol.dialects import Dialect

ERRORS: dict[str, tuple[dict[str, Any], tuple[Any, Any]]] = {
    "a text, and the code beside it (vLLM)": ({"error": "no such model", "code": "404"}, ("no such model", "404")),
    "a text alone": ({"error": "no such model"}, ("no such model", None)),
    "a code of null": ({"error": "no such model", "code": None}, ("no such model", None)),
    "all of it beside": ({"message": "no such model", "code": "404"}, ("no such model", "404")),
    "an object": ({"error": {"message": "no such model", "code": "404"}}, ("no such model", "404")),
    "an object, and something beside it": ({"error": {"code": "404"}, "message": "ignored"}, (None, "404")),
    "null": ({"error": None}, (None, None)),
    "nothing": ({}, (None, None)),
    "a list": ({"error": ["no such model"]}, (None, None)),
    "a number": ({"error": 404}, (None, None)),
}


@pytest.mark.parametrize("dialect", list(Dialect))
@pytest.mark.parametrize("name", ERRORS)
def test_an_error_of_any_shape_tells_what_it_can(name: str, dialect: Dialect) -> None:
    fields, expected = ERRORS[name]
    text = json.dumps({"type": "error", "event_id": "event_1", **fields})
    update = codec.decode(text, dialect)
    assert isinstance(update, updates.ErrorUpdate)
    assert (update.message, update.code) == expected
    assert (update.type, update.event_id, update.raw_content) == ("error", "event_1", text)


def test_nothing_of_an_error_is_lost() -> None:
    update = codec.decode('{"type": "error", "error": "boom", "param": "model", "x_trace": 7}')
    assert isinstance(update, updates.ErrorUpdate)
    assert (update.param, update.extra) == ("model", {"x_trace": 7})


def test_a_session_without_an_object_has_its_id() -> None:
    update = codec.decode('{"type": "session.created", "id": "sess-1", "created": 1770000000}')
    assert isinstance(update, updates.SessionCreatedUpdate)
    assert (update.session_id, update.extra) == ("sess-1", {"created": 1770000000})
    assert not update.faults


@pytest.mark.parametrize("session", [None, {}, {"id": "sess-2"}])
def test_a_session_that_is_told_is_the_one_that_counts(session: Any) -> None:
    update = codec.decode(json.dumps({"type": "session.created", "id": "sess-1", "session": session}))
    assert isinstance(update, updates.SessionCreatedUpdate)
    assert update.session_id == (session or {}).get("id")
