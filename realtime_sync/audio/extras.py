"""The optional packages of this room: what to say where one is missing."""

from __future__ import annotations

from realtime_sync.errors import ConfigurationError

INSTALL_AUDIO = "pip install 'realtime-sync[audio]'"


def missing(package: str, extra: str, purpose: str) -> ConfigurationError:
    """The error for a package that could not be imported; raise it from the ImportError."""
    return ConfigurationError(f"{purpose} needs the package {package}: pip install 'realtime-sync[{extra}]'")


def can_convert() -> bool:
    """True where the packages of the extra ``audio`` are there."""
    try:
        import numpy  # noqa: F401
        import soundfile  # noqa: F401
        import soxr  # noqa: F401
    except (ImportError, OSError):  # OSError: soundfile without its libsndfile
        return False
    return True
