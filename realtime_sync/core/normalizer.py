"""What a server leaves out of its responses, filled in from what it has said before: once, for all who need it.

Servers that imitate the protocol make one response at a time, and leave out what goes without saying then: the id of
the response in its pieces (xAI's and LiteLLM's ``response.function_call_arguments.done``) or at its end, and at its end
the items that were told before. ``raw_content`` and ``faults`` stay as they are.
"""

from __future__ import annotations

import secrets
from typing import Any, Optional, TypeVar, Union

import attrs

from realtime_sync.protocol.items import ConversationItem, FunctionCallItem
from realtime_sync.protocol.update_base import ConversationUpdate, ResponseUpdateBase
from realtime_sync.protocol.updates import (
    ResponseCreatedUpdate,
    ResponseFunctionCallArgumentsDoneUpdate,
    ResponseOutputItemDoneUpdate,
)

R = TypeVar("R", bound=ResponseUpdateBase)

_PREFIX = "unnamed_"
# Some servers never end what failed: that must not fill the memory.
_MOST_OPEN = 64


def is_made_up(response_id: Optional[str]) -> bool:
    """True for an id of ours, which the server does not know."""
    return response_id is not None and response_id.startswith(_PREFIX)


class ResponseNormalizer:
    """The responses in progress on one connection, and the items of each that are complete. The reader's alone."""

    def __init__(self) -> None:
        self._open: dict[str, dict[str, ConversationItem]] = {}  # by response id, oldest first; items by call or item

    def complete(self, update: ConversationUpdate) -> ConversationUpdate:
        """The update with what belongs to it; the same object where nothing is missing, or it cannot be told."""
        if isinstance(update, ResponseUpdateBase):
            return self._whole(update)
        told = getattr(update, "response_id", None)
        if told is None:
            return update
        if told not in self._open:
            name = self._meant(told)
            update = attrs.evolve(update, response_id=name) if name else update  # type: ignore[call-arg]
        if isinstance(update, (ResponseOutputItemDoneUpdate, ResponseFunctionCallArgumentsDoneUpdate)):
            self._note(update)
        return update

    def _whole(self, update: ResponseUpdateBase) -> ResponseUpdateBase:
        told = update.response_id or ""
        if isinstance(update, ResponseCreatedUpdate):
            name = told or f"{_PREFIX}{secrets.token_hex(10)}"
            self._open[name] = {}
            if len(self._open) > _MOST_OPEN:
                del self._open[next(iter(self._open))]
            return update if told else _evolved(update, id=name)
        name = told if told in self._open else self._meant(told) or told
        items = list(self._open.pop(name, {}).values())
        if name == told and (update.response.output or not items):
            return update
        return _evolved(update, id=name or None, output=update.response.output or items)

    def _meant(self, told: str) -> Optional[str]:
        """The only response in progress, where nothing was told, or it had no id when it began."""
        only = next(iter(self._open)) if len(self._open) == 1 else None
        return only if not told or is_made_up(only) else None

    def _note(self, update: Union[ResponseOutputItemDoneUpdate, ResponseFunctionCallArgumentsDoneUpdate]) -> None:
        items = self._open.get(update.response_id)
        if items is None:
            return
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
