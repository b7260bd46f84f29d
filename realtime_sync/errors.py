"""Every error that this library raises, in one tree.

::

    RealtimeSyncError
    ├── ConfigurationError (ValueError)            settings are missing or contradict each other
    ├── InvalidInputError (ValueError)             an argument cannot be sent
    │   ├── UnsupportedByDialectError              ... not in the dialect that this endpoint speaks
    │   ├── AudioFormatError                       ... audio is not in the session's format
    │   └── UnknownNameError (TypeError)           ... no argument or setting has this name
    ├── UsageError (RuntimeError)                  the right call at the wrong time
    │   ├── AudioSendInProgressError               a second audio stream at once
    │   ├── AudioNotHeldError                      no connection, and no room to keep audio for the next one
    │   ├── SessionNotOpenError                    the caller has closed this session
    │   ├── ClockStoppedError                      no audio flows in a GPT-Live session, so nothing can come of a wait
    │   ├── TooManySessionsError                   as many background sessions as may run at once do
    │   └── ForkedSessionError                     the session belongs to the parent process
    ├── ConnectionFailedError (ConnectionError)    no connection came about
    │   ├── ConnectTimeoutError (TimeoutError)     ... within the connect deadline
    │   ├── ConnectCancelledError                  ... because the client was closed meanwhile
    │   ├── TLSError                               ... certificate or TLS version refused
    │   ├── ProxyError                             ... the proxy refused or is unusable
    │   ├── AllEndpointsFailedError                ... at any of the services of a client with fallbacks
    │   └── HandshakeError                         ... the server answered, and refused
    │       ├── AuthenticationError                401, 403, or the key is invalid
    │       ├── NotFoundError                      404, or the model is unknown
    │       ├── RateLimitedError                   429, or an exhausted quota
    │       └── ServiceUnavailableError            5xx
    ├── ConnectionClosedError (ConnectionError)    the connection has ended, for everyone who waits
    │   ├── ConnectionLostError                    ... without a close handshake (code 1006)
    │   │   ├── PeerUnresponsiveError (TimeoutError)   ... pings were not answered
    │   │   └── SendStalledError (TimeoutError)        ... the peer stopped reading
    │   ├── SessionExpiredError                    ... the service's time limit was reached
    │   ├── ProtocolViolationError                 ... the peer broke the WebSocket protocol
    │   │   └── MessageTooBigError                 ... or exceeded the message size limit
    │   ├── BudgetExceededError                    ... the caller's budget was passed
    │   ├── ConsumerTooSlowError                   ... updates were not taken and the bound was passed
    │   ├── ConnectionReplacedError                ... and the session goes on over a new one
    │   └── ReconnectFailedError                   ... and no new one came about
    ├── NoMoreThreadsError (RuntimeError)          no thread can be started: a limit, or the interpreter is exiting
    ├── AudioDeviceError (OSError)                 a microphone or speaker is not there, or went away
    ├── ServerError                                the service refused a command (an ``error`` event)
    ├── WebhookError (ValueError)                  a webhook's request is not to be acted upon: answer 400
    │   ├── WebhookSignatureError                  ... it is not signed with our secret, or too old
    │   ├── WebhookReplayedError                   ... it has been already: answer 200
    │   └── WebhookPayloadError                    ... it is signed, and no event that can be read
    ├── ToolError                                  a function that the model called gave no result
    │   ├── ToolArgumentError (ValueError)         ... its arguments do not fit the function
    │   └── ToolCancelledError                     ... its result is not wanted any more
    ├── ResponseFailedError                        the service could not finish an answer
    ├── MisreadError                               a text was read aloud otherwise than it is written
    ├── TranscriptionFailedError                   the service could not transcribe a piece of audio
    └── WaitTimeoutError (TimeoutError)            the time given to a wait ran out; the session goes on

Each derives from the builtin that one would catch, too. No message holds a key, a token or a header's value.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, BinaryIO, Optional, Protocol, TypeVar, Union

import attrs

E = TypeVar("E", bound=Exception)


@attrs.frozen
class CloseInfo:
    """How a connection ended.

    Attributes:
        code: The WebSocket close code: the peer's own, 1006 if no close frame came, or 1005 if the frame held none.
        reason: The peer's text, often empty.
        initiator: The side that closed first: ``"local"``, ``"remote"``, or ``"lost"`` if the connection broke.
    """

    code: int
    reason: str = ""
    initiator: str = "lost"

    @property
    def clean(self) -> bool:
        """True if a close handshake took place with code 1000 (normal), 1001 (going away) or none (1005)."""
        return self.initiator != "lost" and self.code in (1000, 1001, 1005)

    def __str__(self) -> str:
        how = {"local": "closed here", "remote": "closed by the server"}.get(self.initiator, "lost")
        return f"{how} ({f'{self.code} {self.reason}'.rstrip()})"


# The objects that errors carry are defined in folders above this module. These protocols say what an error promises.


class ErrorEvent(Protocol):
    """An ``ErrorUpdate``: the service's ``error`` event."""

    @property
    def message(self) -> Optional[str]:
        """What went wrong, for people."""

    @property
    def code(self) -> Optional[str]:
        """What went wrong, for programs."""

    @property
    def raw_content(self) -> str:
        """The whole event, as JSON."""


