"""The common part of the Flask and the Django application: the model, the questions allowed, the live sessions.

Nothing here knows a framework; views turn a request into a call of ``Service`` and its result into a response.
"""

from __future__ import annotations

import html
import ipaddress
import json
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any, Optional
from urllib.parse import urlsplit

import attrs
from demo_client import environment_tells_something

from realtime_sync import (
    ConversationItem,
    ConversationSessionOptions,
    FunctionTool,
    InputTranscriptionOptions,
    InvalidInputError,
    OpenAIClient,
    RealtimeConversationClient,
    RealtimeConversationSession,
    TooManySessionsError,
    TurnDetectionOptions,
    function_tool,
)
from realtime_sync.web.background import BackgroundSessions
from realtime_sync.web.calls import BrowserCall, BrowserCalls
from realtime_sync.web.sse import EventStream, sse_events

PAGE = Path(__file__).parent / "web_page"
SECURITY_HEADERS = {
    # The page's own scripts only; a call by WebRTC is made with the service, through this application.
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    # Not "no-referrer": with that, a beacon and a form's POST come from nowhere by their own account (Origin: null).
    "Referrer-Policy": "same-origin",
}
_INSTRUCTIONS = "You are a friendly assistant. Answer in one or two sentences unless you are asked for more."
_BY_RULES = "Answers come from the embedded server, by rules: it is no model. Set OPENAI_API_KEY for one."
_NO_SOUND = "The embedded server takes a call, but carries no sound. Set OPENAI_API_KEY to talk to a model."
_MAX_TEXT = 4000
MAX_HISTORY = 20
_MAX_OFFER = 32 * 1024
# A long conversation fits, however its characters are spelled in JSON.
MAX_BODY_BYTES = 6 * _MAX_TEXT * (MAX_HISTORY + 1) + 16 * 1024
_SECRET_SECONDS = 60

logger = logging.getLogger("web_service")


@function_tool
def local_time() -> str:
    """Tells the date and the time of day where this application runs."""
    return datetime.now().astimezone().strftime("%A, %d %B %Y, %H:%M %Z")


