"""Translation sessions (``/v1/realtime/translations``): audio in, transcript and audio of the translation out."""

from __future__ import annotations

import base64
import functools
import logging
import re
import threading
from typing import Callable

from realtime_sync.server.audio_buffer import AudioBuffer
from realtime_sync.server.audio_formats import decode_audio
from realtime_sync.server.auth import Flavour
from realtime_sync.server.responder import FunctionCall, MCPCall, Reply, Turn
from realtime_sync.server.session import ServerSession
from realtime_sync.server.settings import SessionSettings
from realtime_sync.server.shapes import check_message
from realtime_sync.server.speech.protocols import Hints
from realtime_sync.server.traffic import Upgrade
from realtime_sync.server.vad import SpeechStarted, SpeechStopped, VoiceDetector
from realtime_sync.server.wire import Json, new_id, server_error

_CHUNK = 4800 * 2
_log = logging.getLogger("realtime_sync.server")
_PADDING_MS = 300  # of what was heard before speech began
_KEPT_SILENCE_MS = 1000  # more than the padding and what a detector needs to be sure
_PATIENCE = 60.0  # seconds for one translation


class TranslationSession(ServerSession):
    """One translation: what is said between two silences is translated by the responder, which hears a user's item.

    No items, no responses, no commits: ``session.close`` translates what is left, and ends with ``session.closed``.
    """

    def __init__(self, flavour: Flavour, settings: SessionSettings, upgrade: Upgrade) -> None:
        super().__init__(flavour, settings, upgrade)
        self._heard = AudioBuffer()
        self._done = threading.Event()  # of the latest work; the next one waits for it
        self._done.set()
        self._detector = VoiceDetector(0.5, 400, detector=settings.speech.detector)

    def _handle(self, message: Json) -> None:
        handlers: dict[str, Callable[[Json], None]] = {
            "session.update": self._update,
            "session.input_audio_buffer.append": self._append,
            "session.close": self._finish,
        }
        check_message(message, supported=tuple(handlers))
        handlers[message["type"]](message)

    def _append(self, message: Json) -> None:
        audio = decode_audio(message["audio"], "audio")
        self._heard.append(audio)
        for found in self._detector.feed(audio):
            if isinstance(found, SpeechStopped):
                self._do_in_order(functools.partial(self._translate, self._heard.take_until(found.at_ms), found.at_ms))
            elif isinstance(found, SpeechStarted):
                self._heard.take_until(found.at_ms - _PADDING_MS)
        if not self._detector.speaking:  # a microphone that is left on would fill the memory with silence
            self._heard.take_until(self._heard.received_ms - _KEPT_SILENCE_MS)

    def _finish(self, message: Json) -> None:
        rest, elapsed = self._heard.clear(), int(self._heard.received_ms)
        speaking = self._detector.speaking

        def finish() -> None:
            if speaking:
                self._translate(rest, elapsed)
            self.emit({"type": "session.closed"})
            self.close(1000, "")

        self._do_in_order(finish)

    def _do_in_order(self, work: Callable[[], None]) -> None:
        """On a thread, once what was asked for before is done: else the end could overtake the last translation."""
        before, self._done = self._done, threading.Event()
        done = self._done

        def run() -> None:
            before.wait(_PATIENCE)
            try:
                work()
            finally:
                done.set()

        self.start_thread(run, "translate")

    def _translate(self, audio: bytes, elapsed_ms: int) -> None:
        """Say the translation; if that fails the client is told, and the session goes on."""
        try:
            self._say_translation(audio, elapsed_ms)
        except Exception:  # user code: the responder, the transcriber, a part of the speech
            _log.exception("the translation failed")
            self.emit(server_error().event())

    def _say_translation(self, audio: bytes, elapsed_ms: int) -> None:
        item_id = new_id("item")
        part = {"type": "input_audio", "transcript": None}
        speech, wanted = self.settings.speech, bool(self.options["audio"]["input"].get("transcription"))
        heard = speech.recognizer.recognize(audio, 24_000, Hints()).text if wanted or speech.understands else ""
        turn = Turn(
            items=[{"id": item_id, "type": "message", "role": "user", "content": [part]}],
            audio_ms={item_id: len(audio) // 48},
            audio={item_id: audio},
            instructions=f"Translate into {self.options['audio']['output'].get('language')}.",
            tools=(),
            tool_choice="none",
            modalities=("audio",),
            params={},
            session=self.options,
            cancelled=threading.Event(),
            heard={item_id: heard} if speech.understands else {},
        )
        if wanted:
            self.emit({"type": "session.input_transcript.delta", "delta": heard, "elapsed_ms": elapsed_ms})
        answer = self.settings.responder(turn)
        for piece in (answer,) if isinstance(answer, (str, Reply, FunctionCall, MCPCall)) else answer:
            if isinstance(piece, (str, Reply)):
                self._say(piece if isinstance(piece, Reply) else Reply(piece), elapsed_ms)

    def _say(self, reply: Reply, elapsed_ms: int) -> None:
        for word in re.findall(r"\s*\S+|\s+$", reply.text):
            self.emit({"type": "session.output_transcript.delta", "delta": word, "elapsed_ms": elapsed_ms})
        audio = reply.audio
        if audio is None:
            spoken = self.settings.speech.synthesizer.speak([reply.text], voice="alloy", speed=1.0, rate=24_000)
            audio = b"".join(piece.audio for piece in spoken)
        for start in range(0, len(audio), _CHUNK):
            self.wait_for_room()
            delta = base64.b64encode(audio[start : start + _CHUNK]).decode()
            about = {"sample_rate": 24_000, "channels": 1, "format": "pcm16", "elapsed_ms": elapsed_ms}
            self.emit({"type": "session.output_audio.delta", "delta": delta, **about})
