"""The realtime protocol as the core carries it: what a session keeps of it, and an engine that gives access to that.

For each update the engine calls, in this order and for these reasons:

1. ``ResponseNormalizer.complete`` adds what a server left out, because all steps behind it rely on that;
   ``CharacterJoiner.whole`` puts characters together that the server has cut between two pieces.
2. ``SessionConnection.observe``: the last error, which explains an end, and whether the server has greeted.
3. ``RealtimeState.apply``: the settings, then the conversation; the threads that are released below find them up to
   date. (The conversation takes updates over in batches; whoever reads it has the last ones taken over first.)
4. ``RealtimeExchange.matched``: the command that the update acknowledges or refuses (``core/commands.py``), and the
   request that a response answers (``core/matching.py``).
5. ``ResponseRouter.route``: the answer that it belongs to, which the command shows.
6. the recovery, which learns which frames need not be sent again.
7. the command's handle: the thread that waits for it may ask for the next answer at once.
8. the streams.
9. ``SessionConnection.greet``: who waits for the session's beginning finds all of that up to date, too.

Of a connection that catches up, only the settings and the conversation's id are learnt (``apply_in_silence``), because
its items are being replayed; the recovery and the streams are left out, but for updates that are deferred.

Locks: this module has none. ``RealtimeState.conversation``, with the updates that it has not taken over yet, is guarded
by the engine's lock for delivery: the reader changes it, any thread copies it. ``settings`` and ``ResponseRouter`` have
locks of their own.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Callable, Optional, TypeVar, Union

import attrs

from realtime_sync.conversation import Conversation
from realtime_sync.core.acknowledgements import ACKNOWLEDGEMENTS, matched_fields
from realtime_sync.core.commands import CommandHandle
from realtime_sync.core.connection import SessionConnection
from realtime_sync.core.cut_characters import CharacterJoiner
from realtime_sync.core.engine import Engine
from realtime_sync.core.matching import ResponseMatcher
from realtime_sync.core.normalizer import ResponseNormalizer, is_made_up
from realtime_sync.core.response_router import ResponseRouter
from realtime_sync.core.settings import SettingsTracker
from realtime_sync.core.streams import End
from realtime_sync.core.vocabulary import Vocabulary
from realtime_sync.errors import ConnectionClosedError
from realtime_sync.protocol import codec
from realtime_sync.protocol.commands import (
    ResponseCancelCommand,
    ResponseCreateCommand,
    SessionUpdateCommand,
    TranscriptionSessionUpdateCommand,
)
from realtime_sync.protocol.dialects import Dialect
from realtime_sync.protocol.registry import Command
from realtime_sync.protocol.resources import RealtimeSession
from realtime_sync.protocol.update_base import ConversationUpdate, SessionUpdateBase
from realtime_sync.protocol.updates import (
    ResponseOutputAudioDeltaUpdate,
    ResponseOutputAudioTranscriptDeltaUpdate,
    ResponseOutputTextDeltaUpdate,
    is_about_tool_lists,
)

T = TypeVar("T")

SETTING_COMMANDS = (SessionUpdateCommand, TranscriptionSessionUpdateCommand)

_PIECES = frozenset(
    {ResponseOutputTextDeltaUpdate, ResponseOutputAudioTranscriptDeltaUpdate, ResponseOutputAudioDeltaUpdate}
)

# So many bytes of messages are taken over by the conversation at once. One by one, between other work, each costs
# twice as much, and an answer that is waited for would come a tenth later.
_BATCH_BYTES = 4096


def realtime_vocabulary(dialect: Dialect) -> Vocabulary:
    """The messages of the realtime protocol, as a server of this dialect spells them."""

    def decode(frame: Union[str, bytes]) -> ConversationUpdate:
        if isinstance(frame, str):
            return codec.decode(frame, dialect, arrived_at=time.monotonic())
        return codec.decode_binary(frame, arrived_at=time.monotonic())

    return Vocabulary(
        decode=decode,
        encode=lambda command: codec.encode(command, dialect),
        acknowledgements=ACKNOWLEDGEMENTS,
        matched=matched_fields,
        expired=frozenset({"session_expired"}),
        dialect=dialect,
        retold=lambda text, source: codec.retold(text, source, dialect),
    )


class RealtimeExchange(ResponseRouter):
    """The answers in progress on one connection; see ``Exchange``.

    ``state``: the session's. ``before``: the answers of the connection that this one replaces.
    """

    def __init__(self, state: RealtimeState, before: Optional[RealtimeExchange] = None) -> None:
        super().__init__(before, lambda: state.settings.answers_speech)
        self._state = state
        self._matcher: ResponseMatcher = ResponseMatcher(self, before._matcher if before is not None else None)
        self.matched = self._matcher.matched
        self._characters = CharacterJoiner(ResponseNormalizer(self).complete)
        self.complete = self._characters.complete

    def goes_on(self, update: ConversationUpdate) -> bool:
        """See ``Exchange``."""
        return (
            type(update) in _PIECES
            and update.response_id in self._known  # type: ignore[attr-defined]
            and update.delta.isascii()  # type: ignore[attr-defined]
            and not self._characters.open
            and not self._matcher.undecided
        )

    def end_of(self, error: ConnectionClosedError) -> Optional[End]:
        """See ``Exchange``: the close frame alone tells it."""
        return None

    def sending(self, handle: CommandHandle, message: Mapping[str, Any]) -> None:
        """See ``Exchange``: a request by hand will occupy the conversation."""
        if handle.type == ResponseCreateCommand.wire_type:
            parameters = message.get("response")
            if not isinstance(parameters, Mapping) or parameters.get("conversation") != "none":
                self.foresee(handle.event_id, self._state.acknowledge)


class RealtimeState:
    """What a session of the realtime protocol keeps; see ``SessionState``.

    ``acknowledge``: seconds in which a cancelled response should end. ``most_bytes``: of the conversation.
    """

    def __init__(self, dialect: Dialect, acknowledge: float, most_bytes: Optional[int] = None) -> None:
        self.vocabulary = realtime_vocabulary(dialect)
        self.settings = SettingsTracker()
        self._conversation = Conversation(most_bytes=most_bytes)
        self._not_taken_over: list[ConversationUpdate] = []
        self._bytes_not_taken_over = 0
        self.acknowledge = acknowledge
        self._responses: Optional[RealtimeExchange] = None  # of the connection that was made last

    @property
    def dialect(self) -> Dialect:
        """How the server spells the protocol."""
        return self.vocabulary.dialect

    @property
    def session_id(self) -> Optional[str]:
        """See ``SessionState``."""
        return self.settings.reported.id if self.settings.reported is not None else None

    def conversation(self) -> Conversation:
        """The conversation itself, up to date. The lock for delivery is held, by a thread that no Ctrl-C interrupts."""
        # First: one that could not be taken over must not be tried again with each update to come.
        batch, self._not_taken_over, self._bytes_not_taken_over = self._not_taken_over, [], 0
        for update in batch:
            self._conversation.apply(update)
        return self._conversation

    def copied_conversation(self) -> tuple[Conversation, list[ConversationUpdate]]:
        """A copy of the conversation, and the updates that it has to take over yet. The lock for delivery is held."""
        return self._conversation.snapshot(), self._not_taken_over.copy()

    def new_exchange(self) -> RealtimeExchange:
        """See ``SessionState``."""
        self._responses = RealtimeExchange(self, self._responses)
        return self._responses

    def prepare(self, command: Command, connection: SessionConnection) -> Command:
        """Give a cancellation the name that the server knows, and remember that the response is about to end."""
        if isinstance(command, ResponseCancelCommand):
            if is_made_up(command.response_id):
                command = attrs.evolve(command, response_id=None)  # the one in progress: the server gave it no name
            responses_on(connection).cancelling(command.response_id, self.acknowledge)
        return command

    def asked(self, handle: CommandHandle, command: Command) -> None:
        """Remember the settings that a command asks for: a new connection may be given them at once."""
        if isinstance(command, SETTING_COMMANDS):
            self.settings.remember(handle, command.session)

    def not_asked(self, handle: CommandHandle) -> None:
        """See ``SessionState``."""
        self.settings.forget(handle)

    def apply(self, update: ConversationUpdate) -> None:
        """See ``SessionState``."""
        if isinstance(update, SessionUpdateBase):
            self.settings.report(update)
        self._not_taken_over.append(update)
        self._bytes_not_taken_over += len(update.raw_content)
        if self._bytes_not_taken_over > _BATCH_BYTES or not update.raw_content:  # a binary message may be large
            self.conversation()

    def apply_in_silence(self, update: ConversationUpdate) -> bool:
        """Learn what is new on this connection. Each one lists the remote tools anew, and consumers wait for that."""
        if isinstance(update, SessionUpdateBase):
            self.settings.report(update)
        self.conversation()._note_connection(update)
        return is_about_tool_lists(update)


def responses_on(connection: SessionConnection) -> ResponseRouter:
    """The answers in progress on a connection."""
    exchange = connection.exchange
    assert isinstance(exchange, RealtimeExchange), "a connection of another protocol"
    return exchange


def owes_answer(connection: SessionConnection) -> bool:
    """True if an answer in the conversation was asked for on this connection, and has not begun."""
    claimed = responses_on(connection).claimed
    return claimed is not None and connection.commands.is_in_flight(claimed)


class RealtimeEngine(Engine):
    """An engine that carries the realtime protocol."""

    state: RealtimeState

    @property
    def dialect(self) -> Dialect:
        """How the server spells the protocol."""
        return self.state.dialect

    @property
    def settings(self) -> SettingsTracker:
        """The settings as they were asked for, and as the service reported them."""
        return self.state.settings

    @property
    def session(self) -> Optional[RealtimeSession]:
        """The settings in force, as the service reported them last; None until it has."""
        return self.state.settings.reported

    @property
    def model(self) -> Optional[str]:
        """The model, as the service reported it last; None if it has not."""
        return (self.session.model or None) if self.session else None

    @property
    def responses(self) -> ResponseRouter:
        """The answers in progress on the connection in use."""
        return responses_on(self.connection)

    def conversation(self) -> Conversation:
        """A copy of the conversation as it stands."""
        return self.in_one_moment(lambda: None)[0]

    def in_one_moment(self, read: Callable[[], T]) -> tuple[Conversation, T]:
        """A copy of the conversation, and the result of ``read``, which is called while no update is delivered."""
        if self.end is None:  # if it has ended, the parent of a forked process holds no lock any more
            self.check_process()
        with self.delivering:
            copy, rest = self.state.copied_conversation()
            result = read()
        for update in rest:
            copy.apply(update)
        return copy, result
