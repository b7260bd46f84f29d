"""What every command that serves asks: where to listen."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager


def add_listening_options(parser: argparse.ArgumentParser, port: int) -> None:
    """Add ``--host`` and ``--port``, whose default is ``port``."""
    parser.add_argument(
        "--host", default="127.0.0.1", help="the address to listen on (default: %(default)s, this machine alone)"
    )
    parser.add_argument("--port", type=_port, default=port, help="0 takes a free one (default: %(default)s)")


@contextmanager
def listening(arguments: argparse.Namespace) -> Iterator[None]:
    """Where the server is made: the ``OSError`` of an address that cannot be had says what to do."""
    try:
        yield
    except OSError as error:
        told = error.strerror or str(error)
        raise OSError(
            f"cannot listen on {arguments.host} port {arguments.port}: {told}. Another --port or --host, or --port 0, "
            "may be free."
        ) from error


def _port(text: str) -> int:
    port = int(text) if text.isdecimal() else -1
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: 0 to 65535")
    return port
