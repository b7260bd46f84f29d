"""Who gets colours."""

from __future__ import annotations

import io
import re

import pytest

from realtime_sync.cli import main
from realtime_sync.cli.colours import painted
from realtime_sync.server import RealtimeServer
from tests.cli.pseudo_terminal import PseudoTerminal
from tests.cli.test_terminal import Terminal

pytestmark = pytest.mark.medium


@pytest.mark.parametrize(
    ("on_terminal", "environment", "coloured"),
    [
        (True, {}, True),
        (False, {}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": ""}, True),  # as if it were not there
        (True, {"TERM": "dumb"}, False),
        (False, {"FORCE_COLOR": "1"}, True),
        (False, {"CLICOLOR_FORCE": "1"}, True),
        (False, {"CLICOLOR_FORCE": "0"}, False),
        (True, {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
    ],
)
def test_a_terminal_gets_colours_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch, on_terminal: bool, environment: dict[str, str], coloured: bool
) -> None:
    for name, value in {"TERM": "xterm", **environment}.items():
        monkeypatch.setenv(name, value)
    stream = Terminal() if on_terminal else io.StringIO()
    assert painted("error:", "red", stream) == ("\x1b[1;31merror:\x1b[0m" if coloured else "error:")


def test_errors_states_and_speakers_have_colours(server: RealtimeServer) -> None:
    with PseudoTerminal("doctor", "--offline") as terminal:
        terminal.end()
    assert "\x1b[32mok    \x1b[0mpython" in terminal.seen
    with PseudoTerminal("chat", "--azure", "Hello") as terminal:
        terminal.end()
    assert "realtime-sync: \x1b[1;31merror:\x1b[0m --azure" in terminal.seen
    with PseudoTerminal("chat") as terminal:
        terminal.expect("you> ")
        terminal.type("\x04")
        assert terminal.end() == 0
    assert "\x1b[1;36myou> \x1b[0m" in terminal.seen


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_who_wants_none_gets_no_colour_anywhere(server: RealtimeServer, environment: dict[str, str]) -> None:
    with PseudoTerminal("chat", **environment) as terminal:
        terminal.expect("you> ")
        terminal.type("Hello\n")
        terminal.expect("You said: Hello")
        terminal.expect("you> ")
        terminal.type("\x04")
        assert terminal.end() == 0
    assert re.search(r"\x1b\[[0-9;]*m", terminal.seen) is None


def test_a_pipe_gets_none(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    main(["doctor", "--offline"])
    assert "\x1b" not in capsys.readouterr().out
    monkeypatch.setenv("FORCE_COLOR", "1")
    main(["doctor", "--offline"])
    assert "\x1b[32mok    " in capsys.readouterr().out
