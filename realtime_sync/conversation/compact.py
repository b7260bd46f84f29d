"""The words of a conversation in a few kilobytes of JSON, and back: for one that goes on in another process.

The form, version 1, is one object of JSON's own types:

- ``v``: 1.
- ``said``: the messages in order, each ``[who, text]``; who is ``"u"`` (the user), ``"a"`` (the assistant, the model)
  or ``"s"`` (the system, the application).
- ``out``: how many messages before these were left out (absent: none).

Its length is that of its JSON without blanks and in ASCII, which is how cookies have it. If that is above the bound,
the oldest turns are left out as a whole; a turn is what the user said and all that followed. Of a newest turn that has
no room alone, the texts are cut, with ``CUT`` behind them.

A session that goes on is told how many messages it does not know, by a message of the system's. From that message, and
from nothing else, ``left_out`` is known when that session's conversation is made compact in its turn.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Optional

import attrs

from realtime_sync.checks import check_whole
from realtime_sync.errors import InvalidInputError
from realtime_sync.protocol.characters import joined
from realtime_sync.protocol.items import ConversationItem, MessageItem
from realtime_sync.secret import reportable
from realtime_sync.words import counted

if TYPE_CHECKING:
    from realtime_sync.protocol.live.history import LiveHistoryItem

COOKIE_BYTES = 2500
"""A cookie has 4,096 bytes. Base64 makes 3,334 of these; the rest is for a signature, and for what else is kept."""

CUT = " [...]"

Message = tuple[str, str]
"""Who says it (``"user"``, ``"assistant"`` or ``"system"``), and the text."""

_LETTERS = {"user": "u", "assistant": "a", "system": "s"}
_ROLES = {letter: role for role, letter in _LETTERS.items()}
_VERSION = 1
_FEWEST_BYTES = 200
_SHORTEST_CUT = 40  # characters
_MOST_LEFT_OUT = 10**9
_NOTE = "[The first {} of this conversation {} left out.]"
_READ_NOTE = re.compile(r"\[The first (\d{1,9}) messages? of this conversation (?:is|are) left out\.\]")
# Tokens that a live session's history has for the note.
_NOTE_TOKENS = 64


@reportable
@attrs.frozen(repr=False)
class CompactConversation:
    """The words of a conversation, small enough for a cookie; ``conversation.compact()`` makes it, of either protocol.

    Attributes:
        messages: Who said what, oldest first: pairs of ``"user"``, ``"assistant"`` or ``"system"``, and a text.
        left_out: How many messages before these are not here.
        losses: One line for each thing that was left out when this was made; empty after ``from_plain``.
    """

    messages: tuple[Message, ...] = ()
    left_out: int = 0
    losses: tuple[str, ...] = attrs.field(default=(), eq=False)

    def to_plain(self) -> dict[str, Any]:
        """It as a value of JSON's own types, for a web session, a cookie or a column of a database."""
        plain: dict[str, Any] = {"v": _VERSION, "said": [[_LETTERS[role], text] for role, text in self.messages]}
        return {**plain, "out": self.left_out} if self.left_out else plain

    @classmethod
    def from_plain(
        cls, value: Optional[Mapping[str, Any]], *, system: bool = False, most_bytes: Optional[int] = None
    ) -> CompactConversation:
        """What ``to_plain`` has made.

        Whoever can write the value can put words into the mouth of the model. Take it from where the visitor cannot
        write: a database, or a cookie that is signed.

        Args:
            value: The value; None, as of a new visitor: a conversation without words.
            system: Accept messages of the system's, which the model obeys. False refuses them.
            most_bytes: Refuse a value that is longer, as JSON in ASCII without blanks. None: any length.

        Raises:
            InvalidInputError: It is no such value.
        """
        if value is None:
            return cls()
        check_whole("most_bytes", most_bytes, "bytes", at_least=1, optional=True)
        if not isinstance(value, Mapping) or not isinstance(value.get("said"), (list, tuple)):
            raise InvalidInputError(f"this is no compact conversation, but {value!r:.60}")
        if value.get("v") != _VERSION or isinstance(value["v"], bool):
            raise InvalidInputError(
                f"this compact conversation is of version {value.get('v')!r:.20}, and this program reads {_VERSION}"
            )
        left_out = value.get("out", 0)
        check_whole("out", left_out, "messages", at_most=_MOST_LEFT_OUT)
        messages = tuple(_message(at, pair, system) for at, pair in enumerate(value["said"]))
        made = cls(messages, left_out)
        if most_bytes is not None and (length := _length(made.to_plain())) > most_bytes:
            raise InvalidInputError(f"this compact conversation has {length:,} bytes, and {most_bytes:,} are allowed")
        return made

    def history(self) -> list[ConversationItem]:
        """The messages as items, for ``session.add_history``, which takes this object as well."""
        note = [ConversationItem.create_system_message(_note(self.left_out))] if self.left_out else []
        return [*note, *map(_item, self.messages)]

    def live_history(self) -> list[LiveHistoryItem]:
        """The newest messages, within the service's limits, for ``LiveSessionOptions(history=...)``."""
        from realtime_sync.conversation.live.history import newest
        from realtime_sync.protocol.live.history import MOST_MESSAGES, MOST_TOKENS, LiveHistoryItem

        messages = [LiveHistoryItem.message(_live_role(role), text) for role, text in self.messages]
        kept = newest(messages, MOST_MESSAGES - 1, MOST_TOKENS - _NOTE_TOKENS)
        left_out = self.left_out + len(messages) - len(kept)
        return [LiveHistoryItem.message("developer", _note(left_out)), *kept] if left_out else kept

    def __repr__(self) -> str:
        gone = f", {self.left_out} left out" if self.left_out else ""
        return f"<CompactConversation: {counted(len(self.messages), 'message')}{gone}>"


