"""Parts of the HTML that objects show of themselves in a notebook. All that is given as text is escaped."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence

MOST_ROWS = 500
"""Of a longer table the other rows are told by their number: a page would carry them for ever."""


def card(title: str, facts: Mapping[str, object], body: str = "") -> str:
    """A title, a table of facts without those that are None, and more HTML below."""
    shown = {name: value for name, value in facts.items() if value is not None}
    rows = "".join(f"<tr><th>{html.escape(name)}</th><td>{html.escape(str(shown[name]))}</td></tr>" for name in shown)
    known = f"<table>{rows}</table>" if rows else ""
    return f"<div><p>{html.escape(title)}</p>{known}{body}</div>"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table, of ``MOST_ROWS`` rows at most; nothing without rows."""
    if not rows:
        return ""
    head = "".join(f"<th>{html.escape(each)}</th>" for each in heads)
    lines = [f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows[:MOST_ROWS]]
    more = note(f"and {len(rows) - MOST_ROWS} more") if len(rows) > MOST_ROWS else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>{more}"


def paragraph(text: str) -> str:
    """A text with its line breaks; nothing if it is empty."""
    return f"<p>{html.escape(text).replace(chr(10), '<br>')}</p>" if text else ""


def note(text: str) -> str:
    """A small remark."""
    return f"<br><small>{html.escape(text)}</small>"


def sound(wav: bytes) -> str:
    """A player of a WAV file, which is put into the page."""
    return f'<br><audio controls src="data:audio/wav;base64,{base64.b64encode(wav).decode("ascii")}"></audio>'


def image(png: bytes, words: str) -> str:
    """A picture, which is put into the page; ``words`` stand in its place where it cannot be seen."""
    data = base64.b64encode(png).decode("ascii")
    return f'<img style="max-width: 100%" alt="{html.escape(words)}" src="data:image/png;base64,{data}">'
