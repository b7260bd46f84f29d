"""What stands on the last line of a terminal when something is printed above it."""

from __future__ import annotations

import io
import logging

import pytest

from realtime_sync.cli import terminal


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def take_over(monkeypatch: pytest.MonkeyPatch, *, colours: bool = False) -> Terminal:
    """One terminal for both outputs. In the test's own phase: pytest has its own outputs in each."""
    screen = Terminal()
    monkeypatch.setenv("NO_COLOR", "" if colours else "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setattr(terminal, "_last_line", terminal._LastLine())  # nothing of it is left for the next test
    return screen


def test_a_note_stands_above_the_status_which_is_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = take_over(monkeypatch)
    terminal.show_status("listening")
    terminal.note("one")
    assert screen.getvalue() == "\r\x1b[Klistening\r\x1b[K(one)\nlistening"
    terminal.show("said")
    assert screen.getvalue().endswith("listening\r\x1b[Ksaid\n")
    terminal.note("two")
    assert screen.getvalue().endswith("said\n(two)\n")


def test_a_note_does_not_go_into_the_line_of_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = take_over(monkeypatch)
    terminal.show("The tallest", end="")
    terminal.note("one")
    terminal.note("two")
    terminal.show("tree", end="")
    terminal.finish_line()
    terminal.finish_line()
    assert screen.getvalue() == "The tallest\n(one)\n(two)\ntree\n"


def test_a_line_of_the_log_stands_above_what_is_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = take_over(monkeypatch)
    record = logging.LogRecord("realtime_sync", logging.WARNING, __file__, 1, "a %s", ("warning",), None)

    def typed(prompt: str) -> str:
        screen.write(prompt)
        terminal.LogHandler().handle(record)
        return "Hello"

    monkeypatch.setattr("builtins.input", typed)
    assert terminal.next_line("you> ") == "Hello"
    assert screen.getvalue() == "you> \r\x1b[Ka warning\nyou> "


def test_a_prompt_in_colour_is_marked_for_readline_and_drawn_again_without_marks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("readline")
    screen = take_over(monkeypatch, colours=True)
    shown: list[str] = []

    def typed(prompt: str) -> str:
        shown.append(prompt)
        terminal.print_beside("a warning")
        return "Hello"

    monkeypatch.setattr("builtins.input", typed)
    assert terminal.next_line("you> ") == "Hello"
    assert shown == ["\x01\x1b[1;36m\x02you> \x01\x1b[0m\x02"]
    assert screen.getvalue() == "\r\x1b[Ka warning\n\x1b[1;36myou> \x1b[0m"


def test_a_status_that_is_too_long_shows_its_end_on_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = take_over(monkeypatch)
    monkeypatch.setenv("COLUMNS", "10")
    terminal.show_status("高い木は高い")
    assert screen.getvalue() == "\r\x1b[K…木は高い"  # nine cells; the tenth would begin a new line


def test_a_terminal_that_cannot_write_over_a_line_sees_no_status(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = take_over(monkeypatch)
    monkeypatch.setenv("TERM", "dumb")
    terminal.show_status("listening")
    terminal.show("The tallest", end="")
    terminal.note("one")
    assert screen.getvalue() == "The tallest\n(one)\n"

    def typed(prompt: str) -> str:
        screen.write(prompt)
        terminal.note("two")
        return "Hello"

    monkeypatch.setattr("builtins.input", typed)
    terminal.next_line("you> ")
    assert screen.getvalue().endswith("\nyou> \n(two)\nyou> ")


def test_where_the_notes_go_elsewhere_they_are_lines_and_there_is_no_status(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = take_over(monkeypatch)
    elsewhere = io.StringIO()
    monkeypatch.setattr("sys.stderr", elsewhere)
    terminal.show_status("listening")
    terminal.show("The tallest", end="")
    terminal.note("one")
    assert (screen.getvalue(), elsewhere.getvalue()) == ("The tallest", "(one)\n")
