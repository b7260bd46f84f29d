"""Where to connect, read from environment variables."""

from __future__ import annotations

import logging
import os
from typing import Mapping, Optional

from realtime_sync.endpoint.endpoint import OPENAI_URL, Endpoint
from realtime_sync.errors import ConfigurationError
from realtime_sync.extras import require
from realtime_sync.secret import discreet
from realtime_sync.transport.urls import split_base_url

logger = logging.getLogger(__name__)

DEFAULT_MODEL = "gpt-realtime-2.1"
"""What ``from_environment`` takes for OpenAI if ``OPENAI_REALTIME_MODEL`` is not set."""
DEFAULT_LIVE_MODEL = "gpt-live-1.1"
"""What a live session with OpenAI takes if nothing names a model."""

_YES = ("1", "true", "yes", "on")
_NO = ("", "0", "false", "no", "off")

_ALL_THAT_CAN_BE_SET = """\
  # OpenAI
  export OPENAI_API_KEY=...
  export OPENAI_REALTIME_MODEL=gpt-realtime-2.1      # optional
  export OPENAI_LIVE_MODEL=gpt-live-1.1              # optional; of live sessions
  export OPENAI_BASE_URL=https://api.openai.com/v1   # optional; alone, without a key: a server of your own

  # Azure OpenAI with a key
  export AZURE_OPENAI_ENDPOINT=https://RESOURCE.openai.azure.com
  export AZURE_OPENAI_API_KEY=...
  export AZURE_OPENAI_DEPLOYMENT=...                 # the name that you gave to the deployed model
  export AZURE_OPENAI_LIVE_DEPLOYMENT=...            # optional; the same of live sessions
  export AZURE_OPENAI_API_VERSION=v1                 # optional; or a preview, such as 2025-04-01-preview

  # Azure OpenAI with Microsoft Entra ID: instead of AZURE_OPENAI_API_KEY
  export AZURE_OPENAI_USE_ENTRA=true                 # needs: pip install realtime-sync[azure]

No key? `realtime-sync serve` starts an embedded server, and says what to set.

(Windows: `set NAME=value`, or `$env:NAME = "value"` in PowerShell.)"""


@discreet
def from_environment(environ: Optional[Mapping[str, str]] = None) -> tuple[Endpoint, str]:
    """The endpoint and the model (Azure: the deployment) that the environment names.

    The first that is complete wins: ``AZURE_OPENAI_ENDPOINT`` with ``AZURE_OPENAI_USE_ENTRA`` (1, true, yes, on), the
    same with ``AZURE_OPENAI_API_KEY``, ``OPENAI_API_KEY``. Azure needs ``AZURE_OPENAI_DEPLOYMENT`` (for live sessions
    alone, ``AZURE_OPENAI_LIVE_DEPLOYMENT`` will do) and reads ``AZURE_OPENAI_API_VERSION`` (``"v1"``). OpenAI reads
    ``OPENAI_BASE_URL``, ``OPENAI_REALTIME_MODEL`` (``"gpt-realtime-2.1"``), ``OPENAI_ORG_ID`` and
    ``OPENAI_PROJECT_ID``. ``OPENAI_BASE_URL`` without a key is a server of one's own, and gets no credential; OpenAI
    itself needs the key. An empty variable counts as not set.

    ``environ`` None: ``os.environ``. Raises ConfigurationError, which lists all that can be set.
    """
    environ = _checked(environ)
    endpoint = _value(environ, "AZURE_OPENAI_ENDPOINT")
    key = _value(environ, "AZURE_OPENAI_API_KEY")
    entra = _flag(environ, "AZURE_OPENAI_USE_ENTRA")
    if endpoint and (entra or key):
        return _azure(environ, endpoint, None if entra else key)
    openai_key = _value(environ, "OPENAI_API_KEY")
    base_url = _base_url(environ)
    if openai_key or _host(base_url) != _host(OPENAI_URL):
        if endpoint:
            logger.warning(
                "AZURE_OPENAI_ENDPOINT is set without AZURE_OPENAI_API_KEY or AZURE_OPENAI_USE_ENTRA, "
                "so OpenAI's variables are used"
            )
        return _openai(environ, base_url, openai_key)
    raise ConfigurationError(f"{_what_is_missing(endpoint, key, entra)}\n\n{_ALL_THAT_CAN_BE_SET}")


