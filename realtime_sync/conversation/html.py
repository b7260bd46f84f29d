"""Conversations and turns in a notebook."""

from __future__ import annotations

import html
from collections.abc import Iterator
from typing import TYPE_CHECKING

import attrs

from realtime_sync.audio.players import Players
from realtime_sync.conversation.drafts import ItemDraft
from realtime_sync.conversation.turn_words import state_of, user_words
from realtime_sync.notebook import card, paragraph, table
from realtime_sync.protocol.items import speaker_and_words

if TYPE_CHECKING:
    from realtime_sync.conversation.turns import Timeline, Turn


def conversation_page(title: str, drafts: list[ItemDraft]) -> str:
    """The transcript, with a player for each part whose audio was kept."""
    players = Players()
    entries = "".join(f"<dt>{_speaker(draft)}</dt><dd>{''.join(_words(draft, players))}</dd>" for draft in drafts)
    return f"<div><p>{html.escape(title)}</p><dl>{entries}</dl></div>"


def _speaker(draft: ItemDraft) -> str:
    return html.escape(speaker_and_words(draft.item())[0])


def _words(draft: ItemDraft, players: Players) -> Iterator[str]:
    yield html.escape(speaker_and_words(draft.item())[1])
    for index in sorted(draft.parts):
        yield players.player(draft.parts[index].audio.samples, draft.format)


def timeline_page(timeline: Timeline) -> str:
    """When things happened, and how long each took."""
    moments = [(field.name, getattr(timeline, field.name)) for field in attrs.fields(type(timeline))]
    moments.sort(key=lambda moment: moment[1] or 0.0)
    latencies = [name for name, value in vars(type(timeline)).items() if isinstance(value, property)]
    took = [(name, getattr(timeline, name)) for name in latencies]
    return table(["moment", "seconds"], _told(moments)) + table(["latency", "seconds"], _told(took))


def turn_page(turn: Turn) -> str:
    """What was said and answered, and when."""
    state = state_of(turn)
    facts = {
        "user": user_words(turn) or None,
        "calls": ", ".join(call.name or "?" for call in turn.function_calls) or None,
        "status": f"{state}: {turn.reason}" if turn.reason else state,
    }
    return card("Turn", facts, paragraph(turn.text or turn.transcript) + timeline_page(turn.timeline))


def _told(values: list[tuple[str, float | None]]) -> list[tuple[str, str]]:
    return [(name.replace("_", " "), f"{seconds:.3f}") for name, seconds in values if seconds is not None]
