"""Sessions that outlive the request that began them: an owner for their threads, a bound on their number, and an end.

A view must answer within seconds; a telephone call lasts for minutes. So the view gives the session to the
application's ``BackgroundSessions``, which runs it on a thread of its own and closes it when the application ends::

    sessions = BackgroundSessions(max_sessions=50)

    @app.post("/webhook")
    def webhook():
        event = verifier.verify(request.headers, request.get_data())
        client.calls.accept(event.call_id, options)
        sessions.start(lambda: client.attach(event.call_id), serve, key=event.call_id)
        return "", 200

    def serve(session):
        session.run_tools([look_up_order])
"""

from __future__ import annotations

import atexit
import functools
import itertools
import logging
import os
import threading
import traceback
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Callable, Generic, Optional, TypeVar, cast

from realtime_sync.checks import check_number, check_whole
from realtime_sync.core.wire_session import WireSession
from realtime_sync.deadline import Deadline
from realtime_sync.errors import (
    ConfigurationError,
    ConnectionClosedError,
    ForkedSessionError,
    InvalidInputError,
    RealtimeSyncError,
    SessionNotOpenError,
    TooManySessionsError,
    UsageError,
    WaitTimeoutError,
)
from realtime_sync.interrupts import Change, Flag
from realtime_sync.secret import reportable
from realtime_sync.session import RealtimeConversationSession
from realtime_sync.threads import aside, aside_if_nested, start_thread
from realtime_sync.user_code import warn_once

logger = logging.getLogger(__name__)
T = TypeVar("T")
S = TypeVar("S", bound=WireSession)

_FORKED = (
    "sessions were running here when this process was forked: their threads and connections belong to the parent. "
    "Start sessions after the fork only: in the worker, inside the view or the task, never while a module is imported "
    "before it (gunicorn --preload, Celery's prefork pool)"
)


