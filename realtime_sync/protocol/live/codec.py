"""A live session's frames to updates, its commands to frames: as ``protocol/codec.py`` does, by this registry."""

from __future__ import annotations

from typing import Union

from realtime_sync.protocol.codec import decode, decode_binary, decode_command, encode
from realtime_sync.protocol.dialects import Dialect
from realtime_sync.protocol.live import commands, updates  # noqa: F401  they fill the registry
from realtime_sync.protocol.live.kinds import LIVE
from realtime_sync.protocol.registry import Command
from realtime_sync.protocol.update_base import ConversationUpdate


def live_decode(frame: Union[str, bytes], *, arrived_at: float = 0.0) -> ConversationUpdate:
    """The update that a frame holds; ``UnknownUpdate`` or ``UnreadableUpdate`` if it is none that we know."""
    if isinstance(frame, bytes):
        return decode_binary(frame, arrived_at=arrived_at)
    return decode(frame, registry=LIVE, arrived_at=arrived_at)


def live_decode_command(text: str) -> Command:
    """The command that a client's frame holds, for servers. Raises ``InvalidInputError`` if it is none."""
    return decode_command(text, registry=LIVE)


def live_encode(command: Command) -> str:
    """A command as a frame's text. Raises ``InvalidInputError``."""
    return encode(command, Dialect.GA, LIVE)
