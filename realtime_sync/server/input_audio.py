"""What a session hears: the audio buffer, and the voice detector's turns."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING, Optional

from realtime_sync.server.audio_buffer import AudioBuffer
from realtime_sync.server.audio_formats import decode_audio
from realtime_sync.server.items import Item
from realtime_sync.server.speech.protocols import Recognition
from realtime_sync.server.transcribing import recognition_of, recognize, transcribe
from realtime_sync.server.vad import SpeechPaused, SpeechStarted, VoiceDetector, sounds_finished, timing
from realtime_sync.server.wire import Json, Refused, new_id

if TYPE_CHECKING:
    from realtime_sync.server.session import ServerSession

# Silence that is kept while nobody speaks, so that it can still be committed by hand, without growing for an hour.
_KEPT_SILENCE_MS = 30_000


class InputAudio:
    """The input side of a session. Every method is called under the session's lock."""

    def __init__(self, session: ServerSession) -> None:
        self._session = session
        self._buffer = AudioBuffer()
        self._detector: Optional[VoiceDetector] = None
        self._detection: Optional[Json] = None
        self._item_id: Optional[str] = None  # of the speech that is going on
        self._idle_from: Optional[float] = None
        self._pause: Optional[Future[Recognition]] = None  # what was said until the latest pause
        self.configure()

    def configure(self) -> None:
        """Take over the session's input format and turn detection; translation has neither, and hears by itself."""
        if self._session.flavour.session_type == "translation":
            return
        audio_type = self._session.input_audio_type
        changed = audio_type != self._buffer.audio_type
        self._buffer.set_format(audio_type)
        detection = self._session.options["audio"]["input"]["turn_detection"]
        if changed or detection != self._detection or self._detector is None:
            self._detection = detection
            self._restart()

    def _restart(self) -> None:
        """Listen anew from here; speech that was going on is forgotten."""
        self._item_id = None
        self._detector = None
        self._pause = None
        if self._detection is not None:
            speech = self._session.settings.speech
            threshold, silence_ms, pause_ms = timing(self._detection, pauses=speech.understands)
            listening = self._buffer.audio_type, int(self._buffer.received_ms), pause_ms
            self._detector = VoiceDetector(threshold, silence_ms, *listening, detector=speech.detector)

    # The client's messages --------------------------------------------------------------------------------------

    def append(self, encoded: str) -> None:
        """Take audio (base64), and act on the turns that it holds."""
        audio = decode_audio(encoded, "audio", self._buffer.audio_type)
        self._buffer.append(audio)
        if self._detector is None:
            return
        for found in self._detector.feed(audio):
            if isinstance(found, SpeechStarted):
                self._speech_started(found.at_ms)
            elif isinstance(found, SpeechPaused):
                self._speech_paused(found.at_ms)
            else:
                self._speech_stopped(found.at_ms)
        if not self._detector.speaking:
            self._check_idle()
            self._buffer.take_until(self._buffer.received_ms - _KEPT_SILENCE_MS)

    def commit(self) -> None:
        """Make an item of what is in the buffer, because the client says so."""
        audio = self._buffer.commit()
        item_id = self._item_id or new_id("item")
        self._restart()
        self._commit(item_id, audio)

    def clear(self) -> None:
        """Drop what is in the buffer."""
        self._buffer.clear()
        self._restart()
        self._session.emit({"type": "input_audio_buffer.cleared"})

    def end(self) -> None:
        """The session has ended: let go of the audio and the detector."""
        self._buffer.clear()
        self._item_id = self._detector = self._pause = None

    # Turns ----------------------------------------------------------------------------------------------------

    def _speech_started(self, at_ms: int) -> None:
        assert self._detection is not None
        first = self._buffer.received_ms - self._buffer.length_ms
        start = max(at_ms - int(self._detection.get("prefix_padding_ms", 300)), int(first), 0)
        self._buffer.take_until(start)
        self._item_id = new_id("item")
        self._idle_from = None
        self._session.emit(
            {"type": "input_audio_buffer.speech_started", "audio_start_ms": start, "item_id": self._item_id}
        )
        active = self._session.active_response
        if active is not None and self._detection.get("interrupt_response", True):
            active.cancel("turn_detected")

    def _speech_paused(self, at_ms: int) -> None:
        pause = recognize(self._session, self._buffer.peek_until(at_ms), self._buffer.audio_type)
        self._pause = pause
        pause.add_done_callback(self._judge_pause)

    def _judge_pause(self, pause: Future[Recognition]) -> None:
        """End the turn if it sounds finished, and nobody has gone on meanwhile. Called without the lock."""
        if pause.exception() is not None or not sounds_finished(pause.result().text):
            return
        with self._session.lock:
            if self._session.is_over:
                return
            if self._pause is pause and self._detector is not None and self._detector.in_pause:
                self._speech_stopped(self._detector.stop().at_ms)

    def _speech_stopped(self, at_ms: int) -> None:
        item_id = self._item_id or new_id("item")
        # Nothing but silence has come since the last pause, so what was recognised there is what was said.
        recognition, self._item_id, self._pause = self._pause, None, None
        self._session.emit({"type": "input_audio_buffer.speech_stopped", "audio_end_ms": at_ms, "item_id": item_id})
        self._commit(item_id, self._buffer.take_until(at_ms), recognition)
        self._respond()

    def _respond(self) -> None:
        assert self._detection is not None
        wanted = self._detection.get("create_response", True)
        if not wanted or self._session.flavour.session_type != "realtime":
            return
        try:
            self._session.create_response({})
        except Refused as refusal:  # an active response that was not to be interrupted
            self._session.emit(refusal.event())

    def response_was_said(self, audio_ms: int) -> None:
        """From the end of the answer's audio on, silence is idleness."""
        self._idle_from = self._buffer.received_ms + audio_ms

    def _check_idle(self) -> None:
        timeout = (self._detection or {}).get("idle_timeout_ms")
        now = self._buffer.received_ms
        if timeout is None or self._idle_from is None or now < self._idle_from + timeout:
            return
        item_id, start = new_id("item"), int(self._idle_from)
        self._idle_from = None
        span = {"audio_start_ms": start, "audio_end_ms": int(now), "item_id": item_id}
        self._session.emit({"type": "input_audio_buffer.timeout_triggered", **span})
        self._buffer.take_until(start)
        self._commit(item_id, self._buffer.clear())
        self._respond()

    def _commit(self, item_id: str, audio: bytes, recognition: Optional[Future[Recognition]] = None) -> None:
        session = self._session
        previous = session.conversation.last_id
        session.emit({"type": "input_audio_buffer.committed", "previous_item_id": previous, "item_id": item_id})
        part = {"type": "input_audio", "transcript": None}
        wire = {"id": item_id, "type": "message", "status": "completed", "role": "user", "content": [part]}
        item = Item(wire, {0: bytearray(audio)}, self._buffer.audio_type, recognition)
        session.add_item(item)
        if session.settings.speech.understands:
            recognition_of(session, item)
        transcribe(session, item)
