"""Fills in what a server leaves out of its responses, from earlier updates, before anything else reads the update.

Servers that imitate the protocol make one response at a time, and leave out what is clear then: the id of the response
in its pieces (xAI's and LiteLLM's ``response.function_call_arguments.done``) or at its end, and at its end the items
that came before. Rules:

1. A response that begins without an id is given one, which ``is_made_up`` recognises: it is never sent to the server.
2. An update without an id, or with one that is not known, belongs to the only response in progress, if there is
   exactly one; with an id that is not known, only if that response has a made-up one.
3. A ``response.done`` without items gets those that came complete before it.
4. ``raw_content`` and ``faults`` stay as they are. If nothing is missing, or it cannot be worked out, the update is
   passed on as the same object.

Locks: none. Only the reader thread calls it; the items are kept in the registry's ``OpenResponse``, which are the
reader's.
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
_MOST_ITEMS = 1024  # that are kept of one response


def is_made_up(response_id: Optional[str]) -> bool:
    """True for an id that this library made up, so that the server does not know it."""
    return response_id is not None and response_id.startswith(_PREFIX)


class ResponseNormalizer:
    """Completes the updates of one connection; see the module. ``registry``: knows which responses are open."""

    def __init__(self, registry: ResponseRouter) -> None:
        self._registry = registry

    def complete(self, update: ConversationUpdate) -> ConversationUpdate:
        """The update with the id and the items that it lacks; the same object if nothing can be added."""
        if isinstance(update, ResponseUpdateBase):
            return self._whole(update)
        response_id = getattr(update, "response_id", None)
        if response_id is None:
            return update
        known = self._registry.get(response_id)
        if known is None:
            known = self._meant(response_id)
            update = attrs.evolve(update, response_id=known.id) if known else update  # type: ignore[call-arg]
        if known and len(known.items) >= _MOST_ITEMS:
            return update
        if known and isinstance(update, (ResponseOutputItemDoneUpdate, ResponseFunctionCallArgumentsDoneUpdate)):
            _keep_item(update, known.items)
        return update

    def _whole(self, update: ResponseUpdateBase) -> ResponseUpdateBase:
        response_id = update.response_id or ""
        if isinstance(update, ResponseCreatedUpdate):
            return update if response_id else _evolved(update, id=f"{_PREFIX}{secrets.token_hex(10)}")
        known = self._registry.get(response_id) or self._meant(response_id)
        if known is None or (known.id == response_id and (update.response.output or not known.items)):
            return update
        return _evolved(update, id=known.id, output=update.response.output or list(known.items.values()))

    def _meant(self, response_id: str) -> Optional[OpenResponse]:
        """The response that an update without a known id belongs to (rule 2)."""
        only = self._registry.only_open
        return only if only and (not response_id or is_made_up(only.id)) else None


def _keep_item(
    update: Union[ResponseOutputItemDoneUpdate, ResponseFunctionCallArgumentsDoneUpdate],
    items: dict[str, ConversationItem],
) -> None:
    if isinstance(update, ResponseOutputItemDoneUpdate):
        item = update.item
        call_id = item.call_id if isinstance(item, FunctionCallItem) else None
        items[call_id or item.id or f"item {len(items)}"] = item
    elif update.name and update.call_id:  # some servers send nothing else about a call
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
