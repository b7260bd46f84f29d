"""Clients: a model at an endpoint, with a credential; sessions are started from here (``starting.py``).

No state but ``OpenSessions``, which has the lock. What few sessions need (REST) is imported where it is asked for; see
``lazy.py``. GPT-Live's half of a client is in ``live_client.py``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NoReturn, Optional, TypeVar, Union

import attrs

import realtime_sync.errors as errors
from realtime_sync.boundary import public_call
from realtime_sync.endpoint.credentials import Credential
from realtime_sync.endpoint.endpoint import Additions, Endpoint
from realtime_sync.endpoint.environment import from_environment
from realtime_sync.live_client import LiveClient
from realtime_sync.models import ConversationModelName, TranscriptionModelName, TranslationModelName
from realtime_sync.open_sessions import OpenSessions
from realtime_sync.protocol.options import (
    ConversationSessionOptions,
    SessionOptions,
    TranscriptionSessionOptions,
    TranslationSessionOptions,
)
from realtime_sync.protocol.shortcuts import with_transcription, with_translation
from realtime_sync.secret import discreet, reportable
from realtime_sync.session import RealtimeConversationSession
from realtime_sync.starting import ConnectionSettings, Provisions, Recorded, Start
from realtime_sync.transport.urls import show_url

if TYPE_CHECKING:
    from realtime_sync.budget import Budget
    from realtime_sync.fallback.chain import Chain
    from realtime_sync.fallback.service import EndpointHealth, Service
    from realtime_sync.fallback.settings import FallbackSettings
    from realtime_sync.reconnect.policy import Reconnect
    from realtime_sync.reconnect.ways import Ways
    from realtime_sync.rest.calls import Calls
    from realtime_sync.rest.client_secrets import SessionClientSecret

C = TypeVar("C", bound="RealtimeConversationClient")

_LIKE_A_KEY = re.compile(r"(?:sk|ek|rk)[-_]\w")


@reportable
class RealtimeConversationClient(LiveClient):
    """Starts sessions with one model at one endpoint. Holds no connection; cheap to make, safe to share.

    Made by ``OpenAIClient(...)`` or ``AzureOpenAIClient(...)``, by ``RealtimeConversationClient.from_env()``, or of an
    ``Endpoint``. ``close()`` (or leaving its ``with`` block) ends the sessions that it started.
    """

    @public_call
    @discreet
    def __init__(
        self,
        model: Optional[ConversationModelName],
        endpoint: Union[Endpoint, Credential] = None,
        *,
        settings: Optional[ConnectionSettings] = None,
    ) -> None:
        """Make a client; nothing is connected yet.

        Args:
            model: The model's name, or Azure's deployment; None if the endpoint knows it.
            endpoint: Where to connect, and with which credential. A key alone: OpenAI; None: OpenAI without a key.
            settings: How sessions are connected and kept; None: ``ConnectionSettings()``.

        Raises:
            ConfigurationError: An argument cannot be right.
        """
        if settings is not None and not isinstance(settings, ConnectionSettings):
            raise errors.ConfigurationError(
                f"settings must be a ConnectionSettings(...) or None, not {type(settings).__name__}"
            )
        if isinstance(model, str) and _LIKE_A_KEY.match(model):  # it would be in URLs, in logs and in reprs
            raise errors.ConfigurationError(
                "The model looks like a key, so it is not shown here. Give the model first: "
                "RealtimeConversationClient(model, key), or "
                'OpenAIClient(key).get_realtime_conversation_client("gpt-realtime-2.1")'
            )
        self.model = model
        self.endpoint = endpoint if isinstance(endpoint, Endpoint) else Endpoint.openai(endpoint)
        self.settings = settings or ConnectionSettings()
        self._sessions = OpenSessions()
        self._chain: Optional[Chain] = None

    @classmethod
    @public_call
    @discreet
    def from_env(
        cls: type[C], environ: Optional[Mapping[str, str]] = None, *, settings: Optional[ConnectionSettings] = None
    ) -> C:
        """A client made of environment variables, such as ``OPENAI_API_KEY``.

        Args:
            environ: The variables; None: ``os.environ``. ``realtime_sync.endpoint.environment`` lists them.
            settings: How sessions are connected and kept; None: ``ConnectionSettings()``.

        Returns:
            The client.

        Raises:
            ConfigurationError: A variable is missing or wrong; the message names it.
        """
        endpoint, model = from_environment(environ)
        return cls(model, endpoint, settings=settings)

    @public_call
    @discreet
    def start_conversation_session(
        self,
        options: Optional[ConversationSessionOptions] = None,
        *,
        reconnect: Union[bool, Reconnect] = False,
        budget: Union[float, Budget, None] = None,
        call_id: Optional[str] = None,
        client_secret: Optional[str] = None,
        headers: Optional[Additions] = None,
        query: Optional[Additions] = None,
        recording: Optional[Recorded] = None,
    ) -> RealtimeConversationSession:
        """Connect, wait for the server's first message, and return the live session.

        Args:
            options: Settings, such as ``ConversationSessionOptions(voice="marin", instructions="Be brief.")``, which
                are applied and acknowledged before this returns; None: the service's defaults.
            reconnect: True (or a ``Reconnect`` with other settings) makes a session that survives the loss of its
                connection and the service's time limit: it connects again, applies the settings and replays the
                conversation. A ``SessionDisconnectedUpdate`` reports the loss, a ``SessionReconnectedUpdate`` the new
                connection; threads that send wait meanwhile. False: the session ends with its connection.
            budget: US dollars that the session may cost, by list prices, or a ``Budget``, which accepts other prices
                and knows the cost so far. Once it is passed the session is closed with code 4002; threads that wait,
                and iteration after the last update, get ``BudgetExceededError``. None: no bound.
            call_id: A running call (SIP, WebRTC) to join; None: open a conversation.
            client_secret: An ephemeral key to use instead of the client's credential; None: the client's credential.
            headers: Headers to add to the endpoint's; a value None removes one. None: no change.
            query: Query parameters to add to the endpoint's; a value None removes one. None: no change.
            recording: A path, whose file is replaced, or a ``RecordingWriter``, to which the whole traffic is written,
                without secrets; None: nothing is recorded.

        Returns:
            The session; close it, or use it in a ``with``.

        Raises:
            ConfigurationError: A setting is missing or cannot work.
            InvalidInputError: ``options`` are of another kind, or ``recording`` cannot be written.
            ConnectionFailedError: No connection could be made: ``AuthenticationError``, ``NotFoundError``,
                ``RateLimitedError``, ...
            ServerError: The service refused ``options``.
            WaitTimeoutError: The service did not acknowledge ``options``.
            ConnectionClosedError: The connection ended before it acknowledged ``options``.
        """
        return self._start(
            options, reconnect, recording, client_secret, headers, query, budget=budget, call_id=call_id, converses=True
        )

    @public_call
    @discreet
    def start_transcription_session(
        self,
        options: Optional[TranscriptionSessionOptions] = None,
        *,
        model: Optional[TranscriptionModelName] = None,
        language: Optional[str] = None,
        reconnect: Union[bool, Reconnect] = False,
        budget: Union[float, Budget, None] = None,
        recording: Optional[Recorded] = None,
        client_secret: Optional[str] = None,
        headers: Optional[Additions] = None,
        query: Optional[Additions] = None,
    ) -> RealtimeConversationSession:
        """Start a session that only transcribes speech: ``session.transcripts()`` yields the transcripts in order.

        To transcribe a recording, call ``transcribe(path, client)``.

        Args:
            options: Settings, which are applied and acknowledged before this returns; None: the service's defaults.
            model: The model that transcribes (such as ``"gpt-transcribe"``), before that of ``options``; None: that
                of ``options``. The client's own model, which converses, is not used.
            language: An ISO-639-1 code (``"en"``), before that of ``options``; None: that of ``options``. A model that
                takes only ``languages`` gets it so.
            reconnect: As in ``start_conversation_session``, and so are all other arguments.
            budget: As there.
            recording: As there.
            client_secret: As there.
            headers: As there.
            query: As there.

        Returns:
            The session; close it, or use it in a ``with``.

        Raises:
            RealtimeSyncError: As ``start_conversation_session``.
        """
        options = with_transcription(options, model, language)
        return self._start(
            options, reconnect, recording, client_secret, headers, query, budget=budget, intent="transcription"
        )

    @public_call
    @discreet
    def start_translation_session(
        self,
        options: Union[TranslationSessionOptions, str, None] = None,
        *,
        target_language: Optional[str] = None,
        model: Optional[TranslationModelName] = None,
        reconnect: Union[bool, Reconnect] = False,
        budget: Union[float, Budget, None] = None,
        recording: Optional[Recorded] = None,
        client_secret: Optional[str] = None,
        headers: Optional[Additions] = None,
        query: Optional[Additions] = None,
    ) -> RealtimeConversationSession:
        """Start a session that translates speech as it is spoken: ``session.translation()`` yields the pieces.

        To translate a recording, call ``translate(path, client, "es")``.

        Args:
            options: Settings, which are applied and acknowledged before this returns, or the target language alone;
                None: the service's defaults.
            target_language: A code such as ``"es"``, before that of ``options``; None: that of ``options``.
            model: A model that translates, such as ``"gpt-realtime-translate"``; None: the client's.
            reconnect: As in ``start_conversation_session``, and so are all other arguments.
            budget: As there; ``Budget`` says what of a translation counts.
            recording: As there.
            client_secret: As there.
            headers: As there.
            query: As there.

        Returns:
            The session; close it, or use it in a ``with``.

        Raises:
            InvalidInputError: The target language is empty, or was given twice.
            RealtimeSyncError: As ``start_conversation_session``.
        """
        settings = with_translation(options, target_language)
        return self._start(
            settings, reconnect, recording, client_secret, headers, query, budget=budget, model=model, translation=True
        )

    @public_call
    @discreet
    def attach(
        self,
        call_id: str,
        options: Optional[ConversationSessionOptions] = None,
        *,
        reconnect: Union[bool, Reconnect] = False,
        budget: Union[float, Budget, None] = None,
        recording: Optional[Recorded] = None,
        headers: Optional[Additions] = None,
        query: Optional[Additions] = None,
    ) -> RealtimeConversationSession:
        """Start a session beside a running call (SIP, WebRTC), to watch it and to run its tools.

        The call's audio does not pass through the session. The session ends with the call; closing it does not end the
        call (``calls.hangup`` does).

        Args:
            call_id: The call's id: the result of ``calls.create``, or the webhook's, after ``calls.accept``.
            options: Settings, which are applied and acknowledged before this returns; None: the call keeps its own.
            reconnect: As in ``start_conversation_session``, and so are all other arguments.
            budget: As there.
            recording: As there.
            headers: As there.
            query: As there.

        Returns:
            The session; close it, or use it in a ``with``.

        Raises:
            NotFoundError: There is no such call.
            InvalidInputError: ``call_id`` is empty.
            RealtimeSyncError: As ``start_conversation_session``.
        """
        if not isinstance(call_id, str) or not call_id.strip():
            raise errors.InvalidInputError(f"call_id must be a text that is not empty, not {call_id!r:.60}")
        return self._start(options, reconnect, recording, None, headers, query, budget=budget, call_id=call_id)

    @property
    def calls(self) -> Calls:
        """Calls by WebRTC and SIP: make, accept, reject, transfer and end them."""
        from realtime_sync.rest.calls import Calls

        return Calls(self._rest(), self.model, self._sessions.cancellable)

    @public_call
    @discreet
    def create_client_secret(
        self, options: Optional[SessionOptions] = None, *, expires_after: Optional[int] = None
    ) -> SessionClientSecret:
        """Make a short-lived key, for a browser for example, that allows sessions with these settings, and no more.

        Args:
            options: Settings of a conversation, a transcription or a translation; None: a conversation with the
                service's defaults. The model is that of ``options``, else the client's.
            expires_after: Seconds in which sessions may be begun (the service accepts 10 to 7200 in 2026); None: the
                service's default (600).

        Returns:
            The key, and when it expires.

        Raises:
            InvalidInputError: An argument cannot be right.
            ConfigurationError: A setting is missing or cannot work.
            ConnectionFailedError: The request failed, as at a session's start.
        """
        from realtime_sync.rest.client_secrets import create_client_secret

        with self._sessions.cancellable() as cancellation:
            return create_client_secret(self._rest(), options, self.model, expires_after, cancellation)

    @public_call
    def with_fallbacks(
        self, clients: Sequence[RealtimeConversationClient], *, settings: Optional[FallbackSettings] = None
    ) -> RealtimeConversationClient:
        """A client of this service and of others, which starts a session at the next one if one refuses or is down.

        With ``reconnect=`` a session that has lost its connection goes on at the next one, too, with its settings and
        its history; ``SessionReconnectedUpdate`` tells so (``moved``, ``endpoint``). Each service keeps its own
        credential, model, dialect and connection settings. A service that is down is left alone for a while, then
        tried again by the next session, and all go back to it: new sessions at once, a running one when it needs a new
        connection anyway. Make it once, and share it: it remembers which services are down.

        What belongs to one service goes to the first one: calls, client secrets, joining calls, and the arguments
        ``client_secret``, ``headers`` and ``query`` of a session's start. GPT-Live sessions do the same; at another
        service one begins anew, with the newest words as its history.

        Args:
            clients: The clients of the other services, in the order in which they are tried. Only what they are made of
                is used: closing them does not end the new client's sessions, and closing the new one does not end
                theirs.
            settings: When a service counts as down; None: ``FallbackSettings()``.

        Returns:
            A new client, with sessions of its own to close.

        Raises:
            ConfigurationError: There is no other client, one is closed, is there twice, or has fallbacks itself.
        """
        from realtime_sync.fallback.chain import Chain
        from realtime_sync.fallback.settings import FallbackSettings

        if settings is not None and not isinstance(settings, FallbackSettings):
            raise errors.ConfigurationError(f"settings must be a FallbackSettings(...) or None, not {settings!r:.60}")
        _check_fallbacks(self, clients)
        combined = RealtimeConversationClient(self.model, self.endpoint, settings=self.settings)
        where = [(each.model, each.endpoint, each.settings) for each in (self, *clients)]
        combined._chain = Chain(where, settings or FallbackSettings())
        return combined

    @property
    def health(self) -> Sequence[EndpointHealth]:
        """What is known of the services of a client ``with_fallbacks``, in order; empty for another client."""
        return () if self._chain is None else [service.health() for service in self._chain.services]

    def close(self) -> None:
        """End all sessions of this client, and attempts to start one, from any thread. Idempotent.

        Takes at most ``Timeouts.close`` for all sessions together (with GPT-Live sessions ``Timeouts.live_close`` more,
        in which the service says the final usage), and 0.5 seconds for each that does not answer. In a signal handler
        that interrupts another call it returns after half a second, and the closing goes on.
        """
        self._sessions.close()

    def __enter__(self: C) -> C:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise errors.ConfigurationError(
            "a client holds a key and live sessions, so it cannot be sent to another process: pass the function that "
            "makes one there, such as RealtimeConversationClient.from_env"
        )

    def __repr__(self) -> str:
        if self._chain is not None:
            return f"<RealtimeConversationClient {self._chain!r}>"
        where = f"{show_url(self.endpoint.base_url)} ({self.endpoint.flavour})"
        return f"<RealtimeConversationClient {self.model or '(no model)'} at {where}>"

    def _start(
        self,
        options: Optional[SessionOptions],
        reconnect: Union[bool, Reconnect],
        recording: Optional[Recorded],
        secret: Optional[str],
        headers: Optional[Additions],
        query: Optional[Additions],
        *,
        budget: Union[float, Budget, None] = None,
        model: Optional[str] = None,
        call_id: Optional[str] = None,
        intent: Optional[str] = None,
        translation: bool = False,
        converses: bool = False,
    ) -> RealtimeConversationSession:
        """Start a session. ``model``: before the client's own, which is used if it converses or translates."""
        provisions = Provisions.of(reconnect, budget, recording)

        def start_at(where: Union[RealtimeConversationClient, Service], ways: Optional[Ways] = None) -> Start:
            ours = where.endpoint is self.endpoint  # what the caller gave may be a secret: it is for this service alone
            endpoint = where.endpoint
            if ours and secret is not None:
                endpoint = attrs.evolve(endpoint, credential=secret, credential_kind="token")
            own_model = (converses and call_id is None) or translation
            return Start(
                open_sessions=self._sessions,
                endpoint=endpoint,
                settings=where.settings,
                options=options,
                provisions=provisions,
                headers=headers if ours else None,
                query=query if ours else None,
                model=model or (where.model if own_model else None),
                call_id=call_id,
                intent=intent,
                translation=translation,
                ways=ways,
            )

        if self._chain is None or call_id is not None:
            return start_at(self).run()
        return self._chain.start_conversation(start_at, provisions)


def _check_fallbacks(first: RealtimeConversationClient, clients: Sequence[RealtimeConversationClient]) -> None:
    """Raise ``ConfigurationError`` unless these are clients that ``first`` can fall back to."""
    if not isinstance(clients, (list, tuple)) or not clients:
        raise errors.ConfigurationError(
            f"with_fallbacks() takes a list of other clients, and at least one, not {clients!r:.100}"
        )
    seen: list[RealtimeConversationClient] = []
    for number, client in enumerate((first, *clients)):
        name = "the client itself" if number == 0 else f"fallback {number}"
        if not isinstance(client, RealtimeConversationClient):
            raise errors.ConfigurationError(
                f"{name} must be a client of a model, not {client!r:.100}: a service makes one by "
                "get_realtime_conversation_client(model)"
            )
        if client._chain is not None:
            raise errors.ConfigurationError(f"{name} has fallbacks already: give all clients in one list")
        if client._sessions.closed:
            raise errors.ConfigurationError(f"{name} was closed ({client!r}): make another one")
        if any(client.endpoint is other.endpoint and client.model == other.model for other in seen):
            raise errors.ConfigurationError(f"{name} is there twice ({client!r}): it could only fail twice")
        seen.append(client)
