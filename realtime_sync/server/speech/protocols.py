"""The parts of a server that hears and speaks, as protocols: exchange one by giving ``Speech`` another object.

Who answers what was understood is no part of these: that is the ``Responder``, spoken to or written to alike.
"""

from __future__ import annotations

from typing import Iterable, Iterator, Optional, Protocol, Sequence

import attrs


class SpeechStream(Protocol):
    """One stream of audio, judged in order. Called under its session's lock: it must be quick, and wait for nothing."""

    frame_ms: int
    """Milliseconds of audio that one judgement is about."""

    release: float
    """How far below the threshold a likelihood must fall until speech that goes on counts as silence."""

    def feed(self, pcm: bytes) -> Iterable[float]:
        """Take PCM16 of any length, and give for each whole frame how likely it is speech, 0 to 1."""


class VoiceActivityDetector(Protocol):
    """Says whether somebody speaks; when a turn begins and ends is the server's to decide."""

    def load(self) -> None:
        """Make ready; does nothing the second time. Raises ``ConfigurationError`` if something is missing."""

    def listen(self, rate: int) -> SpeechStream:
        """A new stream of PCM16, mono, at ``rate`` Hz (24,000 or 8,000)."""


@attrs.frozen
class Hints:
    """What a session says that helps to recognise its speech.

    ``language``: an ISO-639-1 code; None if it is not known. ``prompt``: words or a text in the style that is to be
    expected; None for none. ``logprobs``: whether the likelihood of each word is wanted.
    """

    language: Optional[str] = None
    prompt: Optional[str] = None
    logprobs: bool = False


@attrs.frozen
class Word:
    """A word as it stands in the text, its leading space included, and the natural logarithm of its likelihood."""

    text: str
    logprob: float


@attrs.frozen
class Recognition:
    """What was said; ``text`` is empty if nothing was. ``words`` only if they were asked for and can be told.

    ``understood``: False if ``text`` is a note about the sound, for the client, and no words that were said.
    """

    text: str
    words: Sequence[Word] = ()
    understood: bool = True


class Recognizer(Protocol):
    """Turns speech into text. Called from many threads at once, outside of all locks; may take its time."""

    def load(self) -> None:
        """See ``VoiceActivityDetector.load``."""

    def recognize(self, pcm: bytes, rate: int, hints: Hints) -> Recognition:
        """What PCM16, mono, at ``rate`` Hz says. What it raises makes the transcription fail."""


@attrs.frozen
class Spoken:
    """A piece of speech: the text that it says, as the deltas to tell it by, and its audio (PCM16, mono)."""

    deltas: Sequence[str]
    audio: bytes


class Synthesizer(Protocol):
    """Turns text into speech, piece by piece. Called from many threads at once, outside of all locks."""

    def load(self) -> None:
        """See ``VoiceActivityDetector.load``."""

    def speak(self, texts: Iterable[str], *, voice: str, speed: float, rate: int) -> Iterator[Spoken]:
        """Speak texts that come one after another and make one message, each piece as soon as it is ready.

        ``voice``: the session's voice, any name. ``speed``: 0.25 to 1.5, 1 is natural. ``rate``: of the audio, in Hz.
        What it raises makes the response fail.
        """
