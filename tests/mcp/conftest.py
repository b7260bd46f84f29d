"""Sessions with remote MCP tools; as for all sessions, no thread may outlive its test."""

from __future__ import annotations

from tests.core.conftest import _no_thread_is_left, house, plain

__all__ = ["_no_thread_is_left", "house", "plain"]
