"""The house of the session's tests, without TLS, and the web examples importable."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.core.conftest import _no_thread_is_left, plain

__all__ = ["_no_thread_is_left", "plain"]

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
