"""The conversation with which a live session begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Optional, Union

import attrs

from realtime_sync.errors import InvalidInputError
from realtime_sync.protocol.items import ConversationItem, MessageItem
from realtime_sync.protocol.live.parts import LiveContentPart
from realtime_sync.protocol.plain import from_plain
from realtime_sync.protocol.registry import WireObject, public_classes

MOST_MESSAGES = 128
"""The service refuses a history of more messages."""

MOST_TOKENS = 8192
"""The service refuses a history of more tokens, each message's eight beside its text among them."""

_PARTS = {"user": "input_text", "developer": "input_text", "assistant": "output_text"}

HistoryRole = Literal["user", "assistant", "developer"]


@attrs.define(kw_only=True, repr=False, eq=False)
class LiveHistoryItem(WireObject):
    """A message of the conversation with which a session begins: one text. ``message(...)`` makes one.

    Attributes:
        type: ``"message"``; None if the server did not send it.
        role: ``"user"``, ``"assistant"`` or ``"developer"``.
        content: One part: the text.
        id: The message's id, if it has one.
        status: ``"completed"`` or ``"incomplete"``.
    """

    type: Optional[Union[Literal["message"], str]] = None
    role: Union[HistoryRole, str]
    content: list[LiveContentPart] = attrs.field(factory=list)
    id: Optional[str] = None
    status: Optional[Union[Literal["completed", "incomplete"], str]] = None

    @staticmethod
    def message(role: Union[HistoryRole, str], text: str) -> LiveHistoryItem:
        """What somebody has said.

        Args:
            role: ``"user"``, ``"assistant"`` (the model), or ``"developer"`` (what the model is to know).
            text: The words.

        Raises:
            InvalidInputError: Another role, or no text.
        """
        if role not in _PARTS:
            raise InvalidInputError(_about_role(role))
        if not isinstance(text, str):
            raise InvalidInputError(f"a message of a live session's history is one text, not {text!r:.60}")
        part = LiveContentPart(type=_PARTS[role], text=text)
        return LiveHistoryItem(type="message", role=role, content=[part])

    @property
    def text(self) -> str:
        """The words; empty if there are none."""
        return "".join(part.text or "" for part in self.content)


GivenMessage = Union[LiveHistoryItem, ConversationItem, Mapping[str, Any]]
"""What may stand in a history: also an item of a conversation session, and JSON of the wire or of chat completions."""


def as_history(messages: Sequence[GivenMessage]) -> tuple[LiveHistoryItem, ...]:
    """A history as the service takes it. Raises InvalidInputError, which says which message is wrong, and why."""
    if isinstance(messages, (str, bytes, Mapping)) or not isinstance(messages, Sequence):
        raise InvalidInputError(f"history must be a list of messages, not {type(messages).__name__}")
    if len(messages) > MOST_MESSAGES:
        raise InvalidInputError(
            f"history has {len(messages)} messages, and a live session takes {MOST_MESSAGES} at most: give the newest, "
            f"history[-{MOST_MESSAGES}:], or say what was said before in the instructions"
        )
    return tuple(_message(at, message) for at, message in enumerate(messages))


def _message(at: int, given: GivenMessage) -> LiveHistoryItem:
    try:
        item = _checked(given)
    except InvalidInputError as error:
        raise InvalidInputError(f"history[{at}]: {error}") from None
    return item


def _checked(given: GivenMessage) -> LiveHistoryItem:
    if isinstance(given, MessageItem):
        return LiveHistoryItem.message(given.role or "", _only_text(given))
    if isinstance(given, Mapping):
        given = _of_json(given)
    if not isinstance(given, LiveHistoryItem):
        kind = given.type if isinstance(given, ConversationItem) else type(given).__name__
        raise InvalidInputError(
            f"a live session's history has messages alone (LiveHistoryItem.message(role, text)), and this is {kind!r}"
        )
    if given.role not in _PARTS:
        raise InvalidInputError(_about_role(given.role))
    if len(given.content) != 1:
        raise InvalidInputError(f"a message has exactly one text part, and this has {len(given.content)}")
    _check_part(given.role, given.content[0])
    return given


def _of_json(given: Mapping[str, Any]) -> LiveHistoryItem:
    content = given.get("content")
    if isinstance(content, str):  # as chat completions have it
        return LiveHistoryItem.message(str(given.get("role")), content)
    return from_plain(dict(given), LiveHistoryItem)


def _check_part(role: str, part: LiveContentPart) -> None:
    wanted = ("output_text", "text") if role == "assistant" else ("input_text",)
    if part.type and part.type not in wanted:
        raise InvalidInputError(f"the text of {role!r} is a part {wanted[0]!r}, and this is {part.type!r}")
    if not isinstance(part.text, str):
        raise InvalidInputError("its part has no text")


def _only_text(item: MessageItem) -> str:
    for part in item.content:
        if part.text is None and part.transcript is None:
            raise InvalidInputError(
                f"a live session takes texts alone, and this message holds {part.type!r} without its words"
            )
    return item.text


def _about_role(role: object) -> str:
    if role == "system":
        return "a live session knows no role 'system': make it 'developer', or say it in the instructions"
    return f"role must be 'user', 'assistant' or 'developer', not {role!r:.60}"


if not TYPE_CHECKING:  # checkers, which read no such expression, take all names without an underscore
    __all__ = public_classes(globals())
