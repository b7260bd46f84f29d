"""A telephone call by a provider's media stream: Twilio's, and those like it, over a WebSocket of the application's.

The provider connects to a WebSocket route, and sends what the caller says as JSON (``media_frames.py``).
``MediaStream`` makes a ``Microphone`` and a ``Speaker`` of it; the session speaks the telephone's format, so nothing is
converted::

    OPTIONS = ConversationSessionOptions(input_audio_format="g711_ulaw", output_audio_format="g711_ulaw")

    @sock.route("/media")                                   # flask-sock
    def media(socket):
        with MediaStream(socket.send, socket.receive) as call:
            if not is_ours(call.start):                     # anybody can connect to a WebSocket
                return
            with client.start_conversation_session(OPTIONS) as session:
                call.talk(session)                          # until somebody hangs up

Where messages come by callbacks, as in Django Channels' ``WebsocketConsumer``, give no ``receive``: hand each message
to ``feed()``, call ``close()`` when the socket has closed, and hold the conversation on a thread of its own.

**What was heard.** Sound is sent in pieces of 40 ms, each with a mark behind it, and three seconds ahead at most.
``phone_playing.py`` tells what the marks say, and where the caller interrupted.

**Threads.** One sends (``OutgoingLink``), one calls ``receive``, if there is one; the latter ends when that returns, as
it does when the route's function has returned.
"""

from __future__ import annotations

import functools
import inspect
import logging
import threading
import time
from collections import OrderedDict
from typing import Any, Callable, Optional, Union

from realtime_sync.audio.formats import SampleFormat
from realtime_sync.audio.playback import PlaybackPosition, Played
from realtime_sync.checks import check_function, check_number
from realtime_sync.devices.outgoing_link import OutgoingLink
from realtime_sync.devices.remote import RemoteMicrophone, RemoteSpeaker
from realtime_sync.errors import AudioDeviceError, AudioFormatError, UsageError, WaitTimeoutError
from realtime_sync.interrupts import Flag
from realtime_sync.secret import reportable
from realtime_sync.threads import aside_if_nested, start_thread
from realtime_sync.user_code import warn_once
from realtime_sync.voice.media_frames import StreamStart, Wording, digit, mark_name, read, sound
from realtime_sync.voice.phone_playing import Heard, Part, PhonePlaying

logger = logging.getLogger(__name__)

# Each piece of sound has a mark behind it. No provider takes less than 20 ms.
_PIECE_SECONDS = 0.04
_LEAST_SECONDS = 0.02
# So much is sent ahead of what is played, and no more: a clear must not wait behind a minute of sound.
_MOST_AHEAD_SECONDS = 3.0
# The marks that answer a clear are awaited so long; the speaker waits somewhat longer for what follows from them.
_CLEAR_SECONDS = 1.5
_STOP_SECONDS = 2.0
_MOST_PARTS = 64
_MOST_DIGITS = 64

# How often a reader looks whether the call has ended; and after so much silence it has: providers send all the time.
_LOOK_SECONDS = 1.0
_SILENT_SECONDS = 20.0

Receive = Callable[..., Union[str, bytes, None]]


