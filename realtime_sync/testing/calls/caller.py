"""``SimulatedCaller``: who calls an application in a test."""

from __future__ import annotations

from typing import Any, Callable, Optional

from realtime_sync.audio.formats import PCM, SampleFormat
from realtime_sync.checks import check_number
from realtime_sync.devices.interfaces import Microphone, Speaker
from realtime_sync.errors import AudioFormatError, UsageError, WaitTimeoutError
from realtime_sync.secret import reportable
from realtime_sync.server import RealtimeServer
from realtime_sync.server.speech import Recognizer, Synthesizer, WhisperRecognizer, is_voice_installed
from realtime_sync.testing.calls.call import CallInProgress, CallScript
from realtime_sync.testing.calls.clips import CallerVoice
from realtime_sync.testing.calls.record import ServerRecord
from realtime_sync.testing.calls.report import CallFailed, CallReport

CallLine = Callable[[Any, Any], object]
"""What a call goes through: called with the caller's microphone and speaker, it returns when the call is over.
``session.talk`` is one, as are ``BrowserLine`` and ``TelephoneLine``, and any function of the application's that talks.
"""
_RATES = (8000, 24_000)


@reportable
class SimulatedCaller:
    """Somebody who calls an application in a test: speaks, listens, interrupts, falls silent, presses keys, hangs up.

    One caller makes one call, by ``call(line)``, or by code that is given its ``microphone`` and ``speaker``. It has
    no thread: whoever iterates the microphone moves it.

    Args:
        script: What it does: a list of steps (``Say``, ``AwaitAnswer``, ``Interrupt``, ``FallSilent``, ``Press``,
            ``HangUp``, ``AwaitHangUp``), where a bare text, or the ``Path`` of a recording, is said and its answer
            awaited. Or a function that is told what the application has said (first ``""``), and returns what to do
            next: a step, a text, a list of them, or None to hang up. The script's end hangs up.
        server: The embedded server behind the application, which knows what it said and which tools ran. Calls at the
            same time need a server each: nobody knows whose a session is.
        voice: Any voice's name; voices differ in pitch. Texts need the extra ``voice``; recordings do not.
        synthesizer: Speaks in place of that extra.
        ears: Recognises what reaches the caller's ear, and so tests the sound, too: ``WhisperRecognizer()``. None: the
            words are those that the ``server`` told, as far as they were heard; without a server they are recognised
            if the extra ``voice`` is installed.
        pace: How many times faster than real time the call goes: at 4, a question of two seconds takes half a second.
            An answer takes as long as it takes, so waiting times come out up to 4 times too long; measure them at 1.
        quiet: Seconds of silence that are the end of an answer; at least a quarter of a real second.
        timeout: Seconds after which the call has failed, by the call's clock.
        format: Of the sound, if no line tells: ``PCM``, ``MULAW`` or ``ALAW``, as the session's.

    Raises:
        UsageError: The server keeps no record.
        AudioFormatError: The format is of another rate than 24,000 or 8,000 Hz.
    """

    def __init__(
        self,
        script: CallScript,
        *,
        server: Optional[RealtimeServer] = None,
        voice: str = "ash",
        synthesizer: Optional[Synthesizer] = None,
        ears: Optional[Recognizer] = None,
        pace: float = 1.0,
        quiet: float = 1.0,
        timeout: float = 300.0,
        format: SampleFormat = PCM,
    ) -> None:
        check_number("pace", pace, above=0)
        check_number("quiet", quiet, "seconds", above=0)
        check_number("timeout", timeout, "seconds", above=0)
        self._script, self._voice, self._synthesizer = script, voice, synthesizer
        self._pace, self._quiet, self._timeout = pace, quiet, timeout
        self._record = None if server is None else ServerRecord(server)
        self._ears = WhisperRecognizer() if ears is None and server is None and is_voice_installed() else ears
        self._call = self._new_call(format)

    def __repr__(self) -> str:
        state = "over" if self._call.over.is_set() else f"at {self._call.now:.1f} s"
        return f"<SimulatedCaller, its call is {state}>"

    @property
    def microphone(self) -> Microphone:
        """What it says, for ``session.talk(caller.microphone, caller.speaker)``."""
        return self._call.microphone

    @property
    def speaker(self) -> Speaker:
        """What it hears."""
        return self._call.speaker

    def call(self, line: CallLine) -> CallReport:
        """Make the call, and wait for its end.

        Args:
            line: ``session.talk``, a ``BrowserLine``, a ``TelephoneLine``, or any function that is called with a
                microphone and a speaker, and returns when the call is over.

        Returns:
            What happened.

        Raises:
            CallFailed: The caller could not go on: no answer came, the application hung up, or ``line`` raised.
        """
        __tracebackhide__ = True
        format = getattr(line, "format", self._call.format)
        if format != self._call.format:
            self._call = self._new_call(format)
        call = self._call
        call.begin()
        call.has_keys = bool(getattr(line, "has_keys", False))
        try:
            line(call.microphone, call.speaker)
        except CallFailed:
            raise
        except Exception as error:
            if call.failure is not None:  # which the application has made another error of
                raise call.failure from error
            told = f"The line raised {type(error).__name__}: {error}\n\n{call.report()}"
            raise CallFailed(told) from error
        if not call.over.is_set():
            raise UsageError("The line returned, and has not listened to the caller to the end of the call.")
        return self.report()

    def report(self, timeout: float = 60.0) -> CallReport:
        """What happened, once the call is over.

        Args:
            timeout: Real seconds to wait for that.

        Raises:
            CallFailed: The caller could not go on, or the application hung up on it.
            WaitTimeoutError: The call is not over in time.
        """
        __tracebackhide__ = True
        if not self._call.over.wait(timeout):
            raise WaitTimeoutError(f"The call was not over within {timeout:g} s.\n\n{self._call.report()}")
        if self._call.failure is not None:
            raise self._call.failure
        report, unfinished = self._call.report(), self._call.unfinished()
        if unfinished is not None:
            raise CallFailed(f"The call failed after {report.seconds:.1f} s: {unfinished}.\n\n{report}")
        return report

    def report_so_far(self) -> CallReport:
        """What has happened until now, whatever that is; for messages."""
        return self._call.report()

    def _new_call(self, format: SampleFormat) -> CallInProgress:
        if format.rate not in _RATES:
            raise AudioFormatError(f"A caller speaks at 24,000 or 8,000 samples a second, not at {format.rate:,}.")
        return CallInProgress(
            self._script,
            CallerVoice(self._voice, self._synthesizer, format.rate),
            format,
            record=self._record,
            ears=self._ears,
            pace=self._pace,
            quiet=self._quiet,
            timeout=self._timeout,
        )
