"""What a server leaves out of its responses, filled in from what it has said before: once, for all who need it.

Servers that imitate the protocol make one response at a time, and leave out what goes without saying then: the id of
the response in its pieces (xAI's and LiteLLM's ``response.function_call_arguments.done``) or at its end, and at its end
the items that were told before. ``raw_content`` and ``faults`` stay as they are.

Rules: a ``response.created`` without an id is given one of ours, which is never sent (``is_made_up``). What names no
response belongs to the only one in progress, and to none if there are several. What names a response that is not known
is left alone, unless the only one in progress has an id of ours: then that is what its server calls it.
"""

from __future__ import annotations

import secrets
from typing import Any, Optional, TypeVar, Union

import attrs

from realtime_sync.core.response_router import OpenResponse, ResponseRouter
from realtime_sync.protocol.items import ConversationItem, FunctionCallItem
from realtime_sync.protocol.update_base import ConversationUpdate, ResponseUpdateBase
from realtime_sync.protocol.updates import (
    ResponseCreatedUpdate,
    ResponseFunctionCallArgumentsDoneUpdate,
    ResponseOutputItemDoneUpdate,
)

R = TypeVar("R", bound=ResponseUpdateBase)

_PREFIX = "unnamed_"


def is_made_up(response_id: Optional[str]) -> bool:
    """True for an id of ours, which the server does not know."""
    return response_id is not None and response_id.startswith(_PREFIX)


class ResponseNormalizer:
    """Completes the updates of one connection, before anybody sees them. The reader's alone, without a lock.

    It asks the registry which responses are open, and keeps there the items of each that are complete.
    """

    def __init__(self, registry: ResponseRouter) -> None:
        self._registry = registry

    def complete(self, update: ConversationUpdate) -> ConversationUpdate:
        """The update with what belongs to it; the same object if nothing is missing, or it cannot be told."""
        if isinstance(update, ResponseUpdateBase):
            return self._whole(update)
        told = getattr(update, "response_id", None)
        if told is None:
            return update
        known = self._registry.get(told)
        if known is None:
            known = self._meant(told)
            update = attrs.evolve(update, response_id=known.id) if known else update  # type: ignore[call-arg]
        if known and isinstance(update, (ResponseOutputItemDoneUpdate, ResponseFunctionCallArgumentsDoneUpdate)):
            _note(update, known.items)
        return update

    def _whole(self, update: ResponseUpdateBase) -> ResponseUpdateBase:
        told = update.response_id or ""
        if isinstance(update, ResponseCreatedUpdate):
            return update if told else _evolved(update, id=f"{_PREFIX}{secrets.token_hex(10)}")
        known = self._registry.get(told) or self._meant(told)
        if known is None or (known.id == told and (update.response.output or not known.items)):
            return update
        return _evolved(update, id=known.id, output=update.response.output or list(known.items.values()))

    def _meant(self, told: str) -> Optional[OpenResponse]:
        """The only response in progress, if nothing was told, or it had no id when it began."""
        only = self._registry.only_open
        return only if only and (not told or is_made_up(only.id)) else None


def _note(
    update: Union[ResponseOutputItemDoneUpdate, ResponseFunctionCallArgumentsDoneUpdate],
    items: dict[str, ConversationItem],
) -> None:
    if isinstance(update, ResponseOutputItemDoneUpdate):
        item = update.item
        call_id = item.call_id if isinstance(item, FunctionCallItem) else None
        items[call_id or item.id or f"item {len(items)}"] = item
    elif update.name and update.call_id:  # all that some servers ever tell of a call
        call = FunctionCallItem(
            id=update.item_id or None,
            call_id=update.call_id,
            name=update.name,
            arguments=update.arguments,
            status="completed",
        )
        items.setdefault(update.call_id, call)


def _evolved(update: R, **changes: Any) -> R:
    return attrs.evolve(update, response=attrs.evolve(update.response, **changes))