@reportable
class MediaStream:
    """One call. See the module. A context manager: it waits for the call's start, and ends the stream.

    **Anybody can connect to a WebSocket.** Before anything is said to a caller, or paid for, have ``start.parameters``
    prove that the stream is of a call that your application took: see the guide.

    Args:
        send: Sends a text message to the provider; may wait. It is called by one thread.
        receive: Waits for a message, and returns it; None is the end, as is whatever it raises. If it takes a
            ``timeout`` (flask-sock's does), it is called with one, and None is no end. None: ``feed`` is told.
        start_seconds: How long ``with`` waits for the call's start.
    """

    def __init__(
        self, send: Callable[[Any], object], receive: Optional[Receive] = None, *, start_seconds: float = 10.0
    ) -> None:
        check_function("send", send)
        check_function("receive", receive)
        check_number("start_seconds", start_seconds, "seconds")
        self._send = send
        self._receive = receive
        self._times_out = receive is not None and _takes_timeout(receive)
        self._start_seconds = start_seconds
        self._begun, self._over = Flag(), Flag()
        self._start: Optional[StreamStart] = None
        self._problem: Optional[AudioFormatError] = None
        self._microphone: Optional[_PhoneMicrophone] = None
        self._speaker: Optional[RemoteSpeaker] = None
        self._player: Optional[_TelephonePlayer] = None
        self._lock = threading.Lock()  # guards all below
        self._link: Optional[OutgoingLink] = None
        self._on_dtmf: Optional[Callable[[str], object]] = None
        self._digits: list[str] = []  # pressed before somebody wanted to know

    @property
    def start(self) -> StreamStart:
        """Who calls. Raises ``UsageError`` before that is known: see ``wait_for_start``."""
        self._check_begun()
        assert self._start is not None
        return self._start

    @property
    def microphone(self) -> RemoteMicrophone:
        """What the caller says, for ``session.talk``. Raises as ``start`` does."""
        self._check_begun()
        assert self._microphone is not None
        return self._microphone

    @property
    def speaker(self) -> RemoteSpeaker:
        """What the caller hears, for ``session.talk``. Raises as ``start`` does."""
        self._check_begun()
        assert self._speaker is not None
        return self._speaker

    @property
    def ended(self) -> bool:
        """True once the call, or the stream, is over."""
        return self._over.is_set()

    def wait_for_start(self, timeout: Optional[float] = None) -> StreamStart:
        """Wait until it is known who calls; ``timeout``: seconds, None is as long as it takes.

        Raises:
            WaitTimeoutError: It is not known in time.
            AudioDeviceError: The connection ended before.
            AudioFormatError: The provider sends another format than G.711.
        """
        if not self._begun.wait(timeout):
            raise WaitTimeoutError(f"whoever has connected has not said within {timeout} s which call this is")
        if self._problem is not None:
            raise self._problem
        if self._start is None:
            raise AudioDeviceError("the connection ended before it was said which call this is")
        return self._start

    def talk(
        self,
        session: Any,
        *,
        greet: Optional[Callable[[], object]] = None,
        on_dtmf: Optional[Callable[[str], object]] = None,
        **options: Any,
    ) -> None:
        """Hold the conversation, until the call or the session ends. A caller who hangs up is no error.

        Args:
            session: A conversation session, or a live one, with the format of ``start.format``.
            greet: Called when all is ready, such as ``session.start_response``; None: the caller speaks first.
            on_dtmf: ``on_dtmf("5")`` is called for each key that the caller presses, on a thread that should not wait
                long: until it returns, nothing more is heard of the caller. Keys from before are told at once.
            options: As for ``session.talk``: ``on_update`` and so on.

        Raises:
            Exception: What ``session.talk`` raises.
        """
        check_function("greet", greet)
        check_function("on_dtmf", on_dtmf)
        microphone, speaker = self.microphone, self.speaker
        assert self._microphone is not None
        self._microphone.on_start = greet
        try:
            self._tell_digits(on_dtmf)
            session.talk(microphone, speaker, stop=self._over, **options)
        except AudioDeviceError:
            if not self.ended:
                raise
        finally:
            self._tell_digits(None)

    def _check_begun(self) -> None:
        if self._start is None:
            raise UsageError("it is not known yet who calls: use 'with', or wait_for_start()")

    # What comes ---------------------------------------------------------------------------------------------------

    def feed(self, message: Union[str, bytes, None]) -> None:
        """A message has come from the provider. What is none, and all behind the end, is left aside."""
        if self.ended:
            return
        event, told = read(message)
        if event == "stop":
            self._hang_up()
        elif event == "start" and self._start is None:
            self._begin(told)
        elif self._player is None:
            logger.debug("a media stream has begun with %.40r", event)
        elif event == "media":
            self._hear(told)
        elif event == "mark":
            self._player.mark_is_back(mark_name(told))
        elif event == "dtmf":
            self._press(digit(told))

    def _begin(self, told: Any) -> None:
        try:
            start = StreamStart.of(told)
        except AudioFormatError as problem:
            self._problem = problem
            self._begun.set()
            return
        player = _TelephonePlayer(self._open(), Wording(start), start.format)
        position = _ReckonedPosition(start.format.rate, player.reckoned)
        speaker = RemoteSpeaker(player, start.format, name="telephone", clear_seconds=_STOP_SECONDS, position=position)
        player.tell = lambda heard: speaker.heard(*(heard.part or ("", 0)), heard.samples, cleared=heard.cleared)
        self._microphone = _PhoneMicrophone(start.format, name="telephone")
        self._speaker, self._player, self._start = speaker, player, start
        self._begun.set()

    def _hear(self, told: Any) -> None:
        assert self._player is not None
        assert self._microphone is not None
        samples, moment = sound(told)
        if moment is not None:
            self._player.phone_time_is(moment)
        try:
            self._microphone.hear(samples)
        except WaitTimeoutError as error:
            logger.warning("a call is ended: %s", error)
            self._hang_up()

    def _press(self, key: str) -> None:
        with self._lock:
            on_dtmf = self._on_dtmf
            if on_dtmf is None:
                self._digits = [*self._digits, key][-_MOST_DIGITS:]
        if on_dtmf is not None:
            self._tell_digit(on_dtmf, key)

    def _tell_digits(self, on_dtmf: Optional[Callable[[str], object]]) -> None:
        """From now on this wants to know which keys are pressed."""
        with self._lock:
            self._on_dtmf = on_dtmf
            digits = [] if on_dtmf is None else self._digits
            self._digits = self._digits if on_dtmf is None else []
        for key in digits:
            assert on_dtmf is not None
            self._tell_digit(on_dtmf, key)

    def _tell_digit(self, on_dtmf: Callable[[str], object], key: str) -> None:
        try:
            on_dtmf(key)
        except Exception as error:
            logger.exception("on_dtmf failed")
            warn_once(on_dtmf, error, "on_dtmf", "the call goes on")

    def _next_message(self) -> Union[str, bytes, None]:
        assert self._receive is not None
        # A socket that was closed may wake nobody who waits for it; flask-sock's is one.
        return self._receive(timeout=_LOOK_SECONDS) if self._times_out else self._receive()

    def _read(self) -> None:
        last = time.monotonic()
        try:
            while not self.ended:
                message = self._next_message()
                if message is not None:
                    last = time.monotonic()
                    self.feed(message)
                elif not self._times_out or time.monotonic() - last > _SILENT_SECONDS:
                    break
        except Exception as error:  # the application's: its socket has its own errors
            logger.debug("a media stream's socket has ended: %s: %s", type(error).__name__, error)
        self._hang_up()

    # The end --------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """End the stream; also when the socket has closed. Idempotent, from any thread.

        The provider goes on with what your application told it to do behind the stream, or ends the call. What waits to
        be played is not waited for: ``call.speaker.wait(10)`` does.
        """
        self._hang_up()
        if self._link is not None:
            self._link.close()

    @aside_if_nested
    def _hang_up(self) -> None:
        """Nothing more is heard or said."""
        self._over.set()  # first: what ends the conversation is not to be taken for a fault
        self._begun.set()
        if self._link is not None:
            self._link.drop()
        if self._speaker is not None:
            self._speaker.end()
        if self._microphone is not None:
            self._microphone.end()

    def __enter__(self) -> MediaStream:
        try:
            self._open()
            if self._receive is not None:
                start_thread(self._read, "realtime-sync-telephone")
            self.wait_for_start(self._start_seconds)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _open(self) -> OutgoingLink:
        with self._lock:
            if self._link is None:
                self._link = OutgoingLink(self._transmit, cut=self._hang_up, name="telephone")
            return self._link

    def _transmit(self, message: Any) -> None:
        """On the link's thread: what is counted as sent is sent just now."""
        if isinstance(message, _Counted):
            while message.is_sound and (wait := self._seconds_too_early()) > 0 and not self._over.wait(wait):
                pass
            message.when_sent(time.monotonic())
        self._send(str(message))

    def _seconds_too_early(self) -> float:
        """How long sound is still to be held back; a short while at once, because a clear may come meanwhile."""
        ahead = self._player.ahead() if self._player is not None else 0.0
        return min(ahead - _MOST_AHEAD_SECONDS, _LEAST_SECONDS)

    def __repr__(self) -> str:
        state = "ended" if self.ended else "waiting for its start" if self._start is None else "open"
        return f"<MediaStream {self._start.call_id if self._start else ''} {state}>"


