"""Calls by WebRTC that browsers make through the application: counted, watched, and ended when nobody is there.

The sound of such a call goes past the application, which sits beside it (``client.attach``) to run its tools. So it
does not see that nobody speaks: an offer that was answered, and never connected to, holds a session as a talk does, and
offers cost a visitor nothing. Hence a call that nobody takes ends after a while, one that falls silent does, and the
page may end it::

    calls = BrowserCalls(client, options, max_calls=20, max_per_visitor=2)

    @app.post("/session")
    def session():
        call = calls.create(request.get_data(as_text=True), visitor=request.remote_addr)
        return call.sdp, 201, {"Content-Type": "application/sdp", "Location": f"/session/{call.name}"}

    @app.post("/session/<name>/taken")      # the page, once its sound is connected
    def taken(name):
        return "", 204 if calls.taken(name, visitor=request.remote_addr) else 404

    @app.post("/session/<name>/hangup")     # the page, when it is left: navigator.sendBeacon on pagehide
    def hang_up(name):
        return "", 204 if calls.hang_up(name, visitor=request.remote_addr) else 404

What tells that somebody is there: the page's word (``taken``), and what only a caller's sound can cause in the session,
which is each update of ``input_audio_buffer`` and of the input's transcription. What the session says by itself
(``session.created``), or because the application asked, tells nothing.
"""

from __future__ import annotations

import secrets
import time
from contextlib import suppress
from typing import Optional

import attrs

from realtime_sync.checks import check_number
from realtime_sync.client import RealtimeConversationClient
from realtime_sync.errors import (
    ConfigurationError,
    ConnectionClosedError,
    RealtimeSyncError,
    SessionNotOpenError,
    WaitTimeoutError,
)
from realtime_sync.interrupts import Flag
from realtime_sync.protocol.options import ConversationSessionOptions
from realtime_sync.protocol.registry import UNSET
from realtime_sync.secret import reportable
from realtime_sync.session import RealtimeConversationSession
from realtime_sync.threads import aside
from realtime_sync.web.background import BackgroundSession, BackgroundSessions

# What hanging up those that are left may take.
_END_SECONDS = 5.0
# The kinds that begin so are caused by the caller's sound.
_HEARD = ("input_audio_buffer.", "conversation.item.input_audio_transcription.")


@attrs.frozen
class BrowserCall:
    """A call that was made. ``name``: by which its browser speaks of it, and which nobody else can guess.

    ``sdp``: the answer to the browser's offer. It holds the call's passwords and is not shown.
    """

    name: str
    sdp: str = attrs.field(repr=False)


