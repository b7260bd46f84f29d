"""Audio formats as Qwen's service tells them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from realtime_sync.audio.formats import SampleFormat
from realtime_sync.protocol import codec, updates
from realtime_sync.protocol.dialects import Dialect
from realtime_sync.protocol.options import AudioFormat

TOLD: dict[str, tuple[Any, AudioFormat]] = {
    "a word": ("pcm", AudioFormat(type="audio/pcm")),
    "a word with a rate": ("pcm24", AudioFormat(type="audio/pcm", rate=24000)),
    "an object": ({"type": "pcm", "sample_rate": 16000}, AudioFormat(type="audio/pcm", rate=16000)),
    "an object without a rate": ({"type": "pcm"}, AudioFormat(type="audio/pcm")),
    "an object with more": (
        {"type": "pcm", "sample_rate": 8000, "speech_rate": 1.2},
        AudioFormat(type="audio/pcm", rate=8000, extra={"speech_rate": 1.2}),
    ),
    "preview's word": ("pcm16", AudioFormat(type="audio/pcm", rate=24000)),
    "GA's object": ({"type": "audio/pcm", "rate": 24000}, AudioFormat(type="audio/pcm", rate=24000)),
}


@pytest.mark.parametrize("dialect", list(Dialect))
@pytest.mark.parametrize("nested", [True, False], ids=["nested", "flat"])
@pytest.mark.parametrize("name", TOLD)
def test_a_format_is_what_it_means(name: str, nested: bool, dialect: Dialect) -> None:
    told, meant = TOLD[name]
    session: dict[str, Any] = {"input_audio_format": told, "output_audio_format": told}
    if nested:
        session = {"audio": {"input": {"format": told}, "output": {"format": told}}}
    update = codec.decode(json.dumps({"type": "session.created", "session": session}), dialect)
    assert isinstance(update, updates.SessionCreatedUpdate)
    assert update.session.input_audio_format == update.session.output_audio_format == meant
    assert SampleFormat.of(meant).rate == (meant.rate or 24000)


def test_a_format_of_a_wrong_type_does_no_harm() -> None:
    text = json.dumps({"type": "session.created", "session": {"output_audio_format": {"type": ["pcm"]}}})
    assert codec.decode(text).oddities


@pytest.mark.parametrize("told", ["opus", {"type": "opus"}, {"type": "PCM"}, None, 7])
def test_others_are_left_as_they_are(told: Any) -> None:
    update = codec.decode(json.dumps({"type": "session.created", "session": {"output_audio_format": told}}))
    assert isinstance(update, updates.SessionCreatedUpdate)
    shown = update.session.output_audio_format
    assert not isinstance(shown, AudioFormat) or shown.type != "audio/pcm"
