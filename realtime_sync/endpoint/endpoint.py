"""Where and how to connect: URL, query, headers, credential, dialect, proxy, TLS.

An ``Endpoint`` is what stays the same from one connection to the next; ``Endpoint.target()`` works out one attempt.
"""

from __future__ import annotations

import platform
import re
from typing import TYPE_CHECKING, Literal, Mapping, Optional, Union

import attrs

from realtime_sync.boundary import public_call
from realtime_sync.endpoint import credentials
from realtime_sync.endpoint.credentials import AZURE_SCOPE, Credential, CredentialKind
from realtime_sync.errors import ConfigurationError, UnsupportedByDialectError
from realtime_sync.protocol.dialects import Dialect
from realtime_sync.secret import Secret, discreet, reportable
from realtime_sync.transport import default_ssl_context, urls
from realtime_sync.version import __version__

if TYPE_CHECKING:
    import ssl

OPENAI_URL = "https://api.openai.com/v1"
"""The base URL of the OpenAI API."""

Flavour = Literal["openai", "azure", "azure-preview", "azure-voice-live"]
"""Whose rules of paths, query and headers hold. A server of one's own is ``"openai"``, unless it imitates Azure."""

VOICE_LIVE_VERSION = "2026-07-15"
"""The newest version of Azure Voice Live, as azure-ai-voicelive 1.3.1 has it (2026-11)."""
VOICE_LIVE_SCOPE = "https://ai.azure.com/.default"
"""What Azure Voice Live wants tokens for."""

_AZURE_PATHS = {
    "azure": "/openai/v1/realtime",
    "azure-preview": "/openai/realtime",
    "azure-voice-live": "/voice-live/realtime",
}
_VOICE_LIVE_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(-preview)?")
_PREVIEW_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}-preview")
# What people paste with the base URL of a service: the paths of its other APIs, or of one realtime request.
_OPENAI_TAIL = re.compile(r"(?<=/v1)/((chat/)?completions|responses|models|realtime/(client_secrets|sessions|calls))$")
_AZURE_TAIL = re.compile(
    r"/voice-live(/realtime)?$|/openai(/(v1|deployments|realtime)(/.*)?)?$|^/models(/.*)?$|^/api/projects/[^/]+$"
)
_SELECTORS = ("model", "deployment", "call_id", "intent")
# What may stand in a query of one's own instead: a Foundry agent of Voice Live's.
_AGENT = "agent-name"

Additions = Mapping[str, Optional[str]]
"""Headers or a query to add to ours; a value None removes one of ours."""


def _copied(given: Optional[Additions]) -> Additions:
    if given is not None and not isinstance(given, Mapping):
        raise ConfigurationError(f"headers and query are mappings of names to values, not {type(given).__name__}.")
    return {name: Secret(value) if isinstance(value, str) else value for name, value in (given or {}).items()}


def _hidden(credential: Credential) -> Credential:
    return Secret(credential) if isinstance(credential, str) else credential


def _hidden_values(headers: Mapping[str, str]) -> Mapping[str, str]:
    return {name: Secret(value) for name, value in headers.items()}


def _hidden_proxy(proxy: Union[str, Literal[False], None]) -> Union[str, Literal[False], None]:
    return urls.hidden(proxy) if isinstance(proxy, str) else proxy


def _names(given: Mapping[str, object]) -> str:
    return f"<{', '.join(given)}>"


def _shown(url: Union[str, Literal[False], None]) -> str:
    return repr(urls.show_url(url) if url else url)


@reportable
@attrs.frozen(kw_only=True, eq=False)
class Target:
    """One connection attempt, worked out: what the transport needs, and nothing that it must decide.

    Attributes:
        url: ``ws://`` or ``wss://`` (of a REST request ``http://`` or ``https://``), percent-escaped.
        headers: All headers to send besides those of the WebSocket handshake or the HTTP body. They hold the
            credential.
        proxy: The proxy's URL, which may hold a password. None: connect directly.
        ssl_context: None: the transport's default.
    """

    url: str = attrs.field(converter=urls.hidden, repr=_shown)
    headers: Mapping[str, str] = attrs.field(converter=_hidden_values, repr=_names)
    proxy: Optional[str] = attrs.field(default=None, converter=attrs.converters.optional(urls.hidden), repr=_shown)
    ssl_context: Optional[ssl.SSLContext] = attrs.field(default=None, repr=False)

    @property
    def client_request_id(self) -> Optional[str]:
        """The id that this attempt sends to Azure (``x-ms-client-request-id``), to quote to its support; else None."""
        return next((value for name, value in self.headers.items() if name.lower() == "x-ms-client-request-id"), None)


