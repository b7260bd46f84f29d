"""REST requests to an endpoint: its credential, headers, proxy and TLS, and errors as a refused handshake's."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Callable, Optional, Union
from urllib.parse import urlsplit

import attrs

import realtime_sync.errors as errors
from realtime_sync.endpoint.connect import ConnectRetries, with_retries
from realtime_sync.endpoint.endpoint import Additions, Endpoint, Target
from realtime_sync.protocol.codec import to_text
from realtime_sync.secret import Redactor, Secret, discreet
from realtime_sync.timeouts import Timeouts
from realtime_sync.transport import Cancellation, handshake_error, request
from realtime_sync.transport.refusal import readable_headers
from realtime_sync.transport.urls import redactor

Json = dict[str, Any]
Parts = Mapping[str, tuple[str, str]]
"""A form: the parts' names, each with its media type and its text."""


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
        it does no harm if the operation was done already. Redirects are not followed: they would take the key along.
        ``cancellation`` ends a request or a pause at once.

        Raises ``ConfigurationError``, or a ``ConnectionFailedError``: as a session's start does.
        """
        kind, content = _json(body) if parts is None else _form(parts)
        return self._posted(
            lambda: self.endpoint.rest_target(path),
            lambda target: self._attempt("POST", target, kind, content, cancellation),
            cancellation,
            repeatable,
        )

    @discreet
    def post_live(
        self,
        door: str,
        body: Optional[Json],
        cancellation: Cancellation,
        *,
        headers: Optional[Additions] = None,
    ) -> RestAnswer:
        """Send ``body`` as JSON, or nothing, to ``door`` below ``/live/sessions``; as ``post`` in all else.

        Each ``Secret`` in it is hidden where a server tells it back. ``headers``: beside those of the endpoint.
        """
        kind, content = _json(body)
        secrets = tuple(_secrets_in(body))
        return self._posted(
            lambda: self.endpoint.rest_live_target(door, extra_headers=headers),
            lambda target: self._attempt("POST", target, kind, content, cancellation, secrets=secrets),
            cancellation,
        )

    @discreet
    def get(self, path: str) -> RestAnswer:
        """Ask for ``path`` beside ``/realtime``, such as ``"models/NAME"``. A busy service is asked again, as above.

        Raises as ``post`` does.
        """
        return with_retries(
            lambda: self.endpoint.rest_target(path, beside=True),
            lambda target: self._attempt("GET", target, None, b"", None),
            self.retries,
            None,
        )

    @discreet
    def download_live(self, door: str, into: Callable[[bytes], object], cancellation: Cancellation) -> None:
        """Give what is at ``door`` below ``/live/sessions`` to ``into``, piece by piece. A busy service is asked again.

        Raises as ``post`` does, and what ``into`` raises.
        """
        with_retries(
            lambda: self.endpoint.rest_live_target(door),
            lambda target: self._attempt("GET", target, None, b"", cancellation, into=into),
            self.retries,
            cancellation,
        )

    def _posted(
        self,
        aim: Callable[[], Target],
        attempt: Callable[[Target], RestAnswer],
        cancellation: Optional[Cancellation],
        repeatable: bool = False,
    ) -> RestAnswer:
        def may_repeat(error: errors.HandshakeError) -> bool:
            return repeatable or isinstance(error, errors.RateLimitedError) or error.status == 503

        return with_retries(aim, attempt, self.retries, cancellation, may_repeat=may_repeat)

    def _attempt(
        self,
        method: str,
        target: Target,
        kind: Optional[str],
        content: bytes,
        cancellation: Optional[Cancellation],
        *,
        secrets: Iterable[str] = (),
        into: Optional[Callable[[bytes], object]] = None,
    ) -> RestAnswer:
        status, headers, answer = request(
            method,
            target.url,
            headers=target.headers if kind is None else {**target.headers, "Content-Type": kind},
            body=content,
            timeouts=self.timeouts,
            proxy=target.proxy,
            ssl_context=target.ssl_context,
            cancellation=cancellation,
            into=into,
        )
        hidden = redactor([target.url, target.proxy or ""], target.headers.items())
        hidden.learn(Redactor(secrets))
        told = readable_headers({name: hidden.all(value) for name, value in headers.items()})
        return _accepted(RestAnswer(status=status, headers=told, body=answer), method, target, hidden)


def _json(body: Optional[Json]) -> tuple[Optional[str], bytes]:
    """A body, which may be none, and its media type."""
    return (None, b"") if body is None else ("application/json", to_text(body).encode())


def _secrets_in(value: object) -> Iterator[str]:
    if isinstance(value, Secret):
        yield value
    elif isinstance(value, (list, dict)):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _secrets_in(each)


def _form(parts: Parts) -> tuple[str, bytes]:
    """The parts as one body, and its media type."""
    import requests  # late: it takes 0.1 s to import

    files = {name: (None, text.encode(), kind) for name, (kind, text) in parts.items()}
    form = requests.Request("POST", "http://form.invalid", files=files).prepare()
    assert isinstance(form.body, bytes)
    return form.headers["Content-Type"], form.body


def _accepted(answer: RestAnswer, method: str, target: Target, hidden: Redactor) -> RestAnswer:
    """The answer if it is no refusal. Raises a ``HandshakeError``."""
    if 200 <= answer.status < 300:
        return answer

    told = hidden.all(answer.body.decode("utf-8", "replace"))
    raise handshake_error(answer.status, answer.headers, told, f"{method} {urlsplit(target.url).path}")
