"""Which update belongs to which answer, and whose turn it is to ask for one.

The service makes one response at a time in a conversation, and refuses a second. So a request waits here until the
conversation is free: of responses that this library asked for, and of those that voice activity detection began.
Out-of-band responses (``conversation="none"``) run beside it, any number at once. Which request a new response answers
is found out in ``acknowledgement.py``, as for every command; from then on its id tells.
"""

from __future__ import annotations

import math
import threading
import time
from typing import Optional

from realtime_sync.core.commands import server_error
from realtime_sync.core.response import Response
from realtime_sync.deadline import Deadline
from realtime_sync.errors import WaitTimeoutError
from realtime_sync.protocol.update_base import ConversationUpdate
from realtime_sync.protocol.updates import ErrorUpdate, ResponseCreatedUpdate, ResponseDoneUpdate


class ResponseRouter:
    """The answers in progress on one connection."""

    def __init__(self) -> None:
        self._changed = threading.Condition()  # guards all below; notified where the conversation may be free
        self._requested: dict[str, Response] = {}  # by event_id, until response.created or a refusal
        self._running: dict[str, Response] = {}  # by response id, until response.done
        self._claimed: Optional[str] = None  # the event_id of the request that is about to occupy the conversation
        self._occupying: Optional[str] = None  # id of the response in progress in the conversation, whoever began it
        self._awaited_until = math.inf  # by time.monotonic(); from then on it is taken to have ended
        self._ended: Optional[Exception] = None

    # On the caller's thread -------------------------------------------------------------------------------------

    def request(self, event_id: str, response: Response, out_of_band: bool, deadline: Deadline) -> None:
        """Expect a response, once the conversation is free for it; ``WaitTimeoutError`` where it does not get free."""
        with self._changed:
            if not out_of_band and not self._wait_until_free(deadline):
                raise WaitTimeoutError("another answer is in progress; wait for it, or cancel it")
            if self._ended is not None:
                response.fail(self._ended)
                return
            if not out_of_band:
                self._claimed = event_id
            self._requested[event_id] = response

    def withdraw(self, event_id: str) -> None:
        """The request was not sent, or nobody waits for its answer to begin."""
        with self._changed:
            self._requested.pop(event_id, None)
            self._release(event_id)

    def cancelling(self, response_id: Optional[str], seconds: float) -> None:
        """A response (None: the one in the conversation) was cancelled; its end is awaited for so many seconds.

        Then the conversation counts as free, because some servers do not end what has failed (LocalAI and speaches,
        2026-08). Where it is not free, the service refuses, and the question is put again.
        """
        with self._changed:
            if self._occupying is not None and response_id in (None, self._occupying):
                self._awaited_until = min(self._awaited_until, time.monotonic() + seconds)
                self._changed.notify_all()  # who waits has a nearer deadline now

    def wait_for_change(self, seconds: float) -> None:
        """Wait until the conversation may have become free, at most so long."""
        with self._changed:
            self._changed.wait(seconds)

    # On the reader thread ---------------------------------------------------------------------------------------

    def see(self, update: ConversationUpdate, event_id: Optional[str]) -> None:
        """Hand the update to the answer that it belongs to, if any. ``event_id``: of the command that it settles."""
        if isinstance(update, ResponseCreatedUpdate):
            self._begin(update, event_id)
        elif isinstance(update, ErrorUpdate):
            self._refuse(update, event_id)
        elif not self._running and not isinstance(update, ResponseDoneUpdate):
            return  # nobody waits for a piece of an answer
        response_id = getattr(update, "response_id", None)
        response = self._running.get(response_id) if response_id else None
        if response is not None:
            response.feed(update)
        if isinstance(update, ResponseDoneUpdate) and response_id:
            with self._changed:
                self._running.pop(response_id, None)
                if self._occupying == response_id:
                    self._occupying = None
                self._changed.notify_all()

    def end(self, error: Exception) -> None:
        """The connection has ended, and all answers with it."""
        with self._changed:
            self._ended = error
            unfinished = [*self._requested.values(), *self._running.values()]
            self._requested.clear()
            self._running.clear()
            self._occupying = None
            self._claimed = None
            self._changed.notify_all()
        for response in unfinished:
            response.fail(error)

    @property
    def active(self) -> Optional[str]:
        """The id of the response in progress in the conversation, whoever began it; None where there is none."""
        with self._changed:
            return self._occupying

    @property
    def claimed(self) -> Optional[str]:
        """The ``event_id`` of the request whose turn in the conversation it is, until its response begins."""
        with self._changed:
            return self._claimed

    @property
    def idle(self) -> bool:
        """True where no response is in progress nor asked for."""
        with self._changed:
            return self._claimed is None and not (self._requested or self._running or self._is_occupied())

    def _begin(self, update: ResponseCreatedUpdate, event_id: Optional[str]) -> None:
        response_id = update.response_id
        if response_id is None:
            return
        in_conversation = not update.out_of_band
        with self._changed:
            response = self._requested.pop(event_id, None) if event_id else None
            if response is not None:
                self._running[response_id] = response
                in_conversation = self._claimed == event_id
            if in_conversation:  # one at a time: what was in progress has ended, if without a word
                self._occupying, self._awaited_until = response_id, math.inf
            self._release(event_id)

    def _refuse(self, update: ErrorUpdate, event_id: Optional[str]) -> None:
        with self._changed:
            response = self._requested.pop(event_id, None) if event_id else None
            self._release(event_id)
            others = [*self._requested.values(), *self._running.values()] if event_id is None else []
        if response is not None:
            response.fail(server_error(update))
        for other in others:
            other.overheard = update

    def _is_free(self) -> bool:
        return self._ended is not None or (self._claimed is None and not self._is_occupied())

    def _is_occupied(self) -> bool:
        return self._occupying is not None and time.monotonic() < self._awaited_until

    def _wait_until_free(self, deadline: Deadline) -> bool:
        while not self._is_free():
            awaited = self._awaited_until - time.monotonic()
            nearer = 0 < awaited < (math.inf if deadline.left is None else deadline.left)
            bound = Deadline(awaited) if nearer else deadline
            if not bound.wait(self._changed.wait) and not nearer:
                return False
        return True

    def _release(self, event_id: Optional[str]) -> None:
        if self._claimed is not None and self._claimed == event_id:
            self._claimed = None
            self._changed.notify_all()
