"""The wire's verbs of the realtime protocol: one method for each command that a client may send.

The features of ``tools/``, ``mcp/`` and ``voice/`` use this class; ``session.py`` puts them together. Each method
checks its arguments at the call, makes a command and has the engine send it; ``core/acknowledgements.py`` says which
update acknowledges it. No state and no lock of its own.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Optional, Union

from realtime_sync.audio.containers import SOUND_FILES
from realtime_sync.boundary import public_call
from realtime_sync.checks import check_number, check_whole
from realtime_sync.conversation import Conversation
from realtime_sync.conversation.compact import CompactConversation
from realtime_sync.conversation.replay import with_id
from realtime_sync.core.commands import CommandHandle, new_event_id
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

_LONGEST_PATH = 1024  # characters of a text that is looked for as a file
SESSION_OPTIONS = (ConversationSessionOptions, TranscriptionSessionOptions, TranslationSessionOptions)


class RealtimeWireSession(WireSession):
    """A session of the realtime protocol: its settings, its conversation, and one method for each command."""

    _engine: RealtimeEngine

    @property
    def session(self) -> Optional[RealtimeSession]:
        """The settings in force, as the service reported them last; None until it has."""
        return self._engine.session

    @property
    def conversation(self) -> Conversation:
        """The conversation as it stands: items as far as they have come, responses, usage, cost.

        A copy that does not change; read the property again for a newer one, which costs little. It can be exported
        (``to_json``), also after the session's end, and added to another session as history. Beyond
        ``QueueLimits.conversation`` it has the newest items alone, and ``forgotten`` counts the others.
        """
        return self._engine.conversation()

    def _about(self) -> str:
        return self._engine.model or "?"

    # Sending --------------------------------------------------------------------------------------------------

    @public_call
    def configure_session(self, options: SessionOptions, *, event_id: Optional[str] = None) -> CommandHandle:
        """Change settings; those that are ``UNSET`` stay. Acknowledged by ``session.updated``.

        Args:
            options: The settings to change, of the kind of this session.
            event_id: The command's name on the wire; None makes one up.

        Returns:
            The command's handle.

        Raises:
            InvalidInputError: ``options`` are no options of a session.
            UnsupportedByDialectError: The server's dialect cannot express an option.
        """
        return self._send(self._configuration(options, event_id))

    def _configuration(self, options: SessionOptions, event_id: Optional[str]) -> commands.SessionUpdateCommand:
        check_type(options, SESSION_OPTIONS, "options")
        return commands.SessionUpdateCommand(session=options, event_id=event_id)

    @public_call
    def clear_output_audio(self, *, event_id: Optional[str] = None) -> CommandHandle:
        """Have the service stop playing (WebRTC and SIP). Acknowledged by ``output_audio_buffer.cleared``.

        Args:
            event_id: The command's name on the wire; None makes one up.

        Returns:
            The command's handle.
        """
        return self._send(commands.OutputAudioBufferClearCommand(event_id=event_id))

    @public_call
    def add_item(
        self,
        item: Union[ConversationItem, str],
        previous_item_id: Optional[str] = None,
        *,
        event_id: Optional[str] = None,
    ) -> CommandHandle:
        """Add an item to the conversation. Acknowledged by ``conversation.item.added``.

        Args:
            item: The item; a ``str`` is a user's message. An item without an id is given one here, so that its
                acknowledgement can be recognised.
            previous_item_id: The id of the item to put it behind; ``"root"``: the beginning; None: the end.
            event_id: The command's name on the wire; None makes one up.

        Returns:
            The command's handle.

        Raises:
            InvalidInputError: ``item`` is neither an item nor a text.
        """
        if isinstance(item, str):
            refuse_sound_file(item)
            item = ConversationItem.create_user_message(item)
        elif not isinstance(item, ConversationItem):
            raise InvalidInputError(no_item("item must be a ConversationItem or a text", item))
        check_optional_name(previous_item_id, "previous_item_id")
        item = with_id(item)
        return self._send(
            commands.ConversationItemCreateCommand(item=item, previous_item_id=previous_item_id, event_id=event_id)
        )

    @public_call
    def add_history(
        self, history: Union[Conversation, CompactConversation, Iterable[ConversationItem]]
    ) -> list[CommandHandle]:
        """Add the items of an earlier conversation, in order.

        Args:
            history: A ``Conversation``, of which the items that a service accepts are added (its ``history_losses()``
                names the others), a ``CompactConversation``, or items.

        Returns:
            A handle for each item. Wait for the last one to know that all items are in.

        Raises:
            InvalidInputError: ``history`` is neither a conversation nor items.
        """
        if isinstance(history, (Conversation, CompactConversation)):
            history = history.history()
        if isinstance(history, (str, bytes, Mapping)) or not isinstance(history, Iterable):
            raise InvalidInputError(f"history must be a Conversation or a list of items, not {history!r:.60}")
        return [self.add_item(item) for item in history]

    @public_call
    def retrieve_item(self, item_id: str, *, event_id: Optional[str] = None) -> CommandHandle:
        """Ask for an item as the service has it, audio included. Acknowledged by ``conversation.item.retrieved``.

        Args:
            item_id: The item's id.
            event_id: The command's name on the wire; None makes one up.

        Returns:
            The command's handle; the update of its ``wait()`` has the ``item``.
        """
        check_type(item_id, (str,), "item_id")
        return self._send(commands.ConversationItemRetrieveCommand(item_id=item_id, event_id=event_id))

    @public_call
    def truncate_item(
        self, item_id: str, *, audio_end_ms: int, content_index: int = 0, event_id: Optional[str] = None
    ) -> CommandHandle:
        """Shorten the model's audio to the part that was heard. Acknowledged by ``conversation.item.truncated``.

        Args:
            item_id: The id of the model's message.
            audio_end_ms: Milliseconds from the audio's beginning to keep. The service refuses more than there are.
            content_index: Which part of the message, from 0.
            event_id: The command's name on the wire; None makes one up.

        Returns:
            The command's handle.

        Raises:
            InvalidInputError: An argument cannot be right; a time between 0 and 1 looks like seconds.
        """
        check_type(item_id, (str,), "item_id")
        check_number("audio_end_ms", audio_end_ms, "milliseconds")
        if 0 < audio_end_ms < 1:
            raise InvalidInputError(
                f"audio_end_ms={audio_end_ms} looks like seconds, but counts milliseconds; multiply it by 1000"
            )
        check_whole("content_index", content_index)
        return self._send(
            commands.ConversationItemTruncateCommand(
                item_id=item_id, content_index=content_index, audio_end_ms=int(audio_end_ms), event_id=event_id
            )
        )

    @public_call
    def delete_item(self, item_id: str, *, event_id: Optional[str] = None) -> CommandHandle:
        """Remove an item from the conversation. Acknowledged by ``conversation.item.deleted``.

        Args:
            item_id: The item's id.
            event_id: The command's name on the wire; None makes one up.

        Returns:
            The command's handle.
        """
        check_type(item_id, (str,), "item_id")
        return self._send(commands.ConversationItemDeleteCommand(item_id=item_id, event_id=event_id))

    @public_call
    def start_response(
        self, options: Optional[ConversationResponseOptions] = None, *, event_id: Optional[str] = None
    ) -> CommandHandle:
        """Let the model answer. Acknowledged by ``response.created``; the answer ends with ``response.done``.

        Its updates come in ``updates()``. An ``ask`` or ``respond`` that follows waits for its end. If voice activity
        detection begins a response in the same moment, the two may be confused; ``respond()`` distinguishes them.

        Args:
            options: Settings of this response alone; None: the session's.
            event_id: The command's name on the wire; None makes one up.

        Returns:
            The command's handle.

        Raises:
            InvalidInputError: ``options`` are no options of a response.
        """
        check_response_options(options)
        return self._send(commands.ResponseCreateCommand(response=options, event_id=event_id))

    @public_call
    def cancel_response(self, response_id: Optional[str] = None, *, event_id: Optional[str] = None) -> CommandHandle:
        """Stop a response. Acknowledged by its ``response.done``.

        Args:
            response_id: The response's id; None: the response in progress in the conversation.
            event_id: The command's name on the wire; None makes one up.

        Returns:
            The command's handle. The service refuses to cancel an answer that has ended.
        """
        check_optional_name(response_id, "response_id")
        return self._send(commands.ResponseCancelCommand(response_id=response_id, event_id=event_id))

    @public_call
    def end_translation(self, *, event_id: Optional[str] = None) -> CommandHandle:
        """End a translation session once all audio is translated. Acknowledged by ``session.closed``.

        Args:
            event_id: The command's name on the wire; None makes one up.

        Returns:
            The command's handle.
        """
        return self._send(commands.SessionCloseCommand(event_id=event_id))

    # Inside ---------------------------------------------------------------------------------------------------

    def _send(self, command: Command) -> CommandHandle:
        if command.event_id is None:
            command.event_id = new_event_id()  # it was made here, so it may be changed
        return self._engine.send(command)

    def _command_in(self, wire_type: str, text: str) -> Optional[Command]:
        if wire_type not in (command.wire_type for command in SETTING_COMMANDS):
            return None
        try:
            return codec.decode_command(text, self._engine.dialect)
        except InvalidInputError:  # the service may understand it all the same
            return None


def no_item(what_it_is: str, value: object) -> str:
    """What to say of a value that can be no item: what one is, and what this one may have been meant for."""
    told = f"{what_it_is}, not {type(value).__name__}"
    if isinstance(value, Mapping):
        return f"{told}; make it by ConversationItem.create_user_message(...), or send JSON of your own by send_message"
    if isinstance(value, os.PathLike):
        return f"{told}; to ask a recording, call ask(Path(...)); send_audio(...) sends it in pieces"
    return f"{told}: {value!r:.60}"


def refuse_sound_file(text: str) -> None:
    """Raise ``InvalidInputError`` if a text is the name of a recording that is there, which is meant then.

    Else the model would be given the name to read, and would answer that.
    """
    if len(text) <= _LONGEST_PATH and text.lower().endswith(SOUND_FILES) and os.path.isfile(text):
        raise InvalidInputError(
            f"{text!r} is a text, and the name of a sound file that is there. To ask it, pass Path({text!r}); "
            f"for these very words, ConversationItem.create_user_message({text!r})"
        )


def check_response_options(options: object) -> None:
    """Raise ``InvalidInputError`` if ``options`` are neither options of a response nor None."""
    if options is not None:
        check_type(options, (ConversationResponseOptions,), "options")


def check_optional_name(value: object, name: str) -> None:
    """Raise ``InvalidInputError`` if the value is neither a text that is not empty, nor None."""
    if value is not None:
        check_type(value, (str,), name)


def check_type(value: object, types: tuple[type, ...], name: str) -> None:
    """Raise ``InvalidInputError`` for an argument that the service would refuse later, or misunderstand."""
    if not isinstance(value, types) or value == "":
        wanted = " or ".join(cls.__name__ for cls in types)
        written = f"; write {types[0].__name__}(...)" if isinstance(value, Mapping) else ""
        raise InvalidInputError(f"{name} must be a {wanted}, not {value!r:.60}{written}")
