"""Fills in what a server leaves out of its responses, from earlier updates, before anything else reads the update.

Servers that imitate the protocol make one response at a time, and leave out what is clear then: the id of the response
in its pieces (xAI's and LiteLLM's ``response.function_call_arguments.done``) or at its end, and at its end the items
that came before, or the arguments of a call. Rules:

1. A response that begins without an id is given one, which ``is_made_up`` recognises: it is never sent to the server.
2. An update without an id, or with one that is not known, belongs to the only response in progress, if there is
   exactly one; with an id that is not known, only if that response has a made-up one.
3. A ``response.done`` without items gets those that came complete before it.
4. A call that ends without arguments gets those that came before, in pieces or at once; one without a ``call_id`` gets
   the id of its item, by which a result can name it.
5. ``raw_content`` and ``faults`` stay as they are. If nothing is missing, or it cannot be worked out, the update is
   passed on as the same object.

Locks: none. Only the reader thread calls it; items and arguments are kept in the registry's ``OpenResponse``, where
they are the reader's.
"""

from __future__ import annotations

import operator
import secrets
from typing import Any, Optional, TypeVar

import attrs

from realtime_sync.core.response_router import OpenResponse, ResponseRouter
from realtime_sync.protocol.items import ConversationItem, FunctionCallItem, MCPCallItem
from realtime_sync.protocol.update_base import ConversationUpdate, ResponseUpdateBase
from realtime_sync.protocol.updates import (
    ResponseCreatedUpdate,
    ResponseFunctionCallArgumentsDeltaUpdate,
    ResponseFunctionCallArgumentsDoneUpdate,
    ResponseMCPCallArgumentsDeltaUpdate,
    ResponseMCPCallArgumentsDoneUpdate,
    ResponseOutputItemDoneUpdate,
)

R = TypeVar("R", bound=ResponseUpdateBase)

_PREFIX = "unnamed_"
_ARGUMENTS_DELTA = (ResponseFunctionCallArgumentsDeltaUpdate, ResponseMCPCallArgumentsDeltaUpdate)
_ARGUMENTS_DONE = (ResponseFunctionCallArgumentsDoneUpdate, ResponseMCPCallArgumentsDoneUpdate)
_ABOUT_CALLS = frozenset({ResponseOutputItemDoneUpdate, *_ARGUMENTS_DELTA, *_ARGUMENTS_DONE})
_MOST_ITEMS = 1024  # that are kept of one response
_MOST_PIECES = 65536  # of the arguments of one call


def is_made_up(response_id: Optional[str]) -> bool:
    """True for an id that this library made up, so that the server does not know it."""
    return response_id is not None and response_id.startswith(_PREFIX)


class ResponseNormalizer:
    """Completes the updates of one connection; see the module. ``registry``: knows which responses are open."""

    def __init__(self, registry: ResponseRouter) -> None:
        self._registry = registry

    def complete(self, update: ConversationUpdate) -> ConversationUpdate:
        """The update with the ids, items and arguments that it lacks; the same object if nothing can be added."""
        if isinstance(update, ResponseUpdateBase):
            return self._whole(update)
        response_id = getattr(update, "response_id", None)
        if response_id is None:
            return update
        known = self._registry.get(response_id)
        if known is None:
            known = self._meant(response_id)
            update = attrs.evolve(update, response_id=known.id) if known else update  # type: ignore[call-arg]
        if known is None or type(update) not in _ABOUT_CALLS or len(known.items) >= _MOST_ITEMS:
            return update
        if isinstance(update, ResponseOutputItemDoneUpdate):
            item = _completed(update.item, known)
            update = update if item is update.item else attrs.evolve(update, item=item)
            call_id = item.call_id if isinstance(item, FunctionCallItem) else None
            known.items[call_id or item.id or f"item {len(known.items)}"] = item
        elif isinstance(update, _ARGUMENTS_DONE):
            arguments = _arguments(update, update.arguments, known)
            update = update if arguments == update.arguments else attrs.evolve(update, arguments=arguments or "")
            _keep_call(update, known.items)
        elif isinstance(update, _ARGUMENTS_DELTA):
            pieces = _pieces(update, known)
            if len(pieces) < _MOST_PIECES:
                pieces.append(update.delta)
        return update

    def _whole(self, update: ResponseUpdateBase) -> ResponseUpdateBase:
        response_id = update.response_id or ""
        if isinstance(update, ResponseCreatedUpdate):
            return update if response_id else _evolved(update, id=f"{_PREFIX}{secrets.token_hex(10)}")
        known = self._registry.get(response_id) or self._meant(response_id)
        if known is None:
            return update
        told = update.response.output
        output = [_completed(item, known) for item in told or known.items.values()]
        if known.id == response_id and len(output) == len(told) and all(map(operator.is_, output, told)):
            return update
        return _evolved(update, id=known.id, output=output)

    def _meant(self, response_id: str) -> Optional[OpenResponse]:
        """The response that an update without a known id belongs to (rule 2)."""
        only = self._registry.only_open
        return only if only and (not response_id or is_made_up(only.id)) else None


def _keep_call(update: ConversationUpdate, items: dict[str, ConversationItem]) -> None:
    """Some servers send nothing else about a call than the end of its arguments."""
    if isinstance(update, ResponseFunctionCallArgumentsDoneUpdate) and update.name:
        call_id = update.call_id or update.item_id
        call = FunctionCallItem(
            id=update.item_id or None,
            call_id=call_id,
            name=update.name,
            arguments=update.arguments,
            status="completed",
        )
        if call_id:
            items.setdefault(call_id, call)


def _completed(item: ConversationItem, known: OpenResponse) -> ConversationItem:
    """The item with what it lacks of a call."""
    if not isinstance(item, (FunctionCallItem, MCPCallItem)):
        return item
    arguments = _arguments(item, item.arguments, known)
    if arguments != item.arguments:
        item = attrs.evolve(item, arguments=arguments)
    if isinstance(item, FunctionCallItem) and not item.call_id and item.id:
        item = attrs.evolve(item, call_id=item.id)
    return item


def _arguments(about: Any, told: Optional[str], known: OpenResponse) -> Optional[str]:
    """The arguments as they are told, which are kept; else those that came before."""
    pieces = _pieces(about, known)
    if told:
        pieces[:] = [told]
    return "".join(pieces) or told


def _pieces(about: Any, known: OpenResponse) -> list[str]:
    """The pieces of the arguments of the call that an update or an item is about; ids may be missing, or change."""
    ids = (getattr(about, "item_id", None) or getattr(about, "id", None), getattr(about, "call_id", None))
    names = [name for name in ids if name] or [""]
    pieces = next((known.arguments[name] for name in names if name in known.arguments), [])
    for name in names:
        known.arguments[name] = pieces
    return pieces


def _evolved(update: R, **changes: Any) -> R:
    return attrs.evolve(update, response=attrs.evolve(update.response, **changes))
