"""A browser as microphone and speaker: ``session.talk`` over a WebSocket.

From the browser: samples (16 bit, mono, 24,000 Hz) as binary messages, and JSON: ``played`` tells how many samples of a
part were heard, ``stopped`` the same after a ``stop``, ``interrupt`` that the person wants silence, ``remember`` what
was said or written outside of this conversation, ``tick`` asks whether anybody is there. To the browser:
samples, each behind an ``audio`` message that tells whose they are, and JSON for what it shows.
"""

from __future__ import annotations

import json
import logging
import queue
import threading
from collections.abc import Iterator
from typing import Any, Optional

from simple_websocket import ConnectionClosed
from web_service import Service, remembered
from wsproto.utilities import LocalProtocolError

from realtime_sync import (
    ConversationItemInputAudioTranscriptionCompletedUpdate,
    ConversationItemInputAudioTranscriptionDeltaUpdate,
    ConversationItemInputAudioTranscriptionFailedUpdate,
    ConversationUpdate,
    ErrorUpdate,
    InputAudioBufferSpeechStartedUpdate,
    InputAudioBufferSpeechStoppedUpdate,
    Interruption,
    InvalidInputError,
    PlaybackPosition,
    RealtimeConversationSession,
    RealtimeSyncError,
    ResponseDoneUpdate,
    ResponseOutputAudioDoneUpdate,
    ResponseOutputAudioTranscriptDeltaUpdate,
    WaitTimeoutError,
)
from realtime_sync.audio import PCM
from realtime_sync.audio.playback import Played
from realtime_sync.web.http_errors import public_error

logger = logging.getLogger(__name__)

SAMPLE_BYTES = 2
SAMPLES_PER_MS = 24
# A browser sends sound all the time: one that has said nothing for so many seconds is gone.
_SILENT_SECONDS = 20.0
_OPEN_SECONDS = 60.0
_STOP_SECONDS = 1.0
_CLOSE_SECONDS = 2.0
# What may wait for a browser, or for the service: some minutes of sound, or half a minute.
_MOST_TO_BROWSER = 32 * 1024 * 1024
_MOST_TO_SERVICE = 30 * 1000 * SAMPLES_PER_MS * SAMPLE_BYTES
# simple-websocket hands each message to the system at once, so messages must be small enough for that.
_PIECE_BYTES = 16 * 1024


class Link:
    """What is said to the browser, in order, by a thread of its own: whoever says it never waits for the network."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._lock = threading.Lock()  # guards _waiting, and keeps an audio message together with its samples
        self._waiting = 0
        self._queue: queue.SimpleQueue[str | bytes | None] = queue.SimpleQueue()  # None: the end
        self._thread = threading.Thread(target=self._send, name="browser-link", daemon=True)
        self._thread.start()

    def say(self, kind: str, **fields: object) -> None:
        """One message."""
        self._put(json.dumps({"type": kind, **fields}))

    def fail(self, error: BaseException) -> None:
        """Why the conversation ends, in words for a person."""
        told = public_error(error)
        self.say("failed", message=told.message, code=told.code)

    def play(self, item_id: str, content_index: int, samples: bytes) -> None:
        """Samples of a part."""
        told = json.dumps({"type": "audio", "item_id": item_id, "content_index": content_index})
        for start in range(0, len(samples), _PIECE_BYTES):
            self._put(told, samples[start : start + _PIECE_BYTES])

    def close(self) -> None:
        """Say what is left, and end the connection; waits two seconds at most."""
        self._queue.put(None)
        self._thread.join(_CLOSE_SECONDS)
        self._cut()

    def _put(self, *messages: str | bytes) -> None:
        with self._lock:
            self._waiting += sum(map(len, messages))
            for message in messages:
                self._queue.put(message)
            too_much = self._waiting > _MOST_TO_BROWSER
        if too_much:
            logger.warning("a browser does not take what is said to it; its connection is ended")
            self._cut()

    def _send(self) -> None:
        try:
            while (message := self._queue.get()) is not None:
                self._socket.send(message)
                with self._lock:
                    self._waiting -= len(message)
            self._socket.close()
        except (ConnectionClosed, LocalProtocolError, OSError):
            pass  # the browser has gone, which the reading thread sees, too

    def _cut(self) -> None:
        try:
            self._socket.sock.shutdown(2)  # wakes a send that hangs, and the reading thread
        except OSError:
            pass  # closed already


class BrowserMicrophone:
    """What the browser's microphone hears: a ``Microphone`` of ``session.talk``."""

    name = "browser"
    format = PCM

    def __init__(self) -> None:
        self._heard: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()  # None: the end

    def hear(self, samples: bytes) -> None:
        """Samples have come. Raises ``WaitTimeoutError`` where the service does not take them."""
        if self._heard.qsize() * len(samples) > _MOST_TO_SERVICE:
            raise WaitTimeoutError("the service does not take what is said to it")
        self._heard.put(samples)

    def start(self) -> None:
        """The browser listens already."""

    def stop(self) -> None:
        """End the iteration."""
        self._heard.put(None)

    def __iter__(self) -> Iterator[bytes]:
        while (samples := self._heard.get()) is not None:
            yield samples


