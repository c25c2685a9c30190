"""A server over TLS with a self-signed certificate, and a proxy."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@contextmanager
def serve_tls(prefix: bytes, folder: Path) -> Iterator[tuple[str, threading.Event]]:
    """Serve the beginning of a response over TLS, then fall silent.

    Args:
        prefix: the bytes that are sent.
        folder: where the certificate and its key are written.

    Yields:
        The URL, and an event that is set when `prefix` has been sent.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(timezone.utc)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    encoding, no_encryption = serialization.Encoding.PEM, serialization.NoEncryption()
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(encoding))
    (folder / "key.pem").write_bytes(key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, no_encryption))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    response_started = threading.Event()

    def serve() -> None:
        connection, _ = listener.accept()
        # A client that does not trust the certificate closes the connection.
        with suppress(OSError), context.wrap_socket(connection, server_side=True) as tls_socket:
            tls_socket.recv(65_536)
            tls_socket.sendall(prefix)
            response_started.set()
            tls_socket.recv(1)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"https://localhost:{listener.getsockname()[1]}", response_started
        thread.join(5)


@contextmanager
def serve_proxy(refusal: bytes = b"") -> Iterator[tuple[str, list[bytes]]]:
    """Serve a proxy that opens tunnels.

    Args:
        refusal: a response to send instead of opening a tunnel.

    Yields:
        The URL, and the heads of the requests so far.
    """
    request_heads: list[bytes] = []

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=open_tunnel, args=(connection,), daemon=True).start()

    def open_tunnel(connection: socket.socket) -> None:
        head = connection.recv(65_536)
        request_heads.append(head)
        if refusal:
            with connection, suppress(OSError):
                connection.sendall(refusal)
            return
        host, _, port = head.split()[1].decode().rpartition(":")
        with connection, socket.create_connection((host, int(port))) as upstream:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            return_thread = threading.Thread(target=copy_bytes, args=(upstream, connection), daemon=True)
            return_thread.start()
            copy_bytes(connection, upstream)
            return_thread.join()

    def copy_bytes(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while content := source.recv(65_536):
                target.sendall(content)
            target.shutdown(socket.SHUT_WR)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", request_heads