class _Counted(str):
    """A message, with what is to be done when it is sent."""

    when_sent: Callable[[float], None]
    is_sound: bool

    @classmethod
    def of(cls, message: str, when_sent: Callable[[float], None], *, is_sound: bool) -> _Counted:
        made = cls(message)
        made.when_sent, made.is_sound = when_sent, is_sound
        return made


class _TelephonePlayer:
    """The ``RemotePlayer``: cuts sound into pieces with marks, and tells the speaker what the marks say."""

    def __init__(self, link: OutgoingLink, wording: Wording, format: SampleFormat) -> None:
        self.tell: Callable[[Heard], object] = lambda heard: None
        self._link = link
        self._wording = wording
        self._format = format
        self._piece = format.bytes_for(_PIECE_SECONDS)
        self._least = format.bytes_for(_LEAST_SECONDS)
        self._put: OrderedDict[Part, int] = OrderedDict()  # samples of each part; used by one thread at a time
        self._mark = 0
        self._lock = threading.Lock()  # guards all below
        self._playing = PhonePlaying(format.rate)
        self._phone_time: Optional[float] = None

    def play(self, item_id: str, content_index: int, samples: bytes) -> None:
        """See ``RemotePlayer``."""
        part = item_id, content_index
        begin = self._put.get(part, 0)
        self._put[part] = begin + len(samples)
        if len(self._put) > _MOST_PARTS:
            self._put.popitem(last=False)
        place = 0
        while place < len(samples):
            left = len(samples) - place
            size = self._piece if left >= self._piece + self._least else left
            self._play(part, begin + place + size, samples[place : place + size])
            place += size

    def _play(self, part: Part, end: int, samples: bytes) -> None:
        self._mark += 1
        padding = max(0, self._least - len(samples))
        sent = functools.partial(self._sent, self._mark, part, end, len(samples), padding)
        media = self._wording.media(samples + self._format.silence_sample * padding)
        self._link.put(_Counted.of(media, sent, is_sound=True), self._wording.mark(str(self._mark)), spare=True)

    def _sent(self, mark: int, part: Part, end: int, samples: int, padding: int, now: float) -> None:
        with self._lock:
            self._playing.sent(mark, part, end, samples, padding, now)

    def clear(self, number: int) -> None:
        """See ``RemotePlayer``."""
        self._link.drop()
        self._link.put(_Counted.of(self._wording.clear(), functools.partial(self._cleared, number), is_sound=False))

    def _cleared(self, number: int, now: float) -> None:
        with self._lock:
            heard = self._playing.cleared(number, now)
        self._tell(heard)

    def mark_is_back(self, name: str) -> None:
        """The provider has sent a mark back."""
        if not name.isdecimal() or len(name) > 18:
            return
        with self._lock:
            heard = self._playing.returned(int(name), time.monotonic(), self._phone_time)
        self._tell(heard)

    def phone_time_is(self, moment: float) -> None:
        """The provider has sent sound of this moment, in its own seconds. It may come out of order."""
        with self._lock:
            self._phone_time = max(moment, self._phone_time or 0.0)
            heard = self._playing.overdue(time.monotonic(), _CLEAR_SECONDS)
        self._tell(heard)

    def ahead(self) -> float:
        """See ``PhonePlaying.ahead``."""
        with self._lock:
            return self._playing.ahead(time.monotonic())

    def reckoned(self) -> Optional[tuple[Part, int]]:
        """See ``PhonePlaying.reckoned``."""
        with self._lock:
            return self._playing.reckoned(time.monotonic())

    def _tell(self, heard: Optional[Heard]) -> None:
        if heard is not None:
            self.tell(heard)


