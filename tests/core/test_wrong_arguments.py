"""Bad input is a clear error at the call, before anything is connected or sent."""

from __future__ import annotations

from typing import Any

import pytest

from realtime_sync import InvalidInputError
from tests.core.harness import House


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ({"options": {"voice": "alloy"}}, "options must be a ConversationSessionOptions"),
        ({"recording": 5}, "recording must be a path or a RecordingWriter, not 5"),
        ({"reconnect": "yes"}, "reconnect"),
    ],
)
def test_what_a_session_cannot_be_started_with_is_refused_before_it_connects(
    plain: House, start: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        plain.open(start=start)
    assert plain.server.sessions == []


@pytest.mark.parametrize("question", [5, 1.5, {"text": "Hello"}])
def test_what_is_no_question_is_told_what_one_is(plain: House, question: Any) -> None:
    session = plain.open()
    with pytest.raises(InvalidInputError, match="a question is a text, an item, a list of them, or audio"):
        session.ask(question)
    assert not plain.live.received
