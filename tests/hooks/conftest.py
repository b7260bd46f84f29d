"""Sessions that hooks are told of; no hook is set, and no thread of a session is left, after a test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from realtime_sync.hooks import set_hooks
from tests.core.conftest import _no_thread_is_left, plain

__all__ = ["_no_thread_is_left", "plain"]


@pytest.fixture(autouse=True)
def _no_hook_is_left() -> Iterator[None]:
    yield
    set_hooks(None)
