"""The one registry of responses: the asker of each, the owner of its calls, and the turn to ask for the next.

Rules:

1. The asker of a response is decided once; ``matching.py`` has the rule. From then on the response's id alone decides.
2. The service makes one response at a time in a conversation, and refuses a second. So a request, with its items, waits
   here until the conversation is free: of responses that are in progress, however they began; of those that were asked
   for, by this library or by hand (``start_response``, a raw message); and of those that voice activity detection is
   about to begin. Out-of-band responses (``conversation="none"``) run beside it, any number at once.
3. A response is open from ``response.created`` to ``response.done``. What is known of it is kept for some time
   afterwards: its items and its remote calls come later than its end.
4. An update belongs to an asker (``ask``, ``respond``) if it answers or refuses one of the asker's commands, belongs to
   the asker's response, or is about an item that one of them made. ``route`` returns that for every update. The answers
   that the session's own loops ask for (``Owner.FOR_ALL``) belong to no asker: all readers of the session get them.
5. A call (``call_id``) is acted upon once in a session, however often its updates come: the loop that acts claims it.
6. All of it is bounded, because some servers never end a response that failed.

The interface, for the rest of the package:

- ``request``, ``withdraw``, ``adopt``, ``cancelling``, ``wait_for_change``: for asking (``ask.py``).
- ``foresee``, ``answers_speech_now``: for responses that will begin and that no asker asks for.
- ``route``, ``end``: for the reader, which hands over every update and the command that it acknowledges.
- ``get(response_id)``: the ``OpenResponse``, open or lately done; ``owner_of(response_id)``: its ``Owner``.
- ``open_ids``, ``active``, ``claimed``, ``idle``: the responses in progress.
- ``claim_call(call_id)``: True for the first caller, which then acts on the call.

States of the conversation, by ``_claimed``, ``_foreseen`` and ``_occupying``: free (none of them); claimed (a request
is on its way); foreseen (another response will begin); occupied (a response is in progress in it). ``request`` waits
for free; ``response.created`` turns claimed and foreseen into occupied; a refusal or a withdrawal turns claimed into
free; ``response.done`` turns occupied into free. The times that ``foresee`` and ``cancelling`` allow do so, too.

Locks: ``ResponseRouter._lock`` guards all of its fields, ``Recent._lock`` the names in it; each is held for dictionary
work only, and nothing is taken under either. Only the reader changes ``_known`` and ``_open`` (and ``end`` clears
them), one entry at a time; a lookup in ``_known`` needs no lock. A ``Response`` is fed, and failed, without it.
"""

from __future__ import annotations

import enum
import functools
import math
import operator
import threading
import time
from typing import Callable, Optional

import attrs

from realtime_sync.core.acknowledgements import METADATA_KEY
from realtime_sync.core.commands import CommandHandle, server_error
from realtime_sync.core.response import Response
from realtime_sync.deadline import Deadline
from realtime_sync.errors import UsageError, WaitTimeoutError
from realtime_sync.interrupts import Change
from realtime_sync.protocol import updates
from realtime_sync.protocol.items import ConversationItem
from realtime_sync.protocol.update_base import ConversationUpdate, ItemStreamingPartDeltaUpdate, WholeItemUpdateBase
from realtime_sync.protocol.updates import ErrorUpdate, ResponseCreatedUpdate, ResponseDoneUpdate
from realtime_sync.values import Value

# Responses that are remembered, in progress or over.
_MOST_RESPONSES = 512
# Names of items, commands and calls that are remembered.
_MOST_NAMES = 4096

# The name of the response that voice activity detection will begin, and how soon it does (seconds).
_SPEECH = "the user's speech"
_BEGINS_SECONDS = 1.0

_COMMANDED = (
    updates.ConversationItemRetrievedUpdate,
    updates.ConversationItemTruncatedUpdate,
    updates.ConversationItemDeletedUpdate,
)
"""Updates about an item that answer a command about it, and do not report that it is there."""


