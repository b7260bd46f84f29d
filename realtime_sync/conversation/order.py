"""The order of a conversation's items, as servers tell it: each names the item before it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Optional

from realtime_sync.protocol.registry import Setting, UnsetType

ROOT = "root"


class ItemOrder:
    """Item ids in order: a linked list, so that each insertion costs the same however long the conversation is.

    What ``previous_item_id`` means has to be found out:

    - an id: after that item. Where it is not here, at the end; and behind it, should it come later.
    - absent (``UNSET``): at the end, for the server tells no order at all.
    - null: the first of the conversation, says the protocol; so does OpenAI for an item inserted at ``root``. But some
      servers write null always, and xAI's does for what it brings back into a resumed session (2026). So null means
      the beginning only once this connection has named a real id; until then the item goes to the end, and is put at
      the beginning if such an id is told after all. The first item of a connection goes to the end in any case.
    """

    def __init__(self) -> None:
        self._after: dict[Optional[str], Optional[str]] = {None: None}  # None is before the first and after the last
        self._before: dict[Optional[str], Optional[str]] = {None: None}
        self._waiting: dict[str, str] = {}  # an id that is not here yet, and the item that belongs behind it
        self._names_ids = False
        self._begun = False
        self._doubtful: list[str] = []
        self._expected: set[str] = set()  # those that stand at the end until their place is told

    def __iter__(self) -> Iterator[str]:
        item_id = self._after[None]
        while item_id is not None:
            yield item_id
            item_id = self._after[item_id]

    def __contains__(self, item_id: str) -> bool:
        return item_id in self._after

    def __len__(self) -> int:
        return len(self._after) - 1

    def new_connection(self) -> None:
        """Another server may speak from here on: what was learned of its habits does not hold."""
        self._names_ids = self._begun = False
        self._doubtful.clear()
        self._expected.clear()

    def expect(self, item_id: str) -> None:
        """Put an item at the end whose place the server has yet to tell; many never do."""
        if item_id not in self:
            self._link(item_id, self._before[None])
            self._expected.add(item_id)

    def add(self, item_id: str, previous_item_id: Setting[str]) -> None:
        """Put an item in its place."""
        if item_id in self:
            if item_id not in self._expected or isinstance(previous_item_id, UnsetType):
                return
            self.remove(item_id)
        at_end = self._before[None]
        if previous_item_id == ROOT or (previous_item_id is None and self._names_ids):
            self._link(item_id, None)
        elif isinstance(previous_item_id, (UnsetType, type(None))):
            self._link(item_id, at_end)
            if previous_item_id is None and self._begun:
                self._doubtful.append(item_id)
        else:
            self._learn_that_ids_are_named()
            self._link(item_id, previous_item_id if previous_item_id in self else self._before[None])
            if previous_item_id not in self:
                self._waiting[previous_item_id] = item_id
        self._begun = True
        follower = self._waiting.pop(item_id, None)
        if follower is not None and follower in self:
            self._move(follower, item_id)

    def remove(self, item_id: str) -> None:
        """Take an item out; nothing happens if it is not here."""
        self._expected.discard(item_id)
        if item_id in self:
            if len(self._waiting) + len(self._doubtful) > 3 * len(self):  # most of them are gone
                self._waiting = {name: follower for name, follower in self._waiting.items() if follower in self}
                self._doubtful = [name for name in self._doubtful if name in self]
            before, after = self._before.pop(item_id), self._after.pop(item_id)
            self._after[before], self._before[after] = after, before

    def rename(self, item_id: str, name: str) -> None:
        """Give an item that is here another id."""
        before = self._before[item_id]
        self.remove(item_id)
        self._link(name, before)

    def copy(self) -> ItemOrder:
        """An independent copy."""
        copied = ItemOrder()
        vars(copied).update({name: copy.copy(value) for name, value in vars(self).items()})
        return copied

    def _learn_that_ids_are_named(self) -> None:
        self._names_ids = True
        for item_id in self._doubtful:
            if item_id in self:
                self._move(item_id, None)
        self._doubtful.clear()

    def _move(self, item_id: str, previous: Optional[str]) -> None:
        self.remove(item_id)
        self._link(item_id, previous)

    def _link(self, item_id: str, previous: Optional[str]) -> None:
        following = self._after[previous]
        self._after[previous], self._before[item_id] = item_id, previous
        self._after[item_id], self._before[following] = following, item_id
