"""The pytest plugin: fixtures over the embedded server. Costs nothing until a fixture is used.

- ``realtime_server``: a ``RealtimeServer``, closed after the test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Iterator

import pytest

if TYPE_CHECKING:
    from realtime_sync.server import RealtimeServer


@pytest.fixture
def realtime_server() -> Iterator[RealtimeServer]:
    """An embedded server with its defaults; ``realtime_server.url`` is what a client's ``endpoint`` takes."""
    # Imported here: every pytest run loads this plugin, and most need neither the server nor wsproto.
    from realtime_sync.server import RealtimeServer

    with RealtimeServer() as server:
        yield server
