"""``Speech``: what a server hears and speaks with, as one setting."""

from __future__ import annotations

import logging
import threading

import attrs

from realtime_sync.server.speech.hibari import HibariSynthesizer
from realtime_sync.server.speech.protocols import Recognizer, Synthesizer, VoiceActivityDetector
from realtime_sync.server.speech.silero import SileroDetector
from realtime_sync.server.speech.whisper import WhisperRecognizer
from realtime_sync.threads import start_thread

_log = logging.getLogger("realtime_sync.server")


@attrs.frozen(kw_only=True)
class Speech:
    """What a server hears and speaks with: real speech, in English, with no network. Needs the extra ``voice``.

    The models, some 90 MB, are read once a process for all servers in it, which takes about 2 s and 300 MB of memory. A
    server begins with it on a thread of its own as soon as it is made, and the first turn may wait for the rest of it;
    call ``load()`` before that to have it done, and to see an error of it at once.

    Two cores understand and answer about five turns a second (2026-11): the first audio of a short answer comes 0.2 s
    after the end of the silence, if ten speakers end their turn at once within 2.5 s, with fifty within 11 s.

    Args:
        detector: Says whether somebody speaks; any ``VoiceActivityDetector``.
        recognizer: Turns speech into text; any ``Recognizer``.
        synthesizer: Turns text into speech; any ``Synthesizer``.
        understands: Whether a responder is given what was said (``Turn.text_of``), and semantic VAD judges by it; if
            not, transcripts are for the client alone.
        limits: What it cannot, in the words of an answer (``RulesBrain``) to speech that was not understood; empty if
            there is nothing to say.
    """

    detector: VoiceActivityDetector = attrs.field(factory=SileroDetector)
    recognizer: Recognizer = attrs.field(factory=WhisperRecognizer)
    synthesizer: Synthesizer = attrs.field(factory=HibariSynthesizer)
    understands: bool = True
    limits: str = ""

    def load(self) -> None:
        """Make all parts ready; does nothing the second time.

        Raises ``ConfigurationError`` that says what is missing and how to get it.
        """
        for part in (self.detector, self.recognizer, self.synthesizer):
            part.load()

    def load_beside(self) -> threading.Thread:
        """Begin to ``load()`` on a daemon thread. An error is logged here, and raised if the part is needed."""
        return start_thread(self._load_or_log, "realtime-server-speech")

    def _load_or_log(self) -> None:
        try:
            self.load()
        except Exception:  # of a user's part, too
            _log.exception("the server cannot hear or speak")
