"""A browser as microphone and speaker, over a WebSocket of flask-sock; ``browser_voice`` says what is said on it.

Of the page's own: ``remember`` tells what was said or written outside of this conversation.
"""

from __future__ import annotations

import logging
from typing import Any, Optional

from simple_websocket import ConnectionClosed
from web_service import Service, remembered
from wsproto.utilities import LocalProtocolError

from realtime_sync import InvalidInputError, RealtimeConversationSession, RealtimeSyncError
from realtime_sync.web.browser_voice import BrowserVoice

logger = logging.getLogger(__name__)

# A browser sends sound all the time: one that has said nothing for so many seconds is gone.
_SILENT_SECONDS = 20.0
_OPEN_SECONDS = 60.0


class BrowserConversation:
    """One browser and its session. The request's thread reads the browser; another holds the conversation."""

    def __init__(self, socket: Any, service: Service, visitor: str) -> None:
        self._socket = socket
        self._service = service
        self._visitor = visitor
        self._voice = BrowserVoice(socket.send, cut=self._cut, on_message=self._obey)
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
                self._voice.end()
                background.close()
        except ConnectionClosed:
            pass
        except RealtimeSyncError as error:
            logger.warning("a browser's conversation ended: %s: %s", type(error).__name__, error)
            self._voice.fail(error)
        finally:
            self._close()

    def _talk(self, session: RealtimeConversationSession) -> None:
        """On the session's thread."""
        try:
            self._voice.talk(session)
        finally:
            self._close()  # which wakes the reading thread

    def _read(self) -> None:
        while not self._voice.over:
            message = self._socket.receive(timeout=_SILENT_SECONDS)
            if message is None:
                logger.info("a browser has said nothing for %g s; its conversation is ended", _SILENT_SECONDS)
                return
            self._voice.receive(message)

    def _obey(self, told: dict[str, Any]) -> None:
        if told["type"] == "remember" and self._session is not None:
            try:
                self._session.add_history(remembered(told.get("messages")))
            except InvalidInputError as error:
                told_why = f"What was said before could not be told to the model: {error}."
                self._voice.say("problem", message=told_why)

    def _close(self) -> None:
        self._voice.close()
        try:
            self._socket.close()
        except (ConnectionClosed, LocalProtocolError, OSError):
            pass  # the browser was first
        self._cut()

    def _cut(self) -> None:
        try:
            self._socket.sock.shutdown(2)  # wakes a send that hangs, and the reading thread
        except OSError:
            pass  # closed already
