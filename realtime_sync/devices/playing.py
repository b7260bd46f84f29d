"""Sound that is there as a whole, played to its end."""

from __future__ import annotations

from typing import Union

from realtime_sync.audio.formats import SampleFormat
from realtime_sync.devices.sound_devices import SoundDeviceSpeaker


def play(audio: bytes, format: SampleFormat, device: Union[str, int, None] = None) -> None:
    """Play samples, and return when the device has taken all; Ctrl-C ends it at once.

    ``device`` and what is raised are as for ``SoundDeviceSpeaker``.
    """
    speaker = SoundDeviceSpeaker(device, format=format)
    try:  # and no ``with``, at whose beginning Ctrl-C may come
        speaker.start()
        speaker.write("played", 0, audio)
        speaker.wait()
    finally:
        speaker.close()