class PartialAnswer(Protocol):
    """An ``Answer``: as far as the service got."""

    @property
    def text(self) -> str:
        """The text that was written."""

    @property
    def transcript(self) -> str:
        """The text that was spoken."""

    @property
    def audio(self) -> bytes:
        """The speech."""

    @property
    def status(self) -> Optional[str]:
        """``"failed"``, or what the service calls it."""

    def save_audio(self, target: Union[str, os.PathLike[str], BinaryIO], rate: Optional[int] = None) -> None:
        """Write the speech into a file."""


class PartialTranscription(Protocol):
    """A ``Transcription``: as far as the service got."""

    @property
    def text(self) -> str:
        """The text that was heard."""

    @property
    def duration(self) -> float:
        """How much of the recording it covers, in seconds."""


class RealtimeSyncError(Exception):
    """The root: ``except RealtimeSyncError`` catches all that this library raises on purpose."""

    def __reduce__(self) -> tuple[object, ...]:
        # Not by __init__, as exceptions are pickled otherwise: some have arguments that must be given by name.
        return _made_again, (type(self), self.args), self.__dict__


def told_again(error: E) -> E:
    """A copy of an error that is kept, for one more thread to which it is raised.

    Each function that an exception leaves is added to its traceback: of one that is raised to several threads, a
    traceback would be of all of them, and would keep their local variables as long as the error is kept.
    """
    again = copy.copy(error)
    again.__cause__, again.__context__ = error.__cause__, error.__context__
    again.__suppress_context__ = error.__suppress_context__
    return again


def _made_again(kind: type[RealtimeSyncError], args: tuple[object, ...]) -> RealtimeSyncError:
    error = kind.__new__(kind, *args)
    error.args = args  # an OSError takes them in __init__ only
    return error


class ConfigurationError(RealtimeSyncError, ValueError):
    """Settings are missing, or contradict each other; the message says what to set."""


class InvalidInputError(RealtimeSyncError, ValueError):
    """An argument cannot be sent as it is; nothing was sent."""


class UnsupportedByDialectError(InvalidInputError):
    """The endpoint's dialect cannot express this command or setting; nothing was sent."""


class AudioFormatError(InvalidInputError):
    """The audio is not in the session's input format (a mismatch would be heard as noise); nothing was sent."""


class UnknownNameError(InvalidInputError, TypeError):
    """No argument or setting has this name; the message says which one is meant, as far as that can be known."""


class UsageError(RealtimeSyncError, RuntimeError):
    """The right call at the wrong time, or from the wrong place."""


class AudioSendInProgressError(UsageError):
    """Another stream of audio is being sent; two at once would be mixed into noise."""


class AudioNotHeldError(UsageError):
    """The session is reconnecting and keeps no more audio meanwhile (``Reconnect.hold_audio``); it was not taken."""


class SessionNotOpenError(UsageError):
    """The session was closed by its owner, so nothing can be sent or awaited on it."""


class ClockStoppedError(UsageError):
    """No audio flows in a GPT-Live session whose clock is not kept, so the service works on nothing: do not wait."""


class TooManySessionsError(UsageError):
    """As many background sessions run as may (``max_sessions``); a view should answer 503."""


class ForkedSessionError(UsageError):
    """The session was opened before this process was forked: its socket and thread belong to the parent."""


class ConnectionFailedError(RealtimeSyncError, ConnectionError):
    """No connection came about: name not found, refused, unreachable, or broken off."""


class ConnectTimeoutError(ConnectionFailedError, TimeoutError):
    """Name look-up, TCP, proxy, TLS and handshake together took longer than ``Timeouts.connect``.

    Also: a REST request was not answered within ``Timeouts.rest``; the service may have carried it out all the same.
    """


class ConnectCancelledError(ConnectionFailedError):
    """The client was closed while it was connecting."""


class TLSError(ConnectionFailedError):
    """TLS failed: an untrusted or wrong certificate, or no common version."""


