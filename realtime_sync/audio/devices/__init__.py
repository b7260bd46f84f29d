"""Microphones and speakers: the machine's, files in their place, and the gate between them."""

from realtime_sync.audio.devices.file_devices import FileMicrophone, FileSpeaker
from realtime_sync.audio.devices.half_duplex import HalfDuplex
from realtime_sync.audio.devices.interfaces import Microphone, Speaker
from realtime_sync.audio.devices.portaudio import Backend, Device, devices, find_device
from realtime_sync.audio.devices.sound_devices import SoundDeviceMicrophone, SoundDeviceSpeaker

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
