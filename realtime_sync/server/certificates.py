"""TLS of a server: its certificates, from files or made for a while, and its sockets."""

from __future__ import annotations

import socket
import ssl
import traceback
from typing import Sequence

from realtime_sync.errors import ConfigurationError


def context_from_files(certificate: str, key: str) -> ssl.SSLContext:
    """A server's context from two PEM files: the certificate (with its chain) and its key, which has no pass phrase.

    Raises ``ConfigurationError`` if they cannot be read, or do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # A pass phrase would be asked for on the terminal; the empty one makes that an error.
        context.load_cert_chain(certificate, key, password="")
    except OSError as error:  # ssl.SSLError among them
        told = error.strerror or type(error).__name__
        message = (
            f"The certificate {certificate} with the key {key} cannot be used ({told}): both must be PEM files that "
            "belong together, the key without a pass phrase."
        )
        raise ConfigurationError(message) from error
    return context


def wrap(context: ssl.SSLContext, accepted: socket.socket) -> ssl.SSLSocket:
    """The socket as one that speaks TLS; the handshake is still to be done. If it fails, all is closed.

    Python's own ``wrap_socket`` leaves a socket open if the peer has reset the connection by then: one that only the
    traceback knows.
    """
    try:
        return context.wrap_socket(accepted, server_side=True, do_handshake_on_connect=False)
    except OSError as error:
        for frame, _ in traceback.walk_tb(error.__traceback__):
            left = frame.f_locals.get("self")
            if isinstance(left, ssl.SSLSocket):
                left.close()
        raise


def made_context(hosts: Sequence[str]) -> tuple[ssl.SSLContext, bytes]:
    """A context with a certificate for these hosts, made now; and the PEM of the authority that clients must trust.

    The keys live in this process alone. Raises ``ConfigurationError`` if the package trustme is missing.
    """
    try:
        import trustme
    except ImportError:
        message = "Making a certificate needs the package trustme: pip install 'realtime-sync[tls]'"
        raise ConfigurationError(message) from None
    authority = trustme.CA(organization_name="realtime_sync")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*hosts).configure_cert(context)
    return context, authority.cert_pem.bytes()
