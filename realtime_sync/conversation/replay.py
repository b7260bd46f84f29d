"""A conversation as it is carried over to a new connection, under names that the service takes."""

from __future__ import annotations

import secrets

import attrs

from realtime_sync.protocol.items import ConversationItem
from realtime_sync.values import Value


@attrs.frozen(repr=False, eq=False)
class Replay(Value):
    """``items`` to send, in order; ``losses``, one line for each thing left out; ``names``: old id to the id sent."""

    items: list[ConversationItem]
    losses: list[str]
    names: dict[str, str]

    def leave_out(self, item_id: str) -> None:
        """The service refused this item."""
        for old, new in list(self.names.items()):
            if new == item_id:
                del self.names[old]


def with_id(item: ConversationItem) -> ConversationItem:
    """The item, under an id of ours if it has none. The service allows 32 characters."""
    return item if item.id is not None else attrs.evolve(item, id=f"item_{secrets.token_hex(12)}")