def compact_items(
    items: Iterable[ConversationItem], losses: Iterable[str], forgotten: int, most_bytes: int, system: bool
) -> CompactConversation:
    """The items of a history, made compact. ``losses``: what is not among them; ``forgotten``: how many oldest."""
    messages, told = [], list(losses)
    for item in items:
        if not isinstance(item, MessageItem):
            told.append(f"{item.type} {item.id or '(without id)'}: words alone are kept")
            continue
        messages.append((item.role or "", "\n".join(part.text for part in item.content if part.text)))
        others = {part.type for part in item.content if not part.text}
        told += [f"message {item.id or '(without id)'}: its {kind} is not kept, for it has no words" for kind in others]
    return compact_messages(messages, told, forgotten, most_bytes, system)


def compact_messages(
    messages: Iterable[Message], losses: Sequence[str], forgotten: int, most_bytes: int, system: bool
) -> CompactConversation:
    """The newest turns of these messages that have room."""
    check_whole("most_bytes", most_bytes, "bytes", at_least=_FEWEST_BYTES)
    told, left_out, kept = list(losses), forgotten, []
    for role, text in messages:
        note = _READ_NOTE.fullmatch(text) if role == "system" else None
        if note:
            left_out += int(note[1])
        elif role == "system" and not system:
            told.append(f"a message of the system's: it is kept with system=True only ({text!r:.40})")
        elif text.strip():
            kept.append((role, text))
    newest, is_cut = _newest(kept, most_bytes - _length({"v": _VERSION, "said": [], "out": _MOST_LEFT_OUT}))
    gone = len(kept) - len(newest)
    if gone:
        told.append(f"the oldest {counted(gone, 'message')}: there is no room for more in {most_bytes:,} bytes")
    if is_cut:
        told.append(f"the newest turn: its texts are cut, for they have more than {most_bytes:,} bytes")
    return CompactConversation(tuple(newest), min(left_out + gone, _MOST_LEFT_OUT), tuple(told))


def _newest(messages: list[Message], room: int) -> tuple[list[Message], bool]:
    """The newest whole turns within so many bytes, and whether texts were cut because the newest one has no room."""
    turns = _turns(messages)
    kept: list[Message] = []
    for turn in reversed(turns):
        room -= sum(map(_size, turn))
        if room < 0:
            return (kept, False) if kept else _cut(turn, room + sum(map(_size, turn)))
        kept = turn + kept
    return kept, False


def _turns(messages: Iterable[Message]) -> list[list[Message]]:
    turns: list[list[Message]] = []
    for message in messages:
        begins = message[0] == "user" and (not turns or turns[-1][-1][0] != "user")
        if begins or not turns:
            turns.append([])
        turns[-1].append(message)
    return turns


def _cut(turn: list[Message], room: int) -> tuple[list[Message], bool]:
    """A turn with its longest texts cut until it has room; if it has none then, its newest messages."""
    longest = max(len(text) for _, text in turn)
    while sum(map(_size, turn)) > room and longest > _SHORTEST_CUT:
        longest = longest * 3 // 4
        turn = [(role, text if len(text) <= longest else text[: longest - len(CUT)] + CUT) for role, text in turn]
    while sum(map(_size, turn)) > room:
        turn = turn[1:]
    return turn, True


def _message(at: int, pair: object, system: bool) -> Message:
    if not isinstance(pair, (list, tuple)) or len(pair) != 2 or not all(isinstance(part, str) for part in pair):
        raise InvalidInputError(f"message {at} of a compact conversation must be [who, text], not {pair!r:.60}")
    letter, text = pair
    role = _ROLES.get(letter)
    if role is None:
        raise InvalidInputError(f"message {at} of a compact conversation is of 'u', 'a' or 's', not of {letter!r:.20}")
    if role == "system" and not system:
        raise InvalidInputError(
            f"message {at} of a compact conversation is one of the system's, which the model obeys. If nobody else can "
            "have written it, pass system=True"
        )
    if not text.strip():
        raise InvalidInputError(f"message {at} of a compact conversation has no words")
    return role, joined(text)


def _item(message: Message) -> ConversationItem:
    role, text = message
    make = {
        "user": ConversationItem.create_user_message,
        "assistant": ConversationItem.create_assistant_message,
        "system": ConversationItem.create_system_message,
    }[role]
    return make(text)


def _live_role(role: str) -> str:
    return "developer" if role == "system" else role


def _note(left_out: int) -> str:
    return _NOTE.format(counted(left_out, "message"), "is" if left_out == 1 else "are")


def _length(value: object) -> int:
    """Of the JSON, which is ASCII: characters are bytes."""
    return len(json.dumps(value, separators=(",", ":")))


def _size(message: Message) -> int:
    return _length([_LETTERS[message[0]], message[1]]) + 1  # and the comma
