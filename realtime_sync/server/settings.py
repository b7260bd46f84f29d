"""What a ``RealtimeServer`` has been told that concerns its sessions, checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

import attrs

from realtime_sync.errors import ConfigurationError
from realtime_sync.server.clock import Clock
from realtime_sync.server.remote_tools import MCPServers
from realtime_sync.server.responder import Responder
from realtime_sync.server.speech.speech import Speech

if TYPE_CHECKING:
    from realtime_sync.server.script import Script


def _above_zero(settings: object, field: attrs.Attribute[Any], value: Optional[float]) -> None:
    if value is not None and not value > 0:
        raise ConfigurationError(f"{field.name} is a number above 0, not {value!r}")


def _answers(settings: object, field: attrs.Attribute[Any], value: object) -> None:
    if not callable(value):
        raise ConfigurationError(
            f"the responder is a Script or a function of a turn, not {value!r}; "
            'for always the same answer: responder=lambda turn: "Hello."'
        )


@attrs.frozen(kw_only=True)
class SessionSettings:
    """See ``RealtimeServer``. Raises ``ConfigurationError`` for what makes no sense."""

    clock: Clock
    responder: Responder = attrs.field(validator=_answers)
    speech: Speech
    script: Optional[Script]
    first_update: Optional[str]
    ping_interval: Optional[float] = attrs.field(validator=_above_zero)
    pong_timeout: float = attrs.field(validator=_above_zero)
    session_seconds: float = attrs.field(validator=_above_zero)
    audio_pace: Optional[float] = attrs.field(validator=_above_zero)
    rate_limits: bool
    mcp_servers: Optional[MCPServers] = None
