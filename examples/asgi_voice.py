"""The microphone by WebSocket for ASGI applications: what Streamlit's and Gradio's examples have beside their pages.

``routes()`` are Starlette's: ``/talk`` is a browser's end of a spoken conversation (``browser_voice`` says what is said
on it), ``/voice/`` has the scripts for it. A page made by a framework shows the button of ``live.js`` there.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Optional, Union

from starlette.routing import BaseRoute, Mount, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket, WebSocketDisconnect
from web_service import MAX_BODY_BYTES, MAX_HISTORY, PAGE, Service, remembered, service, visitor_at

from realtime_sync import ConversationItem, InvalidInputError, RealtimeConversationSession, RealtimeSyncError
from realtime_sync.web.browser_voice import BrowserVoice
from realtime_sync.web.origins import foreign

logger = logging.getLogger(__name__)

# A browser sends sound or a tick all the time: one that has said nothing for so many seconds is gone.
_SILENT_SECONDS = 20.0
_SEND_SECONDS = 20.0
# Names of this site, as VOICE_ALLOWED_HOSTS=voice.example.com; its own addresses and localhost need not be told.
ALLOWED_HOSTS = os.environ.get("VOICE_ALLOWED_HOSTS", "").split(",")


def routes() -> list[BaseRoute]:
    """What the page needs to talk."""
    return [WebSocketRoute("/talk", talk), Mount("/voice", StaticFiles(directory=PAGE))]


@asynccontextmanager
async def lifespan(app: object) -> AsyncIterator[None]:
    """The service is made when the application starts, and closed when it ends."""
    made = await asyncio.to_thread(service)
    yield
    await asyncio.to_thread(made.close)


async def talk(socket: WebSocket) -> None:
    """One browser, as long as it talks."""
    if foreign(socket.headers.get("Host"), socket.headers.get("Origin"), ALLOWED_HOSTS) is not None:
        await socket.close(1008)
        return
    await socket.accept()
    made = await asyncio.to_thread(service)
    await Conversation(socket, made, visitor_at(socket.client.host if socket.client else None)).hold()


class Conversation:
    """The event loop reads the browser; the session has a thread, and so has what is sent."""

    def __init__(self, socket: WebSocket, made: Service, visitor: str) -> None:
        self._socket = socket
        self._service = made
        self._visitor = visitor
        self._loop = asyncio.get_running_loop()
        self._voice = BrowserVoice(self._send, on_message=self._obey)
        self._session: Optional[RealtimeConversationSession] = None
        self._lock = threading.Lock()  # guards _history
        self._history: list[ConversationItem] = []  # what the page has told, and the session has not been told yet

    async def hold(self) -> None:
        """Until the browser goes away, the session ends, or the application does."""
        try:
            background = self._service.voices.start(self._open, self._talk, visitor=self._visitor)
        except RealtimeSyncError as error:
            logger.warning("a browser was refused a conversation: %s: %s", type(error).__name__, error)
            self._voice.fail(error)
            await asyncio.to_thread(self._voice.close)
            await self._close()
            return
        try:
            await self._read()
        except (asyncio.TimeoutError, RealtimeSyncError) as error:
            logger.info("a browser's conversation is ended: %s: %s", type(error).__name__, error)
        finally:
            self._voice.end()
            await asyncio.to_thread(background.close)
            await asyncio.to_thread(self._voice.close)
            await self._close()

    async def _read(self) -> None:
        while not self._voice.over:
            message = await asyncio.wait_for(self._socket.receive(), _SILENT_SECONDS)
            if message["type"] == "websocket.disconnect":
                return
            said = message.get("bytes")
            said = message.get("text") or "" if said is None else said
            if len(said) > MAX_BODY_BYTES:  # the server's own limit may be far above
                await self._socket.close(1009)
                return
            self._voice.receive(said)
            if self._session is not None and self._history:
                # One after the other, and a page that tells a lot waits itself.
                await asyncio.to_thread(self._tell_history, self._session)

    def _open(self) -> RealtimeConversationSession:
        """On the session's thread, as ``_talk``."""
        try:
            return self._service.open_voice_session()
        except Exception as error:
            self._voice.fail(error)
            self._end()
            raise

    def _talk(self, session: RealtimeConversationSession) -> None:
        try:
            self._tell_history(session)
            self._session = session
            self._voice.talk(session)
        finally:
            self._end()

    def _end(self) -> None:
        self._voice.close()
        asyncio.run_coroutine_threadsafe(self._close(), self._loop)  # which wakes the reading

    def _obey(self, told: dict[str, Any]) -> None:
        """``remember``: what was said or written outside of this conversation."""
        if told["type"] != "remember":
            return
        try:
            items = remembered(told.get("messages"))
        except InvalidInputError as error:
            self._voice.say("problem", message=f"What was said before could not be told to the model: {error}.")
            return
        with self._lock:
            self._history = [*self._history, *items][-MAX_HISTORY:]

    def _tell_history(self, session: RealtimeConversationSession) -> None:
        with self._lock:
            items, self._history = self._history, []
        with suppress(RealtimeSyncError):  # the conversation has ended meanwhile
            session.add_history(items)

    def _send(self, message: Union[str, bytes]) -> None:
        """On the thread that sends."""
        said = self._socket.send_text(message) if isinstance(message, str) else self._socket.send_bytes(message)
        asyncio.run_coroutine_threadsafe(said, self._loop).result(_SEND_SECONDS)

    async def _close(self) -> None:
        with suppress(RuntimeError, WebSocketDisconnect):  # it is closed already
            await self._socket.close()
