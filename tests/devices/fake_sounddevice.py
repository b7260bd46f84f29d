"""Devices that are not there, with the names and the behaviour of the package sounddevice: a backend for tests."""

from __future__ import annotations

import threading
from typing import Any, Callable, Optional


class FakeStream:
    """A stream that the test drives: ``feed`` is the microphone's hardware, ``pull`` the speaker's."""

    def __init__(self, backend: FakeSoundDevice, settings: dict[str, Any]) -> None:
        self.backend, self.settings = backend, settings
        self.callback: Callable[..., None] = settings["callback"]
        self.finished: Callable[[], None] = settings["finished_callback"]
        self.calls: list[str] = []

    def start(self) -> None:
        self.calls.append("start")
        if self.backend.refuses is not None:
            raise self.backend.PortAudioError(self.backend.refuses)

    def stop(self) -> None:
        self.calls.append("stop")
        self.finished()

    def abort(self) -> None:
        self.calls.append("abort")
        self.finished()

    def close(self) -> None:
        self.calls.append("close")

    def feed(self, samples: bytes) -> None:
        """The microphone hears this."""
        buffer = bytearray(samples)  # PortAudio's own, filled again after the callback
        self.callback(memoryview(buffer), len(samples) // 2, None, None)
        buffer[:] = bytes(len(buffer))

    def pull(self, frames: int) -> bytes:
        """The speaker plays so many frames."""
        buffer = bytearray(2 * frames)
        self.callback(memoryview(buffer), frames, None, None)
        return bytes(buffer)

    def vanish(self) -> None:
        """The device is unplugged, on a system that tells so."""
        self.finished()


class FakeSoundDevice:
    """Two microphones and two speakers; ``rates``: what they take, None is any."""

    class PortAudioError(Exception):
        pass

    def __init__(self, *, rates: Optional[set[int]] = None, devices: bool = True) -> None:
        self.rates = rates
        self.refuses: Optional[str] = None
        self.streams: list[FakeStream] = []
        self.opened = threading.Event()
        self._devices = [
            {"index": 0, "name": "Webcam: USB Audio", "max_input_channels": 1, "max_output_channels": 0},
            {"index": 1, "name": "Built-in Microphone", "max_input_channels": 2, "max_output_channels": 0},
            {"index": 2, "name": "Headset: USB Audio", "max_input_channels": 0, "max_output_channels": 2},
            {"index": 3, "name": "Built-in Speaker", "max_input_channels": 0, "max_output_channels": 2},
        ]
        self._devices = [{**each, "default_samplerate": 48_000.0} for each in self._devices] if devices else []

    def query_devices(self, device: Optional[int] = None, kind: Optional[str] = None) -> Any:
        if kind is None:
            return list(self._devices)
        if not self._devices:
            raise self.PortAudioError(f"Error querying device -1: no {kind} device")
        return self._devices[1 if kind == "input" else 3]

    def check_input_settings(self, *, device: int, channels: int, dtype: str, samplerate: float) -> None:
        assert (channels, dtype) == (1, "int16")
        assert self._devices[device]["max_input_channels"]
        if self.rates is not None and samplerate not in self.rates:
            raise self.PortAudioError("Invalid sample rate [PaErrorCode -9997]")

    def check_output_settings(self, *, device: int, channels: int, dtype: str, samplerate: float) -> None:
        assert self._devices[device]["max_output_channels"]
        self.check_input_settings(device=0, channels=channels, dtype=dtype, samplerate=samplerate)

    def RawInputStream(self, **settings: Any) -> FakeStream:
        return self._open(settings)

    def RawOutputStream(self, **settings: Any) -> FakeStream:
        return self._open(settings)

    def _open(self, settings: dict[str, Any]) -> FakeStream:
        if self.rates is not None:
            assert settings["samplerate"] in self.rates
        self.streams.append(FakeStream(self, settings))
        self.opened.set()
        return self.streams[-1]