class Owner(enum.Flag):
    """The part of a response's calls that its asker handles; the session's own loops handle the others.

    ``TOOLS``: it makes the function calls, or leaves them to the caller. ``REMOTE_CALLS``: it follows the remote MCP
    calls to their end, and asks for the next response. ``APPROVALS``: it also decides about those. ``FOR_ALL``: there
    is no asker; a loop of the session asked for the response.
    """

    SESSION = 0
    TOOLS = 1
    REMOTE_CALLS = 2
    APPROVALS = 4
    FOR_ALL = 8


_ROLES = {"tools": Owner.TOOLS, "remote_calls": Owner.REMOTE_CALLS, "approvals": Owner.APPROVALS}


def request_mark(event_id: str, owner: Owner) -> str:
    """The value of ``METADATA_KEY`` in a request's metadata: its ``event_id``, and the roles of its asker.

    It comes back with the response, and reaches every client of the same call.
    """
    return " ".join([event_id, *(name for name, role in _ROLES.items() if role in owner)])


def _mark(update: ResponseCreatedUpdate) -> list[str]:
    """The parts of the mark that a response has, of whichever client."""
    return str((update.response.metadata or {}).get(METADATA_KEY) or "").split()


def _marked_owner(update: ResponseCreatedUpdate) -> Owner:
    """The owner of a response that this session did not ask for: another client of the same call may have."""
    roles = (_ROLES[name] for name in _mark(update)[1:] if name in _ROLES)
    return functools.reduce(operator.or_, roles, Owner.SESSION)


@attrs.define(eq=False)
class OpenResponse:
    """A response that is open or lately done.

    Attributes:
        id: The service's name for it, or the one that the normalizer made up.
        out_of_band: True if it is not in the conversation.
        owner: The calls that its asker handles.
        response: The object that the asker reads; None if this session did not ask for it.
        is_an_askers: True if its updates belong to the asker (rule 4).
        event_id: The asker's request; None if there is none.
        items: The items that are complete, by call or item id; the reader's alone, kept until the response is done.
        arguments: Those of its calls, in pieces, by item id and call id; likewise.
    """

    id: str
    out_of_band: bool
    owner: Owner
    response: Optional[Response] = None
    is_an_askers: bool = False
    event_id: Optional[str] = None
    items: dict[str, ConversationItem] = attrs.field(factory=dict)
    arguments: dict[str, list[str]] = attrs.field(factory=dict)


@attrs.frozen(repr=False, eq=False)
class _Request(Value):
    response: Response
    owner: Owner


