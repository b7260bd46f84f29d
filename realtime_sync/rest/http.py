"""REST requests to an endpoint: its credential, headers, proxy and TLS, and errors as a refused handshake's.

With ``urls.py`` the only importer of requests, and that only once something is asked: it takes 0.1 s to import.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Optional, Union
from urllib.parse import urlsplit

import attrs

import realtime_sync.errors as errors
from realtime_sync.endpoint.connect import ConnectRetries, with_retries
from realtime_sync.endpoint.endpoint import Endpoint, Target
from realtime_sync.extras import install
from realtime_sync.protocol.codec import to_text
from realtime_sync.secret import Redactor, discreet
from realtime_sync.timeouts import Timeouts
from realtime_sync.transport import Cancellation, default_ssl_context, handshake_error
from realtime_sync.transport.proxies import Proxy
from realtime_sync.transport.refusal import readable_headers
from realtime_sync.transport.tls import tls_error
from realtime_sync.transport.urls import redactor

if TYPE_CHECKING:
    import requests

Json = dict[str, Any]
Parts = Mapping[str, tuple[str, str]]
"""A form: the parts' names, each with its media type and its text."""

_MAX_BODY_BYTES = 4 * 2**20  # answers have some kilobytes


@attrs.frozen(kw_only=True)
class RestAnswer:
    """An answer that is no refusal. ``headers``: names in lower case, without cookies. ``body`` may hold a secret."""

    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)

    def json(self) -> Json:
        """The object that the body holds. Raises ``HandshakeError``, which does not show it."""
        try:
            content = json.loads(self.body)
        except (ValueError, RecursionError):
            content = None
        if not isinstance(content, dict):
            raise self.unusable("its body is no JSON object")
        return content

    def unusable(self, why: str) -> errors.HandshakeError:
        """The error for an answer of which nothing can be made."""
        message = f"The server answered with HTTP {self.status}, but {why}. Check that the endpoint is the service's."
        return errors.HandshakeError(message, status=self.status, headers=self.headers)


@attrs.frozen(kw_only=True)
class RestClient:
    """Sends requests to ``endpoint``. Holds no connection: each request has one of its own."""

    endpoint: Endpoint
    timeouts: Timeouts
    retries: ConnectRetries

    @discreet
    def post(
        self,
        path: str,
        body: Union[Json, None] = None,
        *,
        parts: Optional[Parts] = None,
        repeatable: bool = False,
        cancellation: Optional[Cancellation] = None,
    ) -> RestAnswer:
        """Send ``body`` as JSON, or ``parts`` as a form, or neither, to ``path`` below ``/realtime``.

        A busy service is asked again as ``retries`` says, after 429 and 503; ``repeatable``: after every 5xx, because
        it does no harm if the operation was done already. Redirects are not followed. ``cancellation`` ends a pause.

        Raises ``ConfigurationError``, or a ``ConnectionFailedError``: as a session's start does.
        """
        content: dict[str, Any] = {}
        if parts is not None:
            content["files"] = {name: (None, text.encode(), kind) for name, (kind, text) in parts.items()}
        elif body is not None:
            content["data"] = to_text(body).encode()

        def may_repeat(error: errors.HandshakeError) -> bool:
            return repeatable or isinstance(error, errors.RateLimitedError) or error.status == 503

        return with_retries(
            lambda: self.endpoint.rest_target(path),
            lambda target: self._attempt(target, content),
            self.retries,
            cancellation,
            may_repeat=may_repeat,
        )

    def _attempt(self, target: Target, content: Mapping[str, Any]) -> RestAnswer:
        from requests import RequestException
        from urllib3.exceptions import HTTPError  # some get through requests as they are

        try:
            answer = self._exchange(target, content)
        except (RequestException, HTTPError) as error:
            failure, cause = _failure(error, target, self.timeouts)
        else:
            return _accepted(answer, target)
        # Raised out here, because requests' own exceptions quote the URL with its query, which may hold a key, and
        # would be the context of what is raised inside. The cause's frames hold the headers, and the socket open.
        raise failure from (cause and cause.with_traceback(None))

    def _exchange(self, target: Target, content: Mapping[str, Any]) -> RestAnswer:
        """One request on a connection of its own: a kept one may have died, or have been forked, unnoticed."""
        import requests

        headers = {"Accept": "*/*", **target.headers}
        if "data" in content:
            headers["Content-Type"] = "application/json"
        with requests.Session() as session:
            session.trust_env = False  # else a .netrc would replace the credential
            session.headers.clear()
            if target.url.startswith("https:") or (target.proxy or "").startswith("https:"):
                session.adapters.clear()
                session.mount("http", _adapter(target))
            with session.post(
                target.url,
                headers=headers,
                timeout=(self.timeouts.connect, self.timeouts.rest),
                proxies={"http": target.proxy, "https": target.proxy} if target.proxy else {},
                allow_redirects=False,  # they would take the key along
                stream=True,
                **content,
            ) as response:
                body = b"".join(_chunks(response, self.timeouts.rest))
                hide = _redactor(target).all
                told = readable_headers({name: hide(value) for name, value in response.headers.items()})
                return RestAnswer(status=response.status_code, headers=told, body=body)


