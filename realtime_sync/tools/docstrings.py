"""What a docstring contains about a function and its parameters.

The description is the text before the first section, whichever way it is read, so that a tool's definition does not
depend on what is installed. The parameters are read by ``docstring-parser`` (the extra ``tools``: Google, NumPy,
Sphinx and Epydoc style) if it is installed, else from Google's ``Args:`` only.
"""

from __future__ import annotations

import inspect
import re

import attrs

_SECTION = re.compile(r"^(?:[A-Z][a-z]+(?: [A-Za-z]+)?:\s*$|[:@][a-z]+\b.*:|[A-Z][A-Za-z ]+\n-{3,}\s*$)", re.MULTILINE)
_ARGS = re.compile(r"^(?:Args|Arguments|Parameters|Attributes):\s*\n((?:[ \t]+.*(?:\n|$)|[ \t]*\n)+)", re.MULTILINE)
_ENTRY = re.compile(r"^\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:(.*(?:\n[ \t]+.*|\n)*)", re.MULTILINE)


@attrs.frozen
class Docstring:
    """What is used of a docstring.

    Attributes:
        description: the text before the first section; empty if there is none.
        parameters: the descriptions of parameters by name.
    """

    description: str = ""
    parameters: dict[str, str] = attrs.field(factory=dict)


def read_docstring(text: str | None) -> Docstring:
    """Read a docstring; what cannot be read is left out, so nothing is raised."""
    if not text:
        return Docstring()
    text = inspect.cleandoc(text)
    section = _SECTION.search(text)
    paragraphs = re.split(r"\n\s*\n", text[: section.start()] if section else text)
    description = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs if paragraph.strip())
    return Docstring(description, _parameters(text))


def _parameters(text: str) -> dict[str, str]:
    try:
        import docstring_parser  # an extra
    except ImportError:
        return google_parameters(text)
    try:
        entries = docstring_parser.parse(text).params
    except docstring_parser.ParseError:
        return google_parameters(text)
    return {entry.arg_name: " ".join((entry.description or "").split()) for entry in entries if entry.description}


def google_parameters(text: str) -> dict[str, str]:
    """The entries of the ``Args:`` section of a docstring whose indentation is already cleaned."""
    section = _ARGS.search(text)
    entries = _ENTRY.findall(inspect.cleandoc("\n" + section[1])) if section else []
    return {name: " ".join(description.split()) for name, description in entries if description.strip()}
