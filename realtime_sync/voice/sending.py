"""Audio on its way to the service: one stream at a time, in chunks, on the caller's thread or one of its own."""

from __future__ import annotations

import logging
import threading
import weakref
from contextlib import AbstractContextManager, closing, suppress
from typing import TYPE_CHECKING, Callable, Optional

import attrs

from realtime_sync.audio.formats import SampleFormat
from realtime_sync.audio.preflight import LEAST_COMMITTED, check_commit
from realtime_sync.core.commands import CommandHandle, new_event_id
from realtime_sync.core.engine import Engine
from realtime_sync.core.realtime import RealtimeEngine
from realtime_sync.core.recovery import Outgoing
from realtime_sync.core.streams import End, Listener
from realtime_sync.deadline import Deadline
from realtime_sync.errors import (
    AudioFormatError,
    AudioSendInProgressError,
    ConnectionClosedError,
    InvalidInputError,
    NoMoreThreadsError,
    RealtimeSyncError,
    SessionNotOpenError,
    UsageError,
    WaitTimeoutError,
)
from realtime_sync.interrupts import Flag
from realtime_sync.protocol import codec
from realtime_sync.protocol.commands import InputAudioBufferClearCommand, InputAudioBufferCommitCommand
from realtime_sync.protocol.options import TurnDetectionOptions
from realtime_sync.protocol.update_base import ConversationUpdate
from realtime_sync.secret import reportable
from realtime_sync.threads import aside_if_nested
from realtime_sync.user_code import warn_once

if TYPE_CHECKING:
    from realtime_sync.audio.outgoing import OutgoingChunks, Progress
    from realtime_sync.audio.source import AudioSource

logger = logging.getLogger(__name__)

# How long a session's end may take to come, once nothing can be sent any more.
_MOST_ENDING_SECONDS = 5.0
# How long a stream whose start was interrupted may take to end; a source that blocks (a microphone) takes longer.
_MOST_INTERRUPTED_SECONDS = 1.0
# A writer's piece is sent in parts of so many bytes: the service takes 15 MiB of base64 in a message (2026), and other
# commands get in between.
_PART = 2**20
# The defaults of ``send_audio``: a source is sent at once, in messages of 100 ms.
_CHUNK_MS: float = 100
_NO_SILENCE_MS: float = 0


class AudioClaim(dict[object, None]):
    """The right to send audio, which one stream has at a time: two at once would be mixed into noise.

    The streams stand here in a row, and the first has the claim. It is taken within a ``try``, and given back at its
    end by ``pop(stream, None)``: that is a single step, so Ctrl-C cannot come in the middle of it.
    """

    def take(self, stream: object) -> None:
        """Take it for this stream.

        Raises:
            AudioSendInProgressError: Another stream has it.
        """
        self[stream] = None
        first, *_ = list(self)  # copied in one step: another thread may add itself meanwhile
        if first is not stream:
            raise AudioSendInProgressError(
                "audio is being sent already, and two streams at once would be mixed into noise. "
                "Wait for the first (AudioSend.wait()), or cancel it"
            )


@attrs.define
class UncommittedAudio:
    """How much audio the input buffer can hold at most: as much as was sent since the last commit.

    All counts are bytes since the session's beginning. One thread at a time sends audio, and it alone writes ``begun``
    and ``sent``; the thread that commits writes the other two.

    Attributes:
        begun: What has been sent, or is just being sent.
        sent: What has been sent, so a commit that is sent now surely finds it.
        committed: ``sent`` as it was before the last commit; None if audio was sent that is not counted here.
        last_commit: The last commit; None before the first one.
    """

    begun: int = 0
    sent: int = 0
    committed: Optional[int] = 0
    last_commit: Optional[CommandHandle] = None

    @property
    def none(self) -> bool:
        """True if the buffer is surely empty, once the service has worked on all that was sent."""
        refused = self.last_commit is not None and self.last_commit.error is not None
        return self.committed == self.begun and not refused

    def check(self, format: SampleFormat, turn_detection: Optional[TurnDetectionOptions]) -> None:
        """Raise ``UsageError`` if a commit would surely be refused."""
        refused = self.last_commit is not None and self.last_commit.error is not None  # so its audio is still there
        known = None if self.committed is None or refused else self.begun - self.committed
        check_commit(known, format, turn_detection)