class BrowserSpeaker:
    """Plays in the browser, which tells what was heard: a ``Speaker`` of ``session.talk``."""

    name = "browser"
    format = PCM

    def __init__(self, link: Link) -> None:
        self.position = PlaybackPosition(rate=1000 * SAMPLES_PER_MS)
        self._link = link
        self._changed = threading.Condition()  # guards all below; notified at each change
        self._written: dict[tuple[str, int], int] = {}  # samples
        self._last: Optional[tuple[str, int]] = None
        self._left = 0  # samples of the last part that were not played yet
        self._dropped: set[str] = set()  # items whose rest is not to be heard
        self._stops = self._stopped = 0

    @property
    def playing(self) -> bool:
        """True while something is left to be played."""
        return self._left > 0

    def start(self) -> None:
        """The browser plays already."""

    def write(self, item_id: str, content_index: int, samples: bytes) -> None:
        """Play this behind what is there."""
        with self._changed:
            if item_id in self._dropped:
                return
            self._last = (item_id, content_index)
            self._written[self._last] = self._written.get(self._last, 0) + len(samples) // SAMPLE_BYTES
            self._left = max(self._left, 1)
            self._link.play(item_id, content_index, samples)  # in here: not behind the "stop" of another thread

    def stop(self) -> Optional[Played]:
        """Fall silent; returns what was heard by then, once the browser has told it."""
        with self._changed:
            self._stops += 1
            number = self._stops
            self._left = 0
            self._dropped.update(known for known, _ in self._written)
            self._link.say("stop", number=number)
            self._changed.wait_for(lambda: self._stopped >= number, _STOP_SECONDS)
        return self.position.current

    def wait(self, timeout: Optional[float] = None) -> None:
        """Wait until all is played."""
        with self._changed:
            if not self._changed.wait_for(lambda: not self._left, timeout):
                raise WaitTimeoutError(f"the browser did not play all of it within {timeout} s")

    def close(self) -> None:
        """Nothing is left to be done."""

    def heard(self, item_id: object, content_index: object, samples: object, stop: int = 0) -> None:
        """The browser tells what it has played; ``stop``: the number of the ``stop`` that it answers."""
        with self._changed:
            key = (str(item_id), content_index if isinstance(content_index, int) else 0)
            # Whatever a browser says, it has heard no more than it was sent, and nothing that it was not sent.
            if key in self._written and isinstance(samples, int) and samples >= 0:
                played = min(samples, self._written[key])
                self.position.report(key[0], played / SAMPLES_PER_MS, key[1])
                if key == self._last and not stop:
                    self._left = self._written[key] - played
            self._stopped = max(self._stopped, stop)
            self._changed.notify_all()


