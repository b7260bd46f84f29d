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
import secrets
from collections.abc import Sequence
from typing import Callable, Optional

import attrs

from realtime_sync.conversation import Conversation
from realtime_sync.core.acknowledgements import METADATA_KEY
from realtime_sync.core.answer import Answer, Delta
from realtime_sync.core.commands import CommandHandle, time_out
from realtime_sync.core.connection import SessionConnection
from realtime_sync.core.realtime import RealtimeEngine, responses_on
from realtime_sync.core.response import Response
from realtime_sync.core.response_router import Owner, request_mark
from realtime_sync.deadline import Deadline
from realtime_sync.errors import (
    ConnectionClosedError,
    ConnectionReplacedError,
    RealtimeSyncError,
    ServerError,
    WaitTimeoutError,
)
from realtime_sync.protocol import commands
from realtime_sync.protocol.items import ConversationItem
from realtime_sync.protocol.options import AudioFormat, ConversationResponseOptions
from realtime_sync.protocol.registry import Command

OnDelta = Callable[[Delta], object]

ACTIVE_RESPONSE = "conversation_already_has_active_response"


class Question:
    """The items that are sent before an answer is asked for: once, even if the answer is asked for again."""

    def __init__(self, items: Sequence[ConversationItem], owner: Owner = Owner.SESSION) -> None:
        self._items = items
        self._owner = owner
        self._said: list[tuple[str, CommandHandle]] = []  # ids of items, and their commands
        self._connection: Optional[SessionConnection] = None  # on which they were said
        self._asked_again = False

    def may_ask_again(self) -> bool:
        """True for the first call: the second chance is used up then."""
        used, self._asked_again = self._asked_again, True
        return not used

    def say(self, engine: RealtimeEngine, connection: SessionConnection) -> None:
        """Send the items, in the caller's turn on this connection; items that were carried over are not sent again.

        They are sent on this connection only: on another one it would not be the caller's turn, and several questions
        would come before the first answer.
        """
        if self._said and self._connection is not connection and engine.read_conversation(self._is_overtaken):
            for item_id, _ in self._said:
                _send(engine, commands.ConversationItemDeleteCommand(item_id=item_id), connection, self._owner)
            self._said.clear()
        self._connection = connection
        for item in self._items[len(self._said) :]:
            command = _addition(item)
            self._said.append((str(command.item.id), _send(engine, command, connection, self._owner)))

    def _is_overtaken(self, conversation: Conversation) -> bool:
        """True if other questions came first on the new connection, so that this one is not the last any more."""
        ids = {item_id for item_id, _ in self._said}
        behind = itertools.takewhile(lambda item: item.id not in ids, reversed(conversation.items))
        return any(conversation.item(item_id) for item_id in ids) and any(behind)

    def refusal(self) -> Optional[Exception]:
        """The error with which the service refused an item; None if it refused none.

        The service works in order, so once it answers it has accepted or refused all items.
        """
        errors = [_latest(handle).error for _, handle in self._said]
        return next((error for error in errors if error and not isinstance(error, ConnectionReplacedError)), None)


def begin_response(
    engine: RealtimeEngine,
    items: Sequence[ConversationItem],
    options: Optional[ConversationResponseOptions],
    deadline: Deadline,
    question: Optional[Question] = None,
    owner: Owner = Owner.SESSION,
) -> Response:
    """Send ``items`` and have them answered; see ``RealtimeConversationSession.respond``.

    ``question``: the same items, if they may have been sent already. ``owner``: the calls that the asker handles.
    """
    engine.check_open()
    options = options or ConversationResponseOptions()
    if options.conversation == "none" and items:
        options = attrs.evolve(options, input_items=[*(options.input_items or []), *items])
        items = ()
    question = question or Question(items, owner)
    for attempt in itertools.count():
        connection, event_id = engine.live_connection(deadline), f"event_{secrets.token_hex(10)}"
        response = _put(engine, connection, event_id, question, options, owner, deadline)
        if response is None:
            continue
        try:
            _wait_until_begun(engine, connection, event_id, response, deadline)
        except ConnectionReplacedError:
            if not question.may_ask_again():
                raise
            continue
        except ServerError as error:
            # Some servers write the code as the type (Hugging Face's, 2026-08).
            if ACTIVE_RESPONSE not in (error.code, error.type) or deadline.left == 0:
                raise
            pause = 0.1 * attempt if deadline.left is None else min(0.1 * attempt, deadline.left)
            responses_on(connection).wait_for_change(pause)  # longer each time: its end may not be noticed here
            continue
        _check_said(question, response)
        return response
    raise AssertionError("count() does not end")


