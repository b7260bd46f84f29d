"""Microphones and speakers: the machine's, files in their place, and the gate between them."""

from typing import TYPE_CHECKING

from realtime_sync.lazy import lazily

if TYPE_CHECKING:
    from realtime_sync.voice.file_devices import FileMicrophone, FileSpeaker
    from realtime_sync.voice.half_duplex import HalfDuplex
    from realtime_sync.voice.interfaces import Microphone, Speaker
    from realtime_sync.voice.portaudio import Backend, Device, devices, find_device
    from realtime_sync.voice.sound_devices import SoundDeviceMicrophone, SoundDeviceSpeaker
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "file_devices": "FileMicrophone FileSpeaker",
            "half_duplex": "HalfDuplex",
            "interfaces": "Microphone Speaker",
            "portaudio": "Backend Device devices find_device",
            "sound_devices": "SoundDeviceMicrophone SoundDeviceSpeaker",
        },
    )

__all__ = [
    "Backend",
    "Device",
    "FileMicrophone",
    "FileSpeaker",
    "HalfDuplex",
    "Microphone",
    "SoundDeviceMicrophone",
    "SoundDeviceSpeaker",
    "Speaker",
    "devices",
    "find_device",
]