class BrowserConversation:
    """One browser and its session. The request's thread reads the browser; another holds the conversation."""

    def __init__(self, socket: Any, service: Service, visitor: str) -> None:
        self._socket = socket
        self._service = service
        self._visitor = visitor
        self._link = Link(socket)
        self._microphone = BrowserMicrophone()
        self._speaker = BrowserSpeaker(self._link)
        self._over = threading.Event()
        self._interrupting = threading.Lock()  # held while an interruption is under way
        self._session: Optional[RealtimeConversationSession] = None

    def hold(self) -> None:
        """Until the browser goes away, the session ends, or the application does."""
        try:
            voices, open_session = self._service.voices, self._service.open_voice_session
            background = voices.start(open_session, self._talk, visitor=self._visitor)
            try:
                self._session = background.wait_until_open(_OPEN_SECONDS)
                self._read()
            finally:
                self._over.set()
                self._microphone.stop()
                background.close()
        except ConnectionClosed:
            pass
        except RealtimeSyncError as error:
            logger.warning("a browser's conversation ended: %s: %s", type(error).__name__, error)
            self._link.fail(error)
        finally:
            self._link.close()

    def _talk(self, session: RealtimeConversationSession) -> None:
        """On the session's thread."""
        self._session = session
        self._link.say("ready", session_id=session.id)
        try:
            session.talk(
                self._microphone,
                self._speaker,
                stop=self._over,
                on_update=self._show,
                on_interruption=self._show_interruption,
            )
            if not self._over.is_set():
                self._link.say("failed", message="The conversation was ended. Press start to begin a new one.")
        except RealtimeSyncError as error:
            self._link.fail(error)
            raise  # told in the log by the sessions' owner
        finally:
            self._link.close()  # which wakes the reading thread

    def _read(self) -> None:
        while not self._over.is_set():
            message = self._socket.receive(timeout=_SILENT_SECONDS)
            if message is None:
                logger.info("a browser has said nothing for %g s; its conversation is ended", _SILENT_SECONDS)
                return
            if isinstance(message, bytes):
                self._microphone.hear(message)
            else:
                self._obey(message)

    def _obey(self, message: str) -> None:
        try:
            told = json.loads(message)
            kind = told["type"]
        except (ValueError, TypeError, KeyError, RecursionError):
            self._link.say("problem", message="The page said something that this application does not understand.")
            return
        if kind == "interrupt":
            self._heard(told)
            # Beside the reading, which must go on: the service's word on it takes a moment. One at a time is enough.
            if self._interrupting.acquire(blocking=False):
                threading.Thread(target=self._interrupt, name="browser-interrupt", daemon=True).start()
        elif kind in ("played", "stopped"):
            self._heard(told)
        elif kind == "tick":
            self._link.say("tick")
        elif kind == "remember":
            self._remember(told.get("messages"))

    def _heard(self, told: dict[str, Any]) -> None:
        number = told.get("number") if told["type"] == "stopped" else 0
        stop = number if isinstance(number, int) else 0
        self._speaker.heard(told.get("item_id"), told.get("content_index"), told.get("samples"), stop)

    def _remember(self, messages: object) -> None:
        try:
            if self._session is not None:
                self._session.add_history(remembered(messages))
        except InvalidInputError as error:
            self._link.say("problem", message=f"What was said before could not be told to the model: {error}.")

    def _interrupt(self) -> None:
        try:
            if self._session is not None:
                self._speaker.stop()
                self._show_interruption(self._session.interrupt(position=self._speaker.position))
        except RealtimeSyncError as error:
            logger.info("an interruption came too late: %s: %s", type(error).__name__, error)
        finally:
            self._interrupting.release()

    # What the page shows ------------------------------------------------------------------------------------------

    def _show(self, update: ConversationUpdate) -> None:
        if isinstance(update, InputAudioBufferSpeechStartedUpdate):
            self._link.say("user_began", item_id=update.item_id)
        elif isinstance(update, InputAudioBufferSpeechStoppedUpdate):
            self._link.say("user_ended", item_id=update.item_id)
        elif isinstance(update, ConversationItemInputAudioTranscriptionDeltaUpdate):
            self._link.say("user_text", item_id=update.item_id, text=update.delta)
        elif isinstance(update, ConversationItemInputAudioTranscriptionCompletedUpdate):
            self._link.say("user_done", item_id=update.item_id, text=update.transcript)
        elif isinstance(update, ConversationItemInputAudioTranscriptionFailedUpdate):
            self._link.say("user_done", item_id=update.item_id, text="")
        elif isinstance(update, ResponseOutputAudioTranscriptDeltaUpdate):
            if self._speaker.position.playable(update):
                self._link.say("answer_text", item_id=update.item_id, text=update.delta)
        elif isinstance(update, ResponseOutputAudioDoneUpdate):
            self._link.say("answer_done", item_id=update.item_id)
        elif isinstance(update, ResponseDoneUpdate):
            self._link.say("over")
            if update.response.status == "failed":
                self._link.say("problem", message="The model service could not finish the answer.")
        elif isinstance(update, ErrorUpdate) and update.code != "response_cancel_not_active":
            logger.warning("the service says: %s %s", update.code, update.message)
            self._link.say("problem", message="The model service reports an error.", code=update.code)

    def _show_interruption(self, interruption: Interruption) -> None:
        if interruption.item_id is not None:
            self._link.say("interrupted", item_id=interruption.item_id, heard_ms=interruption.audio_end_ms)
