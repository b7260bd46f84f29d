"""``--tools file.py``: the functions of a file, as tools of the model."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from pathlib import Path
from types import ModuleType

from realtime_sync.errors import ConfigurationError
from realtime_sync.tools import FunctionTool, function_tool

Tools = list[FunctionTool[..., object]]


def load_tools(paths: list[str]) -> Tools:
    """The tools of these files: what ``@function_tool`` made, else, where it made none, each public function.

    The files are run as any module is. Raises ``ConfigurationError`` where one cannot be, or has no tool.
    """
    return [tool for path in paths for tool in _tools_of(_module(Path(path)))]


def _tools_of(module: ModuleType) -> Tools:
    known = vars(module)
    made = [value for value in known.values() if isinstance(value, FunctionTool)]
    if made:
        return list(dict.fromkeys(made))
    functions = [
        value
        for name, value in known.items()
        if inspect.isfunction(value) and value.__module__ == module.__name__ and not name.startswith("_")
    ]
    if not functions:
        raise ConfigurationError(
            f"{module.__file__} has no tool: write a function with type hints, and @function_tool above it."
        )
    return [function_tool(function) for function in functions]


def _module(path: Path) -> ModuleType:
    try:
        path.open("rb").close()  # tells what is wrong with the path better than the import does
    except OSError as error:
        raise ConfigurationError(f"--tools {path}: {error.strerror}") from error
    name = f"realtime_sync_tools_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigurationError(f"{path} is no Python file: --tools takes one, such as tools.py.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # type hints are looked up there
    sys.path.insert(0, str(path.resolve().parent))  # as `python file.py` does, for what stands beside it
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # the file's own
        raise ConfigurationError(f"{path} cannot be run: {type(error).__name__}: {error}") from error
    finally:
        sys.path.pop(0)
    return module
