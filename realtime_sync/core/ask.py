"""Asking for an answer: one at a time in the conversation, and never confused with another one.

The order on one connection, all of it on the asker's thread:

1. ``ResponseRouter.request`` waits for the asker's turn in the conversation, and expects the response.
2. The question's items are sent, then ``response.create``, marked with its ``event_id`` and its ``Owner``.
3. The asker waits until the response has begun: by then the service has accepted or refused the items, too. If the
   asker stops waiting (out of time, Ctrl-C), a thread cancels the response as soon as it begins.

It asks again, until the deadline:

- if the connection ends before ``response.create`` is sent: on the next one, as often as it takes;
- if it ends afterwards, before any part of the answer has come: once, because the question may be the reason;
- if the service refuses because a response is in progress (voice activity detection, or the caller by hand, began one
  in that very moment): once the conversation may have become free.

Locks: none here, and none is held while this module waits or sends. A ``Question`` belongs to the asker's thread.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Sequence
from typing import Callable, Optional, Union

import attrs

from realtime_sync.conversation import Conversation
from realtime_sync.conversation.replay import with_id
from realtime_sync.core.acknowledgements import METADATA_KEY
from realtime_sync.core.answer import Answer, Delta
from realtime_sync.core.commands import CommandHandle, new_event_id, time_out
from realtime_sync.core.connection import SessionConnection
from realtime_sync.core.realtime import RealtimeEngine, responses_on
from realtime_sync.core.response import Response
from realtime_sync.core.response_router import Owner, request_mark
from realtime_sync.core.spoken import SpokenQuestion, committed_id, latest
from realtime_sync.deadline import Deadline
from realtime_sync.errors import (
    ConnectionReplacedError,
    NoMoreThreadsError,
    RealtimeSyncError,
    ServerError,
    WaitTimeoutError,
)
from realtime_sync.protocol import commands
from realtime_sync.protocol.items import ConversationItem
from realtime_sync.protocol.options import AudioFormat, ConversationResponseOptions
from realtime_sync.protocol.registry import Command

OnDelta = Callable[[Delta], object]
Said = Union[ConversationItem, SpokenQuestion]
"""What a question is made of."""

ACTIVE_RESPONSE = "conversation_already_has_active_response"


class Question:
    """The items that are sent before an answer is asked for: once, even if the answer is asked for again.

    ``owner``: the calls that the asker handles. ``deadline``: within which the answer must begin. ``owed``: the items
    are results of calls, which the service is given even if the answer cannot be asked for.
    """

    def __init__(
        self,
        engine: RealtimeEngine,
        items: Sequence[Said],
        options: Optional[ConversationResponseOptions],
        deadline: Deadline,
        owner: Owner = Owner.SESSION,
        owed: bool = False,
    ) -> None:
        options = options or ConversationResponseOptions()
        if options.conversation == "none" and items:
            options = attrs.evolve(options, input_items=[*(options.input_items or []), *_written(items)])
            items = ()
        self._engine = engine
        self._items = items
        self._options = options
        self._deadline = deadline
        self._owner = owner
        self._owed = owed
        self._said: list[tuple[Optional[str], CommandHandle]] = []  # ids of items, if known, and their commands
        self._connection: Optional[SessionConnection] = None  # on which they were said
        self._asked_again = False

    def begin(self) -> Response:
        """Send the items and have them answered; the response, once it has begun."""
        try:
            return self._begun()
        except BaseException:
            if self._owed:
                say_results(self._engine, _written(self._items[len(self._said) :]))
            raise

    def _begun(self) -> Response:
        self._engine.check_open()
        deadline = self._deadline
        for attempt in itertools.count():
            connection, event_id = self._engine.live_connection(deadline), new_event_id()
            response = self._expected(connection)
            try:
                if not self._put(connection, event_id, response):
                    if deadline.left == 0:
                        raise WaitTimeoutError(f"the question could not be sent within {deadline.seconds} s")
                    continue
                self._wait_until_begun(connection, event_id, response)
                self._check_said(response)
                return response
            except ConnectionReplacedError:
                if not self.may_ask_again():
                    raise
            except ServerError as error:
                if not _is_busy(error) or deadline.left == 0:
                    raise
                pause = 0.1 * attempt if deadline.left is None else min(0.1 * attempt, deadline.left)
                responses_on(connection).wait_for_change(pause)  # longer each time: its end may not be noticed here
            except Exception:
                raise
            except BaseException:  # Ctrl-C
                self._abandon(connection, event_id, response)
                raise
        raise AssertionError("count() does not end")

    def may_ask_again(self) -> bool:
        """True for the first call: the second chance is used up then."""
        used, self._asked_again = self._asked_again, True
        return not used

    def say(self, connection: SessionConnection) -> None:
        """Send the items, in the caller's turn on this connection; items that were carried over are not sent again.

        They are sent on this connection only: on another one it would not be the caller's turn, and several questions
        would come before the first answer.
        """
        if self._said and self._connection is not connection:
            conversation = self._engine.conversation()
            lost = self._lost(conversation)
            if lost or self._is_overtaken(conversation):
                for item_id in self._ids():
                    if item_id not in lost:
                        self._send(commands.ConversationItemDeleteCommand(item_id=item_id), connection)
                self._said.clear()
        self._connection = connection
        for item in self._items[len(self._said) :]:
            if isinstance(item, SpokenQuestion):
                event_id = new_event_id()
                responses_on(connection).adopt(event_id)
                commit = item.say(event_id, self._deadline)
                if commit is not None:
                    self._said.append((None, commit))
                    continue
                item = item.written
            command = _addition(item)
            self._said.append((str(command.item.id), self._send(command, connection)))

    def _ids(self) -> list[str]:
        """The ids of what was said, as far as they are known."""
        return list(filter(None, (item_id or committed_id(handle) for item_id, handle in self._said)))

    def _is_overtaken(self, conversation: Conversation) -> bool:
        """True if other questions came first on the new connection, so that this one is not the last any more."""
        ids = set(self._ids())
        behind = itertools.takewhile(lambda item: item.id not in ids, reversed(conversation.items))
        return any(conversation.item(item_id) for item_id in ids) and any(behind)

    def _lost(self, conversation: Conversation) -> set[str]:
        """The items that were had or given up with an old connection, and that the new one has not.

        Such as a recording without a transcript, or what was sent again and lost again.
        """
        had = [item_id or committed_id(handle) for item_id, handle in self._said if _is_settled(latest(handle))]
        return {item_id for item_id in had if item_id and conversation.item(item_id) is None}

    def _put(self, connection: SessionConnection, event_id: str, response: Response) -> bool:
        """Ask on this connection, in the asker's turn; False if that ended first: sent items are carried over."""
        responses, options, owner = responses_on(connection), self._options, self._owner
        try:
            responses.request(event_id, response, options.conversation == "none", self._deadline, owner)
            if response.done:
                return False
            self.say(connection)
            metadata = {**(options.metadata or {}), METADATA_KEY: request_mark(event_id, owner)}
            marked = attrs.evolve(options, metadata=metadata)
            # On this connection only: on another one its answer would not be expected.
            self._engine.send(commands.ResponseCreateCommand(response=marked, event_id=event_id), connection)
        except ConnectionReplacedError:
            return False
        except Exception:
            responses.withdraw(event_id)
            raise
        return True

    def _abandon(self, connection: SessionConnection, event_id: str, response: Response) -> None:
        """Nobody waits for the answer any more: if it was asked for, it begins all the same, and is cancelled then."""
        with self._engine.delivering:  # else the request may be acknowledged, and not yet known to have begun
            is_asked = response.id is not None or connection.commands.is_in_flight(event_id)
        if is_asked:
            try:
                self._engine.start_thread(lambda: self._cancel_once_begun(connection, event_id, response), "cancel")
            except NoMoreThreadsError:
                self._give_up(connection, event_id)
        else:
            responses_on(connection).withdraw(event_id)

    def _expected(self, connection: SessionConnection) -> Response:
        return Response(
            cancel=lambda id: self._send(commands.ResponseCancelCommand(response_id=id), connection),
            check=self._engine.check_process,
            audio_format=self._output_format(),
            model=self._engine.model,
            most_bytes=self._engine.limits.answer,
        )

    def _output_format(self) -> AudioFormat:
        session = self._engine.session
        for format in (self._options.output_audio_format, session.output_audio_format if session else None):
            if isinstance(format, AudioFormat):
                return format
        return AudioFormat(type="audio/pcm", rate=24000)

    def _send(self, command: Command, connection: SessionConnection) -> CommandHandle:
        """Send an asker's command, on this connection only; the update that answers it is the asker's, too."""
        command.event_id = new_event_id()
        if Owner.FOR_ALL not in self._owner:
            item = command.item.id if isinstance(command, commands.ConversationItemCreateCommand) else None
            responses_on(connection).adopt(command.event_id, item)
        return self._engine.send(command, connection)

    def _wait_until_begun(self, connection: SessionConnection, event_id: str, response: Response) -> None:
        try:
            response._wait_until_begun(self._deadline)
        except WaitTimeoutError:
            self._abandon(connection, event_id, response)
            raise

    def _cancel_once_begun(self, connection: SessionConnection, event_id: str, response: Response) -> None:
        try:
            response._wait_until_begun(Deadline(self._engine.timeouts.acknowledge))
            response.cancel()
        except RealtimeSyncError:
            pass  # it was refused, never began, or ended with the connection: there is nothing to cancel
        finally:
            self._give_up(connection, event_id)

    def _give_up(self, connection: SessionConnection, event_id: str) -> None:
        # First: on a server without metadata the next request's answer would be taken for the answer to this one.
        connection.commands.give_up(event_id)
        responses_on(connection).withdraw(event_id)

    def _check_said(self, response: Response) -> None:
        """Raise the error with which the service refused an item, if any.

        The service works in order, so once it answers it has accepted or refused all items.
        """
        errors = [latest(handle).error for _, handle in self._said]
        refusal = next((error for error in errors if error and not isinstance(error, ConnectionReplacedError)), None)
        if refusal is not None:
            with contextlib.suppress(RealtimeSyncError):  # the refusal is what matters
                response.cancel()
            raise refusal


