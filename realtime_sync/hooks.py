"""Hooks: functions of yours that are told what happens in sessions, for traces, metrics and logs.

``set_hooks([function])`` before a session is started; ``function(event)`` is then called with the events below. There
are none by default, and a session without hooks does nothing of this. ``realtime_sync.otel`` is a hook that makes
OpenTelemetry's spans of them.

1. Events come after the fact, on a thread of the session's own (its observer), in order: each connection, answer and
   call once it is over, and at last the session. No other thread waits for a hook, but ``close()`` and a start that
   has failed, which return once the session's last event was told, or after ``HOOK_SECONDS``. The moments in an event
   are those at which things happened, however late it is told.
2. Two events come before the fact, each on the thread that is about to work: ``SessionBegins`` on the one that starts
   the session, ``CallBegins`` on the one that calls the function. A hook may return a context manager for them. It is
   entered there, and left at the end, by the same context (``contextvars``). The session's threads, and those of its
   tools, run in copies of the context in which ``SessionBegins`` was told.
3. What has begun ends: for each ``CallBegins`` there is one ``CallEnded``, and for each ``SessionBegins`` one
   ``SessionEnded``, also if the connection was lost, the start failed, or the process ends. In a forked child no hook
   is called for the parent's sessions.
4. A hook that raises is warned of once, and logged; the session goes on.
5. No event holds words or arguments, unless ``set_hooks(..., words=True)`` asks for them; and none holds audio.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Callable, Final, Optional

import attrs

from realtime_sync.errors import InvalidInputError
from realtime_sync.user_code import warn_once
from realtime_sync.values import Value

if TYPE_CHECKING:
    from realtime_sync.conversation.pricing import UsageTotals

__all__ = [
    "CallBegins",
    "CallEnded",
    "ConnectEnded",
    "ConnectionLost",
    "Hook",
    "HookEvent",
    "ObservedSession",
    "ResponseEnded",
    "ServiceError",
    "SessionBegins",
    "SessionEnded",
    "get_hooks",
    "set_hooks",
]

logger = logging.getLogger(__name__)

HOOK_SECONDS: Final = 2.0
"""How long ``close()``, and a start that has failed, wait for hooks at most, in seconds."""


@attrs.define(eq=False)
class ObservedSession:
    """What is known of a session; one object for all of its events, so it may be a key of a dict.

    A session with fallbacks may go on at another service: then all but its number and its protocol are that service's,
    from the ``ConnectEnded`` on that tells of it.

    Attributes:
        number: 1 for the first one in this process that hooks were told of, and so on.
        protocol: ``"realtime"`` or ``"live"``.
        service: ``"openai"``, ``"azure"``, ``"azure-preview"`` or ``"azure-voice-live"``: whose rules hold.
        host: The server's name or address.
        port: The server's port.
        beside: True if it was attached to a session that somebody else has begun, such as a telephone call.
        asked_model: The model that was asked for; None if the endpoint names it, the session was there already, or it
            has gone on at another service.
        id: The service's name for it; None until the service has told it.
        model: The model that answers, as the service told it; None until it has.
    """

    number: int
    protocol: str
    service: str
    host: Optional[str]
    port: Optional[int]
    beside: bool = False
    asked_model: Optional[str] = None
    id: Optional[str] = None
    model: Optional[str] = None


@attrs.frozen(kw_only=True, repr=False, eq=False)
class HookEvent(Value):
    """What a hook is told: the base of all events. Moments are Unix seconds, and of one session in order.

    Attributes:
        session: The session.
        at: When it happened.
    """

    session: ObservedSession
    at: float


@attrs.frozen(kw_only=True, repr=False, eq=False)
class SessionBegins(HookEvent):
    """A session is about to be connected. Told on the thread that starts it; may return a context manager."""


@attrs.frozen(kw_only=True, repr=False, eq=False)
class ConnectEnded(HookEvent):
    """An attempt to connect is over: the first one, or one after a loss with all of its retries.

    Attributes:
        began: When it began: of a session that reconnects, when the old connection was lost.
        number: 1 for the first connection that stands, and so on; 0 if none came about.
        attempts: How many it took.
        error: Why no connection came about; None if it stands.
        reason: How the connection before it ended; None for the first one.
        losses: One line for each thing that was not carried over from the connection before it.
        moved: True if it is with another service than the one before it.
    """

    began: float
    number: int
    attempts: int = 1
    error: Optional[BaseException] = None
    reason: Optional[BaseException] = None
    losses: tuple[str, ...] = ()
    moved: bool = False


@attrs.frozen(kw_only=True, repr=False, eq=False)
class ConnectionLost(HookEvent):
    """The connection was lost, and the session tries to go on over a new one.

    Attributes:
        reason: How it ended.
    """

    reason: BaseException


@attrs.frozen(kw_only=True, repr=False, eq=False)
class ResponseEnded(HookEvent):
    """An answer of the model is over; of the realtime protocol, because GPT-Live has none.

    It is told once its first sound was played, if a player is known (``talk``, ``interrupt_on_speech``) and has not
    come to it yet.

    Attributes:
        id: The service's name for it.
        began: When it was asked for; of an answer to speech, when the service heard the end of it; else ``created``.
        speech_ended: When the service told that the speech had ended which it answers; None if it answers none.
        created: When the service began to answer.
        first_text: When the first words came, written or as a transcript; None if none did.
        first_audio: When the first sound came; None if none did.
        first_played: When the first sound was played; None if none was, or no player is known.
        status: ``"completed"``, ``"cancelled"``, ``"incomplete"`` or ``"failed"``; ``"lost"`` if the connection or the
            session ended first; None if the service gave none.
        reason: Why it is not completed, in a word of the service's; None if it is.
        error: What the service reports of one that failed: its code, else its type; of one that is lost, the name of
            the error's class; else None.
        message: The error in words; None unless words are asked for.
        out_of_band: True if it is not in the conversation.
        calls: The names of the functions that it called.
        usage: Its tokens by kind; None if the service told none.
        cost: In US dollars, by ``realtime_sync.PRICES``; None if it is not known.
        words: What was written or spoken; None unless words are asked for.
    """

    id: str
    began: float
    speech_ended: Optional[float] = None
    created: float
    first_text: Optional[float] = None
    first_audio: Optional[float] = None
    first_played: Optional[float] = None
    status: Optional[str] = None
    reason: Optional[str] = None
    error: Optional[str] = None
    message: Optional[str] = attrs.field(default=None, repr=False)
    out_of_band: bool = False
    calls: tuple[str, ...] = ()
    usage: Optional[UsageTotals] = None
    cost: Optional[float] = None
    words: Optional[str] = attrs.field(default=None, repr=False)


@attrs.frozen(kw_only=True, repr=False, eq=False)
class CallBegins(HookEvent):
    """A function of yours is about to be called. Told on the thread that calls it; may return a context manager.

    The context manager is left when the function returns, which may be after ``CallEnded``, or never: a function that
    is given up is left behind.

    Attributes:
        number: A number of this call in the process.
        kind: ``"tool"``; of a GPT-Live session also ``"delegate"`` (a function that does what the model hands over) or
            ``"callback"`` (one that acts on decisions).
        name: The function's name, as the model knows it.
        call_id: The service's name for the call; empty if it has none.
        arguments: What the model called it with, as JSON; None unless words are asked for.
    """

    number: int
    kind: str
    name: str
    call_id: str = ""
    arguments: Optional[str] = attrs.field(default=None, repr=False)


@attrs.frozen(kw_only=True, repr=False, eq=False)
class CallEnded(CallBegins):
    """A call has an outcome, whether its function has returned or was given up.

    Attributes:
        began: When the function was called; None if it never was.
        error: What it raised, or why it was given up; None if it returned.
        timed_out: True if its time was up.
        cancelled: True if it was cancelled, or the session ended first.
        output: What the model is told; None unless words are asked for.
    """

    began: Optional[float]
    error: Optional[BaseException] = None
    timed_out: bool = False
    cancelled: bool = False
    output: Optional[str] = attrs.field(default=None, repr=False)


@attrs.frozen(kw_only=True, repr=False, eq=False)
class ServiceError(HookEvent):
    """The service has reported an error; the session goes on, unless it ends next.

    Attributes:
        code: For programs: its code, else its type; None if it has neither.
        message: For people; None unless words are asked for.
    """

    code: Optional[str]
    message: Optional[str] = attrs.field(default=None, repr=False)


@attrs.frozen(kw_only=True, repr=False, eq=False)
class SessionEnded(HookEvent):
    """The session is over. No other event of it follows.

    Attributes:
        began: When ``SessionBegins`` was told.
        error: What ended it, or why it could not be started; None if it was closed in an orderly way.
        close_code: The WebSocket's close code; None if no connection was closed.
        usage: The tokens of all answers that have told theirs.
        cost: What the answers have cost in US dollars, as far as it is known; of a live session, what its seconds and
            the tokens of its backends cost. None if nothing is known.
        seconds: Of a live session, the seconds that the service has counted; else None.
    """

    began: float
    error: Optional[BaseException] = None
    close_code: Optional[int] = None
    usage: Optional[UsageTotals] = None
    cost: Optional[float] = None
    seconds: Optional[float] = None


Hook = Callable[[HookEvent], Optional[AbstractContextManager[object]]]
"""A hook: is called with each event; for ``SessionBegins`` and ``CallBegins`` it may return a context manager."""


@attrs.frozen(eq=False)
class Registered:
    """What is set: the hooks, and whether events hold words."""

    hooks: tuple[Hook, ...] = ()
    words: bool = False

    def tell(self, event: HookEvent) -> list[AbstractContextManager[object]]:
        """Call all hooks, and return the context managers that they gave. No lock is held."""
        given = []
        for hook in self.hooks:
            try:
                manager = hook(event)
            except (Exception, SystemExit) as error:
                tell_of_failure(hook, error)
            else:
                if manager is not None and hasattr(type(manager), "__enter__"):
                    given.append(manager)
        return given


_registered = Registered()


def set_hooks(hooks: Optional[Iterable[Hook]], *, words: bool = False) -> None:
    """Set the hooks of all sessions that are started from now on, in place of those that were set.

    Args:
        hooks: Functions that are called with each event, in their order. None, or none at all: nothing is told.
        words: True has events hold what was said, and what functions were called with and returned.

    Raises:
        InvalidInputError: ``hooks`` is no list of functions.
    """
    global _registered
    if hooks is not None and not isinstance(hooks, Iterable):
        raise InvalidInputError(f"hooks are given as a list, a single one too: [{hooks!r:.60}]")
    given = tuple(hooks or ())
    for hook in given:
        if not callable(hook):
            raise InvalidInputError(f"a hook must be a function that takes an event, not {hook!r:.60}")
    _registered = Registered(given, words)


def get_hooks() -> tuple[Hook, ...]:
    """The hooks that are set.

    Returns:
        The hooks, in their order; none by default.
    """
    return _registered.hooks


def registered() -> Registered:
    """The hooks that are set, and how. For this library."""
    return _registered


def tell_of_failure(hook: object, error: BaseException) -> None:
    """Log what a hook raised, and warn of it once."""
    logger.warning("a hook failed, and the session goes on", exc_info=error)
    warn_once(hook, error, "a hook", "the session goes on")