@reportable
class BrowserCalls:
    """Owns the calls that browsers make by WebRTC. Make one for the application; see the head of this module.

    ``client``: of the GA protocol. ``options``: of each call's session; functions among its tools are run here.
    ``max_calls``: how many at once; each has three threads at most. ``max_per_visitor``: how many of them may be of one
    visitor; None: all. ``join_seconds``: how long a call is kept of which nobody is known to be there.
    ``idle_seconds``: how long one is kept in which nothing happens any more, on either side. ``max_seconds``: how long
    any is kept; None: as long as the service keeps it. Raises ``ConfigurationError``.
    """

    def __init__(
        self,
        client: RealtimeConversationClient,
        options: Optional[ConversationSessionOptions] = None,
        *,
        max_calls: int = 20,
        max_per_visitor: Optional[int] = 2,
        join_seconds: float = 30.0,
        idle_seconds: float = 180.0,
        max_seconds: Optional[float] = None,
    ) -> None:
        for name, seconds in (("join_seconds", join_seconds), ("idle_seconds", idle_seconds)):
            check_number(name, seconds, "seconds", above=0, error=ConfigurationError)
        check_number("max_seconds", max_seconds, "seconds", above=0, optional=True, error=ConfigurationError)
        self._client = client
        self._options = options or ConversationSessionOptions()
        self._patience = (join_seconds, idle_seconds, float("inf") if max_seconds is None else max_seconds)
        self._calls: dict[str, _Call] = {}  # by name, those that the service has and we have not ended
        self._closed = False
        self.sessions = BackgroundSessions(max_calls, max_per_visitor=max_per_visitor)
        """The sessions beside the calls, by their names: ``sessions.get(name)``."""

    def __repr__(self) -> str:
        return f"<BrowserCalls {self.sessions.running} of {self.sessions.max_sessions}>"

    def create(self, offer: str, *, visitor: str) -> BrowserCall:
        """Have the service answer a browser's offer (SDP), and sit beside the call until it ends.

        Returns as soon as there is an answer. ``visitor``: whose call it is, such as an address or a user's name. A
        place is taken before the service is asked, so an application that is full costs nothing.

        Raises ``TooManySessionsError``, ``SessionNotOpenError`` after ``close()``, and what ``client.calls.create``
        raises.
        """
        call = _Call(self._client, offer, self._options)
        name = secrets.token_urlsafe(16)

        def open() -> RealtimeConversationSession:
            try:
                call.make()
                self._calls[name] = call
            finally:
                call.answered.set()
            try:
                if self._closed:
                    raise SessionNotOpenError("the application is ending, and this call with it")
                return call.attach()
            except BaseException:
                self._end(name)
                raise

        def run(session: RealtimeConversationSession) -> None:
            try:
                call.watch(session, *self._patience)
            finally:
                self._end(name)

        background = self.sessions.start(open, run, key=name, visitor=visitor)
        return BrowserCall(name, call.wait_for_answer(background))

    def taken(self, name: str, *, visitor: str) -> bool:
        """The browser says that its sound is connected. False: no such call, or another visitor's."""
        call = self._calls.get(name) if self._is_of(name, visitor) else None
        if call is not None:
            call.somebody_is_there()
        return call is not None

    def hang_up(self, name: str, *, visitor: str) -> bool:
        """End a call, also at the service. False: no such call, which may be over already, or another visitor's."""
        if not self._is_of(name, visitor):
            return False
        self._end(name)
        background = self.sessions.get(name)
        if background is not None:
            background.close()
        return True

    def close(self, timeout: Optional[float] = None) -> bool:
        """End every call, also at the service, and make no more. As ``BackgroundSessions.close``."""
        self._closed = True
        ended = self.sessions.close(timeout)
        # What is left: of which the session was not open yet, or whose thread takes its time. Aside, for the request
        # that a signal handler interrupts may hold a lock of the client's.
        if self._calls:
            aside(self._end_all, "realtime-sync-calls-closer", _END_SECONDS)
        return ended

    def _end_all(self) -> None:
        for name in list(self._calls):
            self._end(name)

    def _is_of(self, name: str, visitor: str) -> bool:
        background = self.sessions.get(name)
        return background is not None and background._visitor == visitor

    def _end(self, name: str) -> None:
        """Hang up, once; whether the service has ended it already is not always known."""
        call = self._calls.pop(name, None)
        if call is not None:
            call.hang_up()


class _Call:
    """One of them."""

    def __init__(self, client: RealtimeConversationClient, offer: str, options: ConversationSessionOptions) -> None:
        self._client, self._offer, self._options = client, offer, options
        self._id = self._sdp = ""
        self.answered = Flag()
        self._joined = False  # somebody is known to be there
        self._last = time.monotonic()  # when something happened

    def make(self) -> None:
        made = self._client.calls.create(self._offer, self._options)
        self._id, self._sdp = made.id, made.sdp

    def attach(self) -> RealtimeConversationSession:
        """Beside it; the functions among its tools are run from now on."""
        tools = self._options.tools
        return self._client.attach(self._id, None if tools is UNSET else ConversationSessionOptions(tools=tools))

    def wait_for_answer(self, background: BackgroundSession[None]) -> str:
        """The answer to the offer. Raises why there is none."""
        self.answered.wait()
        if not self._id:
            background.wait()
        return self._sdp

    def somebody_is_there(self) -> None:
        self._joined, self._last = True, time.monotonic()

    def watch(
        self, session: RealtimeConversationSession, join_seconds: float, idle_seconds: float, max_seconds: float
    ) -> None:
        """Return once the call is over, or should be."""
        began = time.monotonic()
        with session.subscribe() as updates:
            while True:
                end = self._last + idle_seconds if self._joined else began + join_seconds
                left = min(end, began + max_seconds) - time.monotonic()
                if left <= 0:
                    return
                try:
                    update = updates.receive(min(left, idle_seconds))
                except WaitTimeoutError:
                    continue  # somebody may have come meanwhile
                except ConnectionClosedError:
                    return
                self._last = time.monotonic()
                if update.type.startswith(_HEARD):
                    self.somebody_is_there()

    def hang_up(self) -> None:
        with suppress(RealtimeSyncError):  # it is over already, or the service cannot be reached
            self._client.calls.hangup(self._id)
