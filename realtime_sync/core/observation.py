"""One session that hooks are told of; ``hooks.py`` has the rules for hooks.

The reader, and whoever has something to tell, leaves a note: a function that makes events. The observer, a thread of
the session's, calls these functions in their order, and the hooks with the events. So all that is reckoned with, but
what must be known at once, is the observer's alone and needs no lock. ``Scribe`` makes events of what all protocols
have; ``observed_responses.py`` and ``live/observed.py`` add their own. ``observed_calls.py`` is a call of a function.

A session without hooks has no ``Observation``, and imports none of this.

The end. ``end`` (the session's), ``start_failed`` or the process's exit sets ``_end``, once. The observer then tells
what was noted, ends what is open, tells ``SessionEnded``, and sets ``_told``, for which ``close()`` waits. A start that
failed before there was an observer has one by then (``_finish``). At exit the order matters: whoever exports spans has
registered with ``atexit`` before the first session was started, and so is shut down behind us.

Ctrl-C may come anywhere in a start. ``begin`` is called when the caller has the object, so that what it has begun is
ended (``give_back``); and only the first that is called ``_observe`` observes.

Locks: ``_lock`` guards ``_calls``, ``_over``, ``_observer`` and the writing of ``_end``, for a few assignments; no
hook is called under any. ``_notes`` is changed by single operations. Each field of ``ObservedSession`` is written by
the observer alone, in one assignment.
"""

from __future__ import annotations

import atexit
import contextvars
import functools
import itertools
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Callable, Final, Optional
from urllib.parse import urlsplit

from realtime_sync.audio.playback import PlaybackPosition
from realtime_sync.core.observed_calls import NO_ERROR, CallOutcome, ObservedCall, enter, leave
from realtime_sync.deadline import Deadline
from realtime_sync.errors import CloseInfo, NoMoreThreadsError, ReconnectFailedError
from realtime_sync.hooks import (
    HOOK_SECONDS,
    CallBegins,
    CallEnded,
    ConnectEnded,
    ConnectionLost,
    HookEvent,
    ObservedSession,
    Registered,
    ServiceError,
    SessionBegins,
    SessionEnded,
)
from realtime_sync.interrupts import Change, Flag
from realtime_sync.protocol.connection_updates import SessionDisconnectedUpdate, SessionReconnectedUpdate
from realtime_sync.protocol.update_base import ConversationUpdate
from realtime_sync.protocol.updates import ErrorUpdate
from realtime_sync.threads import apart

if TYPE_CHECKING:
    from realtime_sync.conversation.pricing import UsageTotals
    from realtime_sync.core.engine import Engine
    from realtime_sync.core.streams import End
    from realtime_sync.core.wire_session import WireSession

logger = logging.getLogger(__name__)

Note = Callable[[], Iterable[HookEvent]]

# Notes that a hook which hangs may leave untold.
_MOST_NOTES: Final = 4096
_MOST_PLAYERS: Final = 8
_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}
_session_numbers = itertools.count(1)


def place(url: str) -> tuple[Optional[str], Optional[int]]:
    """The host and the port of a URL."""
    parts = urlsplit(url)
    return parts.hostname, parts.port or _PORTS.get(parts.scheme)