@reportable
@attrs.define(eq=False)
class AudioSend:
    """Audio that is being sent by a thread of its own. ``wait()`` for it, or ``cancel()`` it.

    Attributes:
        bytes_sent: Bytes of samples handed to the connection so far.
        cancelled: True once ``cancel()`` was called, or the session was closed meanwhile.
        error: Why it failed; None while it has not.
    """

    _chunks: OutgoingChunks
    _send: Callable[[bytes], None]
    _claim: AudioClaim
    _wake: Flag  # ends the waits of the chunks' pacing
    _check_process: Callable[[], None]
    bytes_sent: int = attrs.field(init=False, default=0)
    cancelled: bool = attrs.field(init=False, default=False)
    error: Optional[BaseException] = attrs.field(init=False, default=None)
    # Guards the setting of error and _finished.
    _ending: threading.Lock = attrs.field(init=False, factory=threading.Lock)
    _finished: Flag = attrs.field(init=False, factory=Flag)
    # Taken by the thread when it begins, or by whoever gives up starting it; never given back.
    _begun: threading.Lock = attrs.field(init=False, factory=threading.Lock)

    @property
    def done(self) -> bool:
        """True once all was sent, it failed, or it was cancelled."""
        return self._finished.is_set()

    @aside_if_nested
    def cancel(self) -> None:
        """Send no further chunk. What was sent stays in the input buffer (see ``clear_input_audio``).

        A source that blocks (a microphone's iterator) is not interrupted; its next piece is not sent.
        """
        self.cancelled = True
        self._wake.set()

    def wait(self, timeout: Optional[float] = None) -> int:
        """Wait until it has ended, and return ``bytes_sent``.

        Args:
            timeout: Seconds; None waits for ever.

        Raises:
            WaitTimeoutError: Time is up; it goes on sending.
            BaseException: What made it fail.
        """
        self._check_process()
        if not self._finished.wait(timeout):
            raise WaitTimeoutError(f"the audio was not sent within {timeout} s; it is still being sent")
        if self.error is not None:
            raise self.error.with_traceback(None)
        return self.bytes_sent

    def _run(self, listening: Callable[[Listener], AbstractContextManager[None]]) -> None:
        """Send all chunks. The session calls this once, on a thread of its own; ``listening`` is the engine's."""
        if not self._begun.acquire(blocking=False):
            return  # it was given up
        failed: Optional[BaseException] = None
        try:
            ending = _SessionsEnd(self)
            with listening(ending), closing(self._chunks):
                self._send_chunks()
        except BaseException as error:  # the source is the caller's code; what it raises is the caller's to see
            failed = error
            logger.warning("audio could not be sent: %s: %s", type(error).__name__, error)
            if not isinstance(error, RealtimeSyncError):
                warn_once(self, error, "the source of audio, or its progress,", "no more of it is sent")
        finally:
            self._claim.pop(self, None)
            self._finish(failed)

    def _start(self, engine: Engine, take: Callable[[AudioSend], None]) -> None:
        """Begin to send, on a thread of the session. ``take`` claims the session's audio for this stream."""
        try:
            take(self)
            engine.start_thread(lambda: self._run(engine.listening), "audio")
        except BaseException:
            self._give_up()
            raise

    def _give_up(self) -> None:
        """Its start was interrupted, so nobody will have its handle: end it, and let the next stream begin."""
        self.cancel()
        if self._begun.acquire(blocking=False):
            self._claim.pop(self, None)
            self._chunks.close()
        else:
            self._finished.wait(_MOST_INTERRUPTED_SECONDS)

    def _session_ended(self, end: End) -> None:
        """And with it this: wait for nothing, not even for the source."""
        self.cancelled = self.cancelled or end.clean
        self._wake.set()
        self._finish(None if self.cancelled else end.reason)

    def _send_chunks(self) -> None:
        for chunk in self._chunks:
            if self.cancelled:
                return
            try:
                self._send(chunk)
            except SessionNotOpenError:  # it is being closed, and Timeouts.close may be long
                self.cancelled = True
                return
            except ConnectionClosedError:
                if self._is_orderly_end():
                    return
                raise
            self.bytes_sent += len(chunk)

    def _is_orderly_end(self) -> bool:
        """Whether the session was closed in order: its end is told within the time that a close takes."""
        self._wake.wait(_MOST_ENDING_SECONDS)
        return self.cancelled

    def _finish(self, error: Optional[BaseException]) -> None:
        """Release the threads that wait; the first call counts."""
        with self._ending:
            if not self._finished.is_set():
                self.error = error
                self._finished.set()

    def __repr__(self) -> str:
        state = "sending"
        if self.done:
            state = f"failed: {self.error}" if self.error else "cancelled" if self.cancelled else "sent"
        return f"<AudioSend {state}, {self.bytes_sent} bytes>"


