"""What the tests of devices share with those of sessions: no thread is left."""

from tests.core.conftest import _no_thread_is_left

__all__ = ["_no_thread_is_left"]
