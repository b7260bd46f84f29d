"""``realtime-sync serve``: the embedded server, for any client of the protocol in any language."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Iterator, Optional

from realtime_sync.cli import options
from realtime_sync.errors import ConfigurationError

if TYPE_CHECKING:
    import ssl

    from realtime_sync.server import RealtimeServer
    from realtime_sync.server.speech import Speech

_KEY_VARIABLE = "REALTIME_SYNC_SERVER_KEY"
_PORT = 8765
_ABOUT_VOICE = "It hears and speaks English, and answers by rules."
_ABOUT_RECORDINGS = "It answers by rules, and knows the sample recordings by heart; --voice hears and speaks for real."
_EVERY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what ``serve`` reads."""
    options.add_listening_options(parser, _PORT)
    parser.add_argument("--voice", action="store_true", help="hear and speak for real, with models (English)")
    keys = f"""let in this key alone; may be given again. Other users of this machine can read arguments: prefer the
        variable {_KEY_VARIABLE} (several: separated by commas)"""
    parser.add_argument("--api-key", action="append", default=[], metavar="KEY", help=keys)
    hosts = """a name of this server, or a site whose pages may use it, beside this machine's; may be given again"""
    parser.add_argument("--allow-host", action="append", default=[], metavar="NAME", help=hosts)
    tls = parser.add_argument_group("wss and https")
    tls.add_argument("--certificate", metavar="FILE", help="the server's certificate with its chain, PEM")
    tls.add_argument("--key", metavar="FILE", help="the certificate's key, PEM, without a pass phrase")
    tls.add_argument("--tls", action="store_true", help="make a certificate, and print what clients have to trust")
    levels = ("debug", "info", "warning", "error")
    begins_and_ends = "info logs each session's beginning and end (default: %(default)s)"
    parser.add_argument("--log-level", choices=levels, default="info", help=begins_and_ends)


def serve(arguments: argparse.Namespace) -> int:
    """Serve the protocols on this machine, with no key and no model.

    Clients of OpenAI and of Azure OpenAI, in any language, can use it without a network: over ws
    and REST (client secrets, calls), or over wss and https with --tls or --certificate. It speaks
    the realtime protocol (/v1/realtime) and that of GPT-Live (/v1/live/sessions).

    Examples:
      realtime-sync serve                   # ws://127.0.0.1:8765/v1/realtime, any key
      realtime-sync serve --voice           # hears and speaks: pip install 'realtime-sync[voice]'
      REALTIME_SYNC_SERVER_KEY=secret realtime-sync serve --host 0.0.0.0
      realtime-sync serve --tls             # wss, with a certificate made for now
      realtime-sync serve --certificate cert.pem --key key.pem

    A set of rules answers, no model: it greets, does a small sum, remembers your name, reads aloud
    what it is told to, calls the tools that a text names, and repeats the rest. Without --voice it
    knows the sample recordings of examples/audio by heart, with recorded answers; other speech it
    does not understand, and other text it speaks in tones.
    Ctrl-C or SIGTERM ends it: every session is closed with 1001, the exit code is 0; a second
    Ctrl-C does not wait for them.
    """
    _log_to_terminal("debug" if arguments.debug else arguments.log_level)
    keys = _keys(arguments.api_key)
    with contextlib.ExitStack() as stack:
        context, trust = stack.enter_context(_tls(arguments))
        server_class = options.embedded_server()
        if arguments.voice:
            with options.listening(arguments):  # whether it can, before the models are loaded
                server_class(arguments.host, arguments.port).close()
        speech = _speech(arguments.voice)
        with options.listening(arguments):
            server = server_class(
                arguments.host,
                arguments.port,
                api_keys=keys or None,
                ssl_context=context,
                speech=speech,
                record=False,
                allowed_hosts=arguments.allow_host,
            )
        stack.enter_context(server)
        announcement = _announcement(server, arguments.host, bool(keys), trust)
        options.serve_until_stopped(f"{announcement}\n{_ABOUT_VOICE if arguments.voice else _ABOUT_RECORDINGS}")
        print("Closing.", file=sys.stderr, flush=True)
        server.shut_down()
    return 0


def _speech(voice: bool) -> Speech:
    from realtime_sync.server.speech import Speech, recorded_speech

    if not voice:
        return recorded_speech()
    speech = Speech()
    print("Loading the models that hear and speak.", file=sys.stderr, flush=True)
    begun = time.monotonic()
    speech.load()  # now, so that a missing package is reported at once and the first session does not wait
    print(f"Loaded in {time.monotonic() - begun:.1f} s.", file=sys.stderr, flush=True)
    return speech


def _keys(arguments: list[str]) -> list[str]:
    """The keys that are let in; none for any. The environment's come on top of the arguments'."""
    named = os.environ.get(_KEY_VARIABLE, "").split(",")
    keys = [key.strip() for key in [*arguments, *named] if key.strip()]
    if arguments and not keys:
        raise ConfigurationError("--api-key is empty: without the option, every key is let in.")
    return keys


@contextlib.contextmanager
def _tls(arguments: argparse.Namespace) -> Iterator[tuple[Optional[ssl.SSLContext], Optional[Path]]]:
    """The context to serve with, and the file of the authority that clients must trust; None if there is none."""
    if bool(arguments.certificate) != bool(arguments.key):
        raise ConfigurationError("--certificate and --key belong together: give both, or --tls to have them made.")
    if arguments.tls and arguments.certificate:
        raise ConfigurationError("--tls makes a certificate, and --certificate gives one: leave one of them out.")
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


def _announcement(server: RealtimeServer, host: str, has_keys: bool, trust: Optional[Path]) -> str:
    """Where the server is and how to use it; never a key."""
    resource = server.azure_endpoint
    if host in _EVERY_ADDRESS:
        shown = f"[{_EVERY_ADDRESS[host]}]" if ":" in host else _EVERY_ADDRESS[host]
        resource = f"{resource.partition('://')[0]}://{shown}:{server.port}"
    key = "YOUR-KEY" if has_keys else "any-key"
    lines = [
        f"Serving the realtime protocol and GPT-Live at {resource}/v1 (Ctrl-C ends it). To use it:",
        f"  export OPENAI_BASE_URL={resource}/v1 OPENAI_API_KEY={key}",
        f"  export AZURE_OPENAI_ENDPOINT={resource} AZURE_OPENAI_API_KEY={key}"
        " AZURE_OPENAI_DEPLOYMENT=gpt-realtime-2.1",
    ]
    if trust is not None:
        lines.append(f"  export SSL_CERT_FILE={trust}  # the authority to trust, until this ends")
    if not has_keys and host not in ("127.0.0.1", "::1", "localhost"):
        lines.append(f"Anyone who can reach this machine can use it: set {_KEY_VARIABLE} to require a key.")
    return "\n".join(lines)


def _log_to_terminal(level: str) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
    logger = logging.getLogger("realtime_sync")
    logger.handlers = [handler]
    logger.propagate = False
    logger.setLevel(level.upper())
