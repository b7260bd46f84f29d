"""The services by name: where they are and as whom to speak to them; clients for a model are made here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Optional, Union

from realtime_sync.boundary import public_call
from realtime_sync.client import RealtimeConversationClient
from realtime_sync.core.limits import QueueLimits
from realtime_sync.endpoint.connect import ConnectRetries
from realtime_sync.endpoint.credentials import AZURE_SCOPE, Credential, CredentialKind
from realtime_sync.endpoint.endpoint import (
    OPENAI_URL,
    VOICE_LIVE_SCOPE,
    VOICE_LIVE_VERSION,
    Additions,
    Endpoint,
)
from realtime_sync.models import ConversationModelName
from realtime_sync.protocol.dialects import Dialect
from realtime_sync.secret import discreet, reportable
from realtime_sync.starting import ConnectionSettings
from realtime_sync.timeouts import Timeouts
from realtime_sync.transport import MAX_MESSAGE_BYTES
from realtime_sync.transport.urls import show_url

if TYPE_CHECKING:
    import ssl

Proxy = Union[str, Literal[False], None]


class _Service:
    """What the services have in common: a word for who takes one for the client of a model."""

    if not TYPE_CHECKING:  # checkers know what there is

        def __getattr__(self, name: str) -> object:
            told = f"{type(self).__name__!r} object has no attribute {name!r}"
            if not name.startswith("_") and hasattr(RealtimeConversationClient, name):
                told += "; the client of a model has it: get_realtime_conversation_client(model)"
            raise AttributeError(told, name=name, obj=self)


@reportable
class OpenAIClient(_Service):
    """OpenAI, or any server that speaks its protocol.

    The arguments are those of ``Endpoint.openai`` and of ``ConnectionSettings``: ``credential`` is a key, a function
    that returns one, an object with ``get_token``, or None for none; ``endpoint`` takes http, https, ws and wss.
    """

    @public_call
    @discreet
    def __init__(
        self,
        credential: Credential = None,
        *,
        endpoint: str = OPENAI_URL,
        organization: Optional[str] = None,
        project: Optional[str] = None,
        headers: Optional[Additions] = None,
        query: Optional[Additions] = None,
        timeouts: Optional[Timeouts] = None,
        retries: Optional[ConnectRetries] = None,
        limits: Optional[QueueLimits] = None,
        max_message_bytes: Optional[int] = MAX_MESSAGE_BYTES,
        proxy: Proxy = None,
        ssl_context: Optional[ssl.SSLContext] = None,
        ca_file: Optional[str] = None,
        user_agent: Optional[str] = None,
        token_scope: str = AZURE_SCOPE,
        dialect: Dialect = Dialect.GA,
    ) -> None:
        self.endpoint = Endpoint.openai(
            credential,
            endpoint=endpoint,
            organization=organization,
            project=project,
            headers=headers,
            query=query,
            proxy=proxy,
            ssl_context=ssl_context,
            ca_file=ca_file,
            user_agent=user_agent,
            token_scope=token_scope,
            dialect=dialect,
        )
        self.settings = _settings(max_message_bytes, timeouts=timeouts, retries=retries, limits=limits)

    def get_realtime_conversation_client(
        self, model: Optional[ConversationModelName] = None
    ) -> RealtimeConversationClient:
        """A client for this model, such as ``"gpt-realtime-2.1"``; None if sessions only join calls or transcribe."""
        return RealtimeConversationClient(model, self.endpoint, settings=self.settings)

    def __repr__(self) -> str:
        return f"<OpenAIClient at {show_url(self.endpoint.base_url)}>"


@reportable
class AzureOpenAIClient(_Service):
    """Azure OpenAI: a resource, and a key, a token or a credential of azure-identity for it.

    The arguments are those of ``Endpoint.azure`` and of ``ConnectionSettings``; ``api_version`` ``"v1"`` is the
    generally available protocol, a date such as ``"2025-04-01-preview"`` the preview one.
    """

    @public_call
    @discreet
    def __init__(
        self,
        endpoint: str,
        credential: Credential,
        *,
        api_version: str = "v1",
        credential_kind: Optional[CredentialKind] = None,
        token_scope: str = AZURE_SCOPE,
        headers: Optional[Additions] = None,
        query: Optional[Additions] = None,
        timeouts: Optional[Timeouts] = None,
        retries: Optional[ConnectRetries] = None,
        limits: Optional[QueueLimits] = None,
        max_message_bytes: Optional[int] = MAX_MESSAGE_BYTES,
        proxy: Proxy = None,
        ssl_context: Optional[ssl.SSLContext] = None,
        ca_file: Optional[str] = None,
        user_agent: Optional[str] = None,
    ) -> None:
        self.endpoint = Endpoint.azure(
            endpoint,
            credential,
            api_version=api_version,
            credential_kind=credential_kind,
            token_scope=token_scope,
            headers=headers,
            query=query,
            proxy=proxy,
            ssl_context=ssl_context,
            ca_file=ca_file,
            user_agent=user_agent,
        )
        self.settings = _settings(max_message_bytes, timeouts=timeouts, retries=retries, limits=limits)

    def get_realtime_conversation_client(self, deployment: str) -> RealtimeConversationClient:
        """A client for this deployment: the name that was given to the deployed model."""
        return RealtimeConversationClient(deployment, self.endpoint, settings=self.settings)

    def __repr__(self) -> str:
        return f"<AzureOpenAIClient at {show_url(self.endpoint.base_url)}>"


@reportable
class AzureVoiceLiveClient(_Service):
    """Azure Voice Live: speech recognition, any model, and Azure's voices behind the preview dialect.

    The arguments are those of ``Endpoint.voice_live`` and of ``ConnectionSettings``. Settings that Voice Live alone has
    go into ``extra``: ``ConversationSessionOptions(extra={"turn_detection": {"type": "azure_semantic_vad"}})``.
    """

    @public_call
    @discreet
    def __init__(
        self,
        endpoint: str,
        credential: Credential,
        *,
        api_version: str = VOICE_LIVE_VERSION,
        credential_kind: Optional[CredentialKind] = None,
        token_scope: str = VOICE_LIVE_SCOPE,
        headers: Optional[Additions] = None,
        query: Optional[Additions] = None,
        timeouts: Optional[Timeouts] = None,
        retries: Optional[ConnectRetries] = None,
        limits: Optional[QueueLimits] = None,
        max_message_bytes: Optional[int] = MAX_MESSAGE_BYTES,
        proxy: Proxy = None,
        ssl_context: Optional[ssl.SSLContext] = None,
        ca_file: Optional[str] = None,
        user_agent: Optional[str] = None,
    ) -> None:
        self.endpoint = Endpoint.voice_live(
            endpoint,
            credential,
            api_version=api_version,
            credential_kind=credential_kind,
            token_scope=token_scope,
            headers=headers,
            query=query,
            proxy=proxy,
            ssl_context=ssl_context,
            ca_file=ca_file,
            user_agent=user_agent,
        )
        self.settings = _settings(max_message_bytes, timeouts=timeouts, retries=retries, limits=limits)

    def get_realtime_conversation_client(self, model: Optional[str] = None) -> RealtimeConversationClient:
        """A client for this model, such as ``"gpt-5.1"``; None if ``query`` names an agent."""
        return RealtimeConversationClient(model, self.endpoint, settings=self.settings)

    def __repr__(self) -> str:
        return f"<AzureVoiceLiveClient at {show_url(self.endpoint.base_url)}>"


def _settings(max_message_bytes: Optional[int], **parts: Any) -> ConnectionSettings:
    """The settings of these parts; a part that is None has its default."""
    given = {name: part for name, part in parts.items() if part is not None}
    return ConnectionSettings(max_message_bytes=max_message_bytes, **given)