@reportable
@attrs.frozen(kw_only=True, eq=False, repr=False)
class Endpoint:
    """Where to connect, and as whom. Made by ``Endpoint.openai``, ``Endpoint.azure`` or ``Endpoint.voice_live``.

    Settings with which no connection could be made raise ConfigurationError at once.

    Attributes:
        base_url: http, https, ws or wss. ``/realtime`` is added unless the path ends so already; its query is kept.
        flavour: Whose rules of paths, query and headers hold: ``"openai"`` (the default, also for servers of one's
            own), ``"azure"``, ``"azure-preview"`` or ``"azure-voice-live"``.
        dialect: ``Dialect.GA`` (the default), or ``Dialect.PREVIEW`` for a server that speaks the beta protocol; the
            header ``openai-beta: realtime=v1`` is then sent.
        credential: See ``Credential``. None (the default): the server wants none.
        credential_kind: ``"token"`` is sent as ``Authorization: Bearer``, ``"key"`` as ``api-key``. None: a text is a
            key, anything else gives tokens.
        token_scope: What an object with ``get_token`` is asked for (default:
            ``"https://cognitiveservices.azure.com/.default"``, Azure's).
        api_version: Azure: ``"v1"``, or the date of a preview; Voice Live: a date. None (the default) for others.
        organization: The OpenAI organization that pays. None: the key's own.
        project: The OpenAI project that pays. None: the key's own.
        user_agent: The name of your application, added to the library's own in ``User-Agent``. None: nothing is added.
        headers: Added to ours, and stronger than ours; a value None removes one of ours. None (the default): none.
        query: As ``headers``, for the URL's query. None (the default): none.
        proxy: A URL (http, https, socks4, socks5, socks5h). None (the default): the environment's, as requests takes it
            (``https_proxy``, ``no_proxy``, ...). False or ``""``: connect directly.
        ssl_context: A whole TLS context, in place of ``ca_file``. None: the default one.
        ca_file: A file of trusted certificates (PEM) in place of the default ones. None: the default ones.
    """

    base_url: str = attrs.field(converter=urls.hidden, repr=_shown)
    flavour: Flavour = "openai"
    dialect: Dialect = Dialect.GA
    credential: Credential = attrs.field(default=None, converter=_hidden, repr=credentials.hide_credential)
    credential_kind: Optional[CredentialKind] = None
    token_scope: str = AZURE_SCOPE
    api_version: Optional[str] = None
    organization: Optional[str] = None
    project: Optional[str] = None
    user_agent: Optional[str] = None
    headers: Additions = attrs.field(default=None, converter=_copied, repr=_names)
    query: Additions = attrs.field(default=None, converter=_copied, repr=_names)
    proxy: Union[str, Literal[False], None] = attrs.field(default=None, converter=_hidden_proxy, repr=_shown)
    ssl_context: Optional[ssl.SSLContext] = attrs.field(default=None, repr=False)
    ca_file: Optional[str] = None

    def __repr__(self) -> str:
        shown = []
        for field in attrs.fields(type(self)):
            value = getattr(self, field.name)
            if field.repr and value not in (field.default, {}):  # most are as they are by default
                shown.append(f"{field.name}={field.repr(value) if callable(field.repr) else repr(value)}")
        return f"Endpoint({', '.join(shown)})"

    def __attrs_post_init__(self) -> None:
        """Refuse now what would be refused at each connect."""
        credentials.check_credential(self.credential, self.credential_kind)
        # What would be taken for the GA dialect, or fail at each connect in words of another library.
        if not isinstance(self.dialect, Dialect):
            raise ConfigurationError(f"dialect must be Dialect.GA or Dialect.PREVIEW, not {self.dialect!r:.60}.")
        if self.ssl_context is not None and not hasattr(self.ssl_context, "wrap_bio"):
            raise ConfigurationError(f"ssl_context must be an ssl.SSLContext or None, not {self.ssl_context!r:.60}.")
        if self.ssl_context is not None and self.ca_file is not None:
            raise ConfigurationError("Give ssl_context or ca_file, not both: load the file into the context.")
        if self.proxy:
            urls.proxy_url(self.proxy)
        urls.split_base_url(self.base_url)
        urls.merge_query([], self.query)
        urls.merge_headers(self._own_headers(), self.headers)
        self._check_api_version()

    @classmethod
    @public_call
    @discreet
    def openai(
        cls,
        credential: Credential = None,
        *,
        endpoint: str = OPENAI_URL,
        organization: Optional[str] = None,
        project: Optional[str] = None,
        dialect: Dialect = Dialect.GA,
        user_agent: Optional[str] = None,
        headers: Optional[Additions] = None,
        query: Optional[Additions] = None,
        proxy: Union[str, Literal[False], None] = None,
        ssl_context: Optional[ssl.SSLContext] = None,
        ca_file: Optional[str] = None,
        token_scope: str = AZURE_SCOPE,
    ) -> Endpoint:
        """OpenAI, or any server that speaks its protocol.

        ``endpoint`` is the base URL. ``credential`` is always sent as ``Authorization: Bearer``. The class describes
        the other arguments, under the same names.

        Raises:
            ConfigurationError: No connection could ever be made with these settings.
        """
        return cls(
            base_url=endpoint,
            flavour="openai",
            dialect=dialect,
            credential=credential,
            credential_kind="token",
            token_scope=token_scope,
            organization=organization,
            project=project,
            user_agent=user_agent,
            headers=headers,
            query=query,
            proxy=proxy,
            ssl_context=ssl_context,
            ca_file=ca_file,
        )

    @classmethod
    @public_call
    @discreet
    def azure(
        cls,
        endpoint: str,
        credential: Credential,
        *,
        api_version: str = "v1",
        credential_kind: Optional[CredentialKind] = None,
        token_scope: str = AZURE_SCOPE,
        user_agent: Optional[str] = None,
        headers: Optional[Additions] = None,
        query: Optional[Additions] = None,
        proxy: Union[str, Literal[False], None] = None,
        ssl_context: Optional[ssl.SSLContext] = None,
        ca_file: Optional[str] = None,
    ) -> Endpoint:
        """Azure OpenAI. The class describes the arguments that are not described here, under the same names.

        ``endpoint`` is the resource, such as ``https://RESOURCE.openai.azure.com``. What the portal shows behind it
        (``/openai/v1``, ``/openai/deployments/...``, ``/models``) is left out; a path of another kind that ends in
        ``/realtime`` is kept as it is.

        ``credential``: a text is a key (``api-key``). A function returns a token (``Authorization: Bearer``), as
        azure-identity's ``get_bearer_token_provider`` does, and so does ``get_token``. Set ``credential_kind`` to
        ``"key"`` for a function that returns a key, to ``"token"`` for a text that is an Entra token.

        ``api_version``: ``"v1"`` is the generally available protocol, which has no ``api-version`` in its URL; a date
        such as ``"2025-04-01-preview"`` selects the preview protocol.

        Raises:
            ConfigurationError: No connection could ever be made with these settings.
        """
        preview = api_version != "v1"
        return cls(
            base_url=endpoint,
            flavour="azure-preview" if preview else "azure",
            dialect=Dialect.PREVIEW if preview else Dialect.GA,
            credential=credential,
            credential_kind=credential_kind,
            token_scope=token_scope,
            api_version=api_version,
            user_agent=user_agent,
            headers=headers,
            query=query,
            proxy=proxy,
            ssl_context=ssl_context,
            ca_file=ca_file,
        )

    @classmethod
    @public_call
    @discreet
    def voice_live(
        cls,
        endpoint: str,
        credential: Credential,
        *,
        api_version: str = VOICE_LIVE_VERSION,
        credential_kind: Optional[CredentialKind] = None,
        token_scope: str = VOICE_LIVE_SCOPE,
        user_agent: Optional[str] = None,
        headers: Optional[Additions] = None,
        query: Optional[Additions] = None,
        proxy: Union[str, Literal[False], None] = None,
        ssl_context: Optional[ssl.SSLContext] = None,
        ca_file: Optional[str] = None,
    ) -> Endpoint:
        """Azure Voice Live, which speaks the preview dialect. The arguments are those of ``Endpoint.azure``.

        ``endpoint`` is the resource, such as ``https://RESOURCE.services.ai.azure.com``. ``query`` takes what names a
        Foundry agent in place of a model: ``agent-name``, ``agent-project-name``.

        Raises:
            ConfigurationError: No connection could ever be made with these settings.
        """
        return cls(
            base_url=endpoint,
            flavour="azure-voice-live",
            dialect=Dialect.PREVIEW,
            credential=credential,
            credential_kind=credential_kind,
            token_scope=token_scope,
            api_version=api_version,
            user_agent=user_agent,
            headers=headers,
            query=query,
            proxy=proxy,
            ssl_context=ssl_context,
            ca_file=ca_file,
        )

    @discreet
    def target(
        self,
        *,
        model: Optional[str] = None,
        call_id: Optional[str] = None,
        intent: Optional[str] = None,
        path_suffix: Optional[str] = None,
        extra_headers: Optional[Additions] = None,
        extra_query: Optional[Additions] = None,
    ) -> Target:
        """Work out one attempt: ask the credential, look up the proxy, build the URL.

        Exactly one of ``model`` (Azure: the deployment), ``call_id`` (a SIP or WebRTC call to join) and ``intent``
        (``"transcription"``) is needed, unless a query says it. ``path_suffix`` follows ``/realtime`` in the path:
        ``"translations"``. ``extra_headers`` and ``extra_query`` are as the endpoint's own, for this attempt.

        Raises ConfigurationError, UnsupportedByDialectError, or AuthenticationError if the credential failed.
        """
        own_query = self._own_query(model, call_id, intent)
        if self.flavour == "azure-preview" and (path_suffix or call_id):
            raise UnsupportedByDialectError(
                f"Azure's preview protocol has no {'call_id' if call_id else path_suffix}. Use api_version='v1'."
            )
        if self.flavour == "azure-voice-live" and (path_suffix or call_id or intent):
            kind = path_suffix or intent or "call_id"
            raise UnsupportedByDialectError(f"Azure Voice Live has no {kind} sessions. Use AzureOpenAIClient for them.")
        base, base_query = urls.split_base_url(self.base_url)
        extra_headers, extra_query = _copied(extra_headers), _copied(extra_query)
        query = urls.merge_query(base_query, own_query, self.query, extra_query)
        asked = {name for name, _ in query} | set(self.query) | set(extra_query)
        if asked.isdisjoint(_SELECTORS) and not (self.flavour == "azure-voice-live" and _AGENT in asked):
            name = "deployment" if self.flavour in ("azure", "azure-preview") else "model"
            raise ConfigurationError(f"Which {name}? Make the client with one: get_realtime_conversation_client(...).")
        url = urls.build_url(base, self._path(base.path, path_suffix), query)
        return self._target(url, extra_headers)

    @discreet
    def live_target(
        self, door: str = "", *, extra_headers: Optional[Additions] = None, extra_query: Optional[Additions] = None
    ) -> Target:
        """Work out one attempt to open a GPT-Live session, whose model is named by its first message.

        ``door``: what follows ``/live/sessions`` in the path, such as ``"live_123/attach"``; empty: a new session.
        The other arguments and the errors are those of ``target``.
        """
        base, base_query = urls.split_base_url(self.base_url)
        no_selector: dict[str, Optional[str]] = dict.fromkeys(_SELECTORS)
        query = urls.merge_query(base_query, self.query, no_selector, _copied(extra_query))
        return self._target(urls.build_url(base, self._live_path(base.path, door), query), _copied(extra_headers))

    def _live_path(self, base: str, door: str) -> str:
        """The path of GPT-Live, which stands beside ``/realtime``."""
        if self.flavour in ("azure-preview", "azure-voice-live"):
            raise UnsupportedByDialectError(
                "GPT-Live is not served here: on Azure it needs AzureOpenAIClient with api_version='v1'."
            )
        path = self._path(base, None).removesuffix("realtime") + "live/sessions"
        return f"{path}/{urls.printable(door, 'door').strip('/')}" if door else path

    @discreet
    def rest_live_target(self, door: str = "", *, extra_headers: Optional[Additions] = None) -> Target:
        """Work out one REST request of GPT-Live; see ``live_target``. ``door``: such as ``"live_123/hangup"``."""
        target = self.live_target(door, extra_headers=extra_headers)
        return attrs.evolve(target, url="http" + target.url.removeprefix("ws"))

    @discreet
    def rest_target(self, path: str, *, beside: bool = False) -> Target:
        """Work out one REST request to ``path`` below ``/realtime``, such as ``"client_secrets"``.

        ``beside``: to ``path`` beside ``/realtime``, such as ``"models"``.

        The same host, credential, headers, query, proxy and TLS as ``target()``, but for what selects a session.
        Raises ConfigurationError, UnsupportedByDialectError, or AuthenticationError if the credential failed.
        """
        if self.flavour == "azure-voice-live":
            raise UnsupportedByDialectError(
                "Azure Voice Live has no client secrets and no calls. Use AzureOpenAIClient for them."
            )
        base, base_query = urls.split_base_url(self.base_url)
        no_selector: dict[str, Optional[str]] = dict.fromkeys(_SELECTORS)
        query = urls.merge_query(base_query, self._own_query(None, None, None), self.query, no_selector)
        place = self._path(base.path, None if beside else path)
        if beside:
            place = place.removesuffix("realtime") + urls.printable(path, "path")
        if self.flavour == "azure-preview":  # its sessions are opened at /openai/realtime (2025-04-01-preview)
            place = place.replace("/openai/realtime/", "/openai/realtimeapi/")
        target = self._target(urls.build_url(base, place, query))
        return attrs.evolve(target, url="http" + target.url.removeprefix("ws"))

    def _target(self, url: str, *additions: Additions) -> Target:
        credential = credentials.credential_headers(self.credential, self.credential_kind, self.token_scope)
        return Target(
            url=url,
            headers=urls.merge_headers(self._own_headers(), credential, self.headers, *additions),
            proxy=urls.proxy_from_environment(url) if self.proxy is None else urls.proxy_url(self.proxy or ""),
            ssl_context=self.ssl_context if self.ca_file is None else default_ssl_context(self.ca_file),
        )

    def _own_query(
        self, model: Optional[str], call_id: Optional[str], intent: Optional[str]
    ) -> dict[str, Optional[str]]:
        given = {"model": model, "call_id": call_id, "intent": intent}
        selector = {name: value for name, value in given.items() if value is not None}
        if len(selector) > 1:
            raise ConfigurationError(f"Give one of model, call_id and intent, not {' and '.join(selector)}.")
        for name, value in selector.items():
            if not isinstance(value, str) or not value.strip():
                raise ConfigurationError(f"{name} must be a text that is not empty, not {value!r}.")
            urls.printable(value, name)
        query: dict[str, Optional[str]] = dict.fromkeys(_SELECTORS) if selector else {}  # over those of the base URL
        query.update(selector)
        if self.flavour == "azure-preview":
            if "model" in query:
                query["deployment"], query["model"] = query["model"], None
            query["api-version"] = self.api_version
        elif self.flavour == "azure-voice-live":
            query["api-version"] = self.api_version
        elif self.flavour == "azure":
            query["api-version"] = None  # the GA path answers 401 to any (2026-09)
        return query

    def _path(self, base: str, suffix: Optional[str]) -> str:
        path = base.rstrip("/")
        known = (_OPENAI_TAIL if self.flavour == "openai" else _AZURE_TAIL).search(path)
        path = path[: known.start()] if known else path
        if self.flavour != "openai" and (known or not path.endswith("/realtime")):
            path += _AZURE_PATHS[self.flavour]
        tail = f"/{urls.printable(suffix, 'path_suffix').strip('/')}" if suffix else ""
        if path.endswith(f"/realtime{tail}"):
            return path
        return path + tail if path.endswith("/realtime") else f"{path}/realtime{tail}"

    def _own_headers(self) -> dict[str, str]:
        agent = f"realtime-sync/{__version__} python/{platform.python_version()} {self.user_agent or ''}".rstrip()
        headers = {"User-Agent": agent}
        if self.organization:
            headers["OpenAI-Organization"] = self.organization
        if self.project:
            headers["OpenAI-Project"] = self.project
        if self.dialect is Dialect.PREVIEW and self.flavour != "azure-voice-live":
            headers["openai-beta"] = "realtime=v1"
        if self.flavour != "openai":
            import uuid

            headers["x-ms-client-request-id"] = str(uuid.uuid4())
        return headers

    def _check_api_version(self) -> None:
        """Azure answers a wrong api-version with a bare 401 or 404, so say here what is wrong."""
        if self.flavour == "openai":
            return
        base, query = urls.split_base_url(self.base_url)
        version = self.api_version
        voice_live = self.flavour == "azure-voice-live"
        if voice_live and not (isinstance(version, str) and _VOICE_LIVE_VERSION.fullmatch(version)):
            raise ConfigurationError(f"api_version must be a date, such as '{VOICE_LIVE_VERSION}', not {version!r}.")
        if not voice_live and base.path.startswith(("/voice-live", "/voice-agent")):
            raise ConfigurationError(
                "The endpoint's URL is one of Voice Live, which is another API of Azure: AzureVoiceLiveClient speaks "
                "to it. For the realtime API leave out its path and its query, and name the resource alone."
            )
        if (
            not voice_live
            and version != "v1"
            and not (isinstance(version, str) and _PREVIEW_VERSION.fullmatch(version))
        ):
            raise ConfigurationError(
                f"api_version {version!r} has no realtime API. Use 'v1' (generally available), or the date of a "
                "preview, such as '2024-10-01-preview' or '2025-04-01-preview'."
            )
        named = dict(query).get("api-version")
        if named not in (None, version):
            advice = "Leave the query out of the URL"
            if _PREVIEW_VERSION.fullmatch(named):
                advice += f", or pass api_version={named!r} (AZURE_OPENAI_API_VERSION) if that is what you want"
            raise ConfigurationError(
                f"The endpoint's URL has api-version={named!r}, but api_version is {version!r}. {advice}."
            )