@attrs.define(eq=False)
class _SessionsEnd:
    """A listener: nothing that the server says changes what is sent, but the session's end does."""

    _sending: AudioSend

    def deliver(self, update: ConversationUpdate) -> None:
        """See ``Listener``."""

    def end(self, end: End) -> None:
        """See ``Listener``."""
        self._sending._session_ended(end)


@reportable
class AudioWriter:
    """Audio pushed piece by piece, of any length (a microphone's callback): a context manager with ``write``.

    Pieces are cut at sample boundaries. Nothing is committed. Callable from any one thread at a time.
    """

    def __init__(self, send: Callable[[bytes], None], claim: AudioClaim, sample_bytes: int) -> None:
        self._send = send
        self._claim = claim
        self._sample_bytes = sample_bytes
        # A writer that nobody knows any more has no claim, even if Ctrl-C has kept its ``__exit__`` from being entered.
        self._stream = weakref.ref(self, lambda stream: claim.pop(stream, None))
        self._entered = False
        self._half = b""  # the beginning of a sample whose end has not come

    def __enter__(self) -> AudioWriter:
        try:
            self._claim.take(self._stream)
        except BaseException:
            self._claim.pop(self._stream, None)
            raise
        self._half = b""
        self._entered = True
        return self

    def write(self, data: bytes) -> None:
        """Send these bytes of samples. Raises as ``send_audio`` does."""
        if not self._entered:
            raise UsageError(
                "the writer is not open. Write in its block: `with session.audio_writer() as writer: writer.write(...)`"
            )
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise InvalidInputError(f"samples must be bytes, not {type(data).__name__}")
        data = self._half + bytes(data)
        whole = len(data) - len(data) % self._sample_bytes
        self._half = data[whole:]
        for start in range(0, whole, _PART):
            self._send(data[start : min(start + _PART, whole)])

    def __exit__(self, *exc_info: object) -> None:
        self._claim.pop(self._stream, None)
        self._entered = False
        if self._half and exc_info[0] is None:
            raise AudioFormatError(
                f"the audio ended in the middle of a sample, so its last {len(self._half)} byte was not sent"
            )

    def __repr__(self) -> str:
        return f"<AudioWriter {'open' if self._entered else 'not open'}>"


