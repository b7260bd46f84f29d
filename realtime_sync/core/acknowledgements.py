"""Which update acknowledges which command of the realtime protocol, and how the two are matched.

``ACKNOWLEDGEMENTS`` is the table; ``core/commands.py`` has the rules by which it is used. A command that is not in the
table is acknowledged by nothing. A row's ``match`` gets the fields of the command that ``matched_fields`` extracts
(or the message itself, for one that was sent as JSON), and the update. Everything here is pure: no state, no lock.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from realtime_sync.core.vocabulary import Acknowledgement
from realtime_sync.protocol import commands
from realtime_sync.protocol.kinds import ConversationUpdateKind as Kind
from realtime_sync.protocol.registry import Command
from realtime_sync.protocol.update_base import ConversationUpdate, ResponseUpdateBase

METADATA_KEY = "realtime_sync_request"
"""In the metadata of a response that this library asked for: the ``event_id`` of the request, and its ``Owner``."""


def _any(command: Mapping[str, Any], update: ConversationUpdate) -> bool:
    return True


def _same_item(command: Mapping[str, Any], update: ConversationUpdate) -> bool:
    return command.get("item_id") == getattr(update, "item_id", None)


def _added_item(command: Mapping[str, Any], update: ConversationUpdate) -> bool:
    item = command.get("item")
    return isinstance(item, Mapping) and item.get("id") in (None, getattr(update, "item_id", None))


def has_metadata(request: Mapping[str, Any]) -> bool:
    """True if a ``response.create`` with these fields has metadata, which its response should have, too."""
    parameters = request.get("response")
    return isinstance(parameters, Mapping) and bool(parameters.get("metadata"))


def _created_response(command: Mapping[str, Any], update: ConversationUpdate) -> bool:
    """True if the response has the request's metadata; ``core/matching.py`` decides about one that has none."""
    assert isinstance(update, ResponseUpdateBase)
    ours = command["response"].get("metadata") if has_metadata(command) else None
    theirs = update.response.metadata
    if not isinstance(ours, Mapping) or not theirs:
        return False
    if METADATA_KEY in ours and METADATA_KEY in theirs:
        return bool(ours[METADATA_KEY] == theirs[METADATA_KEY])
    return {key: str(value) for key, value in ours.items()} == {key: str(value) for key, value in theirs.items()}


def _cancelled_response(command: Mapping[str, Any], update: ConversationUpdate) -> bool:
    assert isinstance(update, ResponseUpdateBase)
    response_id = command.get("response_id")
    return not update.out_of_band if response_id is None else response_id == update.response_id


_SESSION = (Kind.SESSION_UPDATED, Kind.TRANSCRIPTION_SESSION_UPDATED)
_ADDED = (Kind.CONVERSATION_ITEM_ADDED, Kind.CONVERSATION_ITEM_CREATED)
ACKNOWLEDGEMENTS: dict[str, Acknowledgement] = {
    "session.update": Acknowledgement(_SESSION, _any),
    "transcription_session.update": Acknowledgement(_SESSION, _any),
    "session.close": Acknowledgement((Kind.SESSION_CLOSED,), _any),
    "input_audio_buffer.commit": Acknowledgement((Kind.INPUT_AUDIO_BUFFER_COMMITTED,), _any),
    "input_audio_buffer.clear": Acknowledgement((Kind.INPUT_AUDIO_BUFFER_CLEARED,), _any),
    "output_audio_buffer.clear": Acknowledgement((Kind.OUTPUT_AUDIO_BUFFER_CLEARED,), _any),
    "conversation.item.create": Acknowledgement(_ADDED, _added_item),
    "conversation.item.retrieve": Acknowledgement((Kind.CONVERSATION_ITEM_RETRIEVED,), _same_item),
    "conversation.item.truncate": Acknowledgement((Kind.CONVERSATION_ITEM_TRUNCATED,), _same_item),
    "conversation.item.delete": Acknowledgement((Kind.CONVERSATION_ITEM_DELETED,), _same_item),
    "response.create": Acknowledgement((Kind.RESPONSE_CREATED,), _created_response),
    "response.cancel": Acknowledgement((Kind.RESPONSE_DONE,), _cancelled_response),
}


def is_acknowledged(wire_type: str) -> bool:
    """True if something on the wire acknowledges such a command."""
    return wire_type in ACKNOWLEDGEMENTS


def matched_fields(command: Command) -> Mapping[str, Any]:
    """The fields of a command by which its acknowledgement is recognised, without encoding it a second time."""
    fields: dict[str, Any] = {name: getattr(command, name, None) for name in ("item_id", "response_id")}
    if isinstance(command, commands.ConversationItemCreateCommand):
        fields["item"] = {"id": command.item.id}
    if isinstance(command, commands.ResponseCreateCommand) and command.response is not None:
        options = command.response
        fields["response"] = {"metadata": options.metadata or None, "conversation": options.conversation or None}
    return fields
