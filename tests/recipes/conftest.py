"""The house of the session's tests, without TLS."""

from tests.core.conftest import _no_thread_is_left, plain

__all__ = ["_no_thread_is_left", "plain"]
