"""GPT-Live as the core carries it: what a session keeps of it, and an engine that gives access to that.

How it differs from the realtime protocol, as far as the core sees it:

1. The client speaks first: ``session.start``, which ``session.started`` or an ``error`` answers (``start.py``).
2. Nothing on the wire belongs to one asker: there are no responses. ``Exchange.route`` hands everything to all.
3. Most of what comes is the output track, ten pieces a second: ``LiveExchange.goes_on`` gives it the short way.
4. The service announces the end (``session.closed``) before the connection ends, with a reason and the final usage.
5. A session is closed by ``session.close``. It is written when the session is CLOSING already, so that nothing follows
   it; the service answers ``session.closed`` and ends the connection. If it does not within ``Timeouts.live_close``,
   or takes no bytes any more, the WebSocket is closed, as in other sessions.
6. A service that has said ``session.closed`` and leaves the connection open is left by this side.

Locks: this module has none. ``LiveState.apply`` is called with the engine's lock for delivery; the fields that it
writes are each written in one assignment, and may be read by any thread. ``conversation`` is guarded by that lock.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Callable, Optional, TypeVar

from realtime_sync.audio.formats import PCM, SampleFormat
from realtime_sync.conversation.live.conversation import LiveConversation
from realtime_sync.core.commands import CommandHandle, PendingCommands
from realtime_sync.core.connection import SessionConnection
from realtime_sync.core.engine import Engine
from realtime_sync.core.limits import QueueLimits
from realtime_sync.core.streams import End
from realtime_sync.core.vocabulary import Vocabulary
from realtime_sync.errors import ConnectionClosedError, NoMoreThreadsError
from realtime_sync.interrupts import Flag
from realtime_sync.live.acknowledgements import ACKNOWLEDGEMENTS, NEEDS_CLOCK, matched_fields
from realtime_sync.live.clock import LiveClock
from realtime_sync.live.ends import end_by_service, with_last_word
from realtime_sync.live.handles import LiveClip, LiveCommandHandle
from realtime_sync.protocol.live.codec import live_decode, live_encode
from realtime_sync.protocol.live.commands import LiveSessionCloseCommand, LiveSessionOutputAudioFixturePlayCommand
from realtime_sync.protocol.live.history import LiveHistoryItem
from realtime_sync.protocol.live.settings import LiveSessionDetails
from realtime_sync.protocol.live.updates import (
    LiveErrorUpdate,
    LiveSessionClosedUpdate,
    LiveSessionInputAudioAppendUpdate,
    LiveSessionOutputAudioDeltaUpdate,
    LiveSessionStartedUpdate,
    LiveSessionUpdatedUpdate,
)
from realtime_sync.protocol.registry import Command
from realtime_sync.protocol.update_base import ConversationUpdate
from realtime_sync.timeouts import Timeouts
from realtime_sync.transport import Connection

if TYPE_CHECKING:
    from realtime_sync.core.observation import Observation
    from realtime_sync.recording import RecordingWriter

T = TypeVar("T")

VOCABULARY = Vocabulary(
    decode=lambda frame: live_decode(frame, arrived_at=time.monotonic()),
    encode=live_encode,
    acknowledgements=ACKNOWLEDGEMENTS,
    matched=matched_fields,
    error=LiveErrorUpdate,
    protocol="live",
)


class LiveExchange:
    """What is kept of one connection; see ``Exchange``."""

    def __init__(self) -> None:
        self.started = False  # on this connection
        self.closed: Optional[LiveSessionClosedUpdate] = None
        self.said_all = Flag()  # ``session.closed`` has come, or is not waited for (any more)

    def goes_on(self, update: ConversationUpdate) -> bool:
        """See ``Exchange``."""
        return type(update) is LiveSessionOutputAudioDeltaUpdate

    def complete(self, update: ConversationUpdate) -> Sequence[ConversationUpdate]:
        """See ``Exchange``: nothing is left out."""
        return (update,)

    def sending(self, handle: CommandHandle, message: Mapping[str, Any]) -> None:
        """See ``Exchange``."""

    def taken_back(self, handle: CommandHandle) -> None:
        """See ``Exchange``."""

    def matched(
        self, update: ConversationUpdate, commands: PendingCommands
    ) -> Sequence[tuple[ConversationUpdate, Optional[CommandHandle]]]:
        """See ``Exchange``: before the session has started, each error refuses the start."""
        handle = commands.match(update)
        if handle is None and not self.started and isinstance(update, LiveErrorUpdate):
            for start, _ in commands.in_flight("session.started"):
                commands.forget(start)
                handle = start
        if isinstance(update, LiveSessionStartedUpdate):
            self.started = True
        elif isinstance(update, LiveSessionClosedUpdate):
            self.closed = update
            self.said_all.set()
        return ((update, handle),)

    def route(self, update: ConversationUpdate, acknowledged: Optional[str]) -> bool:
        """See ``Exchange``: everything is for all."""
        return False

    def end_of(self, error: ConnectionClosedError) -> Optional[End]:
        """See ``Exchange``: ``session.closed`` says why."""
        return None if self.closed is None else end_by_service(self.closed, error)

    def end(self, error: Exception) -> None:
        """See ``Exchange``."""
        self.said_all.set()

    @property
    def open_ids(self) -> list[str]:
        """See ``Exchange``."""
        return []


def exchange_of(connection: SessionConnection) -> LiveExchange:
    """What is kept of this connection."""
    exchange = connection.exchange
    assert isinstance(exchange, LiveExchange), "a connection of another protocol"
    return exchange


class LiveState:
    """What a GPT-Live session keeps, over all of its connections; see ``SessionState``.

    ``most_bytes``: of the conversation; see ``QueueLimits.conversation``. ``before``: the history that it begins with.

    Attributes:
        conversation: What was said; read it with the engine's lock for delivery, or a copy of it.
        details: The settings as the service reported them last; None until it has.
        closed: The service's last word, with the final usage; None until it has come.
    """

    vocabulary = VOCABULARY

    def __init__(self, most_bytes: Optional[int] = None, before: Sequence[LiveHistoryItem] = ()) -> None:
        self.conversation = LiveConversation(most_bytes=most_bytes, before=before)
        self.details: Optional[LiveSessionDetails] = None
        self.closed: Optional[LiveSessionClosedUpdate] = None
        self.messages = 0  # from the service, without the output track

    @property
    def session_id(self) -> Optional[str]:
        """See ``SessionState``."""
        return self.details.id if self.details is not None else None

    def new_exchange(self) -> LiveExchange:
        """See ``SessionState``."""
        return LiveExchange()

    def prepare(self, command: Command, connection: SessionConnection) -> Command:
        """See ``SessionState``."""
        return command

    def asked(self, handle: CommandHandle, command: Command) -> None:
        """See ``SessionState``."""

    def not_asked(self, handle: CommandHandle) -> None:
        """See ``SessionState``."""

    def apply(self, update: ConversationUpdate) -> None:
        """See ``SessionState``."""
        if type(update) is LiveSessionOutputAudioDeltaUpdate:
            return
        self.messages += 1
        self.conversation.apply(update)
        if isinstance(update, (LiveSessionStartedUpdate, LiveSessionUpdatedUpdate)):
            self.details = update.session
        elif isinstance(update, LiveSessionClosedUpdate):
            self.closed = update

    def apply_in_silence(self, update: ConversationUpdate) -> bool:
        """See ``SessionState``: nothing is replayed, so everything that comes is delivered afterwards."""
        if isinstance(update, LiveSessionStartedUpdate):
            self.details = update.session
        return True


class LiveEngine(Engine):
    """An engine that carries GPT-Live. ``beside``: it is attached to a session whose sound goes another way."""

    state: LiveState
    beside = False
    unread_part = 8  # two minutes of sound would fill all of it, in each session that nobody reads

    def __init__(
        self,
        transport: Connection,
        state: LiveState,
        *,
        timeouts: Timeouts,
        limits: QueueLimits,
        recording: Optional[RecordingWriter] = None,
        observation: Optional[Observation] = None,
    ) -> None:
        self.clock = LiveClock()
        self.clip: Optional[LiveClip] = None  # the last one that was sent, or is just being sent
        self.given = 0  # pieces of audio that callers have sent, or are about to send
        super().__init__(
            transport, state, timeouts=timeouts, limits=limits, recording=recording, observation=observation
        )

    @property
    def details(self) -> Optional[LiveSessionDetails]:
        """The settings in force, as the service reported them last; None until it has."""
        return self.state.details

    @property
    def audio_format(self) -> SampleFormat:
        """The format of the audio, both ways; the service's default until it has told it."""
        told = self.details.audio_format if self.details is not None else None
        return PCM if told is None else SampleFormat.of(told)

    def is_spare(self, update: ConversationUpdate) -> bool:
        """See ``Publisher``: the sound comes all the time, and whoever has taken one update once may not want it."""
        return isinstance(update, (LiveSessionOutputAudioDeltaUpdate, LiveSessionInputAudioAppendUpdate))

    @property
    def traffic(self) -> tuple[int, int, int]:
        """See ``Engine``: the tracks flow all the time, so they are no sign of life, but for what a caller sends."""
        return self.connection.number, self.state.messages, self.given

    def new_handle(self, wire_type: str, event_id: Optional[str]) -> CommandHandle:
        """See ``Engine``. What is acknowledged on the timeline is not waited for while that stands."""
        about = wire_type, event_id, self.timeouts.acknowledge, self.check_process
        if wire_type == LiveSessionOutputAudioFixturePlayCommand.wire_type:
            self.clip = LiveClip(*about, self.clock)
            return self.clip
        return LiveCommandHandle(*about, self.clock) if wire_type in NEEDS_CLOCK else CommandHandle(*about)

    def conversation(self) -> LiveConversation:
        """A copy of what was said so far."""
        return self.in_one_moment(lambda: None)[0]

    def in_one_moment(self, read: Callable[[], T]) -> tuple[LiveConversation, T]:
        """A copy of what was said, and the result of ``read``, which is called while no update is delivered."""
        if self.end is None:  # if it has ended, the parent of a forked process holds no lock any more
            self.check_process()
        with self.delivering:
            return self.state.conversation.snapshot(), read()

    # Ending ---------------------------------------------------------------------------------------------------------

    def check_audio(self) -> None:
        """Raise if no audio can be sent."""
        self.check_open()

    @property
    def close_seconds(self) -> float:
        """See ``Engine``."""
        return self.timeouts.live_close + self.timeouts.close

    def _has_last_word(self, exchange: LiveExchange) -> bool:
        """Whether the service answers ``session.close``, and has not said ``session.closed`` yet."""
        return exchange.started and not self.beside and not exchange.said_all.is_set()

    def _say_close(self, connection: SessionConnection, code: int, reason: str, within: Optional[float]) -> None:
        exchange, most = exchange_of(connection), self.timeouts.close
        if self._has_last_word(exchange):
            within = most if within is None else min(within, most)
            if connection.say(live_encode(LiveSessionCloseCommand()), within) and within > 0:
                return
            within = 0  # nobody waits for the answer, or the service takes no bytes
        exchange.said_all.set()
        super()._say_close(connection, code, reason, within)

    def close_here(self, code: int, reason: str) -> None:
        """See ``Engine``: the service first says ``session.closed``."""
        if self.forked:
            self.forget_after_fork()
            return
        deadline, close = self.begin_close(code, reason), self.timeouts.close
        exchange = exchange_of(self.connection)
        if self._has_last_word(exchange):
            deadline.within(self.timeouts.live_close).wait(exchange.said_all.wait)
        if self.end is None:
            self.connection.transport.start_close(code, reason, min(close, deadline.remaining))
        self._finish_close(deadline.within(close))

    def _deliver(self, connection: SessionConnection, update: ConversationUpdate) -> None:
        super()._deliver(connection, update)
        if isinstance(update, LiveSessionClosedUpdate) and not self.closing:
            try:
                self.start_thread(lambda: self._leave(connection), "leaver")
            except NoMoreThreadsError:
                connection.transport.start_close(within=0)
                connection.transport.abort()

    def _leave(self, connection: SessionConnection) -> None:
        """End a connection on which the service has said all, if it does not do so itself."""
        if not connection.ended.wait(self.timeouts.close):
            connection.transport.start_close()
            if not connection.ended.wait(self.timeouts.close):
                connection.transport.abort()

    def _made_end(self, connection: SessionConnection, error: ConnectionClosedError) -> End:
        exchange = exchange_of(connection)
        if exchange.closed is not None or (self.closing and exchange.started and not self.beside):
            error.close_info = with_last_word(error.close_info, exchange.closed, asked=self.closing)
        return super()._made_end(connection, error)