@reportable
class BackgroundSession(Generic[T]):
    """One session that is run on a thread of its own. Made by ``BackgroundSessions.start()``; ``key`` is its name.

    Its session is of the class that was opened, also where checkers of types are told that of a conversation's.
    """

    def __init__(self, key: str, visitor: Optional[str] = None) -> None:
        self.key = key
        self._visitor = visitor
        self._pid = os.getpid()
        self._thread: Optional[threading.Thread] = None
        self._lock = threading.Lock()  # guards _session and _closing, so that close() misses no session
        self._session: Optional[WireSession] = None
        self._closing = False
        self._opened, self._ended = Flag(), Flag()
        self._result: Optional[T] = None
        self._error: Optional[BaseException] = None

    def __repr__(self) -> str:
        state = "ended" if self.done else "running" if self._opened.is_set() else "opening"
        return f"<BackgroundSession {self.key} {state}>"

    @property
    def session(self) -> Optional[RealtimeConversationSession]:
        """The session; None until it is open, and where it could not be opened."""
        return cast(Optional[RealtimeConversationSession], self._session)

    @property
    def done(self) -> bool:
        """True once its function has returned or raised, and its session is closed."""
        return self._ended.is_set()

    @property
    def error(self) -> Optional[BaseException]:
        """What opening it or its function raised; None while it runs and where all went well."""
        return self._error if self.done else None

    def wait_until_open(self, timeout: Optional[float] = None) -> RealtimeConversationSession:
        """The session, once it is open; for a view that wants to answer with what went wrong.

        ``timeout``: seconds; None waits as long as opening may take. Raises what opening it raised, or
        ``WaitTimeoutError``.
        """
        self._wait(self._opened, timeout, "open")
        if self._session is None:
            assert self._error is not None
            raise self._error
        return cast(RealtimeConversationSession, self._session)

    def wait(self, timeout: Optional[float] = None) -> T:
        """What its function returned. Raises what that or opening the session raised, or ``WaitTimeoutError``.

        ``timeout``: seconds; None waits until it ends.
        """
        self._wait(self._ended, timeout, "finished")
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]

    @aside_if_nested
    def close(self) -> None:
        """Close its session, from any thread; its function, which notices by that, ends soon. Idempotent."""
        self._check_process()
        session = self._give_up()
        if session is not None:
            session.close()

    def _wait(self, event: Flag, timeout: Optional[float], state: str) -> None:
        self._check_process()
        if not event.wait(timeout):
            raise WaitTimeoutError(f"the background session {self.key} was not {state} after {timeout:g} s; it goes on")

    def _check_process(self) -> None:
        if self._pid != os.getpid():
            raise ForkedSessionError(f"the background session {self.key} belongs to the parent process: {_FORKED}")

    def _give_up(self) -> Optional[WireSession]:
        """Let it end as soon as it is open; the session where it is open already."""
        with self._lock:
            self._closing = True
            return self._session

    def _begin(self, session: Optional[S]) -> S:
        """It is open now. Raises ``SessionNotOpenError`` if it was given up meanwhile."""
        if session is None:
            raise InvalidInputError(
                "the function that opens the session returned None instead of the session: does it lack a return?"
            )
        with self._lock:
            self._session = session
            closing = self._closing
        self._opened.set()
        if closing:
            raise SessionNotOpenError(f"the background session {self.key} was closed while it was being opened")
        return session

    def _end(self) -> None:
        """Close it; ``BackgroundSessions`` tells that it has ended, once it is not counted any more."""
        try:
            if self._session is not None:
                self._session.close()
        finally:
            self._opened.set()

    def _log(self, error: BaseException, function: object) -> None:
        if self._closing and isinstance(error, (SessionNotOpenError, ConnectionClosedError)):
            logger.debug("background session %s was closed: %s", self.key, error)
        elif isinstance(error, ConnectionClosedError) and error.close_info.clean:
            logger.info("the service closed the background session %s in the middle of an answer: %s", self.key, error)
        elif isinstance(error, RealtimeSyncError):
            logger.error("background session %s ended with %s: %s", self.key, type(error).__name__, error)
        else:
            # Without what caused it: the cause of a credential's failure may quote a secret.
            told = traceback.format_exception(type(error), error, error.__traceback__, chain=False)
            logger.error("background session %s failed:\n%s", self.key, "".join(told).rstrip())
            warn_once(function, error, f"the function of the background session {self.key}", "the session was closed")


