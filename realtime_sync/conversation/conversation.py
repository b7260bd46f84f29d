"""What a conversation is, gathered from the updates that tell of it."""

from __future__ import annotations

import copy
import functools
from collections.abc import Collection, Sequence
from typing import Optional

import attrs

from realtime_sync.audio.formats import SampleFormat
from realtime_sync.conversation import export
from realtime_sync.conversation.accumulator import Accumulator
from realtime_sync.conversation.compact import COOKIE_BYTES, CompactConversation, compact_items
from realtime_sync.conversation.drafts import ItemDraft, ItemTranscription, PartDraft
from realtime_sync.conversation.history import History
from realtime_sync.conversation.pricing import PRICES, Prices, UsageTotals
from realtime_sync.conversation.replay import Replay, with_id
from realtime_sync.errors import InvalidInputError
from realtime_sync.protocol.items import (
    ConversationItem,
    MCPApprovalRequestItem,
    MCPApprovalResponseItem,
    speaker_and_words,
)
from realtime_sync.protocol.resources import ConversationResponse
from realtime_sync.protocol.update_base import ConversationUpdate, SessionUpdateBase
from realtime_sync.protocol.updates import ConversationCreatedUpdate
from realtime_sync.secret import reportable
from realtime_sync.words import counted

_SHOWN_ITEMS, _SHOWN_WIDTH = 6, 80


