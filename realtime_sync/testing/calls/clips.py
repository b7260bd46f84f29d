"""What the caller says, as samples: a text by the offline voice, or a recording with the words that are in it."""

from __future__ import annotations

import functools
import os
from typing import Optional, Union

import attrs

from realtime_sync.audio.formats import PCM, pcm_at
from realtime_sync.audio.source import audio_chunks
from realtime_sync.errors import AudioFormatError, ConfigurationError, InvalidInputError
from realtime_sync.server.speech import HibariSynthesizer, Hints, Synthesizer
from realtime_sync.server.speech.recorded import RecordedRecognizer
from realtime_sync.server.voice import narrow
from realtime_sync.testing.calls.sound import TICK, trimmed

Speakable = Union[str, "os.PathLike[str]", bytes]
"""A text; the path of a recording; or a recording's bytes: those of a WAV file, or bare PCM16 samples at 24,000 Hz."""


@attrs.frozen
class Clip:
    """Samples to be said (PCM16, the silence around them cut off), and what they say."""

    words: str
    pcm: bytes = attrs.field(repr=False)


class CallerVoice:
    """Makes clips, each once.

    ``voice``: any name of a voice; they differ in pitch. ``synthesizer``: None is that of the extra ``voice``.
    ``rate``: of the samples, 24,000 or 8,000 Hz.
    """

    def __init__(self, voice: str, synthesizer: Optional[Synthesizer], rate: int) -> None:
        self._voice = voice
        self._synthesizer = synthesizer
        self._rate = rate
        self._made: dict[tuple[Speakable, str], Clip] = {}

    def clip(self, what: Speakable, words: str) -> Clip:
        """The clip that says this. Raises ConfigurationError without a voice, and what reading a recording raises."""
        made = self._made.get((what, words))
        if made is None:
            if isinstance(what, str):
                made = Clip(what, self._trimmed(self._spoken(what), repr(what)))
            elif isinstance(what, (bytes, os.PathLike)):
                name = os.fspath(what) if isinstance(what, os.PathLike) else "a recording"
                pcm = self._trimmed(self._read(what), name)
                made = Clip(words or self._known(what) or f"({name})", pcm)
            else:
                raise InvalidInputError(
                    f"A caller says a text, the Path of a recording or its bytes, not {type(what).__name__}."
                )
            self._made[what, words] = made
        return made

    def _trimmed(self, pcm: bytes, name: str) -> bytes:
        speech = trimmed(pcm, pcm_at(self._rate).bytes_for(TICK))
        if not speech:
            raise InvalidInputError(f"The caller cannot say {name}: nothing in it is loud enough to be heard.")
        return speech

    def _spoken(self, text: str) -> bytes:
        try:
            if self._synthesizer is None:
                return _spoken(text, self._voice, self._rate)
            pieces = self._synthesizer.speak([text], voice=self._voice, speed=1.0, rate=self._rate)
            return b"".join(piece.audio for piece in pieces)
        except ConfigurationError as error:
            raise ConfigurationError(
                f"The caller cannot say {text!r}: {error}. Or give it a recording, with the words that are in it: "
                "Say(Path('question.wav'), 'What is the weather in Paris?')."
            ) from error

    def _read(self, what: Union[bytes, os.PathLike[str]]) -> bytes:
        wanted = pcm_at(self._rate)
        try:
            return b"".join(audio_chunks(what, wanted, wanted.bytes_for(1)))
        except AudioFormatError:
            if self._rate == PCM.rate:
                raise
            # Without the extra audio there is one conversion still: that of the service's rate to the telephone's.
            return narrow(b"".join(audio_chunks(what, PCM, PCM.bytes_for(1))))

    def _known(self, what: Union[bytes, os.PathLike[str]]) -> str:
        """The words of a sample recording, which the server knows by heart, too; empty for any other one."""
        pcm = self._read(what)
        told = RecordedRecognizer().recognize(pcm, self._rate, Hints())
        return told.text if told.understood else ""


@functools.lru_cache(maxsize=256)
def _spoken(text: str, voice: str, rate: int) -> bytes:
    """By the extra's voice; kept for all callers of the process, because tests say the same again and again."""
    return b"".join(piece.audio for piece in HibariSynthesizer().speak([text], voice=voice, speed=1.0, rate=rate))
