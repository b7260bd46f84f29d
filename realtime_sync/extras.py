"""The optional packages: each belongs to an extra, and is imported when something needs it."""

from __future__ import annotations

import importlib
from typing import Any

from realtime_sync.errors import ConfigurationError


def install(extra: str) -> str:
    """The command that installs an extra."""
    return f"pip install 'realtime-sync[{extra}]'"


def missing(package: str, extra: str, purpose: str) -> ConfigurationError:
    """The error for a package that could not be imported; raise it from the ImportError."""
    return ConfigurationError(f"{purpose} needs the package {package}: {install(extra)}")


def require(module: str, extra: str, purpose: str) -> Any:
    """Import an optional package.

    Args:
        module: The package, or a module of it.
        extra: The extra that it belongs to.
        purpose: What needs it: the subject of the error's sentence.

    Raises:
        ConfigurationError: It is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise missing(module, extra, purpose) from error


def is_installed(*modules: str) -> bool:
    """True if all of these can be imported."""
    try:
        for module in modules:
            importlib.import_module(module)
    except (ImportError, OSError):  # OSError: soundfile without its libsndfile
        return False
    return True
