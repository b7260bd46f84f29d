"""TLS: who is trusted by default, and what a failure says."""

from __future__ import annotations

import datetime
import select
import socket
import ssl
import struct
from pathlib import Path
from typing import Any

import certifi
import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from realtime_sync.errors import ConfigurationError, ConnectionFailedError, TLSError
from realtime_sync.transport import default_ssl_context, tls
from tests.transport.conftest import Bench, descriptors
from tests.transport.peer import TEXT, Link, Peer, frame


def welcome(link: Link) -> None:
    link.upgrade()
    link.send(frame(TEXT, "welcome"))
    link.read_to_end()


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in tls.CA_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(tls, "_contexts", {})


def _refused(
    bench: Bench, server: ssl.SSLContext, host: str = "127.0.0.1", client: ssl.SSLContext | None = None
) -> str:
    peer = bench.stack.enter_context(Peer(lambda link: link.read_to_end(), server))
    with pytest.raises(TLSError) as caught:
        bench.connect(f"wss://{host}:{peer.port}/", ssl_context=client or bench.client_tls)
    assert isinstance(caught.value.__cause__, ssl.SSLError)
    return str(caught.value)


def test_an_unknown_authority_is_refused_and_the_message_names_the_ca_file(secure: Bench) -> None:
    assert "REQUESTS_CA_BUNDLE" in _refused(secure, secure.certified(), client=default_ssl_context())


def test_a_certificate_for_another_name_is_refused_and_the_message_says_so(secure: Bench) -> None:
    assert "another name" in _refused(secure, secure.certified("other.example"))
    assert "another name" in _refused(secure, secure.certified("other.example"), host="localhost")


def test_an_expired_certificate_is_refused_and_the_message_names_the_clock(secure: Bench) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    past = datetime.datetime(2020, 1, 1)
    secure.ca.issue_cert("127.0.0.1", not_after=past).configure_cert(context)
    assert "clock" in _refused(secure, context)


def test_a_certificate_that_only_a_strict_context_refuses_is_said_to_be_one(secure: Bench) -> None:
    """Python's own contexts are strict from 3.13 on, and companies' authorities often older than that."""
    key = ec.generate_private_key(ec.SECP256R1())
    authority = x509.load_pem_x509_certificate(secure.ca.cert_pem.bytes()).subject
    now = datetime.datetime.now(datetime.timezone.utc)
    until = now + datetime.timedelta(days=1)
    # With no key identifier.
    builder = x509.CertificateBuilder(authority, x509.Name([]), key.public_key(), 1, now, until)
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=True)
    signer = serialization.load_pem_private_key(secure.ca.private_key_pem.bytes(), None)
    certificate = builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)  # type: ignore[arg-type]
    plain_key = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with trustme.Blob(key.private_bytes(*plain_key) + certificate).tempfile() as path:
        server.load_cert_chain(path)
    client = secure.client_tls
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    assert "VERIFY_X509_STRICT" in _refused(secure, server, host="localhost", client=client)


def test_no_common_version_is_a_tls_error(secure: Bench) -> None:
    server = secure.certified()
    server.maximum_version = ssl.TLSVersion.TLSv1_2
    client = secure.client_tls
    client.minimum_version = ssl.TLSVersion.TLSv1_3
    assert "TLS" in _refused(secure, server, client=client)


def test_a_port_without_tls_says_so(secure: Bench) -> None:
    def script(link: Link) -> None:
        link.receive()
        link.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    peer = secure.stack.enter_context(Peer(script))
    with pytest.raises(TLSError, match="does not speak TLS"):
        secure.connect(f"wss://127.0.0.1:{peer.port}/")


def test_a_connection_that_ends_within_the_handshake_is_a_typed_failure(secure: Bench) -> None:
    for script in (lambda link: link.receive(), lambda link: (link.receive(), link.reset())):
        peer = secure.stack.enter_context(Peer(script))
        with pytest.raises(ConnectionFailedError, match="TLS with 127"):
            secure.connect(f"wss://127.0.0.1:{peer.port}/")


def test_the_host_name_is_told_to_the_server(secure: Bench) -> None:
    told: list[str] = []
    context = secure.certified()
    context.sni_callback = lambda _, name, __: told.append(name)  # type: ignore[assignment]
    peer = secure.stack.enter_context(Peer(welcome, context))
    assert secure.connect(f"wss://localhost:{peer.port}/").receive() == "welcome"
    assert told == ["localhost"]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_current_versions_work(secure: Bench, version: ssl.TLSVersion) -> None:
    context = secure.certified()
    context.minimum_version = context.maximum_version = version
    peer = secure.stack.enter_context(Peer(welcome, context))
    assert secure.connect(peer).receive() == "welcome"


@pytest.mark.parametrize("variable", tls.CA_VARIABLES)
def test_the_variables_of_requests_curl_and_openssl_are_followed(
    secure: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str
) -> None:
    monkeypatch.setenv(variable, str(_ca_file(secure.ca, tmp_path)))
    assert secure.connect(secure.serve(welcome), ssl_context=None).receive() == "welcome"


def test_a_ca_file_by_argument_comes_before_the_environment(
    secure: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", certifi.where())
    context = default_ssl_context(str(_ca_file(secure.ca, tmp_path)))
    assert secure.connect(secure.serve(welcome), ssl_context=context).receive() == "welcome"


def test_the_default_is_certifi_and_verifies() -> None:
    context = default_ssl_context()
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.cert_store_stats()["x509_ca"] > 50


def test_a_context_is_made_once_for_each_file_and_anew_where_the_file_changes(secure: Bench, tmp_path: Path) -> None:
    import os

    path = _ca_file(secure.ca, tmp_path)
    first = default_ssl_context(str(path))
    assert default_ssl_context(str(path)) is first
    os.utime(path, (1, 1))
    assert default_ssl_context(str(path)) is not first


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_ca_file_that_cannot_be_used_says_where_it_was_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    with pytest.raises(ConfigurationError, match="SSL_CERT_FILE"):
        default_ssl_context()
    with pytest.raises(ConfigurationError, match="ca_file"):
        default_ssl_context(str(path))


def _ca_file(ca: trustme.CA, folder: Path) -> Path:
    path = folder / "ca.pem"
    ca.cert_pem.write_to_path(str(path))
    return path


def test_a_peer_that_resets_the_connection_before_the_handshake_leaves_no_descriptor(secure: Bench) -> None:
    """Python's own ``wrap_socket`` leaves one then, to which only the traceback leads."""

    class AfterTheReset(ssl.SSLContext):
        def wrap_socket(self, sock: socket.socket, *args: Any, **options: Any) -> ssl.SSLSocket:
            peer, _ = listener.accept()
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.close()
            seen = select.poll()
            seen.register(sock, 0)
            assert seen.poll(5000)
            return super().wrap_socket(sock, *args, **options)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        before, context = descriptors(), AfterTheReset(ssl.PROTOCOL_TLS_CLIENT)
        with pytest.raises(TLSError, match="ended in the middle") as caught:
            secure.connect(f"wss://127.0.0.1:{listener.getsockname()[1]}/", ssl_context=context)
        assert descriptors() == before, caught