class ProxyError(ConnectionFailedError):
    """The proxy refused, cannot be spoken to, or needs a package that is not installed."""


class AllEndpointsFailedError(ConnectionFailedError):
    """No service of a client ``with_fallbacks`` could be used; the message names each, and why.

    Attributes:
        failures: The services in the order in which they were tried, each with its error.
    """

    def __init__(self, message: str, *, failures: Sequence[tuple[str, RealtimeSyncError]] = ()) -> None:
        super().__init__(message)
        self.failures = tuple(failures)


class HandshakeError(ConnectionFailedError):
    """The server was reached and refused.

    Attributes:
        status: The HTTP status; None if the refusal came as an ``error`` event after an accepted handshake, or the
            answer was not HTTP.
        body: The body of the answer, decoded leniently and cut at 64 KiB; may be empty.
        headers: The answer's headers, names in lower case, without cookies.
        request_id: The id to quote to the service's support, or None.
        retry_after: Seconds that the server asked to wait, or None.
        code: The service's error code, such as ``"invalid_api_key"``, or None if the body has none.
        close_info: How the connection was closed, if it was accepted first (OpenAI, 2026-09); else None.
    """

    def __init__(
        self,
        message: str,
        *,
        status: Optional[int] = None,
        body: str = "",
        headers: Optional[Mapping[str, str]] = None,
        request_id: Optional[str] = None,
        retry_after: Optional[float] = None,
        code: Optional[str] = None,
        close_info: Optional[CloseInfo] = None,
    ) -> None:
        super().__init__(message)
        self.status, self.body, self.code = status, body, code
        self.headers: Mapping[str, str] = dict(headers or {})
        self.request_id, self.retry_after, self.close_info = request_id, retry_after, close_info


class AuthenticationError(HandshakeError):
    """The key or token was refused (401, 403, or ``invalid_api_key``).

    Also: the function or object that should have given one raised (``__cause__``); then nothing was sent.
    """


class NotFoundError(HandshakeError):
    """The path, model or deployment does not exist (404, ``invalid_model``, ``missing_model``)."""


class RateLimitedError(HandshakeError):
    """Too many requests or no quota left (429, ``insufficient_quota``)."""


class ServiceUnavailableError(HandshakeError):
    """The service or something before it failed (5xx)."""


class ConnectionClosedError(RealtimeSyncError, ConnectionError):
    """The connection has ended. ``__cause__`` holds what the transport saw, if anything.

    Attributes:
        close_info: How it ended.
        error: The last ``error`` update (``ErrorUpdate``) before the end, which is often the real reason; else None.
    """

    def __init__(
        self, message: str, *, close_info: Optional[CloseInfo] = None, error: Optional[ErrorEvent] = None
    ) -> None:
        super().__init__(message)
        self.close_info = close_info or CloseInfo(1006)
        self.error = error


class ConnectionLostError(ConnectionClosedError):
    """The connection broke without a close handshake: a reset, an end of stream, a dead network."""


class PeerUnresponsiveError(ConnectionLostError, TimeoutError):
    """Nothing came for ``Timeouts.ping_interval`` + ``Timeouts.ping`` seconds, not even the answer to a ping."""


class SendStalledError(ConnectionLostError, TimeoutError):
    """The peer took no byte for ``Timeouts.send`` seconds. A frame was cut, so the connection was ended."""


class SessionExpiredError(ConnectionClosedError):
    """The service ended the session at its time limit (``session_expired``)."""


class ProtocolViolationError(ConnectionClosedError):
    """The peer broke the WebSocket protocol (a reserved bit, a bad opcode, text that is not UTF-8, ...)."""


class MessageTooBigError(ProtocolViolationError):
    """The peer announced a message larger than ``max_message_bytes``."""


class ConsumerTooSlowError(ConnectionClosedError):
    """Updates came faster than they were taken, past the byte bound; the session was ended rather than losing any."""


class ConnectionReplacedError(ConnectionClosedError):
    """What was awaited went down with a connection; the session itself goes on over a new one (``reconnect=``).

    ``sent_again``: True if the command is sent again on the new connection (settings: with all others, as a whole), so
    do not repeat it; ``CommandHandle.sent_again`` is its handle there.
    """

    def __init__(self, message: str, *, close_info: Optional[CloseInfo] = None, sent_again: bool = False) -> None:
        super().__init__(message, close_info=close_info)
        self.sent_again = sent_again


