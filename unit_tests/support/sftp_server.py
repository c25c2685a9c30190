"""An SFTP server on loopback, of another library than the connector's client."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import asyncssh

USER, PASSWORD = "acme-reader", "pässw0rd-of-sftp"


@dataclass
class SftpServer:
    """A server with one user, who may read the files below one folder.

    Attributes:
        folder: the folder, which the user sees as the root.
        host_keys: its host keys.
        user_keys: the public keys that open it.
        attempts: the names of the methods with which clients have tried to log in.
        port: its port.
    """

    folder: Path
    host_keys: tuple[asyncssh.SSHKey, ...]
    user_keys: tuple[asyncssh.SSHKey, ...] = ()
    attempts: list[str] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        """Return the URL of its root."""
        return f"sftp://127.0.0.1:{self.port}"

    def host_key(self, index: int = 0) -> str:
        """Return a host key as a line of a .pub file."""
        return self.host_keys[index].export_public_key().decode().strip()


class _Login(asyncssh.SSHServer):
    def __init__(self, server: SftpServer) -> None:
        self._server = server

    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        self._server.attempts.append("password")
        return (username, password) == (USER, PASSWORD)

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        self._server.attempts.append("public key")
        return username == USER and key.public_data in {user_key.public_data for user_key in self._server.user_keys}


@contextmanager
def serve_sftp(server: SftpServer) -> Iterator[SftpServer]:
    """Serve until the end of the block."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def listen() -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_factory=partial(_Login, server),
            server_host_keys=list(server.host_keys),  # a tuple would be a key and its certificate
            sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=str(server.folder).encode()),
        )

    async def close(acceptor: asyncssh.SSHAcceptor) -> None:
        acceptor.close()
        await acceptor.wait_closed()
        pending = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)

    acceptor = asyncio.run_coroutine_threadsafe(listen(), loop).result(60)
    server.port = acceptor.get_port()
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(close(acceptor), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(60)
        loop.close()
