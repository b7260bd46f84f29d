"""Requests that another site's page has its visitor's browser make.

A browser lets any page open a WebSocket to anywhere, and post to anywhere. Two headers tell on it: ``Origin``, whose
page it is, and ``Host``, by which name the page reached this server. The second matters because a site may give its own
name the address of this machine (DNS rebinding): its page is then of the same origin, and may read all that is
answered::

    @app.before_request
    def refuse_other_sites():
        why = foreign(request.headers.get("Host"), request.headers.get("Origin"), ["voice.example.com"])
        if why is not None:
            abort(403, why)

Django does both itself: ``ALLOWED_HOSTS`` for the name, ``CsrfViewMiddleware`` for the page (of a POST; a WebSocket
needs ``OriginValidator`` of Channels, or this).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from typing import Optional
from urllib.parse import urlsplit

from realtime_sync.errors import InvalidInputError

# Names below these are given by a machine or a network to itself, never by a registry to a stranger.
_OWN_ENDINGS = (".localhost", ".local", ".internal", ".home.arpa")


def foreign(host: Optional[str], origin: Optional[str], allowed_hosts: Collection[str] = ()) -> Optional[str]:
    """Why a request may come from another site's page, for an answer with 403; None if it does not.

    Args:
        host: The header ``Host``; None if there is none. Behind a proxy it must be the public one.
        origin: The header ``Origin``; None if there is none, as in requests of programs.
        allowed_hosts: The names of this site, without ports; pages of these hosts may use it, too. Addresses, names
            without a dot, and those that end in ``.localhost``, ``.local``, ``.internal`` or ``.home.arpa`` need not be
            named, since no stranger can own them. ``"null"`` allows pages without an origin, such as files; ``"*"``
            allows all.

    Raises:
        InvalidInputError: ``allowed_hosts`` is a text, each character of which would be a name.
    """
    if isinstance(allowed_hosts, str):
        raise InvalidInputError("allowed_hosts must be a list of names, not a text: put a single one in brackets")
    allowed = {name.lower().strip(" []") for name in allowed_hosts} - {""}
    if "*" in allowed:
        return None
    name = _name(f"//{host or ''}")
    if name not in allowed and not _is_own(name):
        return (
            f"The host {name!r} is not known to be this server's, so that another site's page may stand behind this "
            "request. If it is this server's, name it in allowed_hosts."
        )
    if origin is None or origin.lower() in {f"http://{host}".lower(), f"https://{host}".lower()}:
        return None
    page = _name(origin)
    if (page or origin.lower()) in allowed:
        return None
    told = f"This request comes from a page of {page or origin!r}."
    return f"{told} If its pages may use this server, name it in allowed_hosts."


def _name(url: str) -> str:
    """The host of a URL, without its port; empty if it has none."""
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return ""


def _is_own(name: str) -> bool:
    """True for what no stranger can have the DNS say of this machine."""
    if "." not in name or name.endswith(_OWN_ENDINGS):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