class ReconnectFailedError(ConnectionClosedError):
    """The connection was lost and no new one came about: ``__cause__`` is why. The session has ended.

    ``losses``: one line for each thing that was under way and is lost with it; the conversation as it was is still in
    ``session.conversation``.
    """

    def __init__(
        self,
        message: str,
        *,
        close_info: Optional[CloseInfo] = None,
        error: Optional[ErrorEvent] = None,
        losses: Sequence[str] = (),
    ) -> None:
        super().__init__(message, close_info=close_info, error=error)
        self.losses = tuple(losses)


class NoMoreThreadsError(RealtimeSyncError, RuntimeError):
    """No thread can be started: this process may have no more of them, or the interpreter is exiting."""


class AudioDeviceError(RealtimeSyncError, OSError):
    """A microphone or a speaker is not there, cannot be opened as wanted, or went away while it was used."""


class BudgetExceededError(ConnectionClosedError):
    """The session was ended because its budget was passed, or because its cost is not known.

    ``spent`` and ``usd``, the budget, are in US dollars.
    """

    def __init__(self, message: str, *, spent: float, usd: float, close_info: Optional[CloseInfo] = None) -> None:
        super().__init__(message, close_info=close_info)
        self.spent = spent
        self.usd = usd


class ServerError(RealtimeSyncError):
    """The service answered a command with an ``error`` event that names it.

    Attributes:
        type: The kind of error, such as ``"invalid_request_error"``.
        code: The cause, for programs.
        param: The field that was wrong.
        event_id: The refused command.
        update: The whole event, an ``ErrorUpdate``.
    """

    def __init__(
        self,
        message: str,
        *,
        type: Optional[str] = None,
        code: Optional[str] = None,
        param: Optional[str] = None,
        event_id: Optional[str] = None,
        update: Optional[ErrorEvent] = None,
    ) -> None:
        super().__init__(message)
        self.type, self.code, self.param = type, code, param
        self.event_id, self.update = event_id, update


class WebhookError(RealtimeSyncError, ValueError):
    """A request to a webhook is not to be acted upon. Answer it with HTTP ``status`` (400), and do nothing else.

    No message quotes the request's body, a signature or the secret, so it may be shown and logged.
    """

    status = 400


class WebhookSignatureError(WebhookError):
    """The request is not signed with any of the secrets, is too old or too new, or lacks a header."""


class WebhookReplayedError(WebhookError):
    """A request with this id has been accepted before: a redelivery, or a copy sent by somebody else.

    To be answered with 200 all the same, else the service delivers it again and again.
    """

    status = 200


class WebhookPayloadError(WebhookError):
    """The request is signed, but its body is no event that could be read."""


class ResponseFailedError(RealtimeSyncError):
    """The service ended a response as failed, or said more than ``QueueLimits.answer``.

    Attributes:
        answer: The ``Answer`` as far as it came.
        code: The service's error code, or None.
    """

    def __init__(self, message: str, *, answer: PartialAnswer, code: Optional[str] = None) -> None:
        super().__init__(message)
        self.answer = answer
        self.code = code


class MisreadError(RealtimeSyncError):
    """A model that was to read a text aloud said something else, or less.

    Attributes:
        answer: The ``Answer`` with all that was said, and its sound.
        pieces: What was to be read and what was said in its place, for each piece of the text that was misread.
    """

    def __init__(self, message: str, *, answer: PartialAnswer, pieces: Sequence[tuple[str, str]]) -> None:
        super().__init__(message)
        self.answer = answer
        self.pieces = pieces


class TranscriptionFailedError(RealtimeSyncError):
    """The service could not write down a piece of the audio.

    Attributes:
        transcription: The ``Transcription`` of the audio before that piece, or None.
        code: The service's error code, or None.
    """

    def __init__(
        self, message: str, *, transcription: Optional[PartialTranscription] = None, code: Optional[str] = None
    ) -> None:
        super().__init__(message)
        self.transcription = transcription
        self.code = code


class ToolError(RealtimeSyncError):
    """A function that the model called gave no result; the message is written for the model to read."""


class ToolArgumentError(ToolError, ValueError):
    """The model's arguments do not fit the function; the message says which, and what was expected."""


class ToolCancelledError(ToolError):
    """A function call was stopped, because its result is not wanted any more."""


class WaitTimeoutError(RealtimeSyncError, TimeoutError):
    """The time given to a wait ran out. The session goes on, and the awaited thing may still come."""


if not TYPE_CHECKING:  # checkers, which read no such expression, take all names without an underscore
    __all__ = [  # for the package's own __init__
        name
        for name, value in globals().items()
        if isinstance(value, type) and issubclass(value, (CloseInfo, RealtimeSyncError))
    ]