class AudioInput:
    """All of a session's audio on its way to the service: one stream at a time, counted until it is committed.

    ``translation``: the session is one, whose appends have another wire type.
    """

    def __init__(self, engine: RealtimeEngine, *, translation: bool = False) -> None:
        self.append_type = "session.input_audio_buffer.append" if translation else "input_audio_buffer.append"
        self._engine = engine
        self._claim = AudioClaim()
        self._uncommitted = UncommittedAudio()

    def lose_count(self) -> None:
        """Audio was sent by hand."""
        self._uncommitted.committed = None

    def commit(self, event_id: Optional[str]) -> CommandHandle:
        """See ``RealtimeConversationSession.commit_pending_audio``."""
        self._engine.check_open()
        uncommitted = self._uncommitted
        uncommitted.check(self._engine.settings.input_format, self._engine.settings.turn_detection)
        found = self._found()  # before the commit is sent, because another thread may be sending audio meanwhile
        uncommitted.last_commit = self._engine.send(InputAudioBufferCommitCommand(event_id=event_id))
        uncommitted.committed = found
        return uncommitted.last_commit

    def clear(self, event_id: Optional[str] = None) -> CommandHandle:
        """See ``RealtimeConversationSession.clear_input_audio``."""
        found = self._found()  # as in ``commit``
        handle = self._engine.send(InputAudioBufferClearCommand(event_id=event_id))
        self._uncommitted.committed, self._uncommitted.last_commit = found, None
        return handle

    def _found(self) -> int:
        """How much audio a command that is sent now surely finds, or finds no more."""
        begun = self._uncommitted.begun  # before the claim is looked at, which another thread may take
        return self._uncommitted.sent if self._claim else begun  # what was begun, and interrupted, is not on its way

    def speak(self, samples: bytes, event_id: str, deadline: Deadline) -> Optional[CommandHandle]:
        """Send samples and commit them: a message of the user. Returns the handle of the commit.

        None, and nothing is sent, if they cannot become a message by themselves: other audio is being sent, or is in
        the buffer; turn detection would cut them; the service refuses to commit so little; or a new connection would
        not be given all of them. Raises ``WaitTimeoutError`` if time is up before the last piece is sent.
        """
        stream, engine, uncommitted = object(), self._engine, self._uncommitted
        format = engine.settings.input_format
        seconds = format.seconds(len(samples))
        whole = seconds >= LEAST_COMMITTED and engine.recovery.keeps_audio(seconds)
        if self._claim or not whole or engine.settings.turn_detection is not None:
            return None
        try:
            self._claim.take(stream)
            if not uncommitted.none:
                return None
            try:
                size = format.bytes_for(1)
                for start in range(0, len(samples), size):
                    if deadline.left == 0:
                        raise WaitTimeoutError(f"the question could not be sent within {deadline.seconds} s")
                    self._send(samples[start : start + size])
                return self.commit(event_id)
            except BaseException:
                uncommitted.sent = uncommitted.begun  # or never will be
                self.clear_soon()
                raise
        except AudioSendInProgressError:
            return None
        finally:
            self._claim.pop(stream, None)

    def clear_soon(self) -> None:
        """Have the service forget the audio of a question that was not asked: the next one would be mixed with it."""

        def clear() -> None:
            event_id = new_event_id()
            self._engine.responses.adopt(event_id)
            with suppress(RealtimeSyncError):  # the session has ended, and the buffer with it
                self.clear(event_id)

        if self._engine.reconnecting:  # whoever has stopped waiting does not wait for this
            with suppress(NoMoreThreadsError):
                self._engine.start_thread(clear, "clear")
        else:
            clear()

    def chunks(
        self,
        source: AudioSource,
        chunk_ms: float,
        pace: Optional[float] = None,
        trailing_silence_ms: float = 0,
        progress: Progress = None,
        wake: Optional[Flag] = None,
    ) -> OutgoingChunks:
        """The source as chunks of samples in the session's input format. ``wake`` ends the waits of their pacing."""
        from realtime_sync.audio.outgoing import outgoing_chunks

        self._engine.check_open()
        return outgoing_chunks(
            source,
            self._engine.settings.input_format,
            chunk_ms=chunk_ms,
            pace=pace,
            trailing_silence_ms=trailing_silence_ms,
            progress=progress,
            wake=wake,
        )

    def send(
        self,
        source: AudioSource,
        chunk_ms: float,
        pace: Optional[float],
        trailing_silence_ms: float,
        progress: Progress,
    ) -> None:
        """See ``RealtimeConversationSession.send_audio``."""
        from realtime_sync.audio.source import AudioChunks, is_bare

        self._engine.check_open()
        stream = object()
        # The very defaults: what is only equal to them (as False is to 0) may have to be refused.
        as_it_is = chunk_ms is _CHUNK_MS and trailing_silence_ms is _NO_SILENCE_MS and pace is None and progress is None
        if as_it_is and type(source) is bytes:
            format = self._engine.settings.input_format
            if len(source) <= format.bytes_for(0.1) and is_bare(source, format):
                # A message by itself, as a microphone gives it, takes a tenth less this way.
                try:
                    self._claim.take(stream)
                    self._send(source)
                finally:
                    self._claim.pop(stream, None)
                return
        chunks = self.chunks(source, chunk_ms, pace, trailing_silence_ms, progress)
        try:
            try:
                self._claim.take(stream)
                for several in chunks.several() if isinstance(chunks, AudioChunks) else zip(chunks):
                    self._send(*several)
            finally:
                self._claim.pop(stream, None)
        finally:
            chunks.close()

    def start_sending(self, chunks: OutgoingChunks, wake: Flag) -> AudioSend:
        """Send what ``chunks(wake=wake)`` gave; see ``RealtimeConversationSession.start_sending_audio``."""
        sending = AudioSend(chunks, self._send, self._claim, wake, self._engine.check_process)
        sending._start(self._engine, self._claim.take)
        return sending

    def writer(self) -> AudioWriter:
        """See ``RealtimeConversationSession.audio_writer``."""
        self._engine.check_open()
        return AudioWriter(self._send, self._claim, self._engine.settings.input_format.sample_bytes)

    def _send(self, *chunks: bytes) -> None:
        uncommitted, append_type = self._uncommitted, self.append_type
        frames = []
        for chunk in chunks:
            uncommitted.begun += len(chunk)  # before it is sent: what counts is the most that there may be
            frames.append(Outgoing(codec.append_frame(chunk, append_type), audio_bytes=len(chunk)))
        self._engine.send_audio(frames)
        uncommitted.sent = uncommitted.begun
