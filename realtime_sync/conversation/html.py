"""Conversations, answers and sessions as simple HTML, for notebooks. All that came from elsewhere is escaped."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterator, Mapping
from typing import Optional

from realtime_sync.audio.formats import SampleFormat
from realtime_sync.audio.wav import WavWriter
from realtime_sync.conversation.drafts import ItemDraft
from realtime_sync.protocol.items import speaker_and_words

MOST_PLAYED_BYTES = 8 * 2**20
"""Samples of a longer recording (three minutes of PCM) are not put into a page: it would carry them for ever."""


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
        yield player(draft.parts[index].audio.samples, draft.format) or ""


def player(samples: Optional[bytes], format: Optional[SampleFormat]) -> Optional[str]:
    """An audio player with the samples in it, as a WAV file; a note where there are more than ``MOST_PLAYED_BYTES``.

    None where there are none, or where their format is not known.
    """
    if not samples or format is None:
        return None
    if len(samples) > MOST_PLAYED_BYTES:
        return f"<br><small>{format.seconds(len(samples)):.0f} s of audio, too long to be shown</small>"
    data = base64.b64encode(wav_of(samples, format)).decode("ascii")
    return f'<br><audio controls src="data:audio/wav;base64,{data}"></audio>'


def card(title: str, facts: Mapping[str, object], body: str = "") -> str:
    """A title, a table of facts without those that are None, and more HTML below."""
    shown = {name: value for name, value in facts.items() if value is not None}
    rows = "".join(f"<tr><th>{html.escape(name)}</th><td>{html.escape(str(shown[name]))}</td></tr>" for name in shown)
    return f"<div><p>{html.escape(title)}</p><table>{rows}</table>{body}</div>"


def paragraph(text: str) -> str:
    """A text, escaped, with its line breaks."""
    return f"<p>{html.escape(text).replace(chr(10), '<br>')}</p>" if text else ""
