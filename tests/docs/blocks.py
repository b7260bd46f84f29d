"""Runs the blocks of one page, one after the other: ``python blocks.py plan.json told.json``; see ``pages.py``.

A block's file is the page itself and its lines are the page's, so that tracebacks and ``inspect`` show it.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import traceback
import types
from pathlib import Path
from typing import Any


def run(block: dict[str, Any], module: types.ModuleType) -> tuple[str, str]:
    """Run a block in this module: what it printed, and its traceback."""
    printed, before = io.StringIO(), dict(os.environ)
    os.environ.update(block["environment"])
    sys.modules["__main__"] = module  # as a script's: for pickles, and for the type hints of its functions
    try:
        with contextlib.redirect_stdout(printed):
            exec(compile("\n" * (block["line"] - 1) + block["code"], block["page"], "exec"), vars(module))
    except BaseException:
        return printed.getvalue(), traceback.format_exc()
    finally:
        os.environ.clear()
        os.environ.update(before)
    return printed.getvalue(), ""


def main(plan: str, told: str) -> None:
    """Run all blocks of the plan, also behind one that fails, and write down what each did."""
    sys.path[0] = os.getcwd()  # in place of this script's folder
    results, module = [], types.ModuleType("__main__")
    for block in json.loads(Path(plan).read_text(encoding="utf-8")):
        if not block["continues"]:
            module = types.ModuleType("__main__")
        results.append(run(block, module))
    Path(told).write_text(json.dumps(results), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