class Recent:
    """The newest names of a kind, within a bound. Shared by all connections of a session."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards changes of _names
        self._names: dict[Optional[str], None] = {}  # an ordered set

    def __contains__(self, name: Optional[str]) -> bool:
        return name in self._names

    def add(self, name: Optional[str]) -> bool:
        """True if it is new."""
        with self._lock:
            new = bool(name) and name not in self._names
            if new:
                self._names[name] = None
                if len(self._names) > _MOST_NAMES:
                    del self._names[next(iter(self._names))]
        return new


class ResponseRouter:
    """The responses of one connection.

    ``before``: the registry of the connection that this one replaces. ``answers_speech``: whether voice activity
    detection begins a response once it has made a message of what the user said.
    """

    def __init__(
        self, before: Optional[ResponseRouter] = None, answers_speech: Callable[[], bool] = lambda: False
    ) -> None:
        self._answers_speech = answers_speech
        self._lock = threading.Lock()
        self._changed = Change()  # told when the conversation may have become free
        self._freed = object()  # another one each time
        self._requested: dict[str, _Request] = {}  # by event_id, until response.created or a refusal
        self._known: dict[str, OpenResponse] = {}  # by id, oldest first: those that are open, and that were lately
        self._open: dict[str, OpenResponse] = {}  # likewise, until response.done
        self._claimed: Optional[str] = None  # the event_id of the request that is about to occupy the conversation
        self._occupying: Optional[str] = None  # id of the response in progress in the conversation, however it began
        self._awaited_until = math.inf  # by time.monotonic(); from then on it is taken to have ended
        # What will begin: by event_id (None: a raw message without one) or _SPEECH; until when that is believed.
        self._foreseen: dict[Optional[str], float] = {}
        self._ended: Optional[Exception] = None
        self._of_askers: Recent = before._of_askers if before else Recent()  # event ids of commands, ids of items
        self._calls: Recent = before._calls if before else Recent()

    # On any thread ----------------------------------------------------------------------------------------------

    def request(
        self, event_id: str, response: Response, out_of_band: bool, deadline: Deadline, owner: Owner = Owner.SESSION
    ) -> None:
        """Expect a response, once the conversation is free for it; ``WaitTimeoutError`` if it does not get free."""
        request = _Request(response, owner)
        if not self._changed.wait_for(
            lambda: self._expects(event_id, request, out_of_band), deadline, self._seconds_occupied
        ):
            raise WaitTimeoutError(
                "another answer is in progress, so this one was not asked for; wait for it, or cancel it"
            )
        if Owner.FOR_ALL not in owner:
            self._of_askers.add(event_id)
        if self._ended is not None:
            response._fail(self._ended)

    def _expects(self, event_id: str, request: _Request, out_of_band: bool) -> bool:
        """Expect a response if it may be asked for now; False if the conversation is not free for it."""
        with self._lock:
            if self._ended is None:
                if not out_of_band:
                    if not self._is_free():
                        return False
                    self._claimed = event_id
                self._requested[event_id] = request
        return True

    def withdraw(self, event_id: str) -> None:
        """Forget a request that was not sent, or whose answer is not awaited any more."""
        with self._lock:
            self._requested.pop(event_id, None)
            self._release(event_id)

    def adopt(self, *names: Optional[str]) -> None:
        """A command of this ``event_id``, or the item of this id, is an asker's. Called before it is sent."""
        for name in names:
            self._of_askers.add(name)

    def foresee(self, name: Optional[str], seconds: float) -> None:
        """A response that no asker asks for is about to begin in the conversation; it is awaited for so many seconds.

        ``name``: the ``event_id`` of a request that is sent by hand, None if it has none.
        """
        with self._lock:
            now = time.monotonic()
            self._foreseen = dict(filter(lambda each: each[1] > now, self._foreseen.items()))
            if name is None or name not in self._requested:
                self._foreseen[name] = now + seconds

    def taken_back(self, handle: CommandHandle) -> None:
        """See ``Exchange``."""
        with self._lock:
            self._foreseen.pop(handle.event_id, None)
            self._tell()

    def cancelling(self, response_id: Optional[str], seconds: float) -> None:
        """A response (None: the one in the conversation) was cancelled; its end is awaited for so many seconds.

        Then the conversation counts as free, because some servers do not end what has failed (LocalAI and speaches,
        2026-08). If it is not free, the service refuses, and the question is put again.
        """
        with self._lock:
            if self._occupying is not None and response_id in (None, self._occupying):
                self._awaited_until = min(self._awaited_until, time.monotonic() + seconds)
                self._tell()  # the waiting threads are to look earlier now

    def wait_for_change(self, seconds: float) -> None:
        """Wait until the conversation may have become free, at most so long."""
        seen = self._freed
        self._changed.wait_for(lambda: self._freed is not seen, Deadline(seconds))

    def claim_call(self, call_id: Optional[str]) -> bool:
        """True for the first caller with this call, which is to act on it; also for a call without an id."""
        return not call_id or self._calls.add(call_id)

    def get(self, response_id: Optional[str]) -> Optional[OpenResponse]:
        """The response of this id if it is open or lately done; None for any other."""
        return self._known.get(response_id or "")

    def owner_of(self, response_id: Optional[str]) -> Owner:
        """The owner of this response's calls; ``Owner.SESSION`` for one that is not known."""
        known = self.get(response_id)
        return known.owner if known is not None else Owner.SESSION

    @property
    def only_open(self) -> Optional[OpenResponse]:
        """The only response in progress, if there is exactly one."""
        with self._lock:
            return next(iter(self._open.values())) if len(self._open) == 1 else None

    @property
    def open_ids(self) -> list[str]:
        """The ids of all responses in progress, oldest first."""
        with self._lock:
            return list(self._open)

    @property
    def active(self) -> Optional[str]:
        """The id of the response in progress in the conversation, however it began; None if there is none."""
        with self._lock:
            return self._occupying

    @property
    def claimed(self) -> Optional[str]:
        """The ``event_id`` of the request whose turn in the conversation it is, until its response begins."""
        with self._lock:
            return self._claimed

    @property
    def idle(self) -> bool:
        """True if no response is in progress nor asked for."""
        with self._lock:
            asked = self._requested or any(one.response is not None for one in self._open.values())
            return not asked and self._is_free()

    @property
    def answers_speech_now(self) -> bool:
        """True if voice activity detection is about to begin a response."""
        return self._foreseen.get(_SPEECH, -math.inf) > time.monotonic()

    # On the reader thread ---------------------------------------------------------------------------------------

    def route(self, update: ConversationUpdate, event_id: Optional[str]) -> bool:
        """Hand the update to the answer that it belongs to, if any; True if it belongs to an asker (rule 4).

        ``event_id``: that of the command that it acknowledges or refuses.
        """
        response_id: Optional[str] = getattr(update, "response_id", None)
        known = self._known.get(response_id) if response_id else None
        if known is not None and isinstance(update, ItemStreamingPartDeltaUpdate):  # there are many of them
            if known.response is not None:
                known.response._feed(update)
            return known.is_an_askers
        if isinstance(update, ErrorUpdate):
            self._refuse(update, event_id)
            return update.failed_event_id in self._of_askers
        if response_id and isinstance(update, ResponseCreatedUpdate):
            known = self._begin(response_id, update, event_id)
        if known is None:
            by_itself = isinstance(update, updates.InputAudioBufferCommittedUpdate) and event_id is None
            if by_itself and self._answers_speech():
                self.foresee(_SPEECH, _BEGINS_SECONDS)
            about_item = not isinstance(update, _COMMANDED) and getattr(update, "item_id", None) in self._of_askers
            return about_item or event_id in self._of_askers
        if isinstance(update, ResponseDoneUpdate):
            self._close(known, update)  # before the answer is told: whoever has it may ask on at once
        if known.response is not None:
            known.response._feed(update)
        if isinstance(update, WholeItemUpdateBase) and known.is_an_askers:
            self._of_askers.add(update.item_id)
        return known.is_an_askers

    def end(self, error: Exception) -> None:
        """The connection has ended, and all answers with it."""
        with self._lock:
            self._ended = error
            unfinished = self._unfinished()
            self._requested.clear()
            self._known.clear()
            self._open.clear()
            self._occupying = None
            self._claimed = None
            self._tell()
        for response in unfinished:
            response._fail(error)

    def _begin(self, response_id: str, update: ResponseCreatedUpdate, event_id: Optional[str]) -> OpenResponse:
        lost = None
        with self._lock:
            request = self._requested.pop(event_id, None) if event_id else None
            known = self._open.get(response_id)
            if known is None:
                self._known.pop(response_id, None)  # some servers use an id again
                known = OpenResponse(response_id, update.out_of_band, _marked_owner(update))
                self._known[response_id] = self._open[response_id] = known
                lost = self._forget_oldest()
            if request is not None:
                known.response, known.owner, known.event_id = request.response, request.owner, event_id
                known.out_of_band = self._claimed != event_id
                known.is_an_askers = Owner.FOR_ALL not in request.owner
            else:
                self._correct(known, update)
            if not known.out_of_band:  # one at a time: the one before has ended, even if the server did not say so
                self._occupying, self._awaited_until = response_id, math.inf
                if event_id is None:
                    self._foreseen.pop(_SPEECH, None)
            self._foreseen.pop(event_id, None)
            self._release(event_id)
            self._tell()
        if lost is not None:
            message = f"the server did not end this answer, and more than {_MOST_RESPONSES} others have begun since"
            lost._fail(UsageError(message))
        return known

    def _correct(self, known: OpenResponse, update: ResponseCreatedUpdate) -> None:
        """Give a response with the mark of a request its asker, if another response was taken for this one."""
        event_id = next(iter(_mark(update)), None)
        other = self._mistaken(event_id) if event_id is not None else None
        if other is not None and other is not known:  # a server may say everything twice
            known.response, known.owner, known.is_an_askers = other.response, other.owner, other.is_an_askers
            known.event_id, known.out_of_band = event_id, other.out_of_band
            self._disown(other)

    def _mistaken(self, event_id: Optional[str]) -> Optional[OpenResponse]:
        """The response that was taken for the answer to this request, if it has said nothing yet."""
        begun = (each for each in self._open.values() if each.response is not None and each.event_id == event_id)
        found = next(begun, None) if event_id else None
        return found if found and found.response and not found.response.has_begun_to_come else None

    def _disown(self, known: OpenResponse) -> None:
        known.response, known.owner, known.is_an_askers, known.event_id = None, Owner.SESSION, False, None

    def _forget_oldest(self) -> Optional[Response]:
        """Forget the oldest response if too many are known; returns its answer if it was still in progress."""
        if len(self._known) <= _MOST_RESPONSES:
            return None
        oldest = self._known.pop(next(iter(self._known)))
        return oldest.response if self._open.pop(oldest.id, None) is oldest else None

    def _close(self, known: OpenResponse, update: ResponseDoneUpdate) -> None:
        with self._lock:
            self._open.pop(known.id, None)
            if self._occupying == known.id:
                self._occupying = None
            self._tell()
        known.items, known.arguments = {}, {}
        for item in update.response.output if known.is_an_askers else ():
            self._of_askers.add(item.id)

    def _refuse(self, update: ErrorUpdate, event_id: Optional[str]) -> None:
        with self._lock:
            request = self._requested.pop(event_id, None) if event_id else None
            mistaken = self._mistaken(update.failed_event_id)
            refused = request.response if request is not None else mistaken.response if mistaken is not None else None
            if mistaken is not None:
                self._disown(mistaken)
            if update.failed_event_id is None:  # it may be about any request that was sent by hand
                self._foreseen.clear()
            self._foreseen.pop(event_id, None)
            self._release(event_id)
            self._tell()
            others = self._unfinished() if event_id is None and refused is None else []
        if refused is not None:
            refused._fail(server_error(update))
        for other in others:
            other._overheard = update

    def _unfinished(self) -> list[Response]:
        begun = (one.response for one in self._open.values() if one.response is not None)
        return [*(request.response for request in self._requested.values()), *begun]

    def _is_free(self) -> bool:
        return self._ended is not None or (self._claimed is None and self._taken_until() <= time.monotonic())

    def _taken_until(self) -> float:
        """When the conversation will be free of the responses in it and of those that will begin, if none of them ends.

        By ``time.monotonic()``.
        """
        occupied = self._awaited_until if self._occupying is not None else -math.inf
        return max(occupied, *self._foreseen.values(), -math.inf)

    def _seconds_occupied(self) -> Optional[float]:
        """Seconds until the responses in progress are taken to have ended; None if that is known when they have."""
        seconds = self._taken_until() - time.monotonic()
        return seconds if 0 < seconds < math.inf else None

    def _tell(self) -> None:
        """Have the waiting threads look again; the lock is held."""
        self._freed = object()
        self._changed.tell()

    def _release(self, event_id: Optional[str]) -> None:
        if self._claimed is not None and self._claimed == event_id:
            self._tell()  # first: an interrupt that comes between would leave them waiting
            self._claimed = None
