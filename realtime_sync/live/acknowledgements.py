"""Which update acknowledges which command of GPT-Live. ``core/commands.py`` has the rules by which it is used.

A command's ``event_id`` is repeated as ``client_event_id`` by OpenAI, and never by Azure (2026-09): there the order
decides. Audio, ``response.item.create`` and ``response.create`` are acknowledged by nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from realtime_sync.core.vocabulary import Acknowledgement
from realtime_sync.protocol.live.kinds import LiveUpdateKind as Kind
from realtime_sync.protocol.registry import Command
from realtime_sync.protocol.update_base import ConversationUpdate


def _named(command: Mapping[str, Any], update: ConversationUpdate) -> bool:
    told = getattr(update, "client_event_id", None)
    return told is None or told == command.get("event_id")


def _decided(command: Mapping[str, Any], update: ConversationUpdate) -> bool:
    """A decision tells who has asked: a delegation, a trigger, or the command; of that it may not tell the name."""
    told = [getattr(update, name, None) for name in ("source_event_id", "delegation_id", "trigger_id")]
    return told[0] == command.get("event_id") or not any(told)


def _deleted(command: Mapping[str, Any], update: ConversationUpdate) -> bool:
    return _named(command, update) and command.get("item_id") == getattr(update, "item_id", None)


ACKNOWLEDGEMENTS: dict[str, Acknowledgement] = {
    "session.start": Acknowledgement((Kind.SESSION_STARTED,), _named),
    "session.update": Acknowledgement((Kind.SESSION_UPDATED,), _named),
    "session.close": Acknowledgement((Kind.SESSION_CLOSED,), _named),
    "session.input_audio.mute": Acknowledgement((Kind.SESSION_INPUT_AUDIO_MUTED,), _named),
    "session.input_audio.unmute": Acknowledgement((Kind.SESSION_INPUT_AUDIO_UNMUTED,), _named),
    "session.output_audio.fixture.play": Acknowledgement((Kind.SESSION_OUTPUT_AUDIO_FIXTURE_PLAYING,), _named),
    "session.instructions.append": Acknowledgement((Kind.SESSION_INSTRUCTIONS_APPENDED,), _named),
    "session.thinking.append": Acknowledgement((Kind.SESSION_THINKING_APPENDED,), _named),
    "session.commentary.append": Acknowledgement((Kind.SESSION_COMMENTARY_APPENDED,), _named),
    "decision.create": Acknowledgement((Kind.DECISION_EVENT,), _decided),
    "decision.item.create": Acknowledgement((Kind.DECISION_ITEM_CREATED,), _named),
    "decision.item.delete": Acknowledgement((Kind.DECISION_ITEM_DELETED,), _deleted),
    "transport.dtmf.send": Acknowledgement((Kind.TRANSPORT_DTMF_SENT,), _named),
}

NEEDS_CLOCK = frozenset({"session.instructions.append", "session.thinking.append", "session.commentary.append"})
"""The commands that are acknowledged on the timeline, so that nothing comes while the clock stands."""


def matched_fields(command: Command) -> Mapping[str, Any]:
    """The fields of a command by which its acknowledgement is recognised."""
    return {"event_id": command.event_id, "item_id": getattr(command, "item_id", None)}
