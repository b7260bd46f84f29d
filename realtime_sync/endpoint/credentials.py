"""Credentials: a key, a function that gives one, or an Azure credential object.

A credential is asked anew at each connect, on the connecting thread: keys are rotated and tokens expire. Caching is
the credential's own business (those of azure-identity do it). No secret gets into a message, a repr or a log.
"""

from __future__ import annotations

import inspect
from typing import Callable, Literal, Optional, Protocol, Union

from realtime_sync.errors import AuthenticationError, ConfigurationError, RealtimeSyncError


class AccessToken(Protocol):
    """What ``TokenCredential.get_token`` returns; only the token itself is read."""

    @property
    def token(self) -> str:
        """The bearer token."""


class TokenCredential(Protocol):
    """An object that gives tokens, as the synchronous credentials of azure-identity do."""

    def get_token(self, *scopes: str) -> AccessToken:
        """A valid token for these scopes; it may block for a network call."""


Credential = Union[str, Callable[[], str], TokenCredential, None]
"""A key; a function without arguments that returns a key or a token; an object with ``get_token``; or None, which
sends no credential at all (for a server of one's own)."""

CredentialKind = Literal["key", "token"]
"""``"key"`` is sent as ``api-key: ...``, ``"token"`` as ``Authorization: Bearer ...``."""

AZURE_SCOPE = "https://cognitiveservices.azure.com/.default"
"""What Azure OpenAI wants tokens for. Newer resources: ``https://ai.azure.com/.default``; US government:
``https://cognitiveservices.azure.us/.default``."""


def check_credential(credential: object, kind: Optional[CredentialKind]) -> None:
    """Say at once what would fail at connect: a credential of a wrong type, an unusable key, a wrong ``kind``."""
    if kind not in (None, "key", "token"):
        raise ConfigurationError(f"credential_kind must be 'key', 'token' or None, not {kind!r}")
    if credential is None:
        return
    if isinstance(credential, str):
        _usable(credential, "The credential")
    elif isinstance(credential, type):
        raise ConfigurationError(
            f"The credential is the class {credential.__name__}. Make an object of it: {credential.__name__}(...)."
        )
    elif hasattr(credential, "get_token"):
        if kind == "key":
            raise ConfigurationError(
                f"{type(credential).__name__} gives tokens, so it cannot be sent with credential_kind='key'. "
                "Leave credential_kind out."
            )
    elif not callable(credential):
        hint = " Pass its .key." if isinstance(getattr(credential, "key", None), str) else ""
        raise ConfigurationError(
            "credential must be a key (str), a function that returns one, an object with get_token(), or None; "
            f"not {type(credential).__name__}.{hint}"
        )


def credential_headers(credential: Credential, kind: Optional[CredentialKind], scope: str) -> dict[str, str]:
    """Ask the credential, and return the header that carries its answer (none for None).

    ``kind`` None: a str is a key; what a function or ``get_token`` gives is a token.

    Raises ConfigurationError if the answer cannot be a key or token, AuthenticationError if asking failed.
    """
    if credential is None:
        return {}
    if isinstance(credential, str):
        secret, told_by, implied = _usable(credential, "The credential"), "str", "key"
    else:
        told_by, implied = _describe(credential), "token"
        secret = _usable(_ask(credential, scope, told_by), f"What the credential ({told_by}) returned")
    if (kind or implied) == "key":
        return {"api-key": secret}
    return {"Authorization": f"Bearer {secret}"}


def hide_credential(credential: Credential) -> str:
    """A credential's repr without its secret."""
    return "None" if credential is None else f"<{_describe(credential)}, hidden>"


def _describe(credential: Credential) -> str:
    if inspect.isroutine(credential):
        return f"function {getattr(credential, '__name__', '?')}"
    return type(credential).__name__


def _ask(credential: Union[Callable[[], str], TokenCredential], scope: str, told_by: str) -> object:
    try:
        if hasattr(credential, "get_token"):
            answer: object = credential.get_token(scope)
            return answer if inspect.isawaitable(answer) else getattr(answer, "token", None)
        return credential()
    except RealtimeSyncError:
        raise
    except Exception as error:
        # The cause's own text may quote a request with its secrets, so only its type is named here.
        raise AuthenticationError(
            f"The credential ({told_by}) gave no key or token: it raised {type(error).__name__} (see __cause__). "
            "Nothing was sent to the service."
        ) from error


def _usable(secret: object, what: str) -> str:
    """The secret without surrounding white space, or a ConfigurationError that does not show it."""
    if inspect.isawaitable(secret):
        if inspect.iscoroutine(secret):
            secret.close()  # it will never be awaited, which Python would warn of
        raise ConfigurationError(
            f"{what} must be awaited, but this library is synchronous. Use the synchronous credential "
            "(azure.identity, not azure.identity.aio)."
        )
    if not isinstance(secret, str):
        raise ConfigurationError(f"{what} must be a str, not {type(secret).__name__}.")
    stripped = secret.strip()  # a key that was read from a file ends with a newline
    if not stripped:
        raise ConfigurationError(
            f"{what} is an empty string. Set the API key, or pass None to send no credential to a server of your own."
        )
    if stripped.startswith("Bearer "):
        raise ConfigurationError(f"{what} starts with 'Bearer '. Give the key or token alone.")
    for position, character in enumerate(stripped):
        if not "!" <= character <= "~":
            raise ConfigurationError(
                f"{what} has a character (U+{ord(character):04X}, at position {position + 1} of {len(stripped)}) "
                "that no key or token has. Was it copied with a line break, a quote or a second word?"
            )
    return stripped
