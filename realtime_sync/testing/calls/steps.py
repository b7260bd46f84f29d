"""What a script is made of. A step gives the sound that the caller makes, tick by tick; None is silence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Optional, Protocol, runtime_checkable

import attrs

from realtime_sync.testing.calls.clips import Speakable

if TYPE_CHECKING:
    from realtime_sync.testing.calls.call import CallInProgress

Sound = Iterator[Optional[bytes]]


@runtime_checkable
class CallStep(Protocol):
    """Something that the caller does."""

    def sound(self, call: CallInProgress) -> Sound:
        """The sound of it, a tick at a time; ends when it is done."""


@attrs.frozen
class Say:
    """Say this, and go on at once. A bare text or path in a script does it, too, and waits for the answer.

    Args:
        what: A text, which the offline voice speaks (extra ``voice``); or a recording: a ``Path``, or bytes.
        words: What a recording says. Without them, those of the sample recordings are known.
    """

    what: Speakable
    words: str = ""

    def sound(self, call: CallInProgress) -> Sound:
        """See ``CallStep``."""
        yield from call.speak(call.voice.clip(self.what, self.words))


@attrs.frozen
class AwaitAnswer:
    """Listen until the application has spoken, and has been silent for a while.

    Args:
        timeout: Real seconds until its first sound, whatever the caller's ``pace``; then the call has failed.
        quiet: Seconds of silence that are its end; None: those of the caller. More, if an application says "one
            moment" and goes on.
    """

    timeout: float = 15.0
    quiet: Optional[float] = None

    def sound(self, call: CallInProgress) -> Sound:
        """See ``CallStep``."""
        yield from call.await_first_sound(self.timeout)
        quiet = call.quiet if self.quiet is None else max(self.quiet, call.quiet)
        while not call.is_over(call.ear.heard[-1], quiet):
            yield None
        call.answers_taken = len(call.ear.heard)


@attrs.frozen
class Interrupt:
    """Say this over the answer, once so much of it was heard. Follow it with ``AwaitAnswer()``.

    Args:
        what: As for ``Say``.
        after: Seconds of the answer, from its first sound.
        words_heard: Words of it, in place of ``after``; needs the embedded server, which tells them.
        words: As for ``Say``.
        timeout: As for ``AwaitAnswer``.
    """

    what: Speakable
    after: float = 1.0
    words_heard: Optional[int] = None
    words: str = ""
    timeout: float = 15.0

    def sound(self, call: CallInProgress) -> Sound:
        """See ``CallStep``."""
        clip = call.voice.clip(self.what, self.words)
        yield from call.await_within_answer(self.timeout, self.after, self.words_heard)
        call.answers_taken = len(call.ear.heard)
        yield from call.speak(clip, interrupts=True)


@attrs.frozen
class FallSilent:
    """Say nothing for so many seconds, and listen."""

    seconds: float

    def sound(self, call: CallInProgress) -> Sound:
        """See ``CallStep``."""
        end = call.now + self.seconds
        while call.now < end:
            yield None


@attrs.frozen
class Press:
    """Press keys, one after the other: ``"1"``, ``"42#"``. On a telephone's line only."""

    keys: str

    def sound(self, call: CallInProgress) -> Sound:
        """See ``CallStep``."""
        for key in self.keys:
            call.press(key)
            yield from FallSilent(0.2).sound(call)


@attrs.frozen
class HangUp:
    """Hang up, in the middle of an answer if ``after`` tells how many seconds of it were heard.

    A script's end does it, too. ``timeout``: as for ``AwaitAnswer``.
    """

    after: Optional[float] = None
    timeout: float = 15.0

    def sound(self, call: CallInProgress) -> Sound:
        """See ``CallStep``."""
        if self.after is not None:
            yield from call.await_within_answer(self.timeout, self.after, None)
        call.hang_up()


@attrs.frozen
class AwaitHangUp:
    """Wait until the application hangs up; the call has failed if it does not within ``timeout`` real seconds."""

    timeout: float = 30.0

    def sound(self, call: CallInProgress) -> Sound:
        """See ``CallStep``."""
        call.may_be_hung_up = True
        yield from FallSilent(call.real(self.timeout)).sound(call)
        call.fail(f"the application did not hang up within {self.timeout:g} s")