class Service:
    """The client, and the sessions that requests have opened.

    ``client``: None is the one that the environment tells, or without a key the embedded server in this process.
    ``tools``: what the model may call while it is talked to.
    """

    def __init__(
        self, client: Optional[RealtimeConversationClient] = None, tools: Sequence[FunctionTool[..., Any]] = ()
    ) -> None:
        self._tools = tools
        self._stack = ExitStack()
        self._embedded = client is None and not environment_tells_something()
        self.client = client or (_embedded(self._stack) if self._embedded else RealtimeConversationClient.from_env())
        # Apart, because a restart lets a text be finished, while a conversation may go on for an hour.
        self.texts = BackgroundSessions(max_sessions=100, max_per_visitor=20)
        self.voices = BackgroundSessions(max_sessions=20, max_per_visitor=4)
        # Apart from the voices, because an offer costs a browser nothing, and a voice its microphone's sound.
        options = attrs.evolve(_voice_options(), tools=[local_time])
        self.calls = BrowserCalls(self.client, options, max_calls=20, max_per_visitor=2)
        self._secrets = Allowance(most=60, most_per_visitor=5, seconds=_SECRET_SECONDS)

    def page(self, name: str, *, voice: bool) -> bytes:
        """A page of ``web_page/`` with who answers.

        ``voice``: whether the application has ``/talk``, the microphone's end of the line.
        """
        text = (PAGE / name).read_text(encoding="utf-8")
        brief, sentence = self.who_answers(by_call=name == "call.html")
        text = text.replace("<!-- answers in brief -->", html.escape(brief))
        text = text.replace("<!-- answers -->", html.escape(sentence))
        return (text if voice else text.replace("<html ", '<html data-voice="none" ', 1)).encode()

    def who_answers(self, *, by_call: bool = False) -> tuple[str, str]:
        """In brief, and in a sentence."""
        if self._embedded:
            return "Embedded server", _NO_SOUND if by_call else _BY_RULES
        return _who_answers(self.client)

    def answer(self, body: bytes, visitor: str) -> EventStream:
        """The answer to ``{"question": ..., "history": [{"role": ..., "text": ...}]}`` as server-sent events.

        ``body``: that as JSON. Raises ``InvalidInputError`` for anything else, and what opening a session raises.
        """
        items = _items(body)
        with ExitStack() as stack:
            session = stack.enter_context(self.texts.hold(self.open_text_session, visitor=visitor))
            response = session.respond(items)
            # A server notices at the second heartbeat at the latest that a browser has left.
            return sse_events(response, heartbeat=2.0, then_close=stack.pop_all())

    def open_text_session(self) -> RealtimeConversationSession:
        """A session that answers in writing."""
        options = ConversationSessionOptions(instructions=_INSTRUCTIONS, content_modalities=["text"])
        return self.client.start_conversation_session(options)

    def open_recording_session(self) -> RealtimeConversationSession:
        """A session that is asked whole recordings, writes down what it hears in them, and answers aloud."""
        options = ConversationSessionOptions(
            instructions=_INSTRUCTIONS,
            turn_detection_options=TurnDetectionOptions.disabled(),
            input_transcription_options=InputTranscriptionOptions(model="gpt-transcribe"),
        )
        return self.client.start_conversation_session(options)

    def open_voice_session(self) -> RealtimeConversationSession:
        """A session to be talked to: it listens for the ends of turns, and writes down what it hears."""
        return self.client.start_conversation_session(_voice_options(self._tools))

    def create_secret(self, visitor: str) -> dict[str, object]:
        """A key with which a browser may open one session of its own, and that is of no use after a minute.

        What a browser does with it is not seen here, so keys are counted. Raises ``TooManySessionsError``.
        """
        self._secrets.take(visitor)
        secret = self.client.create_client_secret(_voice_options(), expires_after=_SECRET_SECONDS)
        return {"value": secret.value, "expires_at": secret.expires_at}

    def exchange(self, offer: bytes, visitor: str) -> BrowserCall:
        """The answer to a browser's WebRTC offer (SDP). The tools of the call are run here, the sound goes past us.

        Raises ``InvalidInputError`` for what is no offer, ``TooManySessionsError``, and what the service has
        against it.
        """
        if not 0 < len(offer) <= _MAX_OFFER:
            raise InvalidInputError(f"an offer has 1 to {_MAX_OFFER} bytes of SDP, not {len(offer)}")
        text = offer.decode("utf-8", "replace")
        if not text.startswith("v=0") or "\nm=audio " not in text:
            raise InvalidInputError("this is no WebRTC offer: expected SDP (v=0 ...) with an audio section")
        return self.calls.create(text, visitor=visitor)

    def shut_down(self, grace: float = 10.0) -> None:
        """End conversations now, and texts after ``grace`` seconds; requests that are still taken may begin new ones.

        A server that has no request left may end before that, and calls ``close()``.
        """
        self.calls.close()
        self.voices.close()
        time.sleep(grace)
        self.texts.close()

    def close(self) -> None:
        """End everything."""
        self.shut_down(0)
        self._stack.close()


class Allowance:
    """So many of something within so many seconds, for each visitor and for all of them. For one process."""

    def __init__(self, *, most: int, most_per_visitor: int, seconds: float) -> None:
        self.most, self.most_per_visitor, self._seconds = most, most_per_visitor, seconds
        self._lock = threading.Lock()  # guards _taken
        self._taken: deque[tuple[float, str]] = deque()  # when, and by whom

    def take(self, visitor: str) -> None:
        """One of them. Raises ``TooManySessionsError``."""
        with self._lock:
            now = time.monotonic()
            while self._taken and self._taken[0][0] <= now - self._seconds:
                self._taken.popleft()
            if len(self._taken) >= self.most or self._of(visitor) >= self.most_per_visitor:
                raise TooManySessionsError(
                    f"no more than {self.most_per_visitor} in {self._seconds:g} s of one visitor"
                )
            self._taken.append((now, visitor))

    def _of(self, visitor: str) -> int:
        return sum(one == visitor for _, one in self._taken)


