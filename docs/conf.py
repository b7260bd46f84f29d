"""How Sphinx builds these pages: `make docs`. It fetches nothing, and every warning is an error."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from typing import Any

import attrs
from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parents[1]))  # this tree's package, whatever is installed

from realtime_sync.version import __version__

project = "realtime_sync"
author = "the authors of realtime_sync"
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_argparse_cli",
    "sphinx_copybutton",
]
exclude_patterns = ["_build"]
suppress_warnings = ["toc.empty_glob"]
nitpicky = True
nitpick_ignore_regex = [
    # Other people's classes: their pages are not asked for, because a build reads no network.
    (
        r"py:.*",
        r"(typing|collections\.abc|os|ssl|threading|concurrent|datetime|io|np|npt|numpy|attrs|enum|pathlib)\..*",
    ),
]

html_theme = "furo"
html_title = f"realtime_sync {release}"
html_static_path = ["_static"]
html_css_files = ["docs.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False

myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3  # so that `page.md#a-heading` can be linked, and is checked

copybutton_prompt_text = r"\$ |>>> "
copybutton_prompt_is_regexp = True
copybutton_exclude = ".linenos, .gp, .go"

autodoc_default_options = {
    "members": True,
    "member-order": "bysource",
    # What a class inherits from bases that are not for people stands at the class; what these bases have, at them.
    "inherited-members": "ConversationUpdate,Command,WireObject,Options,Value,BaseException,Enum,dict,str,tuple",
    "exclude-members": "with_traceback, add_note",
}
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_class_signature = "mixed"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 90
python_display_short_literal_types = True
napoleon_numpy_docstring = False


def _fields_with_types(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Name each field of an attrs class with its type: those that the docstring describes, and the others."""
    if what not in ("class", "exception") or not (isinstance(obj, type) and attrs.has(obj)):
        return
    types = {field.name: _type_of(field.type) for field in _shown_fields(obj)}
    for number, line in enumerate(lines):
        described = re.fullmatch(r"(    )(\w+): (.*)", line)
        if described and described[2] in types:
            lines[number] = f"    {described[2]} ({types.pop(described[2])}): {described[3]}"
    if not types:
        return
    if "Attributes:" not in lines:
        lines += ["", "Attributes:"]
    at = lines.index("Attributes:") + 1
    lines[at:at] = [f"    {field} ({kind}):" for field, kind in types.items()]


def _shown_fields(cls: type[Any]) -> list[Any]:
    """The fields, but for those that each update has and that stand at their common base."""
    from realtime_sync import ConversationUpdate

    common = () if cls is ConversationUpdate else {field.name for field in attrs.fields(ConversationUpdate)}
    fields = [field for field in attrs.fields(cls) if not field.name.startswith("_")]
    return [field for field in fields if not (issubclass(cls, ConversationUpdate) and field.name in common)]


def _type_of(hint: object) -> str:
    """A field's type as the source has it."""
    return hint if isinstance(hint, str) else inspect.formatannotation(hint)


def _no_signature_of_fields(
    app: Sphinx, what: str, name: str, obj: object, options: object, signature: str, returned: str
) -> Any:
    """The fields of an attrs class are listed below it: its signature would say them twice."""
    if what in ("class", "exception") and isinstance(obj, type) and attrs.has(obj):
        return "", None
    return None


def setup(app: Sphinx) -> None:
    """Tell Sphinx of the functions above."""
    app.connect("autodoc-process-docstring", _fields_with_types, priority=400)  # before napoleon
    app.connect("autodoc-process-signature", _no_signature_of_fields)
