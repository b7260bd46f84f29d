"""Client messages, one class each. The session's methods make and send them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

import attrs

from realtime_sync.errors import InvalidInputError
from realtime_sync.protocol.items import ConversationItem, audio_repr
from realtime_sync.protocol.options import ConversationResponseOptions, SessionOptions, TranscriptionSessionOptions
from realtime_sync.protocol.registry import Command, client_message, public_classes
from realtime_sync.protocol.resources import RealtimeSession


def _is_asked(command: Command, _: attrs.Attribute[Any], session: SessionOptions) -> None:
    if isinstance(session, RealtimeSession):
        raise InvalidInputError(
            "this is a session as the server described it, and the server does not accept that; give the settings to "
            "change, as ConversationSessionOptions"
        )


@client_message("session.update")
@attrs.define(kw_only=True, repr=False, eq=False)
class SessionUpdateCommand(Command):
    """Change the session's settings; what is ``UNSET`` stays as it is."""

    session: SessionOptions = attrs.field(validator=_is_asked)


@client_message("transcription_session.update")
@attrs.define(kw_only=True, repr=False, eq=False)
class TranscriptionSessionUpdateCommand(Command):
    """The older way to change a transcription session's settings."""

    session: TranscriptionSessionOptions


@client_message("input_audio_buffer.append")
@attrs.define(kw_only=True, repr=False, eq=False)
class InputAudioBufferAppendCommand(Command):
    """Add audio (base64 of samples in the session's input format) to the input buffer."""

    audio: str = attrs.field(repr=audio_repr)


@client_message("input_audio_buffer.commit")
class InputAudioBufferCommitCommand(Command):
    """Make a user message of the input buffer's audio."""

    __slots__ = ()


@client_message("input_audio_buffer.clear")
class InputAudioBufferClearCommand(Command):
    """Forget the input buffer's audio."""

    __slots__ = ()


@client_message("conversation.item.create")
@attrs.define(kw_only=True, repr=False, eq=False)
class ConversationItemCreateCommand(Command):
    """Add an item: at the end (``previous_item_id`` None), at the beginning (``"root"``), or after another."""

    item: ConversationItem
    previous_item_id: Optional[str] = None


@client_message("conversation.item.retrieve")
@attrs.define(kw_only=True, repr=False, eq=False)
class ConversationItemRetrieveCommand(Command):
    """Ask for an item as the server has it."""

    item_id: str


@client_message("conversation.item.truncate")
@attrs.define(kw_only=True, repr=False, eq=False)
class ConversationItemTruncateCommand(Command):
    """Shorten the model's audio to what was heard; ``audio_end_ms`` in milliseconds from its start."""

    item_id: str
    content_index: int
    audio_end_ms: int


@client_message("conversation.item.delete")
@attrs.define(kw_only=True, repr=False, eq=False)
class ConversationItemDeleteCommand(Command):
    """Remove an item."""

    item_id: str


@client_message("response.create")
@attrs.define(kw_only=True, repr=False, eq=False)
class ResponseCreateCommand(Command):
    """Let the model answer."""

    response: Optional[ConversationResponseOptions] = None


@client_message("response.cancel")
@attrs.define(kw_only=True, repr=False, eq=False)
class ResponseCancelCommand(Command):
    """Stop a response; None means the one in progress."""

    response_id: Optional[str] = None


@client_message("output_audio_buffer.clear")
class OutputAudioBufferClearCommand(Command):
    """Stop what is being played (WebRTC and SIP, where the server plays)."""

    __slots__ = ()


@client_message("session.input_audio_buffer.append")
@attrs.define(kw_only=True, repr=False, eq=False)
class SessionInputAudioBufferAppendCommand(Command):
    """Audio for a translation session (base64 of PCM16 at 24,000 Hz)."""

    audio: str = attrs.field(repr=audio_repr)


@client_message("session.close")
class SessionCloseCommand(Command):
    """End a translation session in an orderly way: what was heard is still translated."""

    __slots__ = ()


if not TYPE_CHECKING:  # checkers, which read no such expression, take all names without an underscore
    __all__ = public_classes(globals())