def visitor_at(address: Optional[str]) -> str:
    """Who is at this address: one visitor, though IPv6 gives each household some billions of addresses."""
    try:
        known = ipaddress.ip_address(address or "")
    except ValueError:  # a Unix socket's
        return address or ""
    if isinstance(known, ipaddress.IPv6Address) and known.ipv4_mapped is None:
        return str(ipaddress.ip_network((known, 64), strict=False))
    return str(known)


_lock = threading.Lock()  # guards _services
_services: dict[int, Service] = {}


def service() -> Service:
    """The service of this process, made when it is first asked for: so after the fork, whatever serves the application.

    A forked child has one of its own.
    """
    with _lock:
        if os.getpid() not in _services:
            _services[os.getpid()] = Service()
        return _services[os.getpid()]


def made_service() -> Optional[Service]:
    """The same, if it was made already."""
    return _services.get(os.getpid())


def _embedded(stack: ExitStack) -> RealtimeConversationClient:
    logger.warning("No key in the environment, so an embedded server answers; set OPENAI_API_KEY for a model.")
    from realtime_sync.server import RealtimeServer
    from realtime_sync.server.speech import available_speech

    speech = available_speech(load=False)  # a view does not wait for models
    logger.warning("It answers by rules. %s", speech.limits or "It hears and speaks English.")
    server = stack.enter_context(RealtimeServer(speech=speech, record=False))
    return OpenAIClient("any-key", endpoint=server.url, proxy=False).get_realtime_conversation_client(
        "gpt-realtime-2.1"
    )


def _who_answers(client: RealtimeConversationClient) -> tuple[str, str]:
    model = (client.model or "a model").replace("-", "\N{NON-BREAKING HYPHEN}")
    host = urlsplit(client.endpoint.base_url).hostname or ""
    if host == "api.openai.com" or host.endswith(".api.openai.com"):
        return model, f"Answers come from {model} by OpenAI. They can be wrong."
    if client.endpoint.flavour != "openai":
        return model, f"Answers come from {model} on Azure. They can be wrong."
    return model, f"Answers come from a server of this site, as {model}. They can be wrong."


def _voice_options(tools: Sequence[FunctionTool[..., Any]] = ()) -> ConversationSessionOptions:
    return ConversationSessionOptions(
        tools=list(tools),
        instructions=_INSTRUCTIONS,
        turn_detection_options=TurnDetectionOptions.server_vad(silence_duration_ms=500),
        input_transcription_options=InputTranscriptionOptions(model="gpt-transcribe"),
    )


def _items(body: bytes) -> list[ConversationItem]:
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        raise InvalidInputError("the request's body is not JSON") from None
    if not isinstance(told, dict):
        raise InvalidInputError('expected a JSON object, {"question": "..."}')
    question = ConversationItem.create_user_message(_text(told.get("question"), "question"))
    return [*remembered(told.get("history", [])), question]


def remembered(history: object) -> list[ConversationItem]:
    """What a page tells of a conversation: ``[{"role": ..., "text": ...}, ...]``. Raises ``InvalidInputError``."""
    if not isinstance(history, list) or len(history) > MAX_HISTORY:
        raise InvalidInputError(f"history must be a list of at most {MAX_HISTORY} messages")
    return [_item(message) for message in history]


def _item(message: Any) -> ConversationItem:
    role = message.get("role") if isinstance(message, dict) else None
    if role == "user":
        return ConversationItem.create_user_message(_text(message.get("text"), "a message's text"))
    if role == "assistant":
        return ConversationItem.create_assistant_message(_text(message.get("text"), "a message's text"))
    raise InvalidInputError('a message of the history is {"role": "user" or "assistant", "text": "..."}')


def _text(value: object, name: str) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > _MAX_TEXT:
        raise InvalidInputError(f"{name} must be a text of 1 to {_MAX_TEXT} characters")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise InvalidInputError(f"{name} has half of a character in it")  # which could not be sent on
    return value