def _put(
    engine: RealtimeEngine,
    connection: SessionConnection,
    event_id: str,
    question: Question,
    options: ConversationResponseOptions,
    owner: Owner,
    deadline: Deadline,
) -> Optional[Response]:
    """Ask on this connection, in the asker's turn; None if the connection ended first: sent items are carried over."""
    response, responses = _expected(engine, connection, options, owner), responses_on(connection)
    try:
        responses.request(event_id, response, options.conversation == "none", deadline, owner)
        if response.done:
            return None
        question.say(engine, connection)
        metadata = {**(options.metadata or {}), METADATA_KEY: request_mark(event_id, owner)}
        marked = attrs.evolve(options, metadata=metadata)
        # On this connection only: on another one its answer would not be expected.
        engine.send(commands.ResponseCreateCommand(response=marked, event_id=event_id), connection)
    except ConnectionReplacedError:
        return None
    except BaseException:
        responses.withdraw(event_id)
        raise
    return response


def finished_answer(
    engine: RealtimeEngine,
    items: Sequence[ConversationItem],
    options: Optional[ConversationResponseOptions],
    deadline: Deadline,
    on_delta: Optional[OnDelta] = None,
    owner: Owner = Owner.SESSION,
) -> Answer:
    """Send ``items`` and wait for the answer; asks again, once, if the connection ended before any part of it came."""
    question = Question(() if options is not None and options.conversation == "none" else items, owner)
    while True:
        with begin_response(engine, items, options, deadline, question, owner) as response:
            try:
                if on_delta is not None:
                    for delta in response.deltas_within(deadline):
                        on_delta(delta)
                return response.wait(deadline.left)
            except WaitTimeoutError:
                if deadline.left != 0:
                    raise  # a time-out inside on_delta
                message = f"no answer within {deadline.seconds} s; if it has begun, it is cancelled"
                late = time_out(message, response.overheard)
                raise late from late.__cause__
            except ConnectionReplacedError:
                if response.has_begun_to_come or not question.may_ask_again():
                    raise


def _send(engine: RealtimeEngine, command: Command, connection: SessionConnection, owner: Owner) -> CommandHandle:
    """Send an asker's command, on this connection only; the update that answers it is the asker's, too."""
    command = attrs.evolve(command, event_id=f"event_{secrets.token_hex(10)}")
    if Owner.FOR_ALL not in owner:
        item = command.item.id if isinstance(command, commands.ConversationItemCreateCommand) else None
        responses_on(connection).adopt(command.event_id, item)
    return engine.send(command, connection)


def _addition(item: ConversationItem) -> commands.ConversationItemCreateCommand:
    """The command that adds an item, with an id, so that its acknowledgement can be recognised."""
    if item.id is None:
        item = attrs.evolve(item, id=f"item_{secrets.token_hex(12)}")  # the service allows 32 characters
    return commands.ConversationItemCreateCommand(item=item)


def _wait_until_begun(
    engine: RealtimeEngine, connection: SessionConnection, event_id: str, response: Response, deadline: Deadline
) -> None:
    try:
        response.wait_until_begun(deadline)
    except (ServerError, ConnectionClosedError):
        raise
    except BaseException:  # out of time, or Ctrl-C: it will begin all the same
        engine.start_thread(lambda: _cancel_once_begun(engine, connection, event_id, response), "cancel")
        raise


def _cancel_once_begun(
    engine: RealtimeEngine, connection: SessionConnection, event_id: str, response: Response
) -> None:
    try:
        response.wait_until_begun(Deadline(engine.timeouts.acknowledge))
        response.cancel()
    except RealtimeSyncError:
        pass  # it was refused, never began, or ended with the connection: there is nothing to cancel
    finally:
        # First: on a server without metadata the next request's answer would be taken for the answer to this one.
        connection.commands.give_up(event_id)
        responses_on(connection).withdraw(event_id)


def _check_said(question: Question, response: Response) -> None:
    refusal = question.refusal()
    if refusal is not None:
        with contextlib.suppress(RealtimeSyncError):  # the refusal is what matters
            response.cancel()
        raise refusal


def _latest(handle: CommandHandle) -> CommandHandle:
    """The handle under which a command was sent last."""
    while handle.sent_again is not None:
        handle = handle.sent_again
    return handle


def _expected(
    engine: RealtimeEngine, connection: SessionConnection, options: ConversationResponseOptions, owner: Owner
) -> Response:
    return Response(
        cancel=lambda id: _send(engine, commands.ResponseCancelCommand(response_id=id), connection, owner),
        check=engine.check_process,
        audio_format=_output_format(engine, options),
        model=engine.model,
    )


def _output_format(engine: RealtimeEngine, options: ConversationResponseOptions) -> AudioFormat:
    for format in (options.output_audio_format, engine.session.output_audio_format if engine.session else None):
        if isinstance(format, AudioFormat):
            return format
    return AudioFormat(type="audio/pcm", rate=24000)
