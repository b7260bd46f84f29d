"""The tree of errors, as a process pool or a cluster hands it on."""

from __future__ import annotations

import copy
import pickle
from typing import Any, Callable

import pytest

from realtime_sync import Answer, BudgetExceededError, CloseInfo, MisreadError, ResponseFailedError, errors
from tests.core.answers import WRITTEN
from tests.core.harness import House

CLASSES = [getattr(errors, name) for name in errors.__all__ if name.endswith("Error")]
NEEDED: dict[type[Exception], dict[str, Any]] = {
    BudgetExceededError: {"spent": 1.5, "usd": 1.0},
    ResponseFailedError: {"answer": None, "code": "server_error"},
    MisreadError: {"answer": None, "pieces": [("asked", "said")]},
}


def pickled(error: Any) -> Any:
    return pickle.loads(pickle.dumps(error))


@pytest.mark.parametrize("handed_on", [pickled, copy.copy])
@pytest.mark.parametrize("kind", CLASSES)
def test_an_error_that_is_handed_on_says_what_it_said(kind: Any, handed_on: Callable[[Any], Any]) -> None:
    error = kind("what happened", **NEEDED.get(kind, {}))
    again = handed_on(error)
    assert (type(again), str(again), again.args) == (kind, "what happened", ("what happened",))
    assert vars(again) == vars(error)


def test_with_all_that_it_knows(plain: House) -> None:
    plain.serve(responder=lambda turn: "Half of")
    answer: Answer = plain.open().ask("Hello", WRITTEN)
    failed = pickled(ResponseFailedError("no more", answer=answer, code="x"))
    assert (failed.answer.text, failed.code) == ("Half of", "x")
    closed = errors.ConnectionClosedError("gone", close_info=CloseInfo(4002, "budget", "local"))
    assert pickled(closed).close_info == closed.close_info
