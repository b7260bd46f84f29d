"""TLS: which authorities are trusted, and what to do if a certificate is not."""

from __future__ import annotations

import os
import socket
import ssl
import threading
import traceback
from typing import Optional

from realtime_sync.checks import check_path
from realtime_sync.errors import ConfigurationError, TLSError

# The variables that requests, curl and OpenSSL follow, so that REST and the WebSocket trust the same authorities.
CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")

_contexts: dict[str, tuple[float, ssl.SSLContext]] = {}
_lock = threading.Lock()  # guards _contexts


def default_ssl_context(ca_file: Optional[str] = None) -> ssl.SSLContext:
    """The context that verifies certificates and host names, made once per CA file (it takes some 20 ms).

    ``ca_file``: path of a PEM file or of a directory of hashed certificates; None takes the first of
    REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE and SSL_CERT_FILE that is set, else certifi's. Raises ConfigurationError
    if the file cannot be used.
    """
    path, told_by = _ca_path(ca_file)
    try:
        changed = os.stat(path).st_mtime
        with _lock:
            known = _contexts.get(path)
        if known is not None and known[0] == changed:
            return known[1]
        is_folder = os.path.isdir(path)
        context = ssl.create_default_context(cafile=None if is_folder else path, capath=path if is_folder else None)
    except (OSError, ValueError) as exc:  # ssl.SSLError is an OSError
        raise ConfigurationError(
            f"The CA file {path!r} (from {told_by}) cannot be used: {exc}. Name a PEM file of certificates."
        ) from exc
    with _lock:
        _contexts[path] = (changed, context)
    return context


def _ca_path(ca_file: Optional[str]) -> tuple[str, str]:
    if ca_file is not None:
        check_path("ca_file", ca_file, error=ConfigurationError)
        return os.fspath(ca_file), "ca_file"
    for name in CA_VARIABLES:
        if os.environ.get(name):
            return os.environ[name], name
    import certifi  # comes with requests; imported late, only TLS needs it

    return certifi.where(), "certifi"


def wrap(context: ssl.SSLContext, sock: socket.socket, host: str) -> ssl.SSLSocket:
    """``sock``, which is to speak TLS with ``host``; the handshake is still to be done. If it fails, all is closed.

    Python's own ``wrap_socket`` leaves a socket open if the peer has reset the connection by then, or if the host is no
    name: one that only the traceback knows.
    """
    try:
        return context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
    except (OSError, ValueError) as exc:
        for frame, _ in traceback.walk_tb(exc.__traceback__):
            left = frame.f_locals.get("self")
            if isinstance(left, ssl.SSLSocket):
                left.close()
        raise


# What to do for which of OpenSSL's reasons (X509_V_ERR_*).
_ADVICE = (
    ({9, 10}, "Check this machine's clock, else the certificate has to be renewed."),  # not yet valid, expired
    # Host name, IP address mismatch.
    ({62, 64}, "It is for another name: check the endpoint's host, and whether a proxy answers in its place."),
    (
        {2, 18, 19, 20, 21},  # issuer unknown, self-signed, chain incomplete
        "If a company proxy or a private authority signs it, name its CA file "
        f"(ca_file= or the environment's {CA_VARIABLES[0]}).",
    ),
    (
        set(range(80, 94)),  # VERIFY_X509_STRICT, which Python's own contexts set from 3.13 on
        "A certificate is not made as RFC 5280 wants it, which Python 3.13 and later ask for: have its authority renew "
        "it, or pass an ssl_context of your own whose verify_flags lack ssl.VERIFY_X509_STRICT.",
    ),
)


def tls_error(exc: Exception, host: str) -> TLSError:
    """The error for a TLS handshake with ``host`` that failed with ``exc``, which the caller makes its cause."""
    if isinstance(exc, ssl.SSLCertVerificationError):
        advice = (advice for codes, advice in _ADVICE if exc.verify_code in codes)
        return TLSError(
            f"The certificate of {host} was not accepted: {exc.verify_message}. "
            f"{next(advice, 'The cause has the words of OpenSSL.')}"
        )
    reason = getattr(exc, "reason", None) or "the connection ended in the middle of the handshake"
    if reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"):
        return TLSError(f"{host} does not speak TLS on this port ({reason}). Check the port, or use ws:// (http://).")
    return TLSError(f"TLS with {host} failed: {reason}. Check the endpoint, a proxy on the way, and TLS settings.")
