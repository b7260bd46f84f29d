"""A microphone that is deaf while the speaker plays: for laptops without echo cancelling."""

from __future__ import annotations

from collections.abc import Iterator

from realtime_sync.audio.formats import SampleFormat
from realtime_sync.checks import check_number
from realtime_sync.devices.interfaces import Microphone, Speaker


class HalfDuplex:
    """``microphone``, with silence in place of what it hears while ``speaker`` plays: a ``Microphone``.

    The model then does not hear itself, and cannot be interrupted by voice. ``tail_ms``: so much longer it stays deaf,
    while the device and the room still sound.
    """

    def __init__(self, microphone: Microphone, speaker: Speaker, *, tail_ms: float = 250) -> None:
        check_number("tail_ms", tail_ms, "milliseconds", at_most=10_000)
        self._microphone = microphone
        self._speaker = speaker
        self._tail_seconds = tail_ms / 1000

    @property
    def name(self) -> str:
        """What a person calls it."""
        return f"{self._microphone.name} (half duplex)"

    @property
    def format(self) -> SampleFormat:
        """The microphone's."""
        return self._microphone.format

    def start(self) -> None:
        """Begin to listen."""
        self._microphone.start()

    def stop(self) -> None:
        """Stop listening."""
        self._microphone.stop()

    def __iter__(self) -> Iterator[bytes]:
        deaf = 0.0  # seconds of sound that are still not to be heard
        for chunk in self._microphone:
            seconds = self.format.seconds(len(chunk))
            if self._speaker.playing:
                deaf = self._tail_seconds + seconds
            if deaf > 0:
                deaf -= seconds
                chunk = self.format.silence(seconds)
            yield chunk