def live_model(endpoint: Endpoint, environ: Optional[Mapping[str, str]] = None) -> str:
    """The model (Azure: the deployment) of live sessions that name none.

    ``OPENAI_LIVE_MODEL``, else ``"gpt-live-1.1"``; Azure: ``AZURE_OPENAI_LIVE_DEPLOYMENT``, for a deployment's name
    cannot be guessed. ``environ`` None: ``os.environ``. Raises ConfigurationError if Azure's is not named.
    """
    environ = _checked(environ)
    if endpoint.flavour == "openai":
        return _value(environ, "OPENAI_LIVE_MODEL") or DEFAULT_LIVE_MODEL
    deployment = _value(environ, "AZURE_OPENAI_LIVE_DEPLOYMENT")
    if deployment is None:
        raise ConfigurationError(
            "Which deployment? A live session needs a deployed live model of its own, not the client's: name it by "
            "model=..., or by AZURE_OPENAI_LIVE_DEPLOYMENT."
        )
    return deployment


def _checked(environ: Optional[Mapping[str, str]]) -> Mapping[str, str]:
    if environ is None:
        return os.environ
    if not isinstance(environ, Mapping):
        # Its type only: a caller that takes this for a constructor may have passed a key.
        raise ConfigurationError(
            f"from_env takes a mapping such as os.environ, not {type(environ).__name__}; the model is "
            "OPENAI_REALTIME_MODEL there (Azure: AZURE_OPENAI_DEPLOYMENT)."
        )
    return environ


def _what_is_missing(endpoint: Optional[str], key: Optional[str], entra: bool) -> str:
    if endpoint:
        return (
            "AZURE_OPENAI_ENDPOINT is set, but no credential for it. Set AZURE_OPENAI_API_KEY=..., or "
            "AZURE_OPENAI_USE_ENTRA=true to sign in with Microsoft Entra ID. All that can be set:"
        )
    if key or entra:
        name = "AZURE_OPENAI_API_KEY" if key else "AZURE_OPENAI_USE_ENTRA"
        return f"{name} is set, but not AZURE_OPENAI_ENDPOINT. All that can be set:"
    return "The environment does not say where to connect. Set one of these, then start again:"


def _azure(environ: Mapping[str, str], endpoint: str, key: Optional[str]) -> tuple[Endpoint, str]:
    # A client for live sessions alone needs no other deployment, and uses none.
    deployment = _value(environ, "AZURE_OPENAI_DEPLOYMENT") or _value(environ, "AZURE_OPENAI_LIVE_DEPLOYMENT")
    if deployment is None:
        raise ConfigurationError(
            "AZURE_OPENAI_ENDPOINT is set, but not AZURE_OPENAI_DEPLOYMENT. Set it to the name that you gave to the "
            "deployed realtime model:\n\n  export AZURE_OPENAI_DEPLOYMENT=..."
        )
    version = _value(environ, "AZURE_OPENAI_API_VERSION") or "v1"
    credential = key or require("azure.identity", "azure", "AZURE_OPENAI_USE_ENTRA").DefaultAzureCredential()
    return Endpoint.azure(endpoint, credential, api_version=version), deployment


def _openai(environ: Mapping[str, str], base_url: str, key: Optional[str]) -> tuple[Endpoint, str]:
    organization, project = _value(environ, "OPENAI_ORG_ID"), _value(environ, "OPENAI_PROJECT_ID")
    endpoint = Endpoint.openai(key, endpoint=base_url, organization=organization, project=project)
    return endpoint, _value(environ, "OPENAI_REALTIME_MODEL") or DEFAULT_MODEL


def _base_url(environ: Mapping[str, str]) -> str:
    base_url = _value(environ, "OPENAI_BASE_URL") or OPENAI_URL
    try:
        split_base_url(base_url)
    except ConfigurationError as error:
        raise ConfigurationError(f"OPENAI_BASE_URL is wrong. {error}") from None
    return base_url


def _host(base_url: str) -> Optional[str]:
    return split_base_url(base_url)[0].hostname


def _value(environ: Mapping[str, str], name: str) -> Optional[str]:
    return environ.get(name, "").strip() or None


def _flag(environ: Mapping[str, str], name: str) -> bool:
    value = environ.get(name, "").strip().lower()
    if value not in _YES + _NO:
        raise ConfigurationError(f"{name} must be true or false, not {environ[name]!r}.")
    return value in _YES
