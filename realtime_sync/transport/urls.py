"""URLs, queries and headers: taken apart, merged, escaped, checked, and shown without secrets."""

from __future__ import annotations

import base64
import os
import re
import sys
from typing import Iterable, Mapping, Optional
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from realtime_sync.errors import ConfigurationError
from realtime_sync.secret import Redactor, Secret

Pairs = list[tuple[str, str]]
"""A query: names may repeat, order is kept."""

_WEBSOCKET_SCHEMES = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
_PROXY_SCHEMES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2: what a header's name is made of
_HOST_NAME = re.compile(r"[0-9A-Za-z._-]+")  # some names on private networks do have an underscore
_IPV6 = re.compile(r"\[[0-9A-Fa-f:.]+(%[\w.-]+)?\](:\d*)?", re.ASCII)  # urlsplit lets anything follow it
_URL = re.compile(r"(?:https?|wss?)://", re.IGNORECASE)
_SLIP = re.compile(r"(https?|wss?)(?:[:;]/{0,3}|//?)(?!/)", re.IGNORECASE)
# A host with a port, or one that ends as names of hosts do: no key looks like that.
_HOST = r"(?:(?:[\w-]{1,63}\.)*[\w-]+:\d{1,5}|localhost|(?:[\w-]{1,63}\.)+[a-z]{2,5})"
_PLACE = re.compile(rf"{_HOST}(?:/[\w./-]*)?", re.ASCII)
_LOCAL = re.compile(r"localhost\b|127\.|10\.|192\.168\.|[\w-]+:\d")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_PATH_SAFE = "/%:@!$&'()*+,;=~-._"

# Query values that are no secrets. Anything else may be one (`?api-key=...`), and is shown as dots.
_SHOWN = ("model", "deployment", "api-version", "call_id", "intent")
# Likewise of headers, which servers tell back by right.
_TOLD_HEADERS = (
    *("accept", "accept-language", "content-type", "origin", "referer", "user-agent"),
    *("http-referer", "x-title"),  # by which gateways know an application
    *("openai-organization", "openai-project", "openai-beta", "x-ms-client-request-id"),
)
# Names of headers and of query values that let one act as somebody else.
_CREDENTIAL = re.compile(
    r"(?i)auth(?!ors?\b)|key(?!words?\b)|token(?!ize)|secret|passw|cookie|credential|signature|^code$|^sig$"
)


def printable(text: str, what: str) -> str:
    """``text``, or a ConfigurationError that names ``what`` if it holds a control character."""
    if not isinstance(text, str):
        raise ConfigurationError(f"{what} must be a str, not {type(text).__name__}.")
    if _CONTROL.search(text):
        # Pasted into a request as it is, a line break would start a header of its own.
        raise ConfigurationError(f"{what} has a control character (a line break, for example). Remove it.")
    return text


def split_base_url(url: str) -> tuple[SplitResult, Pairs]:
    """An http, https, ws or wss URL as its ``ws``/``wss`` parts, and its query. Raises ConfigurationError."""
    if not isinstance(url, str):
        raise ConfigurationError(f"The endpoint must be a URL (a str), not {type(url).__name__}.")
    text = printable(url.strip(), "The endpoint's URL")
    if not _URL.match(text):
        raise ConfigurationError(
            "The endpoint must be a URL that starts with https:// or wss:// (http:// or ws:// for a local server)"
            f"{_what_is_meant(text)}"
        )
    parts = _split(text, "The endpoint")
    if "@" in parts.netloc:
        raise ConfigurationError("The endpoint's URL holds a user or password. Pass the credential by itself.")
    if parts.fragment:
        raise ConfigurationError("The endpoint's URL holds a fragment ('#...'), which is never sent. Remove it.")
    netloc = _ascii_netloc(parts, "The endpoint")
    base = parts._replace(scheme=_WEBSOCKET_SCHEMES[parts.scheme], netloc=netloc, query="")
    return base, parse_qsl(parts.query, keep_blank_values=True)


def _what_is_meant(text: str) -> str:
    """The end of a sentence about a URL that is none; it shows nothing that may be a key in the wrong place."""
    slip = _SLIP.match(text)
    if slip is not None:
        return f": it begins with {slip[0]!r}, and {slip[1].lower()}:// is meant."
    if _PLACE.fullmatch(text):
        scheme = "http" if _LOCAL.match(text) else "https"
        return f": {scheme}://{text} in place of {text!r}."
    return ". It is not shown here, as it may be a key in the wrong place."


def merge_query(base: Pairs, *layers: Mapping[str, Optional[str]]) -> Pairs:
    """``base`` with each layer over it: a value replaces, None removes. Raises ConfigurationError."""
    merged = list(base)
    for layer in layers:
        for name, value in layer.items():
            merged = [pair for pair in merged if pair[0] != name]
            if value is not None:
                merged.append((printable(name, "A name in the query"), printable(value, f"query[{name!r}]")))
    return merged


def build_url(base: SplitResult, path: str, query: Pairs) -> str:
    """The whole URL, percent-escaped (``%`` in the path is taken as an escape already)."""
    escaped = urlencode(query, quote_via=quote, safe="")
    return urlunsplit((base.scheme, base.netloc, quote(path, safe=_PATH_SAFE), escaped, ""))


