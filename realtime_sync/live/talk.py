"""A whole spoken conversation in full duplex: from the microphone to the service, and from the model to the speaker.

The microphone is read on a thread of its own, and the speaker is written to by another one, so that the caller's
``on_update`` may take its time. What the reader receives of the track goes straight to the play-out queue
(``playout.py``). When the user speaks, nothing is cleared or shortened: the model hears it, and falls silent or not.

Nor does the microphone's sound come later and later: ``Backlog`` finds what waits in the device because this process or
the connection stood still, and the conversation leaves it out, with a word in the log.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from contextlib import ExitStack
from typing import Callable, Optional, Union

import attrs

from realtime_sync.audio.formats import SampleFormat
from realtime_sync.checks import check_function, check_number
from realtime_sync.core.streams import End
from realtime_sync.core.update_streams import UpdateStream
from realtime_sync.core.wire_session import WireSession
from realtime_sync.deadline import Deadline
from realtime_sync.devices.interfaces import check_devices
from realtime_sync.errors import AudioFormatError, AudioNotHeldError, ConnectionClosedError, SessionNotOpenError
from realtime_sync.interrupts import Flag
from realtime_sync.live.delegated_work import SessionDelegation
from realtime_sync.live.playout import PlayOut
from realtime_sync.live.sending import LiveAudioInput
from realtime_sync.live.state import LiveEngine
from realtime_sync.protocol.live.updates import LiveSessionOutputAudioDeltaUpdate
from realtime_sync.protocol.update_base import ConversationUpdate
from realtime_sync.voice import Microphone, SoundDeviceMicrophone, SoundDeviceSpeaker, Speaker
from realtime_sync.voice.sending import AudioWriter

logger = logging.getLogger(__name__)

# How long the threads of the devices may take at the end, in seconds.
_END_SECONDS = 5.0
_LOOK_SECONDS = 0.1
# So long, at most, delegated work is waited for when the microphone has ended.
_MOST_WORK_SECONDS = 150.0
# So much of the microphone's sound may come late.
_MOST_LATE_SECONDS = 0.5
_numbers = itertools.count(1)


def talk(
    session: WireSession,
    audio: LiveAudioInput,
    delegation: SessionDelegation,
    microphone: Optional[Microphone] = None,
    speaker: Optional[Speaker] = None,
    *,
    stop: Optional[threading.Event] = None,
    on_update: Optional[Callable[[ConversationUpdate], object]] = None,
    linger: float = 5.0,
) -> None:
    """See ``LiveSession.talk``."""
    check_function("on_update", on_update)
    check_number("linger", linger, "seconds")
    check_devices(microphone, speaker)
    microphone = microphone or SoundDeviceMicrophone(format=audio.format)
    speaker = speaker or SoundDeviceSpeaker(format=audio.format)
    for device in (microphone, speaker):
        _check_format(device.name, device.format, audio.format)
    _LiveTalk(session, audio, delegation, microphone, speaker, stop or Flag(), on_update, linger).run()


class Backlog:
    """How far the sound that a device gives is behind what it hears: so much waits in the device. Pure."""

    def __init__(self) -> None:
        self._since: Optional[float] = None  # when the device last had nothing ready
        self._seconds = 0.0  # of sound that it has given since then

    def after(self, asked: float, came: float, seconds: float) -> float:
        """The seconds that wait, after a piece of so many seconds. ``asked``, ``came``: when it was, on one clock."""
        if self._since is None or came - asked > seconds / 2:
            self._since, self._seconds = came, 0.0
        else:
            self._seconds += seconds
        return came - self._since - self._seconds


@attrs.define(eq=False)
class _Output:
    """A listener: gives the track to the play-out."""

    _play_out: PlayOut

    def deliver(self, update: ConversationUpdate) -> None:
        """See ``Listener``."""
        if type(update) is LiveSessionOutputAudioDeltaUpdate:
            self._play_out.put(update.audio_bytes or b"")

    def end(self, end: End) -> None:
        """See ``Listener``."""


class _LiveTalk:
    """One conversation."""

    def __init__(
        self,
        session: WireSession,
        audio: LiveAudioInput,
        delegation: SessionDelegation,
        microphone: Microphone,
        speaker: Speaker,
        stop: Union[threading.Event, Flag],
        on_update: Optional[Callable[[ConversationUpdate], object]],
        linger: float,
    ) -> None:
        self._session = session
        self._audio = audio
        self._delegation = delegation
        self._microphone = microphone
        self._speaker = speaker
        self._stop = stop
        self._on_update = on_update
        self._linger = linger
        self._play_out = PlayOut(audio.format, self._unheard)
        self._item = f"track {next(_numbers)}"  # to the speaker all that is said in a conversation is one item
        self._written = 0.0  # seconds, to the speaker
        self._over = Flag()  # the caller's thread has left the conversation
        self._ended: list[Flag] = []  # of each thread that was started: it has ended; set after _error
        self._error: Optional[BaseException] = None

    @property
    def _engine(self) -> LiveEngine:
        engine = self._session._engine
        assert isinstance(engine, LiveEngine), "a session of another protocol"
        return engine

    def run(self) -> None:
        output = _Output(self._play_out)
        with ExitStack() as stack:
            stream = stack.enter_context(self._session.subscribe())
            stack.callback(self._speaker.close)
            self._speaker.start()
            stack.enter_context(self._engine.listening(output))
            stack.callback(self._microphone.stop)
            self._microphone.start()
            try:
                self._start(self._sound, stream, "speaker")
                self._start(self._hear, stream, "microphone")
                for update in stream:
                    if self._on_update is not None:
                        self._on_update(update)
            except KeyboardInterrupt:
                pass  # the ordinary way to end a conversation
            finally:
                self._over.set()
                self._microphone.stop()
                for ended in self._ended:
                    ended.wait(_END_SECONDS)
        self._tell()
        # If the session has ended, the stream of updates has raised that.
        if self._error is not None and not isinstance(self._error, (ConnectionClosedError, SessionNotOpenError)):
            raise self._error.with_traceback(None)

    def _start(self, work: Callable[[], None], stream: UpdateStream, role: str) -> None:
        """Do this on a thread of its own; when it ends, so does the conversation."""
        ended = Flag()

        def run() -> None:
            try:
                work()
            except BaseException as error:  # a device may raise anything; it is raised on the caller's thread
                self._error = self._error or error
            finally:
                if not isinstance(self._error, (ConnectionClosedError, SessionNotOpenError)):
                    stream.close()  # wakes the caller's thread; otherwise the session's end does, and says the reason
                ended.set()

        self._engine.start_thread(run, role)
        self._ended.append(ended)

    # The microphone ---------------------------------------------------------------------------------------------

    def _hear(self) -> None:
        with self._audio.writer() as writer:
            self._send_what_is_heard(writer)
        self._wait_for_the_rest()

    def _send_what_is_heard(self, writer: AudioWriter) -> None:
        backlog, left_out, asked = Backlog(), 0.0, time.monotonic()
        for piece in self._microphone:
            if self._over.is_set():
                return
            seconds = self._audio.format.seconds(len(piece))
            late = backlog.after(asked, time.monotonic(), seconds)
            if late > (0 if left_out else _MOST_LATE_SECONDS):
                left_out += seconds
            else:
                if left_out:
                    logger.warning(
                        "%.1f s of the microphone's sound came too late to be sent, because this process or the "
                        "connection stood still; they were left out",
                        left_out,
                    )
                    left_out = 0.0
                self._send(writer, piece)
            asked = time.monotonic()

    def _send(self, writer: AudioWriter, piece: bytes) -> None:
        try:
            writer.write(piece)
        except AudioNotHeldError:
            pass  # the connection is being replaced; audio of this time is lost

    def _wait_for_the_rest(self) -> None:
        """Wait until nothing was said, and nothing was worked on, for ``linger`` seconds."""
        deadline, work = Deadline(self._linger), Deadline(_MOST_WORK_SECONDS)
        while not self._over.wait(_LOOK_SECONDS) and deadline.left != 0:
            works = self._delegation.under_way and work.left != 0
            if works or not self._play_out.quiet or self._speaker.playing:
                deadline = Deadline(self._linger)

    # The speaker ------------------------------------------------------------------------------------------------

    def _sound(self) -> None:
        while not self._over.is_set() and not self._stop.is_set():
            samples = self._play_out.take(_LOOK_SECONDS)
            if samples:
                self._written += self._audio.format.seconds(len(samples))
                self._speaker.write(self._item, 0, samples)

    def _unheard(self) -> float:
        """Seconds that the speaker has and has not sounded."""
        if not self._speaker.playing:
            return 0.0
        played = self._speaker.position.of_item(self._item)
        return max(0.0, self._written - (played.ms / 1000 if played is not None else 0.0))

    def _tell(self) -> None:
        play_out = self._play_out
        if play_out.underruns or play_out.dropped_silence or play_out.dropped_speech:
            logger.info(
                "the speaker ran dry %d times; %.2f s of silence and %.2f s of speech were left out to keep up",
                play_out.underruns,
                play_out.dropped_silence,
                play_out.dropped_speech,
            )


def _check_format(name: str, has: SampleFormat, wanted: SampleFormat) -> None:
    if has != wanted:
        raise AudioFormatError(
            f"{name!r} is of the format {has}, but the session's audio_format is {wanted}. Make it with "
            f"format=session.sample_format, or start the session with that audio_format."
        )