class _PhoneMicrophone(RemoteMicrophone):
    """Calls ``on_start`` when a conversation begins to listen."""

    on_start: Optional[Callable[[], object]] = None

    def start(self) -> None:
        """See ``Microphone.start``."""
        super().start()
        if self.on_start is not None:
            self.on_start()


class _ReckonedPosition(PlaybackPosition):
    """What was played by the marks; and what is likely played by now, while nobody has stopped it.

    Marks come late, by half a second perhaps. Whoever asks how much still waits at the telephone, as a live
    conversation does, would take that half second for sound that waits.
    """

    def __init__(self, rate: int, reckoned: Callable[[], Optional[tuple[Part, int]]]) -> None:
        super().__init__(rate=rate)
        self._samples_a_second = rate
        self._reckoned = reckoned

    @property
    def current(self) -> Optional[Played]:
        """See ``PlaybackPosition.current``."""
        reckoned = self._reckoned()
        return super().current if reckoned is None else self._later(reckoned, super().of_item(*reckoned[0]))

    def of_item(self, item_id: str, content_index: int = 0) -> Optional[Played]:
        """See ``PlaybackPosition.of_item``."""
        told = super().of_item(item_id, content_index)
        reckoned = self._reckoned()
        if reckoned is None or reckoned[0] != (item_id, content_index):
            return told
        return self._later(reckoned, told)

    def _later(self, reckoned: tuple[Part, int], told: Optional[Played]) -> Optional[Played]:
        part, samples = reckoned
        ms = samples * 1000 // self._samples_a_second
        if ms <= (told.ms if told is not None else 0):
            return told
        return Played(*part, ms, told.started if told is not None else time.monotonic())


def _takes_timeout(receive: Receive) -> bool:
    try:
        return "timeout" in inspect.signature(receive).parameters
    except (TypeError, ValueError):  # it is made in C, and does not tell
        return False
