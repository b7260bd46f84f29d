"""What every command that talks to a service asks: which one, as whom, which model."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Optional
from urllib.parse import urlsplit

from realtime_sync.cli.findings import has_extra
from realtime_sync.cli.terminal import note
from realtime_sync.client import RealtimeConversationClient
from realtime_sync.endpoint.environment import DEFAULT_MODEL, from_environment
from realtime_sync.errors import ConfigurationError
from realtime_sync.services import OpenAIClient

if TYPE_CHECKING:
    from realtime_sync.endpoint.endpoint import Endpoint
    from realtime_sync.server import Responder
    from realtime_sync.server.speech import Speech

_AZURE_HOSTS = (".openai.azure.com", ".openai.azure.us", ".cognitiveservices.azure.com", ".services.ai.azure.com")
_MODEL = f"AZURE_OPENAI_DEPLOYMENT or OPENAI_REALTIME_MODEL, else {DEFAULT_MODEL}"
_KEY = "AZURE_OPENAI_API_KEY or OPENAI_API_KEY"
_ANY_PLACE = ("AZURE_OPENAI_ENDPOINT", "OPENAI_API_KEY", "OPENAI_BASE_URL")

NO_KEY = (
    "no key: set OPENAI_API_KEY, or AZURE_OPENAI_ENDPOINT with AZURE_OPENAI_API_KEY and AZURE_OPENAI_DEPLOYMENT. "
    "--local answers without one."
)


def add_client_options(parser: argparse.ArgumentParser, *, model: str = _MODEL) -> None:
    """Add ``--local``, ``--model``, ``--endpoint``, ``--azure``, ``--api-version`` and ``--key-env``.

    ``model``: which it is without ``--model``, in words.
    """
    group = parser.add_argument_group("the service", "By default the one that the environment tells.")
    group.add_argument(
        "--local", action="store_true", help="no service: a server in this process answers, without key or network"
    )
    group.add_argument("--model", metavar="NAME", help=f"the model; on Azure, the deployment (default: {model})")
    group.add_argument("--endpoint", metavar="URL", help="the base URL, such as https://RESOURCE.openai.azure.com")
    group.add_argument("--azure", action="store_true", help="--endpoint is of Azure OpenAI, though its name hides it")
    group.add_argument("--api-version", metavar="VERSION", help="of Azure: v1, or such as 2025-04-01-preview")
    group.add_argument("--key-env", metavar="NAME", help=f"the variable that holds the key (default: {_KEY})")


@contextmanager
def client_from(
    arguments: argparse.Namespace, *, speech: bool = False, responder: Optional[Responder] = None
) -> Iterator[RealtimeConversationClient]:
    """The client that the arguments and the environment tell, closed in the end; the embedded server's for --local.

    ``speech``: the command needs ears or a voice, so with ``--local`` they are loaded where the extra ``voice`` is
    installed. ``responder``: who answers there; None: one that follows rules. Raises ``ConfigurationError``.
    """
    with ExitStack() as stack:
        if arguments.local:
            endpoint, model = stack.enter_context(_local(speech, responder)), arguments.model or DEFAULT_MODEL
        else:
            endpoint, model = endpoint_from(arguments)
        yield stack.enter_context(RealtimeConversationClient(model, endpoint))


def endpoint_from(arguments: argparse.Namespace) -> tuple[Endpoint, str]:
    """The endpoint and the model (Azure: the deployment) that arguments and environment tell. ``--local`` is not asked.

    Raises ``ConfigurationError``.
    """
    environ = dict(os.environ)
    if arguments.model:
        environ["OPENAI_REALTIME_MODEL"] = environ["AZURE_OPENAI_DEPLOYMENT"] = arguments.model
    if arguments.api_version:
        environ["AZURE_OPENAI_API_VERSION"] = arguments.api_version
    if arguments.endpoint:
        azure = arguments.azure or _is_azure(arguments.endpoint)
        environ["AZURE_OPENAI_ENDPOINT"] = arguments.endpoint if azure else ""
        environ["OPENAI_BASE_URL"] = "" if azure else arguments.endpoint
        if azure:
            environ["OPENAI_API_KEY"] = ""  # else a missing Azure key would lead to OpenAI
    elif arguments.azure:
        raise ConfigurationError("--azure says whose the --endpoint is: give both.")
    if arguments.key_env:
        key = os.environ.get(arguments.key_env, "").strip()
        if not key:
            raise ConfigurationError(f"--key-env {arguments.key_env}: the environment has no such variable, or empty.")
        environ["OPENAI_API_KEY"] = environ["AZURE_OPENAI_API_KEY"] = key
        environ["AZURE_OPENAI_USE_ENTRA"] = ""
    if not any(environ.get(name, "").strip() for name in _ANY_PLACE):
        raise ConfigurationError(NO_KEY)
    return from_environment(environ)


@contextmanager
def _local(speech: bool, responder: Optional[Responder]) -> Iterator[Endpoint]:
    try:
        from realtime_sync.server import RealtimeServer
        from realtime_sync.server.speech import RulesBrain
    except ImportError as error:  # its message says what to install
        raise ConfigurationError(str(error)) from error
    ears, told = _ears() if speech else (None, "the embedded server answers: it follows some rules and has no model")
    if responder is None and not (speech and ears is None):
        responder = RulesBrain()  # without ears it would understand no word of what is spoken
    note(told)
    with RealtimeServer(responder=responder, speech=ears, record=False) as server:
        yield OpenAIClient("any-key", endpoint=server.url).endpoint


def _ears() -> tuple[Optional[Speech], str]:
    """What the server hears and speaks with, and what to say of it."""
    from realtime_sync.server.speech import Speech

    try:
        speech = Speech()
        speech.load()
    except ConfigurationError as error:
        told = "embedded server: no ears, and tones for a voice"
        hint = f": {error}" if has_extra("voice") else '; pip install "realtime-sync[voice]" gives it both'
        return None, told + hint
    return speech, "the embedded server answers: it hears and speaks with models on this machine"


def _is_azure(url: str) -> bool:
    try:
        return (urlsplit(url).hostname or "").endswith(_AZURE_HOSTS)
    except ValueError:  # it is no URL at all, which is told where it is used
        return False
