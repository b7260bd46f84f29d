"""The machine's microphone and speaker, by sounddevice (PortAudio). Needs the extra ``devices``."""

from __future__ import annotations

import functools
import logging
import queue
import threading
from collections.abc import Iterator
from typing import Callable, Optional, Union

from realtime_sync.audio import g711
from realtime_sync.audio.arrays import from_bytes, to_bytes
from realtime_sync.audio.converting import converted_chunks
from realtime_sync.audio.formats import PCM, SampleFormat, pcm_at
from realtime_sync.audio.outgoing import check_chunk_ms
from realtime_sync.audio.playback import Played
from realtime_sync.audio.resampling import Resampler
from realtime_sync.deadline import Deadline
from realtime_sync.devices.play_queue import QueuedSpeaker
from realtime_sync.devices.portaudio import (
    Backend,
    Device,
    DeviceStream,
    device_format,
    find_device,
    sounddevice_backend,
)
from realtime_sync.errors import AudioDeviceError, UsageError, WaitTimeoutError
from realtime_sync.threads import aside_if_nested

logger = logging.getLogger(__name__)

# A device that gives or takes nothing for so long has gone: many systems do not tell that one was unplugged.
_GONE_SECONDS = 3.0
# At most so much at once, or a device would seem to have gone between two pieces.
_LONGEST_MS = 1000
# What a microphone keeps for a consumer that is slow.
_MOST_KEPT_SECONDS = 10.0


class SoundDeviceMicrophone:
    """A microphone of this machine: a ``Microphone``, and a context manager.

    ``device``: its name or a part of it, its number, None for the system's default. ``format``: of what it gives; a
    device that does not take its rate is read at its own, and resampled (with the extra ``audio``). ``chunk_ms``: how
    long its pieces are. ``backend``: what speaks to the devices; None is the package sounddevice.

    Raises ConfigurationError without sounddevice or PortAudio, AudioDeviceError where there is no such device.
    """

    def __init__(
        self,
        device: Union[str, int, None] = None,
        *,
        format: SampleFormat = PCM,
        chunk_ms: float = 20,
        backend: Optional[Backend] = None,
    ) -> None:
        check_chunk_ms(chunk_ms, most=_LONGEST_MS)
        self.format = format
        self._backend = backend or sounddevice_backend()
        self._device = find_device(device, "input", backend=self._backend)
        self._captured = device_format(self._backend, self._device, "input", format)
        self._block_seconds = chunk_ms / 1000
        self._start_lock = threading.Lock()  # guards _stream and _pieces against two that start or stop at once
        self._stream: Optional[DeviceStream] = None
        self._pieces: queue.SimpleQueue[Optional[bytes]] = queue.SimpleQueue()  # None: there will be no more
        self._lost = 0  # pieces that nobody took in time; written by the device's thread only

    @property
    def name(self) -> str:
        """The device's."""
        return self._device.name

    def _listening(self) -> bool:
        return self._stream is not None

    def start(self) -> None:
        """See ``Microphone.start``; may be called again after ``stop()``. Raises AudioDeviceError."""
        with self._start_lock:
            if self._stream is not None:
                return
            pieces: queue.SimpleQueue[Optional[bytes]] = queue.SimpleQueue()
            most = round(_MOST_KEPT_SECONDS / self._block_seconds)

            def hear(samples: object, frames: int, time: object, status: object) -> None:
                if pieces.qsize() < most:
                    pieces.put(bytes(samples))  # type: ignore[call-overload]
                else:
                    self._lost += 1

            self._pieces, self._lost = pieces, 0
            block = round(self._captured.rate * self._block_seconds)
            make = functools.partial(self._backend.RawInputStream, samplerate=self._captured.rate, blocksize=block)
            self._stream = _opened(self._backend, self._device, make, hear, lambda: pieces.put(None))

    @aside_if_nested
    def stop(self) -> None:
        """See ``Microphone.stop``."""
        with self._start_lock:
            stream, self._stream = self._stream, None
        self._pieces.put(None)
        if stream is not None:
            _closed(stream, self._backend, self.name, drop=True)

    def __iter__(self) -> Iterator[bytes]:
        return converted_chunks(self._pieces_as_captured(), self._captured, self.format)

    def _pieces_as_captured(self) -> Iterator[bytes]:
        pieces, lost = self._pieces, 0
        while self._listening():
            try:
                piece = pieces.get(timeout=_GONE_SECONDS)
            except queue.Empty:
                piece = None
            if piece is None:
                if not self._listening():
                    return
                raise AudioDeviceError(f"the microphone {self.name!r} gives no sound any more; was it unplugged?")
            if self._lost > lost:
                logger.warning(
                    "%d pieces of the microphone's audio were lost, because they were not read in time",
                    self._lost - lost,
                )
                lost = self._lost
            yield piece

    def __enter__(self) -> SoundDeviceMicrophone:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()