def _adapter(target: Target) -> requests.adapters.HTTPAdapter:
    """An adapter that verifies by our TLS context, and by nothing besides it."""
    import requests.adapters

    context = target.ssl_context or default_ssl_context()

    class Adapter(requests.adapters.HTTPAdapter):
        def init_poolmanager(self, *args: Any, **options: Any) -> None:
            super().init_poolmanager(*args, ssl_context=context, **options)

        def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
            if not proxy.lower().startswith("socks"):
                options["proxy_ssl_context"] = context
            return super().proxy_manager_for(proxy, ssl_context=context, **options)

        def build_connection_pool_key_attributes(self, *args: Any, **options: Any) -> Any:
            return super().build_connection_pool_key_attributes(*args, **options)[0], {}

        # Both would set the context's verify_mode, and this one load certifi's authorities into it beside the
        # caller's own.
        def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
            pass

    return Adapter()


def _chunks(response: requests.Response, seconds: float) -> Iterator[bytes]:
    """The body, for about ``seconds`` in all and not without end.

    In small pieces, since each is waited for until it is whole: a server that drips would hold a large one for ever.
    """
    import requests

    deadline = time.monotonic() + seconds
    received = 0
    for chunk in response.iter_content(16):
        received += len(chunk)
        if received > _MAX_BODY_BYTES:
            raise requests.exceptions.ContentDecodingError("the answer is too large")
        if time.monotonic() > deadline:
            raise requests.exceptions.ReadTimeout
        yield chunk


def _redactor(target: Target) -> Redactor:
    return redactor([target.url, target.proxy or ""], target.headers.items())


def _accepted(answer: RestAnswer, target: Target) -> RestAnswer:
    """The answer if it is no refusal. Raises ``ProxyError`` or a ``HandshakeError``."""
    if 200 <= answer.status < 300:
        return answer
    if answer.status == 407 and target.proxy:
        raise errors.ProxyError(f"The proxy {Proxy.parse(target.proxy).place} wants credentials (407) in its URL.")

    body = _redactor(target).all(answer.body.decode("utf-8", "replace"))
    raise handshake_error(answer.status, answer.headers, body, f"POST {urlsplit(target.url).path}")


# What went wrong on the way ------------------------------------------------------------------------------------------


def _failure(
    error: Exception, target: Target, timeouts: Timeouts
) -> tuple[errors.ConnectionFailedError, Optional[BaseException]]:
    """What we raise for it, and the system's own exception as its cause."""
    from requests import exceptions
    from urllib3.exceptions import LocationParseError

    cause = _cause(error)
    parts = urlsplit(target.url)
    place = parts.netloc
    if isinstance(error, exceptions.ProxyError) or type(cause).__module__ == "socks":  # PySocks' own errors
        proxy = Proxy.parse(target.proxy).place if target.proxy else "in between"
        message = f"The proxy {proxy} could not be used for {place}: {_words(cause, error)}."
        return errors.ProxyError(message + (" Put user:password@ into its URL." if "407" in message else "")), cause
    if isinstance(error, exceptions.InvalidSchema):  # what requests says if PySocks is missing
        message = f"A SOCKS proxy for REST requests needs the package PySocks: {install('socks')}"
        return errors.ProxyError(message), None
    if isinstance(error, (exceptions.InvalidURL, LocationParseError)):
        return errors.ConnectionFailedError(f"{place} is no host that could be looked up. Check the endpoint."), None
    if isinstance(error, exceptions.SSLError):
        return tls_error(cause if isinstance(cause, Exception) else Exception(), parts.hostname or place), cause
    if isinstance(error, exceptions.ConnectTimeout) or "handshake" in str(cause):
        message = (
            f"No connection to {place} within {timeouts.connect:g} s (Timeouts.connect). "
            "Check the network, the endpoint and the proxy, or allow more time."
        )
        return errors.ConnectTimeoutError(message), cause
    if isinstance(error, exceptions.Timeout) or isinstance(cause, TimeoutError):
        message = (
            f"{place} did not answer within {timeouts.rest:g} s (Timeouts.rest). "
            "What was asked for may have been done all the same."
        )
        return errors.ConnectTimeoutError(message), cause
    message = f"POST {parts.path} to {place} failed: {_words(cause, error)}. Check the host, the port and the network."
    return errors.ConnectionFailedError(message), cause


def _cause(error: BaseException) -> Optional[OSError]:
    """The system's own exception below those of requests and urllib3, whose texts may hold secrets; None: none."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        found = waiting.pop(0)
        if not isinstance(found, BaseException) or id(found) in seen:
            continue
        seen.add(id(found))
        if isinstance(found, OSError) and type(found).__module__.partition(".")[0] not in ("requests", "urllib3"):
            return found
        waiting += [found.__cause__, getattr(found, "reason", None), *found.args, found.__context__]
    return None


def _words(cause: Optional[OSError], error: BaseException) -> str:
    if cause is None:
        return f"the answer broke off or makes no sense ({type(error).__name__})"
    return cause.strerror or str(cause) or type(cause).__name__
