"""What a ``RealtimeServer`` was given that concerns its sessions, checked and completed."""

from __future__ import annotations

from typing import Any, Optional, Union

import attrs

from realtime_sync.errors import ConfigurationError
from realtime_sync.server.clock import Clock
from realtime_sync.server.defaults import default_responder, default_transcriber
from realtime_sync.server.remote_tools import MCPServers
from realtime_sync.server.responder import Responder, Transcriber
from realtime_sync.server.rules import RulesBrain
from realtime_sync.server.script import Script
from realtime_sync.server.speech.speech import Speech
from realtime_sync.server.speech.without_models import speech_without_models


def _above_zero(settings: object, field: attrs.Attribute[Any], value: Optional[float]) -> None:
    if value is not None and not value > 0:
        raise ConfigurationError(f"{field.name} is {value!r}, but must be a number above 0.")


def _answers(settings: object, field: attrs.Attribute[Any], value: object) -> None:
    if not callable(value):
        raise ConfigurationError(
            f"The responder is {value!r}, but must be a Script or a function of a turn; "
            'for always the same answer: responder=lambda turn: "Hello."'
        )


@attrs.frozen(kw_only=True)
class SessionSettings:
    """See ``RealtimeServer``, which has the same arguments. Raises ``ConfigurationError`` if one makes no sense.

    ``script``: of sessions that are played and not answered, else None.
    """

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
    record: bool = True


def who_answers(
    responder: Union[Responder, Script, None], transcriber: Optional[Transcriber], speech: Optional[Speech]
) -> dict[str, Any]:
    """The settings ``responder``, ``script`` and ``speech``, with the defaults for those that are None."""
    if speech is not None and transcriber is not None:
        raise ConfigurationError("Give transcriber or speech, not both: a Speech has a recognizer of its own.")
    default: Responder = default_responder if speech is None else RulesBrain(limits=speech.limits)
    is_script = isinstance(responder, Script)
    return {
        "responder": default if responder is None or is_script else responder,
        "script": responder if is_script else None,
        "speech": speech or speech_without_models(transcriber or default_transcriber),
    }
