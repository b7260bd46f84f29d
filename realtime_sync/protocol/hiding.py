"""The fields of the wire that hold secrets: kept as such, and left out where a message is told."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Callable, Final

from realtime_sync.secret import HIDDEN, Secret

if TYPE_CHECKING:
    from realtime_sync.protocol.registry import Setting

DOMAIN_SECRETS: Final = "domain_secrets"
"""What a container tells other servers: a list of ``domain``, ``name`` and ``value`` each."""

SECRET_FIELDS: Final = frozenset({"authorization", "api_key", "api-key", "client_secret", "headers", DOMAIN_SECRETS})
"""Fields of the wire, in lower case, that hold what lets one act as somebody else."""


def bare_url(url: str) -> str:
    """A URL without user, password, query and fragment."""
    scheme, separator, rest = url.partition("://")
    return scheme + separator + re.split(r"[?#]", rest)[0].rpartition("@")[2]


def url_repr(url: object) -> str:
    """A URL for a repr or a log: without user, password, query and fragment."""
    return repr(bare_url(url)) if isinstance(url, str) else repr(url)


def secret_text(value: Setting[str]) -> Setting[str]:
    """A text as a secret; anything else as it is."""
    return Secret(value) if isinstance(value, str) else value


def secret_url(url: Setting[str]) -> Setting[str]:
    """A URL as a secret if it holds what ``bare_url`` leaves out; anything else as it is."""
    return Secret(url) if isinstance(url, str) and bare_url(url) != url else url


def secret_values(headers: Setting[dict[str, str]]) -> Setting[dict[str, str]]:
    """Headers with their values as secrets; anything else as it is."""
    if not isinstance(headers, dict):
        return headers
    return {name: Secret(value) if isinstance(value, str) else value for name, value in headers.items()}


def secret_extra(extra: dict[str, Any]) -> dict[str, Any]:
    """What has no field, with the secrets in it as such."""
    return hide_fields(extra, hide=Secret, url=secret_url) if extra else extra


def is_schema(value: Any) -> bool:
    """Whether it is a JSON schema, such as a tool's: what it names are parameters, which hold nothing."""
    return isinstance(value, dict) and value.get("type") == "object" and isinstance(value.get("properties"), dict)


def hide_fields(
    value: Any,
    *,
    hide: Callable[[str], str] = lambda _: HIDDEN,
    url: Callable[[str], Any] = bare_url,
    text: Callable[[str], str] = lambda text: text,
    secret: bool = False,
    fields: Collection[str] = SECRET_FIELDS,
) -> Any:
    """A JSON value with ``hide`` called for each of its secrets; by default they become ``***``. The shape stays.

    ``url`` is called for the URLs of remote tools, ``text`` for all other strings. ``secret``: all strings are secrets.
    ``fields``: the names of those that hold secrets.
    """
    fields = () if is_schema(value) else fields
    again = functools.partial(hide_fields, hide=hide, url=url, text=text, fields=fields)
    if isinstance(value, dict):
        return {
            key: url(inner)
            if str(key).lower() == "server_url" and isinstance(inner, str)
            else again(inner, secret=secret or str(key).lower() in fields)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [again(inner, secret=secret) for inner in value]
    if not isinstance(value, str) or not value:
        return value
    return hide(value) if secret else text(value)
