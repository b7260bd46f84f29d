"""Microphones and speakers: the machine's, files in their place, those elsewhere, and the gate between them."""

from typing import TYPE_CHECKING

from realtime_sync.lazy import lazily

if TYPE_CHECKING:
    from realtime_sync.devices.file_devices import FileMicrophone, FileSpeaker
    from realtime_sync.devices.half_duplex import HalfDuplex
    from realtime_sync.devices.interfaces import Microphone, Speaker
    from realtime_sync.devices.outgoing_link import OutgoingLink
    from realtime_sync.devices.portaudio import Backend, Device, devices, find_device
    from realtime_sync.devices.remote import RemoteMicrophone, RemotePlayer, RemoteSpeaker
    from realtime_sync.devices.sound_devices import SoundDeviceMicrophone, SoundDeviceSpeaker
    from realtime_sync.voice.media_frames import StreamStart
    from realtime_sync.voice.media_streams import MediaStream
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "realtime_sync.devices.file_devices": "FileMicrophone FileSpeaker",
            "realtime_sync.devices.half_duplex": "HalfDuplex",
            "realtime_sync.devices.interfaces": "Microphone Speaker",
            "realtime_sync.devices.outgoing_link": "OutgoingLink",
            "realtime_sync.devices.portaudio": "Backend Device devices find_device",
            "realtime_sync.devices.remote": "RemoteMicrophone RemotePlayer RemoteSpeaker",
            "realtime_sync.devices.sound_devices": "SoundDeviceMicrophone SoundDeviceSpeaker",
            "realtime_sync.voice.media_frames": "StreamStart",
            "realtime_sync.voice.media_streams": "MediaStream",
        },
    )

__all__ = [
    "Backend",
    "Device",
    "FileMicrophone",
    "FileSpeaker",
    "HalfDuplex",
    "MediaStream",
    "Microphone",
    "OutgoingLink",
    "RemoteMicrophone",
    "RemotePlayer",
    "RemoteSpeaker",
    "SoundDeviceMicrophone",
    "SoundDeviceSpeaker",
    "Speaker",
    "StreamStart",
    "devices",
    "find_device",
]
