"""The raw peer of the server's tests."""

from __future__ import annotations

from tests.server.conftest import open_peer

__all__ = ["open_peer"]
