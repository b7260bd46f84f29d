"""A spoken conversation with a browser: ``session.talk()`` over a WebSocket of the application's, whatever serves it.

``examples/web_page/voice.js`` is the browser's side. Each message is a JSON object with a ``type``, or samples (16 bit,
mono, 24,000 Hz) as a binary message.

From the browser:

===============  ====================================================================================================
(binary)         what its microphone hears, from ``ready`` on
``played``       ``item_id``, ``content_index``, ``samples``: so much of this part was heard
``stopped``      the same, and ``number``: in answer to that ``stop``
``interrupt``    the same: the person wants silence, and the browser has fallen silent already
``tick``         is anybody there? It is answered by a ``tick``
===============  ====================================================================================================

To the browser:

================  ===================================================================================================
``ready``         ``session_id``: the session is open
``audio``         ``item_id``, ``content_index``: of whom the samples are that follow as a binary message
``stop``          ``number``: fall silent at once, and tell what was heard
``user_began``    ``item_id``: the user begins to speak; ``user_ended``: is silent
``user_text``     ``item_id``, ``text``: more of what was understood; ``user_done``: all of it
``answer_text``   ``item_id``, ``text``: more of what the model says; ``answer_done``: that was all
``interrupted``   ``item_id``, ``heard_ms``: the answer was shortened to what was heard
``over``          the response is finished
``problem``       ``message``, perhaps ``code``: something went wrong, and the conversation goes on
``failed``        ``message``, perhaps ``code``: the conversation has ended
================  ===================================================================================================
"""

from __future__ import annotations

import json
import logging
import threading
from typing import Any, Callable, Optional, Union, cast

from realtime_sync.checks import check_function
from realtime_sync.errors import RealtimeSyncError
from realtime_sync.interrupts import Flag
from realtime_sync.protocol.update_base import ConversationUpdate
from realtime_sync.protocol.updates import (
    ConversationItemInputAudioTranscriptionCompletedUpdate,
    ConversationItemInputAudioTranscriptionDeltaUpdate,
    ConversationItemInputAudioTranscriptionFailedUpdate,
    ErrorUpdate,
    InputAudioBufferSpeechStartedUpdate,
    InputAudioBufferSpeechStoppedUpdate,
    ResponseDoneUpdate,
    ResponseOutputAudioDoneUpdate,
    ResponseOutputAudioTranscriptDeltaUpdate,
)
from realtime_sync.session import RealtimeConversationSession
from realtime_sync.voice import OutgoingLink, RemoteMicrophone, RemoteSpeaker
from realtime_sync.voice.barge_in import Interruption
from realtime_sync.web.http_errors import public_error

logger = logging.getLogger(__name__)

# Some servers hand each message to the system at once, so messages must be small enough for that.
_PIECE_BYTES = 16 * 1024


