"""The machine's audio devices, found by name through sounddevice (PortAudio). Needs the extra ``devices``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Callable, Literal, Optional, Protocol, Union, cast

import attrs

from realtime_sync.audio.formats import SampleFormat, pcm_at
from realtime_sync.errors import AudioDeviceError, ConfigurationError
from realtime_sync.extras import require

Kind = Literal["input", "output"]
_WORD = {"input": "microphone", "output": "speaker"}


class DeviceStream(Protocol):
    """What is needed of a stream of sounddevice."""

    def start(self) -> None:
        """Begin."""

    def stop(self) -> None:
        """Sound what is pending, and end."""

    def abort(self) -> None:
        """End at once."""

    def close(self) -> None:
        """Let go of the device."""


class Backend(Protocol):
    """What is needed of the module ``sounddevice``, by its names; another one may be given (``backend=``)."""

    @property
    def PortAudioError(self) -> type[Exception]:  # noqa: N802
        """What it raises."""

    @property
    def RawInputStream(self) -> Callable[..., DeviceStream]:  # noqa: N802
        """Makes a stream that calls back with samples."""

    @property
    def RawOutputStream(self) -> Callable[..., DeviceStream]:  # noqa: N802
        """Makes a stream that calls back for samples."""

    def query_devices(self, device: Optional[int] = None, kind: Optional[str] = None) -> object:
        """All devices, or the default one of a kind, as dicts."""

    def check_input_settings(self, *, device: int, channels: int, dtype: str, samplerate: float) -> None:
        """Raise where the device does not take these."""

    def check_output_settings(self, *, device: int, channels: int, dtype: str, samplerate: float) -> None:
        """Raise where the device does not take these."""


@attrs.frozen
class Device:
    """A device that there is: ``index`` is PortAudio's, ``rate`` what it prefers (Hz)."""

    index: int
    name: str
    rate: int


def devices(kind: Kind, *, backend: Optional[Backend] = None) -> list[Device]:
    """The microphones (``"input"``) or speakers (``"output"``) of this machine.

    Raises ConfigurationError without sounddevice or PortAudio, AudioDeviceError where the system does not tell.
    """
    backend = backend or sounddevice_backend()
    try:
        told = cast(Sequence[Mapping[str, Any]], backend.query_devices())
    except backend.PortAudioError as error:
        raise AudioDeviceError(f"the audio devices of this machine could not be listed: {error}") from error
    return [_device(each, index) for index, each in enumerate(told) if each[f"max_{kind}_channels"] > 0]


def find_device(wanted: Union[str, int, None], kind: Kind, *, backend: Optional[Backend] = None) -> Device:
    """A device by its index, its name or a part of it (upper or lower case); None is the system's default.

    Raises AudioDeviceError, with a list of those that there are, where there is none or more than one.
    """
    backend = backend or sounddevice_backend()
    known = devices(kind, backend=backend)
    if wanted is None:
        try:
            default = cast(Mapping[str, Any], backend.query_devices(None, kind))
        except (backend.PortAudioError, ValueError) as error:
            raise AudioDeviceError(f"There is no default {_WORD[kind]}. {_listed(known, kind)}") from error
        return _device(default, int(default.get("index", -1)))
    found = [each for each in known if _matches(each, wanted)]
    exact = [each for each in found if each.name == wanted]
    if len(exact or found) != 1:
        told = "There is no" if not found else "There is more than one"
        raise AudioDeviceError(f"{told} {_WORD[kind]} {wanted!r}. {_listed(known, kind)}")
    return (exact or found)[0]


def sounddevice_backend() -> Backend:
    """The package sounddevice. Raises ConfigurationError if it, or the system's PortAudio, is missing."""
    try:
        return cast(Backend, require("sounddevice", "devices", "A microphone or a speaker"))
    except OSError as error:  # without the system's library
        raise ConfigurationError(
            "A microphone or a speaker needs the system's PortAudio library, which was not found: "
            "apt install libportaudio2 (Debian, Ubuntu), dnf install portaudio (Fedora), brew install portaudio (macOS)"
        ) from error


def device_format(backend: Backend, device: Device, kind: Kind, format: SampleFormat) -> SampleFormat:
    """16-bit PCM at the format's rate, or at the device's own where it does not take that (bare ALSA devices)."""
    check = backend.check_input_settings if kind == "input" else backend.check_output_settings
    try:
        check(device=device.index, channels=1, dtype="int16", samplerate=format.rate)
    except backend.PortAudioError:
        return pcm_at(device.rate)
    return pcm_at(format.rate)


def _device(told: Mapping[str, Any], index: int) -> Device:
    return Device(int(told.get("index", index)), str(told["name"]), int(told["default_samplerate"]))


def _matches(device: Device, wanted: Union[str, int]) -> bool:
    return device.index == wanted if isinstance(wanted, int) else wanted.lower() in device.name.lower()


def _listed(known: Sequence[Device], kind: Kind) -> str:
    if not known:
        return f"This machine has no {_WORD[kind]}; a file will do: File{_WORD[kind].capitalize()}."
    return f"There are: {'; '.join(f'{each.index} {each.name!r}' for each in known)}."
