"""The pytest plugin, as another project's tests see it."""

from __future__ import annotations

import pathlib
from typing import Callable

import pytest

pytestmark = pytest.mark.medium

pytest_plugins = ["pytester"]
Theirs = Callable[..., pytest.RunResult]
ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture
def theirs(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Theirs:
    """Runs pytest with the plugin, whether the package is installed here (and the plugin found by itself) or not."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))

    def run(*arguments: str) -> pytest.RunResult:
        return pytester.runpytest_subprocess("-p", "realtime_sync.testing.plugin", "-p", "no:cacheprovider", *arguments)

    return run


def test_the_fixtures_give_a_server_a_client_and_an_open_session(pytester: pytest.Pytester, theirs: Theirs) -> None:
    pytester.makepyfile(
        """
        def test_server(realtime_server):
            assert realtime_server.url.startswith("http://127.0.0.1:")

        def test_client(realtime_client, realtime_server):
            client = realtime_client.get_realtime_conversation_client("gpt-realtime-2.1-mini")
            with client.start_conversation_session() as session:
                assert session.session.model == "gpt-realtime-2.1-mini"
            assert len(realtime_server.sessions) == 1

        SEEN = []

        def test_session(realtime_session, realtime_server):
            assert realtime_session.session.model == "gpt-realtime-2.1"
            realtime_session.add_item("Hello").wait()
            realtime_server.sessions[0].wait_for_message("conversation.item.create")
            SEEN.append(realtime_session)

        def test_it_is_closed_at_the_end():
            assert SEEN[0].closed
            assert SEEN[0].close_info.initiator == "local"
        """
    )
    theirs("-W", "error").assert_outcomes(passed=4)


def test_a_server_of_their_own_is_used_by_the_other_fixtures(pytester: pytest.Pytester, theirs: Theirs) -> None:
    pytester.makepyfile(
        """
        import pytest
        from realtime_sync.server import Faults, RealtimeServer, faults
        from realtime_sync.testing import ManualClock

        @pytest.fixture
        def clock():
            return ManualClock()

        @pytest.fixture
        def realtime_server(clock):
            with RealtimeServer(responder=lambda turn: "It is a coast redwood.", clock=clock) as server:
                yield server

        def test_it_answers(realtime_session):
            assert realtime_session.ask("What is the tallest tree?").transcript == "It is a coast redwood."

        def test_an_hour_passes(realtime_session, realtime_server, clock):
            clock.advance(3600)
            assert realtime_server.wait_for_session().wait_until_closed() == 1001

        def test_a_fault(realtime_server, realtime_session):
            realtime_server.faults = Faults(acts=[faults.close(4000)])
            assert realtime_server.wait_for_session().wait_until_closed() == 4000
        """
    )
    theirs("-W", "error").assert_outcomes(passed=3)


def test_a_simulated_caller_is_understood_and_shown_behind_a_test_that_fails(
    pytester: pytest.Pytester, theirs: Theirs
) -> None:
    pytester.makepyfile(
        f"""
        import pathlib
        from realtime_sync.server.speech import available

        HELLO = pathlib.Path({str(ROOT)!r}) / "examples" / "audio" / "hello.wav"
        available.is_voice_installed = lambda: False  # it hears and speaks by heart

        def test_it_is_answered_and_shown(simulated_caller, realtime_session):
            report = simulated_caller([HELLO], pace=8).call(realtime_session.talk)
            report.assert_said("I can hear you")
            assert not report.knows_tools, "it knows them"
        """
    )
    result = theirs("-W", "error")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E *AssertionError: it knows them",
            "*Captured stdout teardown*",
            "A call of *",
            "*application  Hello! Yes, I can hear you.*",
        ]
    )


def test_the_fixtures_are_listed_with_their_words(theirs: Theirs) -> None:
    result = theirs("--fixtures")
    for name in ("realtime_server", "realtime_client", "realtime_session", "simulated_caller"):
        result.stdout.fnmatch_lines([f"{name}*"])


def test_the_plugin_loads_no_server_until_a_fixture_is_used(pytester: pytest.Pytester, theirs: Theirs) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_nothing_is_loaded():
            assert "wsproto" not in sys.modules
            assert "realtime_sync.server" not in sys.modules
            assert "realtime_sync.testing.calls" not in sys.modules
        """
    )
    theirs().assert_outcomes(passed=1)