class Scribe:
    """Makes events of updates. ``wants`` is the reader's, all else the observer's."""

    def __init__(self, observation: Observation) -> None:
        self._observation = observation
        self._connections = 0
        self._lost_at: Optional[float] = None
        self._lost_by: Optional[BaseException] = None

    def begin(self, engine: Engine) -> None:
        """The engine is there; on the thread that has made it."""

    def opened(self, session: WireSession) -> None:
        """The session is there, and not introduced yet; likewise."""

    def wants(self, update: ConversationUpdate) -> Optional[Note]:
        """What makes events of this update, if any is to be made. The lock for delivery is held."""
        if isinstance(update, (ErrorUpdate, SessionDisconnectedUpdate, SessionReconnectedUpdate)):
            return functools.partial(self.note, update)
        return None

    def note(self, update: ConversationUpdate) -> Iterator[HookEvent]:
        """The events that this update makes."""
        seen = self._observation
        at = seen.moment(update.arrived_at)
        if isinstance(update, ErrorUpdate):
            message = update.error.message if seen.words else None
            code = update.error.code or update.error.type
            yield ServiceError(session=seen.session, at=at, code=code, message=message)
        elif isinstance(update, SessionDisconnectedUpdate):
            self._lost_at, self._lost_by = seen.moment(update.lost_at), update.reason
            yield from self.lost(update.reason, self._lost_at)
            yield ConnectionLost(session=seen.session, at=self._lost_at, reason=update.reason)
        elif isinstance(update, SessionReconnectedUpdate):
            yield from self.lost(update.reason, at)  # of a connection that was replaced, nothing was told before
            if update.moved:
                seen.session.host, seen.session.port = place(update.endpoint)
                seen.session.service = update.flavour or seen.session.service
                seen.session.asked_model = None
            if update.session is not None:
                seen.session.id = update.session.id or seen.session.id
                seen.session.model = update.session.model or seen.session.model
            yield self.connected(
                self._lost_at or at - update.seconds,
                at,
                attempts=update.attempts,
                reason=update.reason,
                losses=update.losses,
                moved=update.moved,
            )
            self._lost_at = self._lost_by = None

    def connected(
        self,
        began: float,
        at: float,
        *,
        attempts: int = 1,
        reason: Optional[BaseException] = None,
        losses: tuple[str, ...] = (),
        moved: bool = False,
    ) -> ConnectEnded:
        """There is a new connection."""
        self._connections += 1
        return ConnectEnded(
            session=self._observation.session,
            at=at,
            began=began,
            number=self._connections,
            attempts=attempts,
            reason=reason,
            losses=losses,
            moved=moved,
        )

    def lost(self, reason: BaseException, at: float) -> Iterable[HookEvent]:
        """What is in progress went down with the connection."""
        return ()

    def finish(self, error: Optional[BaseException], began: float, at: float) -> Iterator[HookEvent]:
        """The session is over: what is in progress ends."""
        if error is not None and not self._connections:
            yield self._not_connected(error, began, at)
        elif isinstance(error, ReconnectFailedError):
            yield self._not_connected(error, self._lost_at or at, at)

    def _not_connected(self, error: BaseException, began: float, at: float) -> ConnectEnded:
        session, reason = self._observation.session, self._lost_by
        return ConnectEnded(session=session, at=at, began=began, number=0, error=error, reason=reason)

    def due(self, *, anyhow: bool = False) -> Iterable[HookEvent]:
        """Events that were held back and are to be told now; ``anyhow``: all of them."""
        return ()

    @property
    def is_due(self) -> bool:
        """Whether there are such events."""
        return False

    @property
    def seconds_until_due(self) -> Optional[float]:
        """When to ask ``due`` again, though nothing has changed; None: never."""
        return None

    def totals(self) -> tuple[Optional[UsageTotals], Optional[float], Optional[float]]:
        """What the session has used: tokens, US dollars, seconds; None of what is not known."""
        return None, None, None


