"""The methods that a microphone and a speaker need; any object that has them will do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Optional, Protocol

from realtime_sync.audio.formats import SampleFormat
from realtime_sync.audio.playback import PlaybackPosition, Played
from realtime_sync.errors import InvalidInputError


class Microphone(Protocol):
    """Sound as it is heard: an iterable of pieces of samples in ``format``, which ends after ``stop()``.

    Iteration raises ``AudioDeviceError`` where the device went away.
    """

    @property
    def name(self) -> str:
        """What a person calls it."""

    @property
    def format(self) -> SampleFormat:
        """Of the pieces."""

    def start(self) -> None:
        """Begin to listen. Does nothing while it listens."""

    def stop(self) -> None:
        """Stop listening, and end the iteration. Idempotent, from any thread."""

    def __iter__(self) -> Iterator[bytes]: ...


class Speaker(Protocol):
    """A sink for the model's audio, which knows to the sample what was played. All methods from any thread."""

    @property
    def name(self) -> str:
        """What a person calls it."""

    @property
    def format(self) -> SampleFormat:
        """Of what ``write`` takes."""

    @property
    def position(self) -> PlaybackPosition:
        """What was played, as ``session.interrupt(position=...)`` wants to know it."""

    @property
    def playing(self) -> bool:
        """True while something is left to be played."""

    def start(self) -> None:
        """Open the device. Does nothing where it is open."""

    def write(self, item_id: str, content_index: int, samples: bytes) -> None:
        """Play this behind what is there; returns at once. What belongs to an item that was stopped is dropped.

        Raises ``AudioDeviceError`` where the device went away.
        """

    def stop(self) -> Optional[Played]:
        """Drop at once what was not played, and the rest of these items when it comes. Returns what was heard."""

    def wait(self, timeout: Optional[float] = None) -> None:
        """Wait until all is played; ``timeout`` in seconds, None is as long as it takes.

        Raises ``WaitTimeoutError``, and ``AudioDeviceError`` where the device went away.
        """

    def close(self) -> None:
        """Drop what was not played and let go of the device. Idempotent."""


def check_devices(microphone: object, speaker: object) -> None:
    """Raise ``InvalidInputError`` for what is neither None nor a device of its kind, such as a path."""
    for name, device, methods, of_file in (
        ("microphone", microphone, ("__iter__", "start", "stop"), "FileMicrophone(...)"),
        ("speaker", speaker, ("write", "start", "stop"), "FileSpeaker(...)"),
    ):
        if device is not None and not all(hasattr(device, method) for method in methods):
            raise InvalidInputError(
                f"{name} must be a device, or None, not {type(device).__name__}; a file is {of_file}"
            )
