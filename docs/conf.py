"""How Sphinx builds these pages: `make docs`. It fetches nothing, and every warning is an error."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from typing import Any

import attrs
from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.nodes import make_refnode

sys.path.insert(0, str(Path(__file__).parents[1]))  # this tree's package, whatever is installed

from realtime_sync.version import __version__

project = "realtime_sync"
author = "the authors of realtime_sync"
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_argparse_cli",
    "sphinx_copybutton",
]
exclude_patterns = ["_build"]
nitpicky = True
nitpick_ignore_regex = [
    # Other people's classes: their pages are not asked for, because a build reads no network.
    (
        r"py:.*",
        r"(typing|collections\.abc|os|ssl|threading|concurrent|datetime|io|np|npt|numpy|contextlib|socket|pathlib|opentelemetry)\..*",
    ),
    (r"py:.*", r"Path|NoneType"),
    (r"py:.*", r"(.*\.)?[A-Z](_co)?"),  # type variables
    # Seen in annotations, and made by the library alone.
    (r"py:.*", r"(.*\.)?(Flag|ByteReader|Configuration|Expect|ServerConnection|SileroStream|Floats|DelegationQueue)"),
    # Named in an alias, whose module does not import them.
    (r"py:class", r"ToolOutcome|Samples|RecordingWriter"),
]

man_pages = [("reference/command-line", "realtime-sync", "the realtime voice API from the command line", "", 1)]

html_theme = "furo"
html_title = f"realtime_sync {release}"
html_static_path = ["_static"]
html_css_files = ["docs.css"]
html_search_scorer = str(Path(__file__).with_name("search_order.js"))
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_show_copyright = False
pygments_dark_style = "monokai"

myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3  # so that `page.md#a-heading` can be linked, and is checked

copybutton_prompt_text = r"\$ |>>> "
copybutton_prompt_is_regexp = True
copybutton_exclude = ".linenos, .gp, .go"

autodoc_default_options = {
    "member-order": "bysource",
    # All members, with those of bases that are not for people; what these have stands at them.
    "inherited-members": "ConversationUpdate,Command,WireObject,Options,Value,BaseException,Enum,dict,str,tuple",
    "exclude-members": "with_traceback, add_note",
}
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_class_signature = "mixed"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 110
python_display_short_literal_types = True
napoleon_numpy_docstring = False


def _as_napoleon_reads(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Our docstrings say no types: keep napoleon from taking the words before a colon for one."""
    if what in ("attribute", "data", "property"):
        lines[:0] = ["..", ""]  # an empty comment: the first line then has no colon
    if "Returns:" in lines:
        at = lines.index("Returns:")
        lines[at : at + 2] = ["", f":returns: {lines[at + 1].strip()}"]