def _written(items: Iterable[Said]) -> list[ConversationItem]:
    return [item for item in items if isinstance(item, ConversationItem)]


def begin_response(
    engine: RealtimeEngine,
    items: Sequence[Said],
    options: Optional[ConversationResponseOptions],
    deadline: Deadline,
    owner: Owner = Owner.SESSION,
    owed: bool = False,
) -> Response:
    """Send ``items`` and have them answered; see ``RealtimeConversationSession.respond``, and ``Question``."""
    return Question(engine, items, options, deadline, owner, owed).begin()


def finished_answer(
    engine: RealtimeEngine,
    items: Sequence[Said],
    options: Optional[ConversationResponseOptions],
    deadline: Deadline,
    on_delta: Optional[OnDelta] = None,
    owner: Owner = Owner.SESSION,
    owed: bool = False,
) -> Answer:
    """Send ``items`` and wait for the answer; asks again, once, if the connection ended before any part of it came."""
    question = Question(engine, items, options, deadline, owner, owed)
    while True:
        response = question.begin()
        try:  # and no ``with``, at whose beginning Ctrl-C may come
            if on_delta is not None:
                for delta in response._deltas_within(deadline):
                    on_delta(delta)
            return response.wait(deadline.left)
        except WaitTimeoutError:
            if deadline.left != 0:
                raise  # a time-out inside on_delta
            message = f"no answer within {deadline.seconds} s; if it has begun, it is cancelled"
            late = time_out(message, response._overheard)
            raise late from late.__cause__
        except ConnectionReplacedError:
            if response.has_begun_to_come or not question.may_ask_again():
                raise
        except ServerError as error:  # another response was taken for the answer
            if not _is_busy(error):
                raise
        finally:
            response.__exit__()


def say_results(engine: RealtimeEngine, items: Sequence[ConversationItem]) -> None:
    """Give the service results of calls for which no answer is asked; does not wait, and does nothing at the end."""

    def say() -> None:
        with contextlib.suppress(RealtimeSyncError):
            for item in items:
                command = _addition(item)
                command.event_id = new_event_id()
                engine.responses.adopt(command.event_id, command.item.id)
                engine.send(command)

    if engine.reconnecting:
        engine.start_thread(say, "results")
    else:
        say()


def _is_busy(error: ServerError) -> bool:
    """True if a request was refused because another response is in progress."""
    return ACTIVE_RESPONSE in (error.code, error.type)  # some servers write it as the type (Hugging Face's, 2026-08)


def _is_settled(handle: CommandHandle) -> bool:
    """True if the command was acknowledged, or ended with its connection and is not sent again."""
    error = handle.error
    return handle.update is not None or (isinstance(error, ConnectionReplacedError) and not error.sent_again)


def _addition(item: ConversationItem) -> commands.ConversationItemCreateCommand:
    """The command that adds an item, with an id, so that its acknowledgement can be recognised."""
    return commands.ConversationItemCreateCommand(item=with_id(item))