class Observation:
    """See the module.

    ``scribe``: makes what makes the events of this session's protocol.

    Attributes:
        session: What is known of the session.
        words: Whether events hold words.
        positions: Of the players that play the session's sound, or lately did.
        playing: Those that play it now.
    """

    def __init__(
        self, registered: Registered, session: ObservedSession, scribe: Callable[[Observation], Scribe]
    ) -> None:
        session.number = next(_session_numbers)
        self.session = session
        self.words = registered.words
        self.positions: tuple[PlaybackPosition, ...] = ()
        self.playing: tuple[PlaybackPosition, ...] = ()
        self._registered = registered
        self._pid = os.getpid()
        self._offset = time.time() - time.monotonic()  # one for all moments, so that they are in order
        self.scribe = scribe(self)
        self._changed = Change()
        self._notes: deque[Note] = deque()
        self._lock = threading.Lock()
        self._calls: dict[int, ObservedCall] = {}  # those that have begun and have no outcome
        self._over = False  # no call may begin any more
        self._observer: Optional[int] = None  # the thread that is, or was
        self._end: Optional[tuple[Optional[BaseException], Optional[CloseInfo], float]] = None
        self._starting = True  # until it is known whether the caller gets a session
        self._start_error: Optional[BaseException] = None
        self._told = Flag()
        self._context = contextvars.copy_context()
        self._began = self.now()
        self._connecting = self._began
        self._entered: list[AbstractContextManager[object]] = []

    @property
    def mine(self) -> bool:
        """False in a forked child, where the session and its spans are the parent's."""
        return self._pid == os.getpid()

    def now(self) -> float:
        """This moment, as events tell it."""
        return self.moment(time.monotonic())

    def moment(self, monotonic: float) -> float:
        """A moment by ``time.monotonic()``, as events tell it."""
        return monotonic + self._offset

    def within(self, target: Callable[[], None]) -> Callable[[], None]:
        """``target``, run in a copy of the session's context: for each of its threads."""
        return functools.partial(self._context.copy().run, target)

    # The beginning, on the thread that starts the session --------------------------------------------------------

    def begin(self) -> None:
        """Tell the hooks that the session begins. Whatever this raises, ``start_failed`` is called next."""
        _end_at_exit()
        _alive[id(self)] = self
        self._context.run(self._begin)
        self._connecting = self.now()

    def _begin(self) -> None:
        enter(self._registered.tell(SessionBegins(session=self.session, at=self._began)), self._entered)

    def attach(self, engine: Engine) -> None:
        """The session is connected: see what comes from its first update on."""
        self.scribe.begin(engine)
        self._note(functools.partial(self._connected, self.now()))
        try:
            engine.start_thread(self._observe, "observer")
        except NoMoreThreadsError as error:
            logger.warning("%s is not observed, because no thread could be started: %s", engine.name, error)
            self.started()
            self._finish(None, None)
        else:
            engine.listen_from_the_start(self)

    def _connected(self, at: float) -> Iterator[HookEvent]:
        yield self.scribe.connected(self._connecting, at)

    def started(self) -> None:
        """The caller gets the session."""
        self._starting = False
        self._changed.tell()

    def start_failed(self, error: BaseException, *, has_engine: bool) -> None:
        """The caller gets no session, but this error. ``has_engine``: there is one, and it is closed next."""
        self._start_error = error
        self.started()
        if not has_engine and id(self) in _alive:
            self._finish(error, None)
            self.wait_until_told()

    # On the reader thread ------------------------------------------------------------------------------------------

    def deliver(self, update: ConversationUpdate) -> None:
        """Take over an update."""
        note = self.scribe.wants(update)
        if note is not None:
            self._note(note)

    def end(self, end: End) -> None:
        """The session has ended."""
        self._finish(None if end.clean else end.reason, end.reason.close_info)

    # On any thread -------------------------------------------------------------------------------------------------

    def call(
        self, kind: str, name: str, call_id: str, arguments: Optional[str], settled: Callable[[], Optional[CallOutcome]]
    ) -> ObservedCall:
        """A call that may be made; ``settled`` returns its outcome once it has one."""
        return ObservedCall(self, kind, name, call_id, arguments if self.words else None, settled)

    def plays(self, position: PlaybackPosition) -> None:
        """A player with this position plays the session's sound from now on."""
        self.positions = (*self.positions[-_MOST_PLAYERS:], position)
        self.playing = (*self.playing, position)
        position._tell(self._changed)

    def plays_no_more(self, position: PlaybackPosition) -> None:
        """That player has stopped."""
        position._do_not_tell(self._changed)
        self.playing = tuple(other for other in self.playing if other is not position)
        self._changed.tell()

    def wait_until_told(self, deadline: Optional[Deadline] = None) -> None:
        """Return once the session's end was told, or at the deadline (None: ``HOOK_SECONDS``). It has ended."""
        deadline = deadline or Deadline(HOOK_SECONDS)
        if self.mine and not deadline.wait(self._told.wait):
            logger.warning("a hook has not returned in %s s; the session is closed all the same", deadline.seconds)

    @property
    def is_here(self) -> bool:
        """Whether this thread is the observer."""
        return self._observer == threading.get_ident()

    @property
    def told(self) -> bool:
        """True once the session's end was told."""
        return self._told.is_set()

    def _note(self, note: Note) -> None:
        if len(self._notes) < _MOST_NOTES:
            self._notes.append(note)
        elif len(self._notes) == _MOST_NOTES:
            logger.warning("a hook hangs, so events are not told any more")
            self._notes.append(tuple)
        self._changed.tell()

    def _finish(self, error: Optional[BaseException], close_info: Optional[CloseInfo]) -> None:
        """Of several calls the first counts."""
        if not self.mine:
            return
        with self._lock:
            self._end = self._end or (error, close_info, time.monotonic())
            is_observed = self._observer is not None
        self._changed.tell()
        if not is_observed:
            apart(self.within(self._observe), "realtime-sync-observer")

    # The observer ----------------------------------------------------------------------------------------------------

    def _observe(self) -> None:
        with self._lock:
            is_observed, self._observer = self._observer is not None, self._observer or threading.get_ident()
        if is_observed:
            return
        try:
            while self._notes or self._goes_on:
                self._changed.wait_for(self._has_news, Deadline(None), lambda: self.scribe.seconds_until_due)
                self._tell_notes()
                self._tell(self.scribe.due())
            assert self._end is not None, "it goes on"
            self._tell_end(*self._end)
        except BaseException:  # a defect of this library
            logger.exception("a session is not observed any more")
        finally:
            _alive.pop(id(self), None)
            self._told.set()

    def _has_news(self) -> bool:
        return bool(self._notes) or not self._goes_on or self.scribe.is_due

    @property
    def _goes_on(self) -> bool:
        """Whether more may come. A session that ends while it is started ends by the error of the start."""
        return self._end is None or self._starting

    def _tell_notes(self) -> None:
        while self._notes:
            self._tell(self._notes.popleft()())

    def _tell(self, events: Iterable[HookEvent]) -> None:
        try:
            for event in events:
                self._registered.tell(event)
        except Exception:  # a defect of this library: what follows is told all the same
            logger.exception("an event could not be made")

    def _tell_end(self, error: Optional[BaseException], close_info: Optional[CloseInfo], ended: float) -> None:
        at, error = self.moment(ended), self._start_error or error
        self._tell(self.scribe.due(anyhow=True))
        self._tell(self.scribe.finish(error, self._connecting, at))
        with self._lock:
            self._over = True
            calls = list(self._calls.values())
        for call in calls:
            self._tell(self.outcome_of(call, call.settled()))
        usage, cost, seconds = self.scribe.totals()
        code = close_info.code if close_info is not None else None
        told = SessionEnded(
            session=self.session,
            at=self.now() if calls else at,
            began=self._began,
            error=error,
            close_code=code,
            usage=usage,
            cost=cost,
            seconds=seconds,
        )
        self._tell((told,))
        self._context.run(leave, self._entered, NO_ERROR)

    # Calls -----------------------------------------------------------------------------------------------------------

    def begin_call(self, call: ObservedCall) -> list[AbstractContextManager[object]]:
        """A call begins, on this thread; the context managers of the hooks, entered."""
        if not self.mine:
            return []
        with self._lock:
            if self._over:
                return []
            self._calls[call.number] = call
        call.began = self.now()
        try:
            return enter(self._registered.tell(call.event(CallBegins, call.began)), [])
        finally:
            call.begun = True
            self._changed.tell()

    def end_call(self, note: Note) -> None:
        """A call has its outcome; ``note`` tells of it."""
        if self.mine:
            self._note(note)

    def outcome_of(
        self, call: ObservedCall, outcome: Optional[CallOutcome], at: Optional[float] = None
    ) -> Iterator[HookEvent]:
        """The event of a call's end; without an outcome the session's end cancels it.

        It follows that of its beginning. At the session's end it was told already.
        """
        with self._lock:
            known = self._calls.pop(call.number, None)
        if known is None and (call.began is not None or self._over):
            return
        if known is not None:
            self._changed.wait_for(lambda: call.begun, Deadline(HOOK_SECONDS))
        yield call.event(
            CallEnded,
            self.now() if at is None else at,
            began=call.began,
            error=outcome and outcome.error,
            timed_out=outcome is not None and outcome.timed_out,
            cancelled=outcome is None or outcome.cancelled,
            output=outcome.output if outcome is not None and self.words else None,
        )


# At exit, and after a fork -------------------------------------------------------------------------------------------

_alive: dict[int, Observation] = {}  # by id(); changed and copied by single operations
_EXIT_SECONDS: Final = 1.0  # that hooks may take at exit, all together


@functools.cache
def _end_at_exit() -> None:
    """Once, when the first session is observed: the module says why so late."""
    atexit.register(_end_all)


def _end_all() -> None:
    alive, deadline = list(_alive.values()), Deadline(_EXIT_SECONDS)
    for observation in alive:
        observation.started()
        observation._finish(None, None)
    for observation in alive:
        if observation.mine:
            deadline.wait(observation._told.wait)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_alive.clear)
