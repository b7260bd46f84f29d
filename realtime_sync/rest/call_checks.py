"""What a call or a live session is told by, checked before anything is sent."""

from __future__ import annotations

from urllib.parse import quote

from realtime_sync.checks import check_whole
from realtime_sync.errors import InvalidInputError


def check_text(value: object, name: str) -> None:
    """Raise unless it is a text that can be sent, and not empty. The message does not show it."""
    if not isinstance(value, str) or not value.strip():
        raise InvalidInputError(f"{name} must be a text that is not empty, not {type(value).__name__}")
    try:
        value.encode()
    except UnicodeError:
        raise InvalidInputError(f"{name} cannot be sent: it holds a lone surrogate") from None


def quoted_id(value: str, name: str) -> str:
    """An id as one step of a path. Raises ``InvalidInputError``."""
    check_text(value, name)
    if value in (".", "..") or not value.isascii():
        raise InvalidInputError(f"{name} is not an id that a {name.removesuffix('_id')} can have")
    return quote(value, safe="")


def check_target(target_uri: str) -> None:
    """Raise unless a call can be transferred to it."""
    check_text(target_uri, "target_uri")
    if not target_uri.isprintable():
        raise InvalidInputError("target_uri has a control character (a line break, for example)")


def check_reject_status(status_code: int) -> None:
    """Raise unless a call can be declined with it."""
    check_whole("status_code, a SIP status,", status_code, at_least=300, at_most=699)
