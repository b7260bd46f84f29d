"""Real speech for the embedded server, with no network: ``RealtimeServer(speech=Speech())``.

It hears with Silero and Whisper, speaks with hibari-tts, and answers by rules (``RulesBrain``) unless it is given a
``responder``: another program, a chat endpoint (``ChatBrain``), anything that takes a ``Turn``. English only.

It needs the extra ``voice``, of which nothing is imported before it is used. ``recorded_speech()`` needs nothing, and
knows the sample recordings of ``examples/audio`` by heart; ``available_speech()`` is the better of both that is there.
"""

from realtime_sync.server.rules import RulesBrain
from realtime_sync.server.speech.available import available_speech, is_voice_installed
from realtime_sync.server.speech.chat import ChatBrain
from realtime_sync.server.speech.hibari import HibariSynthesizer
from realtime_sync.server.speech.protocols import (
    Hints,
    Recognition,
    Recognizer,
    SpeechStream,
    Spoken,
    Synthesizer,
    VoiceActivityDetector,
    Word,
)
from realtime_sync.server.speech.recorded import recorded_speech
from realtime_sync.server.speech.silero import SileroDetector
from realtime_sync.server.speech.speech import Speech
from realtime_sync.server.speech.whisper import WhisperRecognizer

__all__ = [
    "Speech",
    "recorded_speech",
    "available_speech",
    "is_voice_installed",
    # who answers
    "RulesBrain",
    "ChatBrain",
    # the parts, as protocols
    "VoiceActivityDetector",
    "SpeechStream",
    "Recognizer",
    "Recognition",
    "Hints",
    "Word",
    "Synthesizer",
    "Spoken",
    # the parts, as they are by default
    "SileroDetector",
    "WhisperRecognizer",
    "HibariSynthesizer",
]