def _fields_with_types(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """List the fields of an attrs class with their types: those that the docstring describes, then the others."""
    if what not in ("class", "exception") or not (isinstance(obj, type) and attrs.has(obj)):
        return
    described: dict[str, list[str]] = {}
    if "Attributes:" in lines:
        at = lines.index("Attributes:")
        end = next((n for n in range(at + 1, len(lines)) if re.match(r"\S", lines[n])), len(lines))
        for line in lines[at + 1 : end]:
            begun = re.fullmatch(r"    (\w+): (.*)", line)
            if begun:
                described[begun[1]] = [begun[2]]
            elif line.strip():
                described[next(reversed(described))].append(line.strip())
        del lines[at:end]
    types = {field.name: _type_of(field.type) for field in _shown_fields(obj)}
    for field in [*described, *(field for field in types if field not in described)]:
        lines += ["", f".. attribute:: {field}"]
        lines += [f"   :type: {types[field]}"] if field in types else []
        lines += ["", *(f"   {line}" for line in described.get(field, []))]
    lines.append("")


def _shown_fields(cls: type[Any]) -> list[Any]:
    """The fields, but for those that each update has and that stand at their common base."""
    from realtime_sync import ConversationUpdate

    common = {field.name for field in attrs.fields(ConversationUpdate)}
    inherits = issubclass(cls, ConversationUpdate) and cls is not ConversationUpdate
    fields = [field for field in attrs.fields(cls) if not field.name.startswith("_")]
    return [field for field in fields if not (inherits and field.name in common)]


def _type_of(hint: object) -> str:
    """A field's type as the source has it."""
    return hint if isinstance(hint, str) else inspect.formatannotation(hint)


def _without_a_signature(
    app: Sphinx, what: str, name: str, obj: object, options: object, signature: str, returned: str
) -> Any:
    """Of a class, show the signature if people make it: the docstring then tells of its arguments.

    The fields of an attrs class are listed below it; its signature would say them twice.
    """
    if not (signature and isinstance(obj, type)):
        return None
    told = f"{obj.__doc__}{vars(obj).get('__init__').__doc__}" if "__init__" in vars(obj) else str(obj.__doc__)
    if attrs.has(obj) or not re.search(r"\b[Aa]rg(ument)?s\b", told):
        return "", None
    return None


def _plain_builtins(app: Sphinx, doctree: Any) -> None:
    """``object`` and ``type`` in an annotation are Python's, not the fields that are called so."""
    for reference in list(doctree.findall(addnodes.pending_xref)):
        if reference.get("reftarget") in ("object", "type") and reference.get("reftype") == "class":
            reference.replace_self(nodes.Text(reference["reftarget"]))


def _link_alias(app: Sphinx, env: BuildEnvironment, node: addnodes.pending_xref, text: nodes.Node) -> Any:
    """An alias in an annotation (`Question`) is described as data, where Sphinx before 8.2 looks for classes alone."""
    last = node["reftarget"].rpartition(".")[2]
    aliases = env.domains.python_domain.objects.items()
    found = [entry for name, entry in aliases if entry.objtype == "data" and name.rpartition(".")[2] == last]
    if node.get("refdomain") != "py" or len(found) != 1:
        return None
    return make_refnode(app.builder, node["refdoc"], found[0].docname, found[0].node_id, text, last)


_OF_ROOMS = ("class", "data", "exception", "function")


def _link_names(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Make links of public names between backquotes: `Answer`, `session.ask(...)`; in guides of `ask()`, too."""
    known = app.env.domains.python_domain.objects
    for literal in list(doctree.findall(nodes.literal)):
        if isinstance(literal.parent, (nodes.reference, nodes.title)) or "xref" in literal["classes"]:
            continue
        name = re.match(r"[\w.]*\w(\(\)$|(?=\(|$))|", literal.astext())[0]
        names = [re.sub(r"^session\.", "RealtimeConversationSession.", name).removeprefix("realtime_sync.")]
        if re.fullmatch(r"\w+\(\)", name) and not docname.startswith("reference/"):
            names.insert(0, f"RealtimeConversationSession.{name}")
        found = [known.get(f"realtime_sync.{each.removesuffix('()')}") for each in names]
        if re.fullmatch(r"\w*[A-Z_]\w*", name):  # of a room; no plain word, such as `text`
            found += [
                entry for path, entry in known.items() if path.endswith(f".{name}") and entry.objtype in _OF_ROOMS
            ]
        target = next(filter(None, found), None)
        if target is not None and target.docname != docname:
            link = make_refnode(app.builder, docname, target.docname, target.node_id, literal.deepcopy(), name)
            literal.replace_self(link)


def setup(app: Sphinx) -> None:
    """Tell Sphinx of the functions above."""
    app.connect("autodoc-process-docstring", _as_napoleon_reads, priority=400)  # both before napoleon
    app.connect("autodoc-process-docstring", _fields_with_types, priority=401)
    app.connect("autodoc-process-signature", _without_a_signature)
    app.connect("doctree-read", _plain_builtins)
    app.connect("missing-reference", _link_alias)
    app.connect("doctree-resolved", _link_names)
