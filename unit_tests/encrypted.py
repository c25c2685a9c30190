"""A provider over TLS, with a certificate of its own, and a proxy before it."""

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
def over_tls(beginning: bytes, folder: Path) -> Iterator[tuple[str, threading.Event]]:
    """A server with a certificate of its own, which begins to answer and falls silent; its address, and when it has."""
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
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(encoding))
    (folder / "key.pem").write_bytes(key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    begun = threading.Event()

    def serve() -> None:
        connection, _ = listener.accept()
        # A client that does not trust it walks away.
        with suppress(OSError), context.wrap_socket(connection, server_side=True) as talk:
            talk.recv(65_536)
            talk.sendall(beginning)
            begun.set()
            talk.recv(1)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"https://localhost:{listener.getsockname()[1]}", begun
        thread.join(5)


@contextmanager
def proxy(refusal: bytes = b"") -> Iterator[tuple[str, list[bytes]]]:
    """One that opens tunnels, or refuses to; its address, and the heads of what it was asked, as they came."""
    heads: list[bytes] = []

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=tunnel, args=(connection,), daemon=True).start()

    def tunnel(connection: socket.socket) -> None:
        head = connection.recv(65_536)
        heads.append(head)
        if refusal:
            with connection, suppress(OSError):
                connection.sendall(refusal)
            return
        host, _, port = head.split()[1].decode().rpartition(":")
        with connection, socket.create_connection((host, int(port))) as other:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=carry, args=(other, connection), daemon=True)
            back.start()
            carry(connection, other)
            back.join()

    def carry(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while content := source.recv(65_536):
                target.sendall(content)
            target.shutdown(socket.SHUT_WR)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", heads
