"""A microphone that hears files, and a speaker that plays into one: for machines without sound, and for tests."""

from __future__ import annotations

import logging
import os
import queue
import threading
from collections.abc import Iterator
from typing import BinaryIO, Optional, Union

from realtime_sync.audio import g711
from realtime_sync.audio.formats import PCM, SampleFormat, pcm_at
from realtime_sync.audio.outgoing import check_chunk_ms, outgoing_chunks
from realtime_sync.audio.pacing import Pacer, PacingClock, RealClock
from realtime_sync.audio.source import AudioSource
from realtime_sync.audio.wav import WavWriter
from realtime_sync.deadline import Deadline
from realtime_sync.devices.play_queue import QueuedSpeaker
from realtime_sync.errors import AudioDeviceError, NoMoreThreadsError, UsageError, WaitTimeoutError
from realtime_sync.interrupts import Flag
from realtime_sync.threads import aside_if_nested, start_thread

logger = logging.getLogger(__name__)


class FileMicrophone:
    """Hears recordings, one after the other, and silence where there is none: a ``Microphone``.

    ``sources``: what ``send_audio`` takes; ``say()`` adds more at any time. ``format``: of what it gives. ``pace``: 1.0
    hears at the speed of speech, 2.0 twice as fast. ``chunk_ms``: how long its pieces are. ``pause_ms``: silence behind
    each recording, in which voice activity detection finds its end. ``endless``: True goes on with silence until
    ``stop()``, as a microphone does; False ends behind the last recording. ``clock`` paces. A context manager.
    """

    def __init__(
        self,
        *sources: AudioSource,
        format: SampleFormat = PCM,
        pace: float = 1.0,
        chunk_ms: float = 20,
        pause_ms: float = 1000,
        endless: bool = True,
        clock: Optional[PacingClock] = None,
    ) -> None:
        check_chunk_ms(chunk_ms)
        self.format = format
        self._chunk_ms = chunk_ms
        self._pause_ms = pause_ms
        self._endless = endless
        self._stopped = Flag()
        self._pacer = Pacer(pace, clock or RealClock(wake=self._stopped))
        self._sources: queue.SimpleQueue[AudioSource] = queue.SimpleQueue()
        for source in sources:
            self.say(source)

    @property
    def name(self) -> str:
        """What a person calls it."""
        return "recordings"

    def say(self, source: AudioSource) -> None:
        """Have it hear this next, behind the recordings that wait."""
        self._sources.put(source)

    def start(self) -> None:
        """Begin to listen. Raises UsageError after ``stop()``: take a new one."""
        if self._stopped.is_set():
            raise UsageError("this microphone was stopped; make a new one")

    def stop(self) -> None:
        """End the iteration, at once. Idempotent, from any thread."""
        self._stopped.set()

    def __iter__(self) -> Iterator[bytes]:
        heard = 0
        for chunk in self._sound():
            self._pacer.wait_until(self.format.seconds(heard))
            if self._stopped.is_set():
                return
            yield chunk
            heard += len(chunk)

    def _sound(self) -> Iterator[bytes]:
        silence = self.format.silence(self._chunk_ms / 1000)
        while True:
            try:
                source = self._sources.get_nowait()
            except queue.Empty:
                if not self._endless:
                    return
                yield silence
                continue
            yield from outgoing_chunks(source, self.format, chunk_ms=self._chunk_ms, trailing_silence_ms=self._pause_ms)

    def __enter__(self) -> FileMicrophone:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()


class FileSpeaker(QueuedSpeaker):
    """Plays into a WAV file as a sound card would, at the speed of speech, silence included: a ``Speaker``.

    ``target``: a path or a binary file object; None plays into nothing, and still counts. The file holds 16-bit PCM at
    the rate of ``format``, which is that of what ``write`` takes. ``pace``: 1.0 is the speed of speech. ``block_ms``:
    how much it takes at once; the position is exact to that. ``clock`` paces. A context manager.
    """

    def __init__(
        self,
        target: Union[str, os.PathLike[str], BinaryIO, None] = None,
        *,
        format: SampleFormat = PCM,
        pace: float = 1.0,
        block_ms: float = 20,
        clock: Optional[PacingClock] = None,
    ) -> None:
        check_chunk_ms(block_ms, "block_ms")
        super().__init__(format, format.rate)
        self._target = target
        self._block = format.bytes_for(block_ms / 1000) // format.sample_bytes
        self._closed = Flag()
        self._pacer = Pacer(pace, clock or RealClock(wake=self._closed))
        self._start_lock = threading.Lock()  # guards the starting of the one thread
        self._thread: Optional[threading.Thread] = None
        self._error: Optional[BaseException] = None

    @property
    def name(self) -> str:
        """What a person calls it."""
        return "nothing" if self._target is None else str(getattr(self._target, "name", self._target))

    def start(self) -> None:
        """Open the file, and begin to play. Does nothing while it plays; raises UsageError after ``close()``."""
        with self._start_lock:
            if self._closed.is_set():
                raise UsageError("this speaker was closed; make a new one")
            if self._thread is None:
                writer = None if self._target is None else WavWriter(self._target, pcm_at(self.format.rate))
                try:
                    self._thread = start_thread(lambda: self._play(writer), "realtime-sync-file-speaker")
                except NoMoreThreadsError:
                    if writer is not None:
                        writer.close()
                    raise
                except BaseException:  # Ctrl-C, and the thread may run
                    self._closed.set()
                    raise

    def write(self, item_id: str, content_index: int, samples: bytes) -> None:
        """See ``Speaker.write``. Raises AudioDeviceError where the file could not be written."""
        self._check()
        self._queue.put(item_id, content_index, g711.decode(samples, self.format.wire_type))

    def wait(self, timeout: Optional[float] = None) -> None:
        """See ``Speaker.wait``. Raises UsageError where nothing plays, because it was not started or was closed."""
        if self._thread is None or self._closed.is_set():
            raise UsageError("the speaker is not playing: call start() before waiting for it")
        if not self._queue.wait(Deadline(timeout)):
            raise WaitTimeoutError(f"the audio was not played to its end within {timeout} s; the speaker goes on")
        self._check()

    @aside_if_nested
    def close(self) -> None:
        """See ``Speaker.close``; the file is complete afterwards."""
        self._closed.set()
        self._queue.drop()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(5.0)

    def _check(self) -> None:
        if self._error is not None:
            raise AudioDeviceError(f"{self.name} cannot be written: {self._error}") from self._error

    def _play(self, writer: Optional[WavWriter]) -> None:
        played = 0
        try:
            while not self._closed.is_set():
                self._pacer.wait_until(played / self.format.rate)
                block = self._queue.take(self._block)
                played += self._block
                if writer is not None:
                    writer.write(block)
        except Exception as error:  # the file's (a full disk) or the clock's; told to whoever writes next
            logger.warning("%s cannot be written any more: %s", self.name, error)
            self._error = error
            self._queue.drop()
        finally:
            if writer is not None:
                self._finish(writer)

    def _finish(self, writer: WavWriter) -> None:
        try:
            writer.close()
        except OSError as error:
            logger.warning("%s could not be completed: %s", self.name, error)
            self._error = self._error or error
