"""A conversation as simple HTML, for notebooks."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterator
from typing import Optional

from realtime_sync.audio.formats import SampleFormat
from realtime_sync.audio.wav import WavWriter
from realtime_sync.conversation.drafts import ItemDraft
from realtime_sync.protocol.items import (
    ConversationItem,
    FunctionCallItem,
    FunctionCallOutputItem,
    MCPCallItem,
    MessageItem,
)


def speaker_and_words(item: ConversationItem) -> tuple[str, str]:
    """Who an item is of, and what it says in one line of text."""
    if isinstance(item, MessageItem):
        return item.role or "message", " ".join(
            part.text or part.transcript or f"[{part.type}]" for part in item.content
        )
    if isinstance(item, (FunctionCallItem, MCPCallItem)):
        return item.type, f"{item.name}({item.arguments or ''})"
    if isinstance(item, FunctionCallOutputItem):
        return item.type, item.output or ""
    return item.type or "item", ""


def to_html(title: str, drafts: list[ItemDraft]) -> str:
    """The transcript, escaped, with a player for each part whose audio was kept."""
    entries = "".join(f"<dt>{_speaker(draft)}</dt><dd>{''.join(_words(draft))}</dd>" for draft in drafts)
    return f"<div><p>{html.escape(title)}</p><dl>{entries}</dl></div>"


def wav_of(samples: bytes, format: SampleFormat) -> bytes:
    """The samples as a WAV file."""
    file = io.BytesIO()
    with WavWriter(file, format) as wav:
        wav.write(samples)
    return file.getvalue()


def _speaker(draft: ItemDraft) -> str:
    return html.escape(speaker_and_words(draft.item())[0])


def _words(draft: ItemDraft) -> Iterator[str]:
    yield html.escape(speaker_and_words(draft.item())[1])
    for index in sorted(draft.parts):
        player = _player(draft.parts[index].audio.samples, draft.format)
        if player is not None:
            yield player


def _player(samples: Optional[bytes], format: Optional[SampleFormat]) -> Optional[str]:
    if not samples or format is None:
        return None
    data = base64.b64encode(wav_of(samples, format)).decode("ascii")
    return f'<br><audio controls src="data:audio/wav;base64,{data}"></audio>'