def merge_headers(*layers: Mapping[str, Optional[str]]) -> dict[str, str]:
    """The layers, later ones stronger; names are compared without case; None removes. Raises ConfigurationError."""
    merged: dict[str, tuple[str, str]] = {}
    for layer in layers:
        for name, value in layer.items():
            if not isinstance(name, str) or not _TOKEN.fullmatch(name):
                raise ConfigurationError(f"{name!r} cannot be the name of a header.")
            if value is None:
                merged.pop(name.lower(), None)
                continue
            value = printable(value, f"The value of the header {name!r}").strip()
            if not value.isascii():
                raise ConfigurationError(f"The value of the header {name!r} has characters outside ASCII.")
            merged[name.lower()] = (name, value)
    return dict(merged.values())


def proxy_url(proxy: str) -> Optional[str]:
    """A proxy's URL, checked, with ``http://`` if it names no scheme; None for ``""``."""
    if not isinstance(proxy, str):
        raise ConfigurationError(
            f"proxy must be a URL, False (none) or None (the environment's), not {type(proxy).__name__}."
        )
    proxy = printable(proxy.strip(), "The proxy's URL")
    if not proxy:
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    parts = _split(proxy, "The proxy")
    if parts.scheme not in _PROXY_SCHEMES:
        raise ConfigurationError(f"A proxy's URL starts with one of {', '.join(_PROXY_SCHEMES)}; not {parts.scheme}.")
    _ascii_netloc(parts, "The proxy")
    return proxy


def proxy_from_environment(url: str) -> Optional[str]:
    """The proxy that requests would take for this URL (``ws`` as ``http``, ``wss`` as ``https``), or None.

    So REST calls and the WebSocket go the same way; websocket-client's own look-up differs (ALL_PROXY, no_proxy).
    """
    # Elsewhere the environment alone says it. To ask urllib.request, it must be imported: 10 ms.
    if sys.platform not in ("darwin", "win32") and not any(name.lower().endswith("_proxy") for name in os.environ):
        return None
    from urllib.request import getproxies

    if not getproxies():  # requests takes 0.1 s to import, which most do not need here
        return None
    from requests.utils import get_environ_proxies, select_proxy

    host = urlsplit(url).hostname or ""
    if host == "localhost" or host == "::1" or host.startswith("127."):
        return None  # unlike requests: what is on this machine, as the embedded server is, no proxy can reach
    twin = "http" + url[2:]
    chosen = select_proxy(twin, get_environ_proxies(twin))
    return proxy_url(chosen) if chosen else None


def show_url(url: str) -> str:
    """The URL for a log or a message: no user, no password, and of the query only the values that are no secrets."""
    try:
        parts = urlsplit(url)
        query = [f"{name}={value if name in _SHOWN else '...'}" for name, value in parse_qsl(parts.query, True)]
    except ValueError:
        return "..."
    netloc = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, netloc, parts.path, "&".join(query), ""))


def hidden(url: str) -> str:
    """A URL as a secret if it holds what ``show_url`` does not show; what is no text is checked elsewhere."""
    return Secret(url) if isinstance(url, str) and show_url(url) != url else url


def redactor(urls: Iterable[str], headers: Iterable[tuple[str, str]]) -> Redactor:
    """Replaces what these URLs and headers hold of secrets: some servers tell them back."""
    pairs = [(name, value) for name, value in headers if name.lower() not in _TOLD_HEADERS]
    credentials, shown = set(), set()  # what is shown may stand in a header, too
    for url in urls:
        query = [pair.partition("=") for pair in url.partition("?")[2].split("&")]
        pairs += [(name, value) for name, _, value in query if name not in _SHOWN]
        shown |= {unquote(value) for name, _, value in query if name in _SHOWN}
        user, colon, password = url.partition("://")[2].partition("/")[0].rpartition("@")[0].partition(":")
        if user or colon:  # a user without a password may be a token
            pair = f"{unquote(user)}:{unquote(password)}".encode()  # as it is sent
            credentials |= {password if colon else user, base64.b64encode(pair).decode()}
    # A token stands behind its scheme, such as "Bearer".
    credentials |= {piece for name, value in pairs if _CREDENTIAL.search(name) for piece in value.split()}
    others = (value for name, value in pairs if not _CREDENTIAL.search(name) and unquote(value) not in shown)
    return Redactor(credentials, others)


def _split(url: str, what: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        missing = not parts.hostname
        if parts.port == 0:  # raises ValueError itself for a port that is no number
            raise ValueError("port 0")
    except ValueError:
        raise ConfigurationError(f"{what} is no URL that could be connected to: is its host or port right?") from None
    if missing and parts.scheme in (*_WEBSOCKET_SCHEMES, *_PROXY_SCHEMES):
        raise ConfigurationError(f"{what}'s URL names no host.")
    return parts


def _ascii_netloc(parts: SplitResult, what: str) -> str:
    """Host and port as they are sent. Raises ConfigurationError for what is no name of a host."""
    netloc = parts.netloc.rpartition("@")[2]
    if _IPV6.fullmatch(netloc):
        return netloc
    host, colon, port = netloc.partition(":")
    try:
        name = host.encode("idna").decode("ascii")  # without the port, which would become part of the name
    except UnicodeError:
        name = ""
    if not _HOST_NAME.fullmatch(name):
        raise ConfigurationError(f"{what}'s host name cannot be looked up: {host!r}.")
    return name + colon + port
