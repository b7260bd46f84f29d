"""A call of a function by the model, as hooks are told of it, and the context managers that hooks put around it."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Callable, Optional, Protocol

from realtime_sync.hooks import CallBegins, tell_of_failure

if TYPE_CHECKING:
    from realtime_sync.core.observation import Observation

_call_numbers = itertools.count(1)
ExcInfo = tuple[Optional[type[BaseException]], Optional[BaseException], Optional[TracebackType]]
NO_ERROR: ExcInfo = (None, None, None)


class CallOutcome(Protocol):
    """How a call ended; the outcome of a tool is one."""

    @property
    def output(self) -> str:
        """The text for the model."""

    @property
    def error(self) -> Optional[BaseException]:
        """What the function raised, or why it was given up."""

    @property
    def timed_out(self) -> bool:
        """Whether its time was up."""

    @property
    def cancelled(self) -> bool:
        """Whether it was cancelled."""


class ObservedCall:
    """A call of a function, from before it is made to its outcome.

    Attributes:
        number: A number of its own in the process.
        began: When it was made; None: it was not.
        begun: The hooks were told so.
        settled: Returns the call's outcome once it has one, which may be a moment before ``ended`` is called.
    """

    def __init__(
        self,
        observation: Observation,
        kind: str,
        name: str,
        call_id: str,
        arguments: Optional[str],
        settled: Callable[[], Optional[CallOutcome]],
    ) -> None:
        self.number = next(_call_numbers)
        self.began: Optional[float] = None
        self.begun = False
        self.settled = settled
        self._observation = observation
        self._facts = {"kind": kind, "name": name, "call_id": call_id, "arguments": arguments}

    def event(self, kind: Callable[..., CallBegins], at: float, **more: object) -> CallBegins:
        """An event of this call."""
        return kind(session=self._observation.session, at=at, number=self.number, **self._facts, **more)

    @contextmanager
    def around(self) -> Iterator[None]:
        """The function is called within, on the thread that calls it."""
        managers = self._observation.begin_call(self)
        try:
            yield
        except BaseException as error:
            leave(managers, (type(error), error, error.__traceback__))
            raise
        leave(managers, NO_ERROR)

    def ended(self, outcome: CallOutcome) -> None:
        """It has its outcome. On any thread, with no lock held."""
        seen = self._observation
        seen.end_call(functools.partial(seen.outcome_of, self, outcome, seen.now()))


# Context managers of hooks -------------------------------------------------------------------------------------------


def enter(
    managers: Sequence[AbstractContextManager[object]], entered: list[AbstractContextManager[object]]
) -> list[AbstractContextManager[object]]:
    """Enter them; returns ``entered``, with those that could be, at each moment."""
    for manager in managers:
        entered.append(manager)
        try:
            manager.__enter__()
        except (Exception, SystemExit) as error:
            entered.pop()
            tell_of_failure(type(manager), error)
    return entered


def leave(managers: Sequence[AbstractContextManager[object]], how: ExcInfo) -> None:
    """Leave them, in the reverse order. What is raised within them is raised whatever they return."""
    for manager in reversed(managers):
        try:
            manager.__exit__(*how)
        except (Exception, SystemExit) as error:
            if error is not how[1]:  # a generator raises what was thrown into it
                tell_of_failure(type(manager), error)
