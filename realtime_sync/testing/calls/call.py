"""One call: a microphone and a speaker, moved by a script.

Whoever iterates the microphone moves the call: with each piece of 20 ms the caller hears as much of what waits in the
speaker, and does the next bit of its script. So a call needs no thread of its own, and its time is that of the sound:
``pace`` times as fast as real time.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator
from typing import Callable, NoReturn, Optional, Union

from realtime_sync.audio import g711
from realtime_sync.audio.formats import SampleFormat
from realtime_sync.audio.pacing import Pacer, RealClock
from realtime_sync.audio.playback import Played
from realtime_sync.audio.source import slices
from realtime_sync.devices.play_queue import QueuedSpeaker
from realtime_sync.errors import UsageError
from realtime_sync.interrupts import Flag
from realtime_sync.server.speech import Hints, Recognizer
from realtime_sync.testing.calls.clips import CallerVoice, Clip
from realtime_sync.testing.calls.ear import CallUtterance, Ear
from realtime_sync.testing.calls.record import ServerRecord
from realtime_sync.testing.calls.report import CallFailed, CallReport
from realtime_sync.testing.calls.sound import TICK
from realtime_sync.testing.calls.steps import AwaitAnswer, CallStep, Interrupt, Say, Sound

CallAction = Union[str, "os.PathLike[str]", CallStep]
"""A step; or a text or the path of a recording: it is said, and the answer awaited."""
CallScript = Union[Iterable[CallAction], Callable[[str], Union[CallAction, Iterable[CallAction], None]]]
"""Steps; or a function that is told what the application said (first nothing) and returns what the caller does next:
a step, some, or None to hang up.
"""

# So much real silence is the end of an answer at least: fast callers must not take a busy machine for one.
_REAL_QUIET = 0.35
# Real seconds in which more sound of a response may come, on a busy machine.
_MOST_SLOW = 3.0
# Who has been silent for so long has fallen silent.
_BREATH = 0.25
# What a stalled machine has kept from being said is said at once, as a network would bring it.
_MOST_BEHIND = 5.0


class HungUp(Exception):
    """The caller hangs up here; it never comes out of the call."""


class CallerMicrophone:
    """What the caller says: a ``Microphone``."""

    name = "simulated caller"

    def __init__(self, call: CallInProgress) -> None:
        self.format = call.format
        self._call = call

    def start(self) -> None:
        """Make ready what is to be said, which may take a moment the first time."""
        self._call.begin()
        self._call.prepare()

    def stop(self) -> None:
        """The application hangs up."""
        self._call.stopped.set()

    def hung_up(self, why: str) -> None:
        """The application hangs up, and has said why; empty if it has not."""
        self._call.why_hung_up = self._call.why_hung_up or why
        self.stop()

    def take_keys(self) -> str:
        """The keys that were pressed since they were asked for last."""
        keys, self._call.keys_to_send = self._call.keys_to_send, ""
        return keys

    def __iter__(self) -> Iterator[bytes]:
        return self._call.sound()


class CallerSpeaker(QueuedSpeaker):
    """What the caller hears: a ``Speaker``. Its sound is taken as the call goes on."""

    name = "simulated caller"

    def __init__(self, format: SampleFormat) -> None:
        super().__init__(format, format.rate)
        self.written = 0
        """Samples that came so far."""
        self._closed = False

    def start(self) -> None:
        """Nothing is needed."""

    def write(self, item_id: str, content_index: int, samples: bytes) -> None:
        """See ``Speaker.write``. Who has hung up hears nothing."""
        if not self._closed:
            self.written += len(samples) // self.format.sample_bytes
            self._queue.put(item_id, content_index, g711.decode(samples, self.format.wire_type))

    def wait(self, timeout: Optional[float] = None) -> None:
        """What is left is heard while the call goes on; there is nothing to wait for behind its end."""

    def close(self) -> None:
        """Hear nothing more."""
        self._closed = True
        self.stop()

    @property
    def taken(self) -> int:
        """Samples that were heard so far."""
        return self._queue.taken

    def take(self, samples: int) -> bytes:
        """So many samples, silence where there are none."""
        return self._queue.take(samples)

    def played(self, item_id: str) -> Optional[Played]:
        """What was heard of an item."""
        return self.position.of_item(item_id)


class CallInProgress:
    """The state of a call; steps use it. All but ``stopped``, ``over`` and the speaker is the iterating thread's.

    ``record``: what the embedded server knows, if there is one. ``ears``: recognises what was heard; None: nobody.
    ``quiet``: seconds of silence that end an answer. ``timeout``: seconds that the call may last.
    """

    def __init__(
        self,
        script: CallScript,
        voice: CallerVoice,
        format: SampleFormat,
        *,
        record: Optional[ServerRecord],
        ears: Optional[Recognizer],
        pace: float,
        quiet: float,
        timeout: float,
    ) -> None:
        self.format, self.voice, self.record = format, voice, record
        self.quiet = max(quiet, _REAL_QUIET * pace)
        self.ear = Ear(self.quiet)
        self.microphone, self.speaker = CallerMicrophone(self), CallerSpeaker(format)
        self.now = 0.0
        """Seconds since the call began."""
        self.said: list[CallUtterance] = []
        self.answers_taken = 0
        """Of what the ear has heard, so many were awaited."""
        self.may_be_hung_up = False
        self.why_hung_up = ""
        self.has_keys = False
        self.keys = self.keys_to_send = ""
        self.ended_by = ""
        self.failure: Optional[CallFailed] = None
        self.stopped, self.over = Flag(), Flag()
        self._script = script if callable(script) else list(script)
        self._ears = ears
        self._pace, self._timeout = pace, timeout
        self._tick_samples = round(TICK * format.rate)
        self._begun = self._began = self._done = False
        self._step: object = None
        self._speaking: Optional[CallUtterance] = None
        self._caller_ended: Optional[float] = None
        self._tracks = bytearray(), bytearray()  # PCM16: the caller's, and what the caller heard
        self._worded: set[str] = set()  # items whose words are an utterance's

    # For the devices --------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """The call begins, or has begun."""
        if not self._begun:
            self._begun = True
            if self.record is not None:
                self.record.begin()

    def prepare(self) -> None:
        """Make what the script is known to say."""
        for step in self._script if isinstance(self._script, list) else ():
            if isinstance(step, (Say, Interrupt)):
                self.voice.clip(step.what, step.words)
            elif isinstance(step, (str, os.PathLike)):
                self.voice.clip(step, "")

    def sound(self) -> Iterator[bytes]:
        """The caller's sound in pieces of a tick, each when it is due; the call is over at its end."""
        if self._began:
            raise UsageError("This caller has made its call; make a new one for the next.")
        self._began = True
        try:
            self.prepare()
            yield from self._pieces()
        except CallFailed:
            raise
        except Exception as error:  # of the script: a function's, a recording's
            self._fail(f"the caller's script raised {type(error).__name__}: {error}", error)
        finally:
            self._end()

    def _pieces(self) -> Iterator[bytes]:
        pacer = Pacer(self._pace, RealClock(wake=self.stopped), most_behind=_MOST_BEHIND)
        doing = self._act()
        for number in itertools.count():
            pacer.wait_until(number * TICK)
            if self.stopped.is_set():
                return
            self.now = number * TICK
            self._hear()
            if self.now > self._timeout:
                self.fail(f"it was not over after {self._timeout:g} s")
            try:
                piece = next(doing) or bytes(2 * self._tick_samples)
            except (StopIteration, HungUp):
                self.ended_by, self._done = "caller", True
                return
            piece += bytes(2 * self._tick_samples - len(piece))
            self._tracks[0].extend(piece)
            yield piece if self.format.sample_bytes == 2 else g711.encode(piece, self.format.wire_type)

    def _hear(self) -> None:
        before = self.speaker.taken
        block = self.speaker.take(self._tick_samples)
        self._tracks[1].extend(block)
        position = self.speaker.position.current
        item_id = position.item_id if position is not None and self.speaker.taken > before else None
        self.ear.hear(block, self.now, item_id, self._caller_ended)
        if self.record is not None:
            self.record.look(self.now)

    def _end(self) -> None:
        if self.failure is None and not self.ended_by:
            self.ended_by = "application"
        self.speaker.close()
        if self.record is not None:
            self.record.look(self.now)
        self.over.set()

    # The script --------------------------------------------------------------------------------------------------

    def _act(self) -> Sound:
        if not callable(self._script):
            for step in self._script:
                yield from self._do(step)
            return
        heard = 0
        while True:
            told = " ".join(self.words_of(each) for each in self.ear.heard[heard:])
            heard = len(self.ear.heard)
            wanted = self._script(told)
            if wanted is None:
                return
            for step in (wanted,) if isinstance(wanted, (str, os.PathLike, CallStep)) else wanted:
                yield from self._do(step)

    def _do(self, step: CallAction) -> Sound:
        self._step = step
        if isinstance(step, (str, os.PathLike)):
            yield from Say(step).sound(self)
            yield from AwaitAnswer().sound(self)
        else:
            yield from step.sound(self)

    def speak(self, clip: Clip, *, interrupts: bool = False) -> Sound:
        """Say this to its end."""
        said = CallUtterance("caller", self.now, self.now, clip.words, interrupts=interrupts)
        self.said.append(said)
        for piece in slices(clip.pcm, 2 * self._tick_samples):
            said.ended = self.now + TICK
            yield piece
        self._caller_ended = said.ended

    def await_first_sound(self, timeout: float) -> Sound:
        """Wait until the application has begun to answer. Fails the call if it has not, in so many real seconds."""
        end = self.now + self.real(timeout)
        while not self._has_begun():
            if self.now >= end:
                over = len(self.ear.heard) > self.answers_taken
                why = ", but the application began to speak before the caller had finished" if over else ""
                self.fail(f"no answer was heard within {timeout:g} s{why}")
            yield None

    def _has_begun(self) -> bool:
        heard = self.ear.heard
        new = len(heard) > self.answers_taken
        return new and (self._caller_ended is None or heard[-1].began >= self._caller_ended)

    def is_over(self, answer: CallUtterance, quiet: float) -> bool:
        """Whether the application has been silent for so long, and is not just slow to go on, as the server knows."""
        silence = self.now - answer.ended
        slow = self.record is not None and self.record.is_answering
        return silence >= quiet + (self.real(_MOST_SLOW) if slow else 0.0)

    def real(self, seconds: float) -> float:
        """So many real seconds by the call's clock."""
        return seconds * self._pace

    def await_within_answer(self, timeout: float, seconds: float, words: Optional[int]) -> Sound:
        """Wait until so many seconds, or words, of an answer were heard, and it goes on."""
        yield from self.await_first_sound(timeout)
        answer = self.ear.heard[-1]
        while not (self._words_heard(answer) >= words if words is not None else self.now - answer.began >= seconds):
            if self.is_over(answer, self.quiet):
                self.fail(f"the answer was over after {answer.seconds:.1f} s, before the caller could interrupt it")
            yield None

    def _words_heard(self, answer: CallUtterance) -> int:
        if self.record is None:
            self.fail("words_heard= needs the embedded server, which tells them: give the caller server=")
        return sum(self.record.words_heard(item, self._seconds_of(item) or 0.0) for item in answer.items)

    def _seconds_of(self, item_id: str) -> Optional[float]:
        played = self.speaker.played(item_id)
        return None if played is None else played.ms / 1000

    def press(self, key: str) -> None:
        """Press a key of the telephone."""
        if not self.has_keys:
            self.fail("this line has no keys to press: that is for a TelephoneLine")
        self.keys += key
        self.keys_to_send += key

    def hang_up(self) -> NoReturn:
        """End the call."""
        raise HungUp

    def fail(self, reason: str) -> NoReturn:
        """End the call: the caller cannot go on."""
        self._fail(reason, None)

    def _fail(self, reason: str, cause: Optional[BaseException]) -> NoReturn:
        step = "" if self._step is None else f" (in the step {self._step!r})"
        self.ended_by = "failure"
        self.failure = CallFailed(f"The call failed after {self.now:.1f} s: {reason}{step}.\n\n{self.report()}")
        raise self.failure from cause

    # What happened -------------------------------------------------------------------------------------------------

    def report(self) -> CallReport:
        """What has happened so far."""
        for each in self.ear.heard:
            self.words_of(each)
        for said in self.said:
            said.silent_after = self._silent_after(said)
        sounds = [bytes(track[: len(self._tracks[0])]) for track in self._tracks]  # in its last moment it only listens
        return CallReport(
            utterances=sorted((*self.said, *self.ear.heard), key=lambda each: each.began),
            tools=list(self.record.tools) if self.record is not None else [],
            knows_tools=self.record is not None,
            keys=self.keys,
            seconds=self.now,
            ended_by=self.ended_by,
            rate=self.format.rate,
            caller_sound=sounds[0],
            application_sound=sounds[1],
        )

    def unfinished(self) -> Optional[str]:
        """What the caller could not do because the application hung up; None if it was through, or expected that."""
        if self.ended_by != "application" or self.may_be_hung_up or self._done:
            return None
        at = "before the caller had begun" if self._step is None else f"while the caller was at {self._step!r}"
        return f"the application hung up {at}" + (f": {self.why_hung_up.rstrip('.')}" if self.why_hung_up else "")

    def _silent_after(self, said: CallUtterance) -> Optional[float]:
        """Seconds until the application was silent that this was said over."""
        spoken_over = [each for each in self.ear.heard if each.began < said.began < each.ended]
        if not said.interrupts or not spoken_over:
            return 0.0 if said.interrupts else None
        return None if self.now - spoken_over[-1].ended < _BREATH else spoken_over[-1].ended - said.began

    def words_of(self, heard: CallUtterance) -> str:
        """What the application said: as it was recognised, or as the service told it."""
        if not heard.words and self._ears is not None:
            start, end = (2 * round(at * self.format.rate) for at in (heard.began, heard.ended))
            pcm = bytes(self._tracks[1][start:end])
            heard.words = self._ears.recognize(pcm, self.format.rate, Hints()).text.strip()
        elif not heard.words and self.record is not None:
            heard.words = self._told_words(heard, self.record)
        return heard.words

    def _told_words(self, heard: CallUtterance, record: ServerRecord) -> str:
        known = [item for item in heard.items if record.knows(item)]
        if known:
            parts = [record.words_of(item, self._seconds_of(item)) for item in known if self._is_new(item)]
            return " ".join(filter(None, parts))
        before = self.ear.heard[: self.ear.heard.index(heard)]
        items = record.items_between(before[-1].ended if before else -TICK, heard.ended)
        cut = any(said.interrupts and heard.began < said.began < heard.ended for said in self.said)
        cut = cut or self.now - heard.ended < _BREATH  # the call was over before it was
        seconds = heard.seconds if cut else None
        return " ".join(filter(None, (record.words_of(item, seconds) for item in items if self._is_new(item))))

    def _is_new(self, item_id: str) -> bool:
        """Whether its words are not yet those of an earlier utterance; from now on they are."""
        new = item_id not in self._worded
        self._worded.add(item_id)
        return new
