"""Asking for an answer: one at a time in the conversation, and told from all others."""

from __future__ import annotations

import contextlib
import itertools
import secrets
from collections.abc import Sequence
from typing import Optional, Protocol

import attrs

from realtime_sync.acknowledgement import METADATA_KEY, CommandHandle
from realtime_sync.engine import Engine
from realtime_sync.errors import ConnectionClosedError, RealtimeSyncError, ServerError
from realtime_sync.patience import Patience
from realtime_sync.protocol.items import ConversationItem
from realtime_sync.protocol.options import AudioFormat, ConversationResponseOptions
from realtime_sync.response import Response

ACTIVE_RESPONSE = "conversation_already_has_active_response"


class Commands(Protocol):
    """What is needed of a session."""

    def add_item(self, item: ConversationItem) -> CommandHandle:
        """Add an item to the conversation."""
        ...

    def start_response(
        self, options: Optional[ConversationResponseOptions] = None, *, event_id: Optional[str] = None
    ) -> CommandHandle:
        """Let the model answer."""
        ...

    def cancel_response(self, response_id: Optional[str] = None) -> CommandHandle:
        """Stop a response."""
        ...


def begin_response(
    session: Commands,
    engine: Engine,
    items: Sequence[ConversationItem],
    options: Optional[ConversationResponseOptions],
    timeout: float,
) -> Response:
    """Say ``items`` and have them answered; see ``RealtimeConversationSession.respond``."""
    patience = Patience(timeout)
    engine.check_open()
    engine.updates.rest()
    options = options or ConversationResponseOptions()
    if options.conversation == "none" and items:
        options = attrs.evolve(options, input_items=[*(options.input_items or []), *items])
        items = ()
    said: list[CommandHandle] = []
    for attempt in itertools.count():
        response, event_id = _expected(session, engine, options), f"event_{secrets.token_hex(10)}"
        try:
            engine.responses.request(event_id, response, options.conversation == "none", patience)
            # Said in the caller's turn only, or several threads' questions would come before the first answer.
            said = said or [session.add_item(item) for item in items]
            marked = attrs.evolve(options, metadata={**(options.metadata or {}), METADATA_KEY: event_id})
            session.start_response(marked, event_id=event_id)
        except BaseException:
            engine.responses.withdraw(event_id)
            raise
        try:
            _wait_until_begun(engine, event_id, response, patience)
        except ServerError as error:
            # Voice activity detection, or the caller by hand, began one in the very moment: it is waited for, too.
            if error.code != ACTIVE_RESPONSE or patience.left == 0:
                raise
            pause = 0.1 * attempt if patience.left is None else min(0.1 * attempt, patience.left)
            engine.responses.wait_for_change(pause)  # longer each time, in case it is one that is not seen
            continue
        break
    _check_said(said, response)
    return response


def _wait_until_begun(engine: Engine, event_id: str, response: Response, patience: Patience) -> None:
    try:
        response.wait_until_begun(patience)
    except (ServerError, ConnectionClosedError):
        raise
    except BaseException:  # out of time, or Ctrl-C: it will begin all the same, with nobody to listen
        engine.start_thread(lambda: _cancel_once_begun(engine, event_id, response), "cancel")
        raise


def _cancel_once_begun(engine: Engine, event_id: str, response: Response) -> None:
    try:
        response.wait_until_begun(Patience(engine.timeouts.acknowledge))
        response.cancel()
    except RealtimeSyncError:
        pass  # refused, never begun, or gone with the connection: there is nothing to cancel
    finally:
        engine.responses.withdraw(event_id)


def _check_said(said: Sequence[CommandHandle], response: Response) -> None:
    """Raise where the service refused an item; it works in order, so by now it has spoken about all of them."""
    refused = next((handle.error for handle in said if handle.error is not None), None)
    if refused is not None:
        with contextlib.suppress(RealtimeSyncError):  # the refusal is what matters
            response.cancel()
        raise refused


def _expected(session: Commands, engine: Engine, options: ConversationResponseOptions) -> Response:
    return Response(
        cancel=session.cancel_response,
        check=engine.check_process,
        audio_format=_output_format(engine, options),
        model=engine.model,
    )


def _output_format(engine: Engine, options: ConversationResponseOptions) -> AudioFormat:
    for told in (options.output_audio_format, engine.session.output_audio_format if engine.session else None):
        if isinstance(told, AudioFormat):
            return told
    return AudioFormat(type="audio/pcm", rate=24000)
