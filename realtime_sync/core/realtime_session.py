"""The wire's verbs of the realtime protocol: one method for each command that a client may send.

The features of ``tools/``, ``mcp/`` and ``voice/`` stand on this class; ``session.py`` puts them together.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from typing import Optional, Union

import attrs

from realtime_sync.checks import check_number, check_whole
from realtime_sync.conversation import Conversation
from realtime_sync.core.commands import CommandHandle
from realtime_sync.core.realtime import SETTING_COMMANDS, RealtimeEngine
from realtime_sync.core.wire_session import WireSession
from realtime_sync.errors import InvalidInputError
from realtime_sync.protocol import codec, commands
from realtime_sync.protocol.items import ConversationItem
from realtime_sync.protocol.options import (
    ConversationResponseOptions,
    ConversationSessionOptions,
    SessionOptions,
    TranscriptionSessionOptions,
    TranslationSessionOptions,
)
from realtime_sync.protocol.registry import Command
from realtime_sync.protocol.resources import RealtimeSession

_SESSION_OPTIONS = (ConversationSessionOptions, TranscriptionSessionOptions, TranslationSessionOptions)


class RealtimeWireSession(WireSession):
    """A session of the realtime protocol, with what it knows and one method for each command."""

    _engine: RealtimeEngine

    @property
    def session(self) -> Optional[RealtimeSession]:
        """The settings in force, as the service last told them; None until it has."""
        return self._engine.session

    @property
    def conversation(self) -> Conversation:
        """The conversation as it stands: items with what has come of them, responses, usage, cost.

        A copy that stays as it is; ask again for a newer one. It can be exported (``to_json``) and, after the session's
        end or in another one, added as history.
        """
        return self._engine.conversation()

    def _about(self) -> str:
        return self._engine.model or "?"

    # Sending --------------------------------------------------------------------------------------------------

    def configure_session(self, options: SessionOptions, *, event_id: Optional[str] = None) -> CommandHandle:
        """Change settings; those that are ``UNSET`` stay. Acknowledged by ``session.updated``."""
        return self._send(self._configuration(options, event_id))

    def _configuration(self, options: SessionOptions, event_id: Optional[str]) -> commands.SessionUpdateCommand:
        check_type(options, _SESSION_OPTIONS, "options")
        return commands.SessionUpdateCommand(session=options, event_id=event_id)

    def clear_input_audio(self, *, event_id: Optional[str] = None) -> CommandHandle:
        """Have the service forget the audio that is not committed. Acknowledged by ``input_audio_buffer.cleared``."""
        return self._send(commands.InputAudioBufferClearCommand(event_id=event_id))

    def clear_output_audio(self, *, event_id: Optional[str] = None) -> CommandHandle:
        """Have the service stop playing (WebRTC and SIP). Acknowledged by ``output_audio_buffer.cleared``."""
        return self._send(commands.OutputAudioBufferClearCommand(event_id=event_id))

    def add_item(
        self,
        item: Union[ConversationItem, str],
        previous_item_id: Optional[str] = None,
        *,
        event_id: Optional[str] = None,
    ) -> CommandHandle:
        """Add an item to the conversation; a ``str`` is a user message. Acknowledged by ``conversation.item.added``.

        ``previous_item_id``: the item to put it behind, ``"root"`` for the beginning, None for the end. An item
        without an id is given one here, so that its acknowledgement can be told from others.
        """
        if isinstance(item, str):
            item = ConversationItem.create_user_message(item)
        elif not isinstance(item, ConversationItem):
            raise InvalidInputError(f"an item is a ConversationItem or a text, not {type(item).__name__}")
        check_optional_name(previous_item_id, "previous_item_id")
        if item.id is None:
            item = attrs.evolve(item, id=f"item_{secrets.token_hex(12)}")  # the service allows 32 characters
        return self._send(
            commands.ConversationItemCreateCommand(item=item, previous_item_id=previous_item_id, event_id=event_id)
        )

    def add_history(self, history: Union[Conversation, Iterable[ConversationItem]]) -> list[CommandHandle]:
        """Add the items of an earlier conversation, in order; wait for the last handle to know that all are in.

        Of a ``Conversation`` those that a service accepts: its ``history_losses()`` tells what cannot be carried over.
        """
        if isinstance(history, (str, bytes, Mapping)) or not isinstance(history, Iterable | Conversation):
            raise InvalidInputError(f"a history is a Conversation or a list of items, not {history!r:.60}")
        items = history.history() if isinstance(history, Conversation) else history
        return [self.add_item(item) for item in items]

    def retrieve_item(self, item_id: str, *, event_id: Optional[str] = None) -> CommandHandle:
        """Ask for an item as the service has it, audio included. Acknowledged by ``conversation.item.retrieved``."""
        check_type(item_id, (str,), "item_id")
        return self._send(commands.ConversationItemRetrieveCommand(item_id=item_id, event_id=event_id))

    def truncate_item(
        self, item_id: str, *, audio_end_ms: int, content_index: int = 0, event_id: Optional[str] = None
    ) -> CommandHandle:
        """Shorten the model's audio to what was heard. Acknowledged by ``conversation.item.truncated``.

        ``audio_end_ms``: milliseconds from the audio's beginning; more than there is, is an error.
        """
        check_type(item_id, (str,), "item_id")
        check_number("audio_end_ms", audio_end_ms, "milliseconds")
        if 0 < audio_end_ms < 1:
            raise InvalidInputError(f"audio_end_ms={audio_end_ms} is in milliseconds; in seconds, take it times 1000")
        check_whole("content_index", content_index)
        return self._send(
            commands.ConversationItemTruncateCommand(
                item_id=item_id, content_index=content_index, audio_end_ms=int(audio_end_ms), event_id=event_id
            )
        )

    def delete_item(self, item_id: str, *, event_id: Optional[str] = None) -> CommandHandle:
        """Remove an item from the conversation. Acknowledged by ``conversation.item.deleted``."""
        check_type(item_id, (str,), "item_id")
        return self._send(commands.ConversationItemDeleteCommand(item_id=item_id, event_id=event_id))

    def start_response(
        self, options: Optional[ConversationResponseOptions] = None, *, event_id: Optional[str] = None
    ) -> CommandHandle:
        """Let the model answer. Acknowledged by ``response.created``; the answer ends with ``response.done``.

        ``wait()`` for it before you ``ask`` or ``respond``: those know of a response once it has begun.

        Where voice activity detection begins a response in the same moment, that one may be taken for this one;
        ``respond()`` tells them apart.
        """
        check_response_options(options)
        return self._send(commands.ResponseCreateCommand(response=options, event_id=event_id))

    def cancel_response(self, response_id: Optional[str] = None, *, event_id: Optional[str] = None) -> CommandHandle:
        """Stop a response (None: the one in progress). Acknowledged by its ``response.done``."""
        check_optional_name(response_id, "response_id")
        return self._send(commands.ResponseCancelCommand(response_id=response_id, event_id=event_id))

    def end_translation(self, *, event_id: Optional[str] = None) -> CommandHandle:
        """End a translation session once all that was heard is translated. Acknowledged by ``session.closed``."""
        return self._send(commands.SessionCloseCommand(event_id=event_id))

    # Inside ---------------------------------------------------------------------------------------------------

    def _send(self, command: Command) -> CommandHandle:
        return self._engine.send(command)

    def _command_in(self, wire_type: str, text: str) -> Optional[Command]:
        if wire_type not in (command.wire_type for command in SETTING_COMMANDS):
            return None
        try:
            return codec.decode_command(text, self._engine.dialect)
        except InvalidInputError:  # then the service understands it, or nobody does
            return None


def check_response_options(options: object) -> None:
    """Raise ``InvalidInputError`` if these are no options of a response, nor None."""
    if options is not None:
        check_type(options, (ConversationResponseOptions,), "options")


def check_optional_name(value: object, name: str) -> None:
    """Raise ``InvalidInputError`` if the value is neither a text that is not empty, nor None."""
    if value is not None:
        check_type(value, (str,), name)


def check_type(value: object, types: tuple[type, ...], name: str) -> None:
    """Say at the call what the service would say later, or would misunderstand."""
    if not isinstance(value, types) or value == "":
        wanted = " or ".join(cls.__name__ for cls in types)
        raise InvalidInputError(f"{name} must be a {wanted}, not {value!r:.60}")
