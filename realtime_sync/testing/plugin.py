"""The pytest plugin: fixtures over the embedded server, which is loaded when one of them is used.

- ``realtime_server``: a ``RealtimeServer``, closed after the test.
- ``realtime_client``: an ``OpenAIClient`` on that server.
- ``realtime_session``: an open session of that client with the model ``gpt-realtime-2.1``, closed after the test.
- ``simulated_caller``: makes a ``SimulatedCaller`` that knows what that server knows: ``simulated_caller(["Hello?"])``.
  In such a test ``realtime_server`` hears and speaks: with the extra ``voice``, or by heart without it.

A fixture of your own by the name ``realtime_server`` takes the first one's place, for the other two as well::

    @pytest.fixture
    def realtime_server():
        with RealtimeServer(responder=lambda turn: "It is a coast redwood.") as server:
            yield server
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Iterator

import pytest

if TYPE_CHECKING:
    from realtime_sync.server import RealtimeServer
    from realtime_sync.services import OpenAIClient
    from realtime_sync.session import RealtimeConversationSession
    from realtime_sync.testing import SimulatedCaller

# Imported in the fixtures: every pytest run loads this plugin, and most need neither the server nor the client.


@pytest.fixture
def realtime_server(request: pytest.FixtureRequest) -> Iterator[RealtimeServer]:
    """An embedded server with its defaults; ``realtime_server.url`` is what a client's ``endpoint`` takes."""
    from realtime_sync.server import RealtimeServer

    speech = None
    if "simulated_caller" in request.fixturenames:  # who speaks wants to be understood
        from realtime_sync.server.speech import available_speech

        speech = available_speech()
    with RealtimeServer(speech=speech) as server:
        yield server


@pytest.fixture
def realtime_client(realtime_server: RealtimeServer) -> OpenAIClient:
    """An ``OpenAIClient`` on ``realtime_server``, which lets in any key."""
    from realtime_sync.services import OpenAIClient

    # No proxy: the server is in this process.
    return OpenAIClient("any-key", endpoint=realtime_server.url, proxy=False)


@pytest.fixture
def realtime_session(realtime_client: OpenAIClient) -> Iterator[RealtimeConversationSession]:
    """An open session on ``realtime_server`` with the model ``gpt-realtime-2.1``; closed after the test."""
    client = realtime_client.get_realtime_conversation_client("gpt-realtime-2.1")
    with client, client.start_conversation_session() as session:
        yield session


@pytest.fixture
def simulated_caller(realtime_server: RealtimeServer) -> Iterator[Callable[..., SimulatedCaller]]:
    """Makes a ``SimulatedCaller`` for ``realtime_server``, from its script; a test that fails shows what was said."""
    from realtime_sync.testing import SimulatedCaller

    made: list[SimulatedCaller] = []

    def make(script: Any, **settings: Any) -> SimulatedCaller:
        made.append(SimulatedCaller(script, **{"server": realtime_server, **settings}))
        return made[-1]

    yield make
    for caller in made:
        print(caller.report_so_far())  # noqa: T201  pytest shows it behind a test that fails
