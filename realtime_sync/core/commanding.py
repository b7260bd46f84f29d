"""Commands on their way out: named, encoded in the endpoint's dialect, and sent."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, Callable, Optional

import attrs

from realtime_sync.core.commands import CommandHandle
from realtime_sync.core.connection import SessionConnection
from realtime_sync.core.engine import Engine
from realtime_sync.core.normalizer import is_made_up
from realtime_sync.errors import InvalidInputError
from realtime_sync.protocol import codec, commands
from realtime_sync.protocol.registry import Command

SETTING_COMMANDS = (commands.SessionUpdateCommand, commands.TranscriptionSessionUpdateCommand)


def send_command(
    engine: Engine,
    command: Command,
    line: Optional[SessionConnection] = None,
    *,
    before: Optional[Callable[[], None]] = None,
) -> CommandHandle:
    """Send a command, under a name of ours where it has none; ``line`` as in ``Engine.send``.

    ``before`` is called just before it is sent, and not where it cannot be.
    """
    engine.check_open()
    if command.event_id is None:
        command = attrs.evolve(command, event_id=f"event_{secrets.token_hex(10)}")
    elif not isinstance(command.event_id, str) or not command.event_id:  # no error could ever name it
        raise InvalidInputError(f"event_id is a text that is not empty, or None, not {command.event_id!r:.60}")
    if isinstance(command, commands.ResponseCancelCommand) and is_made_up(command.response_id):
        command = attrs.evolve(command, response_id=None)  # the one in progress: it has no name there
    text = codec.encode(command, engine.dialect)
    if before is not None:
        before()
    settings = command.session if isinstance(command, SETTING_COMMANDS) else None
    fields, name = acknowledged_fields(command), command.event_id
    if isinstance(command, commands.ResponseCancelCommand):
        (line or engine.line).responses.cancelling(command.response_id, engine.timeouts.acknowledge)
    return engine.send(text, fields, command.wire_type, name, line=line, settings=settings)


def acknowledged_fields(command: Command) -> Mapping[str, Any]:
    """What ``acknowledgement`` looks at, without encoding the command a second time."""
    fields: dict[str, Any] = {name: getattr(command, name, None) for name in ("item_id", "response_id")}
    if isinstance(command, commands.ConversationItemCreateCommand):
        fields["item"] = {"id": command.item.id}
    if isinstance(command, commands.ResponseCreateCommand) and command.response is not None:
        fields["response"] = {"metadata": command.response.metadata or None}
    return fields
