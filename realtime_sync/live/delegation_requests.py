"""Delegations: work that the voice model hands over, and that the application does.

The wire does not say what is wanted. It says when: what the user has said until then is the request. The rules, beside
those of ``handover.py``:

1. A delegation waits until the session's timeline is 300 ms further, for words that come late; if the user has said
   nothing since the last request, 1.5 s for the first word. A word that comes meanwhile is part of a sentence that goes
   on: then it waits until 700 ms behind the last word, 3 s at most. Where the timeline stands, no words come either, so
   the wall's clock bounds all of this.
2. Each word goes to one request: that of the first delegation that is taken after it. If several wait, each has the
   words until it was due; the last one has all that was said until it is taken.

The reader thread counts the output track, which goes on as the timeline does; where the service says its place, it is
taken from there.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterator
from typing import Callable, Optional, Union

from realtime_sync.audio.formats import SampleFormat
from realtime_sync.conversation.live.conversation import LiveConversation
from realtime_sync.conversation.live.fragments import FragmentReader
from realtime_sync.conversation.live.turns import LiveTurn
from realtime_sync.core.streams import End
from realtime_sync.deadline import Deadline
from realtime_sync.errors import WaitTimeoutError, told_again
from realtime_sync.live.handover import Handover, HandoverQueue, Speaking
from realtime_sync.protocol.items import base64_size
from realtime_sync.protocol.live.updates import (
    LiveSessionDelegationCreatedUpdate,
    LiveSessionInputTranscriptDeltaUpdate,
    LiveSessionOutputAudioDeltaUpdate,
    LiveSessionOutputTranscriptDeltaUpdate,
    LiveSessionStartedUpdate,
)
from realtime_sync.protocol.update_base import ConversationUpdate
from realtime_sync.secret import reportable

# Seconds of the timeline: for words that come late, for the first word, behind a word that has come, and at most.
_LATE_WORDS = 0.3
_FIRST_WORD = 1.5
_NEXT_WORD = 0.7  # gaps within an utterance are up to 0.6 s
_MOST_WAIT = 3.0
# So many seconds later by the wall's clock, whatever the timeline does.
_SLACK = 0.3
# Fragments that no request has had yet: half an hour in which both speak.
_MOST_FRAGMENTS = 8192

_FRAGMENTS = (LiveSessionInputTranscriptDeltaUpdate, LiveSessionOutputTranscriptDeltaUpdate)
_Fragment = Union[LiveSessionInputTranscriptDeltaUpdate, LiveSessionOutputTranscriptDeltaUpdate]


@reportable
class DelegationRequest(Handover):
    """Work that the voice model has handed over. Any thread may use it.

    Attributes:
        id: The service's name of the delegation.
        offset_ms: Where on the session's timeline the model has handed it over, in milliseconds.
        text: What the user has said since the request before this one; empty if they have said nothing.
        transcript: What both have said since then: a ``LiveTurn`` for each utterance, in the order of their start.
    """

    def __init__(self, id: str, offset_ms: float, speaking: Speaking, track: float) -> None:
        super().__init__(f"the delegation {id}", id, speaking)
        self.id = id
        self.offset_ms = offset_ms
        self.text = ""
        self.transcript: tuple[LiveTurn, ...] = ()
        # The queue's, which guards them:
        self._track = track  # how far the timeline was when it came, and when that was
        self._since = time.monotonic()
        self._due = self._due_at = math.inf  # on the timeline, and by the wall's clock
        self._until: Optional[int] = None  # how many fragments had come when it was due; None until then
        self._fragments: list[_Fragment] = []

    @property
    def _age(self) -> float:
        """Seconds since it was handed over."""
        return time.monotonic() - self._since

    def __repr__(self) -> str:
        state = "cancelled" if self.cancelled else "answered" if self.answered else "open"
        return f"<DelegationRequest {self.id} at {self.offset_ms:,.0f} ms, {state}: {self.text!r:.60}>"


class DelegationQueue(HandoverQueue[DelegationRequest]):
    """The delegations that wait for somebody to take them; see the module. A listener.

    ``format``: that of the output track.
    """

    def __init__(
        self,
        speaking: Speaking,
        session_id: Callable[[], Optional[str]],
        check: Callable[[], None],
        format: Callable[[], SampleFormat],
    ) -> None:
        super().__init__(session_id, check)
        self._format = format
        self._speaking = speaking
        self._fragments: deque[_Fragment] = deque(maxlen=_MOST_FRAGMENTS)
        self._reader = FragmentReader()
        self._heard = 0  # fragments that have come
        self._track = 0.0  # seconds of the output track that have come

    def _note(self, update: ConversationUpdate) -> None:
        if self._waiting:  # also while nobody takes them, so that each has its own words
            with self._lock:
                self._note_due()
        if isinstance(update, LiveSessionOutputAudioDeltaUpdate):
            self._track += self._seconds(update)
        elif isinstance(update, _FRAGMENTS):
            self._note_words(update)
        elif isinstance(update, LiveSessionDelegationCreatedUpdate):
            if update.delegation.target == "client" and self._is_new(update.delegation_id):
                self._claim(update)
        elif isinstance(update, LiveSessionStartedUpdate):
            self._reader.read(update, update.arrived_at)  # another session may have another timeline

    def _claim(self, update: LiveSessionDelegationCreatedUpdate) -> None:
        request = DelegationRequest(update.delegation_id, update.offset_ms, self._speaking, self._track)
        with self._lock:
            spoke = any(isinstance(each, LiveSessionInputTranscriptDeltaUpdate) for each in self._fragments)
        self._wait(request, _LATE_WORDS if spoke else _FIRST_WORD)
        self._add(request)

    def _note_words(self, fragment: _Fragment) -> None:
        if self._reader.read(fragment, fragment.arrived_at) is None:
            return  # it is told again
        with self._lock:
            self._fragments.append(fragment)
            self._heard += 1
            if isinstance(fragment, LiveSessionInputTranscriptDeltaUpdate):
                self._postpone()

    def _postpone(self) -> None:
        """A word has come: more may follow. The lock is held."""
        for request in self._waiting:
            if request._until is None:
                self._wait(request, _NEXT_WORD)

    def _wait(self, request: DelegationRequest, seconds: float) -> None:
        request._due = min(self._track + seconds, request._track + _MOST_WAIT)
        request._due_at = min(time.monotonic() + seconds, request._since + _MOST_WAIT) + _SLACK

    def _seconds(self, update: LiveSessionOutputAudioDeltaUpdate) -> float:
        if update.start_ms is not None and update.end_ms is not None:
            return (update.end_ms - update.start_ms) / 1000
        return self._format().seconds(base64_size(update.delta))

    def _next(self) -> Union[DelegationRequest, End, None]:
        taken = super()._next()
        return _filled(taken) if isinstance(taken, DelegationRequest) else taken

    def _is_ready(self) -> bool:
        self._note_due()
        return self._waiting[0]._until is not None

    def _note_due(self) -> None:
        """Note which requests have their words. The lock is held."""
        for request in self._waiting:
            if request._until is None and self._is_due(request):
                request._until = self._heard

    def _is_due(self, request: DelegationRequest) -> bool:
        return self._track >= request._due - 0.001 or time.monotonic() >= request._due_at

    def _seconds_to_look(self) -> Optional[float]:
        with self._lock:
            due_at = min((each._due_at for each in self._waiting if each._until is None), default=math.inf)
        return None if due_at == math.inf else max(0.0, due_at - time.monotonic())

    def _has_taken(self, taken: DelegationRequest) -> None:
        """Give it the words that no request has had; if others wait, those until it was due."""
        until = taken._until if self._waiting else self._heard
        assert until is not None
        first = self._heard - len(self._fragments)
        taken._fragments = [self._fragments.popleft() for _ in range(until - first)]


def _filled(request: DelegationRequest) -> DelegationRequest:
    """The request with what was said."""
    said = LiveConversation()
    for fragment in request._fragments:
        said.apply(fragment)
    request.transcript = tuple(said.turns)
    request.text = " ".join(turn.text for turn in request.transcript if turn.speaker == "user")
    return request


@reportable
class DelegationStream:
    """An iterator over delegations, for whoever answers them; see ``LiveSession.delegations``.

    Iteration ends after an orderly close and raises ``ConnectionClosedError`` after any other end. Any thread may
    iterate; each request goes to one of them. Breaking off loses nothing: iterate again.

    Args:
        queue: the session's.
        timeout: seconds to wait for each request, then ``WaitTimeoutError`` is raised, and iteration may go on; None
            waits as long as the session lives.
    """

    def __init__(self, queue: DelegationQueue, timeout: Optional[float] = None) -> None:
        Deadline(timeout)  # raises now if it is no time-out
        self._queue = queue
        self._timeout = timeout

    def __repr__(self) -> str:
        return f"<DelegationStream: {self._queue.waiting} waiting>"

    def __iter__(self) -> Iterator[DelegationRequest]:
        return self

    def __next__(self) -> DelegationRequest:
        item = self._queue.take(Deadline(self._timeout))
        if item is None:
            raise WaitTimeoutError(f"the model delegated nothing within {self._timeout} s; the session goes on")
        if isinstance(item, End):
            if item.clean:
                raise StopIteration
            raise told_again(item.reason)
        return item
