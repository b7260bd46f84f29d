"""What happened in a call, to be printed, and assertions on it whose failures show all of it."""

from __future__ import annotations

import array
import os
import re
import wave
from typing import Optional, Union

import attrs

from realtime_sync.audio import g711
from realtime_sync.checks import check_path
from realtime_sync.errors import InvalidInputError
from realtime_sync.testing.calls.ear import CallUtterance
from realtime_sync.testing.calls.record import ToolRun
from realtime_sync.words import cut

_ENDS = {
    "caller": "the caller hung up",
    "application": "the application hung up",
    "failure": "it failed",
    "": "it goes on",
}
_SIDES = ("caller", "application")
_LONGEST_RESULT = 300  # characters


class CallFailed(AssertionError):
    """The caller could not go on with its script. The message has what was heard until then."""


@attrs.frozen(repr=False)
class CallReport:
    """What happened in a call. ``print`` shows all of it; each assertion that fails does, too.

    Times are seconds since the call began, by the call's clock: with ``pace=4`` four of them pass in a real one.

    Args:
        utterances: Who said what when, in their order.
        tools: The tools that the model called, in their order, as the embedded server knows them.
        knows_tools: Whether there is an embedded server that knows.
        keys: The keys that were pressed.
        seconds: How long the call was.
        ended_by: ``"caller"``, ``"application"``, ``"failure"``, or empty while it goes on.
        rate: Samples a second of the sound (Hz).
        caller_sound: What the caller said, as PCM16.
        application_sound: What the caller heard, as PCM16, on the same clock.
    """

    utterances: list[CallUtterance]
    tools: list[ToolRun]
    knows_tools: bool
    keys: str
    seconds: float
    ended_by: str
    rate: int
    caller_sound: bytes
    application_sound: bytes

    # What was said ----------------------------------------------------------------------------------------------

    @property
    def answers(self) -> list[CallUtterance]:
        """What the application said after the caller's words. ``after``: how long it took until that was heard."""
        return [each for each in self.utterances if each.who == "application" and each.after is not None]

    @property
    def interruptions(self) -> list[CallUtterance]:
        """What the caller said over the application. ``silent_after``: how long that went on speaking."""
        return [each for each in self.utterances if each.interrupts]

    def said(self, words: str, *, who: str = "application") -> bool:
        """Whether these words were said, however they are written: capitals, blanks and signs do not count.

        Raises:
            InvalidInputError: These are no words, or ``who`` is neither ``"caller"`` nor ``"application"``.
        """
        if not _bare(words):
            raise InvalidInputError(f"words must have a letter or digit, so that they can be said, not {words!r}")
        if who not in _SIDES:
            raise InvalidInputError(f"who must be 'caller' or 'application', not {who!r:.60}")
        return f" {_bare(words)} " in f" {_bare(self._words(who))} "

    def assert_said(self, words: str, *, who: str = "application") -> None:
        """Raise AssertionError unless these words were said. Otherwise as ``said``."""
        __tracebackhide__ = True
        if not self.said(words, who=who):
            self._check_known(who)
            raise self._wrong(f"The {who} did not say {words!r}.")

    def assert_not_said(self, words: str, *, who: str = "application") -> None:
        """Raise AssertionError if these words were said, or if nobody can tell. Otherwise as ``said``."""
        __tracebackhide__ = True
        if self.said(words, who=who):
            raise self._wrong(f"The {who} said {words!r}.")
        self._check_known(who)

    def _words(self, who: str) -> str:
        return " ".join(each.words for each in self.utterances if each.who == who)

    def _check_known(self, who: str) -> None:
        __tracebackhide__ = True
        if any(each.who == who for each in self.utterances) and not self._words(who).strip():
            raise self._wrong(f"Nobody can tell what the {who} said: give the caller server=, or ears=.")

    # Tools --------------------------------------------------------------------------------------------------------

    def tool(self, name: str) -> ToolRun:
        """The last run of this tool. Raises AssertionError if it did not run."""
        __tracebackhide__ = True
        runs = [run for run in self.tools if run.name == name]
        if not runs:
            others = ", ".join(dict.fromkeys(run.name for run in self.tools)) or "no tool"
            unknown = "" if self.knows_tools else " (only the embedded server knows: give the caller server=)"
            raise self._wrong(f"The tool {name} did not run; {others} did{unknown}.")
        return runs[-1]

    def assert_tool(self, name: str, **arguments: object) -> None:
        """Raise AssertionError unless this tool ran with these arguments; it may have had others beside them."""
        __tracebackhide__ = True
        self.tool(name)
        runs = [run for run in self.tools if run.name == name]
        if not any(_has(run.arguments, arguments) for run in runs):
            wanted = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
            ran = "; ".join(f"{name}({_shown(run.arguments, arguments)})" for run in runs)
            raise self._wrong(f"The tool ran as {ran}, not with {wanted}.")

    # Times --------------------------------------------------------------------------------------------------------

    def assert_answered_within(self, seconds: float) -> None:
        """Raise AssertionError unless the caller was answered, and each answer was heard after so many seconds."""
        __tracebackhide__ = True
        if not self.answers:
            raise self._wrong("The caller was not answered.")
        late = [each for each in self.answers if (each.after or 0.0) > seconds]
        if late:
            told = ", ".join(f"{each.after:.2f} s (at {each.began:.1f} s)" for each in late)
            raise self._wrong(f"The caller waited for an answer longer than {seconds:g} s: {told}.")

    def assert_silent_within(self, seconds: float) -> None:
        """Raise AssertionError unless the caller interrupted, and the application was silent so soon each time."""
        __tracebackhide__ = True
        if not self.interruptions:
            raise self._wrong("The caller did not interrupt anything.")
        for each in self.interruptions:
            if each.silent_after is None or each.silent_after > seconds:
                after = "to the end of the call" if each.silent_after is None else f"for {each.silent_after:.2f} s"
                raise self._wrong(
                    f"Interrupted at {each.began:.1f} s, the application went on {after}; {seconds:g} s are allowed."
                )

    def _wrong(self, what: str) -> AssertionError:
        return AssertionError(f"{what}\n\n{self}")

    # To look at, and to listen to -----------------------------------------------------------------------------------

    def __repr__(self) -> str:
        return f"<CallReport of {self.seconds:.1f} s, {len(self.utterances)} utterances, {len(self.tools)} tools>"

    def __str__(self) -> str:
        lines = [(each.began, each.who, _told(each)) for each in self.utterances]
        lines += [(run.at, "tool", cut(str(run), _LONGEST_RESULT)) for run in self.tools]
        told = [f"{at:7.2f} s  {who:<11}  {words}" for at, who, words in sorted(lines, key=lambda line: line[0])]
        keys = f", keys pressed: {self.keys}" if self.keys else ""
        head = f"A call of {self.seconds:.1f} s; {_ENDS[self.ended_by]}{keys}."
        return "\n".join([head, *(told or ["Nothing was said."])])

    def save_sound(self, path: Union[str, os.PathLike[str]]) -> None:
        """Write both sides as a stereo WAV file: left the caller, right what the caller heard."""
        check_path("the target", path)
        both = array.array("h", bytes(2 * len(self.caller_sound)))
        both[0::2] = g711.samples_of(self.caller_sound)
        both[1::2] = g711.samples_of(
            self.application_sound[: len(self.caller_sound)].ljust(len(self.caller_sound), b"\0")
        )
        with open(path, "wb") as file, wave.open(file, "wb") as wav:
            wav.setnchannels(2)
            wav.setsampwidth(2)
            wav.setframerate(self.rate)
            wav.writeframes(both.tobytes())  # in the machine's order, as `wave` wants them

    def save_picture(self, path: Union[str, os.PathLike[str]]) -> None:
        """Draw both sides over time, with words, tools and waiting times (extra ``plot``): .png, .svg or .pdf."""
        from realtime_sync.testing.calls.picture import save_picture

        save_picture(self, path)


def _told(each: CallUtterance) -> str:
    words = each.words or f"({each.seconds:.1f} s of sound)"
    notes: list[Optional[str]] = [
        f"answered after {each.after:.2f} s" if each.after is not None else None,
        "interrupts" if each.interrupts else None,
        f"silent after {each.silent_after:.2f} s" if each.silent_after is not None else None,
    ]
    told = ", ".join(filter(None, notes))
    return f"{words}  [{told}]" if told else words


def _bare(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))


def _has(given: object, wanted: dict[str, object]) -> bool:
    return isinstance(given, dict) and all(name in given and given[name] == value for name, value in wanted.items())


def _shown(given: object, wanted: dict[str, object]) -> str:
    """The arguments as they were; of a dict those that were asked about first."""
    if not isinstance(given, dict):
        return str(given)
    names = [*(name for name in wanted if name in given), *(name for name in given if name not in wanted)]
    return ", ".join(f"{name}={given[name]!r}" for name in names)
