"""``realtime-sync serve``: the embedded server, for any client of the protocol in any language."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Iterator, Optional

from realtime_sync.cli.listening import add_listening_options, listening
from realtime_sync.errors import ConfigurationError

if TYPE_CHECKING:
    import ssl

    from realtime_sync.server import RealtimeServer

KEY_VARIABLE = "REALTIME_SYNC_SERVER_KEY"
DEFAULT_PORT = 8765
_EVERY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}

_DESCRIPTION = """\
Serve the realtime protocol on this machine, without a key, a model or a network.
Clients of OpenAI and of Azure OpenAI, in any language, can use it: over ws and REST
(client secrets, calls), or over wss and https with --tls or --certificate."""

_EXAMPLES = f"""\
examples:
  realtime-sync serve                   # ws://127.0.0.1:{DEFAULT_PORT}/v1/realtime, any key
  realtime-sync serve --voice           # hears and speaks: pip install 'realtime-sync[voice]'
  {KEY_VARIABLE}=secret realtime-sync serve --host 0.0.0.0
  realtime-sync serve --tls             # wss, with a certificate made for now
  realtime-sync serve --certificate cert.pem --key key.pem

Without --voice it echoes text, tells how long audio was, and calls the tools that a
text names. Ctrl-C or SIGTERM ends it: every session is closed with 1001, the exit code
is 0; a second Ctrl-C does not wait for them."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """See ``realtime_sync.cli``."""
    parser = subparsers.add_parser(
        "serve",
        help="serve the protocol on this machine, with no key and no model",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    add_listening_options(parser, DEFAULT_PORT)
    parser.add_argument("--voice", action="store_true", help="hear and speak, with models on this machine (English)")
    parser.add_argument(
        "--api-key",
        action="append",
        metavar="KEY",
        help=f"let in this key alone; may be given again. Other users of this machine can read arguments: prefer the "
        f"variable {KEY_VARIABLE} (several: separated by commas)",
    )
    tls = parser.add_argument_group("wss and https")
    tls.add_argument("--certificate", metavar="FILE", help="the server's certificate with its chain, PEM")
    tls.add_argument("--key", metavar="FILE", help="the certificate's key, PEM, without a pass phrase")
    tls.add_argument("--tls", action="store_true", help="make a certificate, and tell what clients have to trust")
    parser.add_argument(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        default="info",
        help="info tells each session's beginning and end (default: %(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Serve until Ctrl-C or SIGTERM. Raises ``ConfigurationError``; ``OSError`` where the port cannot be had."""
    _log_to_terminal("debug" if arguments.debug else arguments.log_level)
    keys = _keys(arguments.api_key)
    with contextlib.ExitStack() as stack:
        context, trust = stack.enter_context(_tls(arguments))
        server = stack.enter_context(_server(arguments, keys, context))
        # Raised where the main thread sleeps: a handler that set an event could meet the lock of its own wait.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            _tell(server, arguments.host, bool(keys), trust)
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            print("Closing.", file=sys.stderr, flush=True)
            server.shut_down()
    return 0


def _server(
    arguments: argparse.Namespace, keys: Optional[list[str]], context: Optional[ssl.SSLContext]
) -> RealtimeServer:
    try:
        from realtime_sync.server import RealtimeServer
    except ImportError as error:  # its message says what to install
        raise ConfigurationError(str(error)) from error
    options: dict[str, Any] = {}
    if arguments.voice:
        from realtime_sync.server.speech import Speech

        speech = Speech()
        print("Loading the models that hear and speak.", file=sys.stderr, flush=True)
        speech.load()  # now, so that what is missing is told at once and the first session does not wait
        options["speech"] = speech
    with listening(arguments):
        return RealtimeServer(
            arguments.host, arguments.port, api_keys=keys, ssl_context=context, record=False, **options
        )


def _keys(told: Optional[list[str]]) -> Optional[list[str]]:
    """The keys that are let in; None for any. The environment's come on top of the arguments'."""
    named = os.environ.get(KEY_VARIABLE, "").split(",")
    keys = [key.strip() for key in [*(told or ()), *named] if key.strip()]
    if told and not keys:
        raise ConfigurationError("--api-key is empty: without the option, every key is let in.")
    return keys or None


@contextlib.contextmanager
def _tls(arguments: argparse.Namespace) -> Iterator[tuple[Optional[ssl.SSLContext], Optional[Path]]]:
    """The context to serve with, and the file of the authority that clients must trust; None where there is none."""
    if bool(arguments.certificate) != bool(arguments.key):
        raise ConfigurationError("--certificate and --key belong together: give both, or --tls to have them made.")
    if arguments.tls and arguments.certificate:
        raise ConfigurationError("--tls makes a certificate: leave it out where --certificate gives one.")
    if not arguments.tls and not arguments.certificate:
        yield None, None
        return
    from realtime_sync.server.certificates import context_from_files, made_context

    if arguments.certificate:
        yield context_from_files(arguments.certificate, arguments.key), None
        return
    context, authority = made_context(sorted({"localhost", "127.0.0.1", "::1", arguments.host} - set(_EVERY_ADDRESS)))
    with tempfile.TemporaryDirectory(prefix="realtime-sync-") as folder:
        trust = Path(folder) / "authority.pem"
        trust.write_bytes(authority)
        yield context, trust


def _tell(server: RealtimeServer, host: str, has_keys: bool, trust: Optional[Path]) -> None:
    """Say where it is and how to use it; never a key."""
    resource = server.azure_endpoint
    if host in _EVERY_ADDRESS:
        shown = f"[{_EVERY_ADDRESS[host]}]" if ":" in host else _EVERY_ADDRESS[host]
        resource = f"{resource.partition('://')[0]}://{shown}:{server.port}"
    key = "YOUR-KEY" if has_keys else "any-key"
    lines = [
        f"Serving the realtime protocol at {resource}/v1 (Ctrl-C ends it). To use it:",
        f"  export OPENAI_BASE_URL={resource}/v1 OPENAI_API_KEY={key}",
        f"  export AZURE_OPENAI_ENDPOINT={resource} AZURE_OPENAI_API_KEY={key} AZURE_OPENAI_DEPLOYMENT=gpt-realtime",
    ]
    if trust is not None:
        lines.append(f"  export SSL_CERT_FILE={trust}  # whoever made the certificate, until this ends")
    if not has_keys and host not in ("127.0.0.1", "::1", "localhost"):
        lines.append(f"Anyone who can reach this machine can use it: set {KEY_VARIABLE} to require a key.")
    print(*lines, sep="\n", flush=True)


def _log_to_terminal(level: str) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
    logger = logging.getLogger("realtime_sync")
    logger.handlers = [handler]
    logger.propagate = False
    logger.setLevel(level.upper())