@reportable
class Conversation(Accumulator):
    """Items in their order with all that is known of them, the responses, and what they used.

    ``apply`` takes over one update; it never raises for what an update holds, and costs the same however long the
    conversation is. ``keep_audio``: False keeps only the length of what was said; True keeps the samples as well,
    3 MB a minute. ``most_bytes``: how much is kept of items, and as much of responses, beyond which the oldest are
    forgotten; None keeps all.

    What is returned (items, responses, the session) is not changed by what comes later: read it, do not change it.
    Not locked: who shares a conversation between threads guards all its calls, reading ones too, or reads a
    ``snapshot()``.

    Attributes:
        keep_audio: As it was given.
        id: The conversation's id; None until a server has told it.
        session: The session as it was last told; None until it was.
        usage: What all responses and transcriptions have used that have ended.
        forgotten: How many items were left out because they were too many; see ``most_bytes``.
    """

    def add_audio(self, item_id: str, samples: bytes, content_index: int = 0, *, keep: Optional[bool] = None) -> None:
        """What the user said, which no update tells: samples in the session's input format, in place of any before.

        ``keep``: the samples, or only their length; None: as the conversation does with what the model said. Nothing
        happens for an item that is not known, or was truncated.
        """
        draft = self._drafts.to_change(item_id)
        if draft is None or draft.part(content_index, "input_audio").audio.closed:
            return
        draft.format = draft.format or self._input_format
        kept = bytes(samples) if (self.keep_audio if keep is None else keep) else None
        draft.part(content_index, "input_audio").audio.replace(len(samples), kept)

    def forget_audio(self, item_id: str) -> None:
        """Keep no more than the length of what was said in an item."""
        draft = self._drafts.to_change(item_id)
        for part in () if draft is None else draft.parts.values():
            part.audio.replace(part.audio.size, None)

    # What there is ------------------------------------------------------------------------------------------------

    @property
    def items(self) -> list[ConversationItem]:
        """The conversation's items in order, with their content as it stands; without their audio.

        A truncated part has an empty transcript, as at the service. Items of out-of-band answers are not here but in
        their response.
        """
        return [draft.item() for draft in self._in_order()]

    @property
    def responses(self) -> list[ConversationResponse]:
        """The responses in the order in which they began; one that is ``in_progress`` has its output so far."""
        return [
            response.told if response.done else attrs.evolve(response.told, output=response.output())
            for response in self._responses.values()
        ]

    def cost(self, prices: Optional[Prices] = None) -> Optional[float]:
        """What the responses have cost, in USD, each by its model; ``prices``: None means ``PRICES``.

        None if it cannot be told, and ``cost_note`` says why. Transcriptions are not in it.
        """
        costs = [(prices or PRICES).cost(usage, model) for model, usage in self._bills()]
        return None if None in costs else sum(filter(None, costs))

    def cost_note(self, prices: Optional[Prices] = None) -> Optional[str]:
        """Why ``cost`` is None, and what to do about it; None if the cost is known."""
        notes = [(prices or PRICES).cost_note(usage, model) for model, usage in self._bills()]
        return next(filter(None, notes), None)

    def _bills(self) -> list[tuple[Optional[str], UsageTotals]]:
        """What each model has used. There are several if the session has gone on at another service."""
        last = self._model()  # what was used before the service had named its model was that one's, as far as is known
        return [(model or last, usage) for model, usage in self._usages.items()] or [(last, self.usage)]

    def item(self, item_id: str) -> Optional[ConversationItem]:
        """The item of this id; None if it is not in the conversation."""
        return self._drafts[item_id].item() if item_id in self._order else None

    def transcription(self, item_id: str, content_index: int = 0) -> Optional[ItemTranscription]:
        """The transcription of what the user said in a part, with log probabilities, segments, usage or its error.

        None if the item is not known, or nothing of its transcription has come.
        """
        part = self._part(item_id, content_index)
        return None if part is None else part.shown_transcription()

    def heard_ms(self, item_id: str, content_index: int = 0) -> Optional[int]:
        """Where the audio of a part was truncated, in milliseconds from its start; None if it was not."""
        part = self._part(item_id, content_index)
        return None if part is None else part.heard_ms

    def audio_ms(self, item_id: str, content_index: int = 0) -> Optional[int]:
        """How long the audio of a part is that has come so far, in whole milliseconds.

        None if there is none, or if its format is not one that this library knows.
        """
        part, format = self._part(item_id, content_index), self.audio_format(item_id)
        if part is None or format is None or not part.audio.size:
            return None
        return part.audio.size * 1000 // (format.rate * format.sample_bytes)

    def audio_bytes(self, item_id: str, content_index: int = 0) -> int:
        """How long the audio of a part is that has come so far, in bytes."""
        part = self._part(item_id, content_index)
        return 0 if part is None else part.audio.size

    def audio(self, item_id: str, content_index: int = 0) -> Optional[bytes]:
        """The samples of a part's audio so far, in ``audio_format``; None if there is none or it was not kept."""
        part = self._part(item_id, content_index)
        return None if part is None else part.audio.samples

    def audio_format(self, item_id: str) -> Optional[SampleFormat]:
        """The format of an item's audio; None if it has none, or none that this library knows."""
        draft = self._drafts.get(item_id)
        return None if draft is None else draft.format

    # Taking it elsewhere --------------------------------------------------------------------------------------------

    def history(self) -> list[ConversationItem]:
        """The items in a form that the service takes in ``conversation.item.create``, in order.

        What the user said goes as its transcript, or as audio where there is none and it was kept (it is in the
        session's input format); what the assistant said goes as text; calls go with their outputs. Ids are kept up to
        32 characters. ``history_losses()`` tells what is left out.
        """
        return self._history().items

    def history_losses(self) -> list[str]:
        """One line for each thing that ``history()`` leaves out: which item, and why."""
        return self._history().losses

    def compact(self, most_bytes: int = COOKIE_BYTES, *, system: bool = False) -> CompactConversation:
        """The words alone, small enough for a cookie: to go on in another process, by ``session.add_history``.

        The oldest turns are left out if there is no room. Calls and pictures are left out, and what the user said that
        was not written down. ``losses`` of what is returned names it all.

        Args:
            most_bytes: How long it may be, from 200 bytes, as JSON in ASCII without blanks (default: 2,500, which fit a
                cookie beside other things).
            system: Keep messages of the system's, too.

        Returns:
            The words; its ``to_plain()`` is JSON.
        """
        history = self._history()
        return compact_items(history.items, history.losses, self.forgotten, most_bytes, system)

    def _replay(self) -> Replay:
        """What a new connection is to be told of the conversation, as it stands in the middle of things."""
        keys = [key for key in self._order if not self._can_be_left_out_of_replay(key)]
        drafts = [self._drafts[key] for key in keys]
        history = self._history_of(drafts, self._awaited_calls())
        items = [with_id(item) for item in history.items]
        names = {keys[place]: str(item.id) for place, item in zip(history.places, items, strict=True)}
        return Replay(items, history.losses, names)

    def _awaits_approval(self) -> bool:
        """True if a remote call waits to be approved or rejected."""
        items = [self._drafts[key].base for key in self._order]
        decided = {item.approval_request_id for item in items if isinstance(item, MCPApprovalResponseItem)}
        return any(isinstance(item, MCPApprovalRequestItem) and item.id not in decided for item in items)

    def _note_connection(self, update: ConversationUpdate) -> None:
        """Take over what an update tells of the session, but not of items: they are being replayed."""
        if isinstance(update, (SessionUpdateBase, ConversationCreatedUpdate)):
            self.apply(update)

    def snapshot(self) -> Conversation:
        """The conversation as it is now, independent of what comes later.

        Quick: the items themselves are shared until one of the two changes them.
        """
        copied = copy.copy(self)
        copied._order, copied._deleted = self._order.copy(), dict(self._deleted)
        copied._drafts = self._drafts.share()
        copied._responses = dict(self._responses)  # those that are done do not change any more
        for key, response in self._responses.items():
            if not response.done:
                copied._responses[key] = response.copy(copied._drafts)
        return copied

    def to_json(self) -> str:
        """All of it as JSON text, kept audio too; the format is told in ``realtime_sync.conversation.export``."""
        try:
            return export.to_json(self)
        except RecursionError as error:
            raise InvalidInputError("an item is nested too deeply to be saved as JSON") from error

    @classmethod
    def from_json(cls, text: str) -> Conversation:
        """The conversation that ``to_json`` has saved. Raises ``InvalidInputError`` if the text holds none."""
        conversation = cls()
        export.from_json(text, conversation)
        return conversation

    # Looking at it ------------------------------------------------------------------------------------------------

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Conversation):
            return NotImplemented
        return export.to_state(self) == export.to_state(other)

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        items = self.items
        lines = [self._title()]
        if len(items) > _SHOWN_ITEMS:
            lines.append(f"  ... {len(items) - _SHOWN_ITEMS} before")
        for item in items[-_SHOWN_ITEMS:]:
            line = "  {}: {}".format(*speaker_and_words(item)).replace("\n", " ")
            lines.append(line if len(line) <= _SHOWN_WIDTH else f"{line[: _SHOWN_WIDTH - 3]}...")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        from realtime_sync.conversation.html import conversation_page

        return conversation_page(self._title(), self._in_order())

    def _title(self) -> str:
        responses = self._responses.values()
        live = sum(not response.done for response in responses)
        told = counted(len(responses), "response") + (f" ({live} in progress)" if live else "")
        items = counted(len(self._order), "item")
        name = f"Conversation {self.id}" if self.id else "Conversation"
        return f"<{name}: {items}, {told}, {self.usage.total_tokens} tokens>"

    def _in_order(self) -> list[ItemDraft]:
        return [self._drafts[key] for key in self._order]

    def _part(self, item_id: str, content_index: int) -> Optional[PartDraft]:
        draft = self._drafts.get(item_id)
        return None if draft is None else draft.parts.get(content_index)

    def _history(self) -> History:
        return self._history_of(self._in_order())

    def _history_of(self, drafts: Sequence[ItemDraft], awaited: Collection[str] = ()) -> History:
        history = History([(draft.carried_item(), functools.partial(_samples, draft)) for draft in drafts], awaited)
        for draft in drafts:
            if draft.cut_short():
                told = "it was cut short, and the words up to there are an estimate"
                history.losses.append(f"message {draft.item().id}: {told}")
        if self.forgotten:
            history.losses.append(f"the oldest {self.forgotten} items: they were too much to be kept")
        return history


def _samples(draft: ItemDraft, place: int) -> Optional[bytes]:
    """The kept samples of the part that is at this place of the item's content."""
    return draft.parts[sorted(draft.parts)[place]].audio.samples