class BrowserVoice:
    """One browser's end of a spoken conversation.

    The application gives each message of its WebSocket to ``receive()``, and calls ``end()`` when the browser has gone.
    On another thread, that of the session, it calls ``talk(session)``, and then ``close()`` and what closes its socket.

    Attributes:
        microphone: The browser's, a ``Microphone``.
        speaker: Likewise a ``Speaker``.
    """

    def __init__(
        self,
        send: Callable[[Union[str, bytes]], object],
        *,
        cut: Optional[Callable[[], object]] = None,
        on_message: Optional[Callable[[dict[str, Any]], object]] = None,
        name: str = "browser",
    ) -> None:
        """Begin. From the first message on, a thread sends.

        Args:
            send: Sends a message, a text or bytes; what it raises means that the browser has gone.
            cut: Ends the connection of a browser that takes nothing any more; it wakes whoever reads it.
            on_message: Is called with messages of kinds of the application's own; None: they are passed over.
            name: What the log calls the browser.
        """
        check_function("on_message", on_message)
        check_function("cut", cut)
        self._over = Flag()
        self._cut = cut
        self._on_message = on_message
        self.microphone = RemoteMicrophone(name=name)
        self._link = OutgoingLink(send, cut=self._gone, name=name)
        self.speaker = RemoteSpeaker(_Player(self._link), name=name)
        self._interrupting = threading.Lock()  # held while an interruption is under way
        self._session: Optional[RealtimeConversationSession] = None

    @property
    def over(self) -> bool:
        """True once the conversation has ended, or the browser has gone: nothing more is to be read."""
        return self._over.is_set() or not self._link.open

    def talk(self, session: RealtimeConversationSession) -> None:
        """Hold the conversation on this thread, until the browser has gone, the session ends, or ``end()`` is called.

        Why it has failed is told to the browser, in words for a person, and raised.

        Raises:
            RealtimeSyncError: As ``session.talk()`` does.
        """
        self._session = session
        self.say("ready", session_id=session.id)
        try:
            session.talk(
                self.microphone,
                self.speaker,
                stop=cast(threading.Event, self._over),  # which is asked whether it is set, and no more
                on_update=self._show,
                on_interruption=self._show_interruption,
            )
            if not self._over.is_set():
                self.say("failed", message="The application has ended the conversation. You can begin a new one.")
        except RealtimeSyncError as error:
            if not self._over.is_set():
                self.fail(error)
                raise
        finally:
            self._over.set()

    def receive(self, message: Union[str, bytes]) -> None:
        """A message of the browser's has come; returns at once.

        What is no message of this kind is answered by a ``problem``.

        Raises:
            WaitTimeoutError: The service does not take what is said to it; end the conversation.
        """
        if isinstance(message, bytes):
            self.microphone.hear(message)
            return
        try:
            told = json.loads(message)
            kind = told["type"]
        except (ValueError, TypeError, KeyError, RecursionError):
            self.say("problem", message="The page said something that this application does not understand.")
            return
        if kind == "interrupt":
            self._heard(told)
            self._begin_interruption()
        elif kind in ("played", "stopped"):
            self._heard(told, cleared=told.get("number"))
        elif kind == "tick":
            self.say("tick")
        elif self._on_message is not None:
            self._on_message(told)

    def say(self, kind: str, **fields: object) -> None:
        """Send the browser a message of this type, one of the application's own, too; returns at once."""
        self._link.put(json.dumps({"type": kind, **fields}))

    def fail(self, error: BaseException) -> None:
        """Tell the browser why the conversation ends, in words for a person that hold nothing of the account."""
        told = public_error(error)
        self.say("failed", message=told.message, code=told.code)

    def end(self) -> None:
        """The browser has gone, or is to go: ``talk()`` returns. Idempotent, from any thread."""
        self._over.set()
        self.microphone.end()  # for good, also if the conversation begins just now
        self.microphone.stop()
        self.speaker.end()

    def close(self) -> None:
        """End it, and send what is left; waits two seconds at most. Idempotent, from any thread."""
        self.end()
        self._link.close()

    def _gone(self) -> None:
        """The browser takes nothing any more."""
        self.end()
        if self._cut is not None:
            self._cut()

    def _heard(self, told: dict[str, Any], cleared: object = 0) -> None:
        self.speaker.heard(told.get("item_id"), told.get("content_index"), told.get("samples"), cleared=cleared)

    def _begin_interruption(self) -> None:
        # Beside the reading, which must go on: the service's word on it takes a moment. One at a time is enough.
        session = self._session
        if session is None or not self._interrupting.acquire(blocking=False):
            return
        try:
            session._engine.start_thread(lambda: self._interrupt(session), "browser-interrupt")
        except BaseException:
            self._interrupting.release()
            raise

    def _interrupt(self, session: RealtimeConversationSession) -> None:
        try:
            self.speaker.stop()
            self._show_interruption(session.interrupt(position=self.speaker.position))
        except RealtimeSyncError as error:
            logger.info("an interruption came too late: %s: %s", type(error).__name__, error)
        finally:
            self._interrupting.release()

    # What the page shows ------------------------------------------------------------------------------------------

    def _show(self, update: ConversationUpdate) -> None:
        if isinstance(update, InputAudioBufferSpeechStartedUpdate):
            self.say("user_began", item_id=update.item_id)
        elif isinstance(update, InputAudioBufferSpeechStoppedUpdate):
            self.say("user_ended", item_id=update.item_id)
        elif isinstance(update, ConversationItemInputAudioTranscriptionDeltaUpdate):
            self.say("user_text", item_id=update.item_id, text=update.delta)
        elif isinstance(update, ConversationItemInputAudioTranscriptionCompletedUpdate):
            self.say("user_done", item_id=update.item_id, text=update.transcript)
        elif isinstance(update, ConversationItemInputAudioTranscriptionFailedUpdate):
            self.say("user_done", item_id=update.item_id, text="")
        elif isinstance(update, ResponseOutputAudioTranscriptDeltaUpdate):
            if self.speaker.position.playable(update):
                self.say("answer_text", item_id=update.item_id, text=update.delta)
        elif isinstance(update, ResponseOutputAudioDoneUpdate):
            self.say("answer_done", item_id=update.item_id)
        elif isinstance(update, ResponseDoneUpdate):
            self.say("over")
            if update.response.status == "failed":
                self.say("problem", message="The model service could not finish the answer.")
        elif isinstance(update, ErrorUpdate) and update.code != "response_cancel_not_active":
            logger.warning("the service says: %s %s", update.code, update.message)
            self.say("problem", message="The model service reports an error.", code=update.code)

    def _show_interruption(self, interruption: Interruption) -> None:
        if interruption.item_id is not None:
            self.say("interrupted", item_id=interruption.item_id, heard_ms=interruption.audio_end_ms)


class _Player:
    """Plays in the browser: a ``RemotePlayer``."""

    def __init__(self, link: OutgoingLink) -> None:
        self._link = link

    def play(self, item_id: str, content_index: int, samples: bytes) -> None:
        told = json.dumps({"type": "audio", "item_id": item_id, "content_index": content_index})
        for start in range(0, len(samples), _PIECE_BYTES):
            self._link.put(told, samples[start : start + _PIECE_BYTES], spare=True)

    def clear(self, number: int) -> None:
        self._link.drop()  # so that it does not come behind a minute of sound, where the network is slow
        self._link.put(json.dumps({"type": "stop", "number": number}))
