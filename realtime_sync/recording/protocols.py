"""What was written down, read again: by the vocabulary of the session that it was."""

from __future__ import annotations

from typing import Optional

from realtime_sync.audio.formats import SampleFormat
from realtime_sync.conversation.accumulator import sample_format
from realtime_sync.protocol import codec
from realtime_sync.protocol.dialects import Dialect, ProtocolName
from realtime_sync.protocol.registry import UNSET, Command
from realtime_sync.protocol.update_base import ConversationUpdate, SessionUpdateBase

PROTOCOLS: tuple[ProtocolName, ...] = ("realtime", "live")

Formats = dict[str, Optional[SampleFormat]]
"""Of a session's audio, by direction: ``out`` is the user's, ``in`` the model's; None is one that is not known."""

# The vocabulary of live sessions is imported where one is read: no other needs it.


def update_of(text: str, protocol: ProtocolName, dialect: Dialect) -> ConversationUpdate:
    """The update that a server's frame was; never raises."""
    if protocol == "live":
        from realtime_sync.protocol.live.codec import live_decode

        return live_decode(text)
    return codec.decode(text, dialect)


def command_of(text: str, protocol: ProtocolName, dialect: Dialect) -> Command:
    """The command that a client's frame was. Raises ``InvalidInputError`` if it was none."""
    if protocol == "live":
        from realtime_sync.protocol.live.codec import live_decode_command

        return live_decode_command(text)
    return codec.decode_command(text, dialect)


def formats_told(update: ConversationUpdate, protocol: ProtocolName) -> Optional[Formats]:
    """The formats that an update tells; None if it tells none."""
    if protocol == "live":
        from realtime_sync.protocol.live.updates import LiveSessionStartedUpdate

        if not isinstance(update, LiveSessionStartedUpdate):
            return None
        format = sample_format(update.session.audio_format or UNSET)
        return {"out": format, "in": format}
    if not isinstance(update, SessionUpdateBase):
        return None
    session = update.session
    return {"out": sample_format(session.input_audio_format), "in": sample_format(session.output_audio_format)}
