"""The functions of the blocks of ``docs/guides/recipes.md``, as they stand there: the tests try what people copy."""

from __future__ import annotations

import ast
import types
from typing import Any

from tests.docs.pages import ROOT, blocks

GUIDE = ROOT / "docs" / "guides" / "recipes.md"
_DEFINING = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)


def recipe(function: str) -> Any:
    """What the block defines that has this function; its session is not opened. Names may be set on the result."""
    (block,) = (block for block in blocks(GUIDE) if block.language == "python" and f"\ndef {function}(" in block.code)
    tree = ast.parse(block.code)
    tree.body = [node for node in tree.body if isinstance(node, _DEFINING) or _is_constant(node)]
    module = types.ModuleType("recipe")
    exec(compile(tree, str(GUIDE), "exec"), vars(module))
    return module


def _is_constant(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and all(
        isinstance(name, ast.Name) and name.id.isupper() for name in node.targets
    )