@reportable
class BackgroundSessions:
    """Owns sessions that are run beside the application's requests, and closes them when the application ends.

    Make one for the application, at import or in its factory; it has no thread before something is started. It closes
    itself when the interpreter exits; where a worker ends otherwise, or waits for its requests before it exits, call
    ``close()`` first: in gunicorn's ``worker_exit``, in Celery's ``worker_process_shutdown``.

    ``max_sessions``: how many at once; each has two threads. ``max_per_visitor``: how many of them may be of one
    ``visitor=``, so that nobody takes them all; None: all. ``close_seconds``: what ``close()`` waits by default. Raises
    ``ConfigurationError``.
    """

    def __init__(
        self, max_sessions: int = 100, *, max_per_visitor: Optional[int] = None, close_seconds: float = 3.0
    ) -> None:
        check_whole("max_sessions", max_sessions, at_least=1, error=ConfigurationError)
        check_whole("max_per_visitor", max_per_visitor, at_least=1, optional=True, error=ConfigurationError)
        check_number("close_seconds", close_seconds, "seconds", error=ConfigurationError)
        self.max_sessions = max_sessions
        self.max_per_visitor = max_per_visitor
        self._close_seconds = close_seconds
        self._lock = threading.Lock()  # guards _running, _closed and _lost
        self._changed = Change()
        self._running: dict[str, BackgroundSession[Any]] = {}
        self._closed = False
        self._lost = False
        self._numbers = itertools.count(1)
        _registries.add(self)

    def __repr__(self) -> str:
        return f"<BackgroundSessions {len(self._running)} of {self.max_sessions}{' closed' if self._closed else ''}>"

    @property
    def running(self) -> int:
        """How many there are now."""
        return len(self._running)

    def start(
        self,
        open: Callable[[], S],
        run: Callable[[S], T],
        *,
        key: Optional[str] = None,
        visitor: Optional[str] = None,
    ) -> BackgroundSession[T]:
        """Open a session and run it, both on a new thread; returns at once.

        ``open()`` returns the session, as ``lambda: client.attach(call_id)`` does, and ``lambda:
        client.attach_live(session_id)``. ``run(session)`` uses it; the
        session is closed when it returns. What either raises is logged, and kept for ``wait()``. ``key``: a name,
        such as a call's id, for ``get()`` and the log; None makes one up. ``visitor``: for whom it is, such as an
        address or a user's name, see ``max_per_visitor``.

        Raises ``TooManySessionsError`` and, after ``close()``, ``SessionNotOpenError`` (a view should answer 503);
        ``UsageError`` where a session with this key runs already; ``InvalidInputError``; ``ForkedSessionError`` where
        others were running when the process was forked; ``NoMoreThreadsError``.
        """
        _check_opens(open)
        background: BackgroundSession[T] = self._added(key, visitor)
        name = f"realtime-sync-background-{background.key}"
        work = functools.partial(self._work, background, open, run)
        try:
            start_thread(work, name)
        except BaseException:
            self._remove(background)
            raise
        return background

    @contextmanager
    def hold(self, open: Callable[[], S], *, key: Optional[str] = None, visitor: Optional[str] = None) -> Iterator[S]:
        """``with sessions.hold(client.start_conversation_session) as session: ...``: a session on the caller's thread.

        For a view that streams its answer: it counts as one of ``max_sessions`` and is closed with the others at
        shutdown, so that no worker waits for a browser. Raises as ``start()``, and what ``open`` raises.
        """
        _check_opens(open)
        background: BackgroundSession[None] = self._added(key, visitor)
        background._thread = threading.current_thread()
        with self._in_use(background, open) as session:
            yield session

    def get(self, key: str) -> Optional[BackgroundSession[Any]]:
        """The one with this key that runs now; None if there is none."""
        return self._running.get(key)

    def close(self, timeout: Optional[float] = None) -> bool:
        """Close every session, all at once, and refuse new ones. Idempotent; True if all have ended.

        ``timeout``: seconds to wait for their functions to end; None: ``close_seconds``. Those that have not by then
        are logged; their threads do not keep the interpreter. In a forked child it does nothing. In a signal handler
        that interrupts another call it returns False after half a second, and the closing goes on.
        """
        if self._lost:
            return True
        ended: list[bool] = []
        caller = threading.current_thread()
        seconds = self._close_seconds if timeout is None else Deadline(timeout).remaining
        longest = seconds + 0.5 * len(self._running)
        aside(lambda: ended.append(self._close(seconds, caller)), "realtime-sync-background-closer", longest)
        return ended == [True]

    def _close(self, seconds: float, caller: threading.Thread) -> bool:
        deadline = Deadline(seconds)
        with self._lock:
            self._closed = True
            running = list(self._running.values())
        sessions = [session for session in (background._give_up() for background in running) if session is not None]
        # First a close frame to each, then the waiting, so that many silent peers take no longer than one.
        for session in sessions:
            session._engine.begin_close(1000, "", deadline.left)
        for session in sessions:
            session._engine.close_here(1000, "")
        self._changed.wait_for(lambda: not self._others(caller), deadline)
        left = self._others(caller)
        if left:
            logger.warning("%d background session(s) still run though they were closed: %s", len(left), ", ".join(left))
        return not left

    def __enter__(self) -> BackgroundSessions:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _added(self, key: Optional[str], visitor: Optional[str]) -> BackgroundSession[Any]:
        """A new one, counted from now on."""
        for name, value in (("key", key), ("visitor", visitor)):
            if value is not None and not isinstance(value, str):
                raise InvalidInputError(f"{name} must be a text or None, not {type(value).__name__}")
        key = f"session-{next(self._numbers)}" if key is None else key
        background: BackgroundSession[Any] = BackgroundSession(key, visitor)
        if self._lost:
            raise ForkedSessionError(_FORKED)
        with self._lock:
            if self._closed:
                raise SessionNotOpenError("these BackgroundSessions are closed: the application is ending")
            if background.key in self._running:
                raise UsageError(f"a background session {background.key!r} runs already")
            if len(self._running) >= self.max_sessions:
                raise TooManySessionsError(
                    f"{self.max_sessions} background sessions run already (max_sessions). Answer 503 and let the "
                    "caller try again later, or allow more."
                )
            of_visitor = sum(visitor is not None and one._visitor == visitor for one in self._running.values())
            if self.max_per_visitor is not None and of_visitor >= self.max_per_visitor:
                raise TooManySessionsError(
                    f"{self.max_per_visitor} background sessions of this visitor run already (max_per_visitor). Answer "
                    "503 and let the visitor end one of them, or allow more."
                )
            self._running[background.key] = background
        return background

    def _others(self, own: threading.Thread) -> list[str]:
        """The keys of those that run on other threads: a function that closes its owner does not wait for itself."""
        with self._lock:
            return [*(key for key, background in self._running.items() if background._thread is not own)]

    def _remove(self, background: BackgroundSession[Any]) -> None:
        with self._lock:
            self._running.pop(background.key, None)
            # In here, so that whoever has waited for it finds its key and its place free, and close() finds it ended.
            background._ended.set()
            self._changed.tell()

    @contextmanager
    def _in_use(
        self, background: BackgroundSession[Any], open: Callable[[], S], *, function: object = None
    ) -> Iterator[S]:
        """Open the session, close it behind the block, and count it no more; an error is kept, and raised.

        ``function``: what runs it on a thread of its own, so that its errors are told; None: on the caller's.
        """
        try:
            yield background._begin(open())
        except BaseException as error:
            background._error = error
            if function is not None:
                background._log(error, function)
            raise
        finally:
            try:
                background._end()
            finally:
                self._remove(background)

    def _work(self, background: BackgroundSession[T], open: Callable[[], S], run: Callable[[S], T]) -> None:
        """All of it, on its own thread; what is raised has been logged and kept."""
        background._thread = threading.current_thread()
        try:
            with self._in_use(background, open, function=run) as session:
                background._result = run(session)
        except BaseException:
            if background._error is None:  # its end failed, which nobody knows yet
                raise

    def _after_fork_in_child(self) -> None:
        self._lock = threading.Lock()  # the old one may be held for ever by a thread of the parent's
        self._changed = Change()
        self._lost = bool(self._running) or self._lost
        self._running = {}

    def _after_fork_in_parent(self) -> None:
        if self._running:
            logger.warning(
                "this process was forked while %d background session(s) ran: they stay with it, the child has none",
                len(self._running),
            )


def _check_opens(open: object) -> None:
    if not callable(open):
        raise InvalidInputError(
            "open must be a function that returns a session, such as lambda: client.attach(call_id), "
            f"not {type(open).__name__}"
        )


_registries: weakref.WeakSet[BackgroundSessions] = weakref.WeakSet()


def _for_each(method: Callable[[BackgroundSessions], object]) -> None:
    for registry in list(_registries):
        method(registry)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        after_in_child=lambda: _for_each(BackgroundSessions._after_fork_in_child),
        after_in_parent=lambda: _for_each(BackgroundSessions._after_fork_in_parent),
    )
# Registered after the engine's own, so called before it: what runs here ends in good order, what hangs is cut there.
atexit.register(_for_each, BackgroundSessions.close)
