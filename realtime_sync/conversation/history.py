"""A conversation as items that the service takes back in ``conversation.item.create``, and what gets lost."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Optional

from realtime_sync.protocol.characters import joined
from realtime_sync.protocol.items import (
    ConversationContentPart,
    ConversationItem,
    FunctionCallItem,
    FunctionCallOutputItem,
    MessageItem,
)

Audio = Callable[[int], Optional[bytes]]
"""The samples that were kept of an item's part, by its place in the content."""

_LONGEST_ID = 32  # the service refuses longer ones, and some servers' are UUIDs of 36


class History:
    """The items that can be carried over, in order, and in words what could not.

    ``awaited``: the calls whose results are still to come; without them a result could not be added.
    """

    def __init__(self, entries: Sequence[tuple[ConversationItem, Audio]], awaited: Collection[str] = ()) -> None:
        self.items: list[ConversationItem] = []
        self.places: list[int] = []
        """For each of the items, which of the entries it was made of."""
        self.losses: list[str] = []
        self._calls: set[str] = set()  # calls that are carried over
        answered: set[str] = set()
        unanswered_at: set[int] = set()
        for index in range(len(entries) - 1, -1, -1):  # backwards: a call needs an answer that comes after it
            item = entries[index][0]
            if isinstance(item, FunctionCallOutputItem) and item.call_id:
                answered.add(item.call_id)
            elif isinstance(item, FunctionCallItem) and item.call_id not in answered and item.call_id not in awaited:
                unanswered_at.add(index)
        for index, (item, audio) in enumerate(entries):
            if isinstance(item, MessageItem):
                self._message(item, audio)
            elif isinstance(item, FunctionCallItem):
                self._call(item, index in unanswered_at)
            elif isinstance(item, FunctionCallOutputItem):
                self._output(item)
            else:
                self._lose(item, "items of this type cannot be sent")
            self.places += [index] * (len(self.items) - len(self.places))

    def _lose(self, item: ConversationItem, why: str) -> None:
        self.losses.append(f"{item.type or 'item'} {item.id or '(without id)'}: {why}")

    def _call(self, call: FunctionCallItem, unanswered: bool) -> None:
        if unanswered or not call.call_id:
            self._lose(call, f"the call of {call.name!r} has no output")
        elif not call.name:
            self._lose(call, "the call has no name")
        else:
            self._calls.add(call.call_id)
            arguments = joined(call.arguments or "{}")
            self.items.append(ConversationItem.create_function_call(call.name, call.call_id, arguments, id=_id(call)))

    def _output(self, output: FunctionCallOutputItem) -> None:
        if not output.call_id or output.call_id not in self._calls:
            self._lose(output, "its call is not carried over, and the service takes no output without it")
        else:
            told = joined(output.output or "")
            self.items.append(ConversationItem.create_function_call_output(output.call_id, told, id=_id(output)))

    def _message(self, message: MessageItem, audio: Audio) -> None:
        carry = {"user": self._user_part, "system": self._system_part, "assistant": self._assistant_part}
        part_of = carry.get(message.role or "")
        if part_of is None:
            self._lose(message, f"messages of the role {message.role!r} cannot be sent")
            return
        if not message.content:
            why = "it was still in progress, without content" if message.status == "in_progress" else "it is empty"
            self._lose(message, why)
        parts = [part_of(message, index, part, audio) for index, part in enumerate(message.content)]
        content = [part for part in parts if part is not None]
        if content:
            self.items.append(MessageItem(role=message.role, content=content, id=_id(message)))

    def _user_part(
        self, message: MessageItem, index: int, part: ConversationContentPart, audio: Audio
    ) -> Optional[ConversationContentPart]:
        if part.type == "input_image" and part.image_url:
            return ConversationContentPart(type="input_image", image_url=joined(part.image_url), detail=part.detail)
        text = part.text or part.transcript
        if text:
            return ConversationContentPart.from_input_text(joined(text))
        if part.type == "input_audio":
            samples = audio(index)
            if samples:
                return ConversationContentPart.from_input_audio(samples)
            self._lose(message, f"part {index} is audio without transcript, and was not kept")
        elif part.type != "input_text":
            self._lose(message, f"part {index} ({part.type}) cannot be sent")
        return None

    def _system_part(
        self, message: MessageItem, index: int, part: ConversationContentPart, audio: Audio
    ) -> Optional[ConversationContentPart]:
        if part.text:
            return ConversationContentPart.from_input_text(joined(part.text))
        if part.type != "input_text":
            self._lose(message, f"part {index} ({part.type}) cannot be sent in a system message")
        return None

    def _assistant_part(
        self, message: MessageItem, index: int, part: ConversationContentPart, audio: Audio
    ) -> Optional[ConversationContentPart]:
        text = part.text or part.transcript
        if text:  # also what was said: the service takes no audio of the assistant's from a client
            return ConversationContentPart.from_output_text(joined(text))
        if part.type != "output_text":
            self._lose(message, f"part {index} ({part.type}) has no transcript (a truncated one loses it)")
        return None


def _id(item: ConversationItem) -> Optional[str]:
    return item.id if item.id and len(item.id) <= _LONGEST_ID else None
