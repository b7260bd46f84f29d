"""The report of a call: how it reads, and what its assertions say if they fail."""

from __future__ import annotations

import wave
from pathlib import Path

import pytest

from realtime_sync.errors import InvalidInputError
from realtime_sync.testing import CallReport, CallUtterance, ToolRun


@pytest.fixture
def report() -> CallReport:
    return CallReport(
        utterances=[
            CallUtterance("application", 0.2, 1.5, "Hello!"),
            CallUtterance("caller", 2.0, 4.0, "What is the weather in Paris?"),
            CallUtterance("application", 5.25, 7.0, "In Paris it's clear, ...", after=1.25),
            CallUtterance("caller", 6.5, 7.5, "Stop.", interrupts=True, silent_after=0.5),
            CallUtterance("application", 8.0, 9.0, "", after=0.5),
        ],
        tools=[
            ToolRun("get_weather", {"city": "Paris", "days": 1}, 4.6, {"sky": "clear"}, 0.1),
            ToolRun("get_weather", {"city": "Rome", "days": 1}, 7.6),
            ToolRun("odd", "no json", 7.8),
        ],
        knows_tools=True,
        keys="1#",
        seconds=10.0,
        ended_by="caller",
        rate=8000,
        caller_sound=b"\1\0" * 80_000,
        application_sound=b"\2\0" * 79_000,
    )


def test_it_reads_as_a_transcript(report: CallReport) -> None:
    assert str(report).splitlines() == [
        "A call of 10.0 s; the caller hung up, keys pressed: 1#.",
        "   0.20 s  application  Hello!",
        "   2.00 s  caller       What is the weather in Paris?",
        "   4.60 s  tool         get_weather(city='Paris', days=1) -> {'sky': 'clear'}",
        "   5.25 s  application  In Paris it's clear, ...  [answered after 1.25 s]",
        "   6.50 s  caller       Stop.  [interrupts, silent after 0.50 s]",
        "   7.60 s  tool         get_weather(city='Rome', days=1) -> no result",
        "   7.80 s  tool         odd(no json) -> no result",
        "   8.00 s  application  (1.0 s of sound)  [answered after 0.50 s]",
    ]
    assert repr(report) == "<CallReport of 10.0 s, 5 utterances, 3 tools>"


def failure(call: object, *arguments: object, **named: object) -> str:
    """The first line of what an assertion fails with; the rest is the report."""
    with pytest.raises(AssertionError) as failed:
        call(*arguments, **named)  # type: ignore[operator]
    first, empty, *rest = str(failed.value).splitlines()
    assert (empty, rest[0][:7]) == ("", "A call ")
    return first


def test_words_are_found_however_they_are_written(report: CallReport) -> None:
    assert report.said("in paris it's  CLEAR!")
    assert not report.said("weather")
    assert not report.said("par")
    report.assert_said("the weather", who="caller")
    assert failure(report.assert_said, "Rome") == "The application did not say 'Rome'."
    report.assert_not_said("Rome")
    assert failure(report.assert_not_said, "paris") == "The application said 'paris'."


def test_tools_are_found_by_name_and_arguments(report: CallReport) -> None:
    assert report.tool("get_weather").arguments == {"city": "Rome", "days": 1}
    report.assert_tool("get_weather")
    report.assert_tool("get_weather", city="Paris")
    told = failure(report.assert_tool, "get_weather", days=1, city="London")
    assert told == (
        "The tool ran as get_weather(days=1, city='Paris'); get_weather(days=1, city='Rome'), "
        "not with days=1, city='London'."
    )
    assert failure(report.assert_tool, "get_weather", sky=None).endswith("not with sky=None.")
    assert failure(report.assert_tool, "odd", city="Paris") == "The tool ran as odd(no json), not with city='Paris'."
    assert failure(report.tool, "roll") == "The tool roll did not run; get_weather, odd did."


def test_without_a_server_nobody_knows_of_tools(report: CallReport) -> None:
    told = failure(CallReport([], [], False, "", 0.0, "", 8000, b"", b"").tool, "roll")
    assert told == "The tool roll did not run; no tool did (only the embedded server knows: give the caller server=)."


def test_times_are_asserted(report: CallReport) -> None:
    report.assert_answered_within(1.25)
    told = failure(report.assert_answered_within, 1.0)
    assert told == "The caller waited for an answer longer than 1 s: 1.25 s (at 5.2 s)."
    report.assert_silent_within(0.5)
    told = failure(report.assert_silent_within, 0.4)
    assert told == "Interrupted at 6.5 s, the application went on for 0.50 s; 0.4 s are allowed."
    report.interruptions[0].silent_after = None
    assert "went on to the end of the call" in failure(report.assert_silent_within, 9)
    report.utterances[:] = report.utterances[:2]
    assert failure(report.assert_answered_within, 9) == "The caller was not answered."
    assert failure(report.assert_silent_within, 9) == "The caller did not interrupt anything."


def test_its_sound_is_stereo(report: CallReport, tmp_path: Path) -> None:
    report.save_sound(tmp_path / "call.wav")
    with wave.open(str(tmp_path / "call.wav")) as read:
        assert (read.getnchannels(), read.getframerate(), read.getnframes()) == (2, 8000, 80_000)
        assert read.readframes(1) == b"\1\0\2\0"
        read.setpos(79_500)
        assert read.readframes(1) == b"\1\0\0\0"
    with pytest.raises(InvalidInputError):
        report.save_sound(5)  # type: ignore[arg-type]


@pytest.mark.slow  # it loads matplotlib
def test_its_picture_is_drawn(report: CallReport, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs the extra plot")
    report.save_picture(tmp_path / "call.svg")
    drawn = (tmp_path / "call.svg").read_text("utf-8")
    for text in ("What is the weather", " 1.25 s", "silent after 0.50 s", " get_weather(city=Rome, days=1) -&gt;"):
        assert f"<!-- {text}" in drawn.replace("'", ""), text