class SoundDeviceSpeaker(QueuedSpeaker):
    """A speaker of this machine: a ``Speaker``, and a context manager.

    ``device``, ``backend`` and what is raised are as for ``SoundDeviceMicrophone``. ``format``: of what ``write``
    takes. ``block_ms``: how much the device takes at once; the position is exact to that. What the device has taken is
    heard to its end, so at ``stop()`` the position is what will have been heard.
    """

    def __init__(
        self,
        device: Union[str, int, None] = None,
        *,
        format: SampleFormat = PCM,
        block_ms: float = 20,
        backend: Optional[Backend] = None,
    ) -> None:
        check_chunk_ms(block_ms, "block_ms", most=_LONGEST_MS)
        self._backend = backend or sounddevice_backend()
        self._device = find_device(device, "output", backend=self._backend)
        self._played = device_format(self._backend, self._device, "output", format)
        self._block = round(self._played.rate * block_ms / 1000)
        super().__init__(format, self._played.rate)
        self._start_lock = threading.Lock()  # guards _stream against two that start or close at once
        self._stream: Optional[DeviceStream] = None
        self._gone = False
        self._write_lock = threading.Lock()  # guards the two below, and the order in which pieces are put
        self._item: Optional[tuple[str, int]] = None  # whose audio is being resampled
        self._resampler: Optional[Resampler] = None

    @property
    def name(self) -> str:
        """The device's."""
        return self._device.name

    def start(self) -> None:
        """See ``Speaker.start``; may be called again after ``close()``. Raises AudioDeviceError."""
        with self._start_lock:
            if self._stream is not None:
                return
            self._gone = False

            def play(samples: memoryview, frames: int, time: object, status: object) -> None:
                samples[:] = self._queue.take(frames)

            make = functools.partial(self._backend.RawOutputStream, samplerate=self._played.rate, blocksize=self._block)
            self._stream = _opened(self._backend, self._device, make, play, self._finished)

    def write(self, item_id: str, content_index: int, samples: bytes) -> None:
        """See ``Speaker.write``."""
        self._check()
        pcm = g711.decode(samples, self.format.wire_type)
        if self._played.rate == self.format.rate:
            self._queue.put(item_id, content_index, pcm)
            return
        with self._write_lock:
            if self._item != (item_id, content_index):
                self._finish_item()
                self._item = item_id, content_index
                self._resampler = Resampler(self.format.rate, self._played.rate)
            assert self._resampler is not None
            block = self._resampler.feed(from_bytes(pcm, pcm_at(self.format.rate)))
            self._queue.put(item_id, content_index, to_bytes(block, self._played))

    def stop(self) -> Optional[Played]:
        """See ``Speaker.stop``."""
        self._drop()
        return self.position.current

    @aside_if_nested
    def _drop(self) -> None:
        with self._write_lock:
            self._item = self._resampler = None
            self._queue.drop()

    def wait(self, timeout: Optional[float] = None) -> None:
        """See ``Speaker.wait``: until the device has taken all."""
        with self._write_lock:
            self._finish_item()
        deadline = Deadline(timeout)
        while not self._queue.empty:
            self._check()
            taken, left = self._queue.taken, deadline.left
            if self._queue.wait_for_more(taken, _GONE_SECONDS if left is None else min(left, _GONE_SECONDS)):
                continue
            if left is not None and left <= _GONE_SECONDS:
                raise WaitTimeoutError(f"the audio was not played to its end within {timeout} s; the speaker goes on")
            self._gone = True
        self._check()

    @aside_if_nested
    def close(self) -> None:
        """See ``Speaker.close``."""
        with self._start_lock:
            stream, self._stream = self._stream, None
        unheard = not self._queue.empty
        self.stop()
        if stream is not None:
            _closed(stream, self._backend, self.name, drop=unheard)

    def _finish_item(self) -> None:
        assert self._write_lock.locked()
        if self._item is not None and self._resampler is not None:
            self._queue.put(*self._item, to_bytes(self._resampler.finish(), self._played))
        self._item = self._resampler = None

    def _finished(self) -> None:
        """The device plays no more: it was closed, or it went away."""
        if self._stream is not None:
            self._gone = True
            self._queue.drop()  # so that whoever waits is released

    def _check(self) -> None:
        if self._gone:
            raise AudioDeviceError(f"the speaker {self.name!r} takes no sound any more; was it unplugged?")
        if self._stream is None:
            raise UsageError(f"the speaker {self.name!r} has not been started; call start() first")


def _opened(
    backend: Backend,
    device: Device,
    make: Callable[..., DeviceStream],
    callback: Callable[..., None],
    finished: Callable[[], None],
) -> DeviceStream:
    """A stream of 16-bit mono samples that has been started. Raises AudioDeviceError."""
    try:
        stream = make(device=device.index, channels=1, dtype="int16", callback=callback, finished_callback=finished)
        try:
            stream.start()
        except BaseException:
            stream.close()  # else the device stays taken
            raise
    except backend.PortAudioError as error:
        raise AudioDeviceError(
            f"{device.name!r} cannot be opened: {error}. Does another program use it, or is this one not allowed to?"
        ) from error
    return stream


def _closed(stream: DeviceStream, backend: Backend, name: str, *, drop: bool) -> None:
    """Close it; ``drop`` what it has not sounded yet."""
    try:
        (stream.abort if drop else stream.stop)()
        stream.close()
    except backend.PortAudioError as error:  # it has gone already
        logger.info("%r could not be closed: %s", name, error)
