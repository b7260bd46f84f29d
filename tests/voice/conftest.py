"""The house of the session's tests, with and without TLS."""

from tests.core.conftest import _no_thread_is_left, house, plain

__all__ = ["_no_thread_is_left", "house", "plain"]
