"""A registry on an SFTP server.

paramiko opens the file, not smart-open: smart-open accepts any host key of a server that the machine does not know, so
another server could collect the password and send a registry of its own. It also resolves the host itself.
"""

from __future__ import annotations

import io
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import IO, Any
from urllib.parse import unquote, urlsplit

from ..core.errors import ConfigError
from ..core.redaction import register_secrets
from ..core.requests import TIMEOUT
from ..core.secret_parts import list_secret_parts
from .addresses import AddressGuard
from .credentials import Credentials, SftpKeyCredentials, SftpPasswordCredentials

_DEFAULT_PORT = 22

_READ_AHEAD = 1 << 20  # bytes


@contextmanager
def open_sftp_file(
    url: str, registry_label: str, credentials: Credentials | None, guard: AddressGuard
) -> Iterator[IO[bytes]]:
    """Open a file on an SFTP server, whose host key is checked before anything is sent to it.

    Args:
        url: the URL of the file.
        registry_label: the beginning of error messages.
        credentials: the credentials of the settings; without them, the machine's keys, agent and known hosts.
        guard: the check of the server's address.

    Raises:
        ConfigError: the server has another host key, or rejects the credentials.
        ImportError: the extra with the client is not installed.
    """
    paramiko = import_module("paramiko")
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or _DEFAULT_PORT
    connect_timeout, read_timeout = TIMEOUT
    has_credentials = isinstance(credentials, SftpPasswordCredentials | SftpKeyCredentials)
    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(paramiko.RejectPolicy())
    if isinstance(credentials, SftpPasswordCredentials | SftpKeyCredentials):
        _trust_host_key(client, credentials.host_key, host, port, paramiko)
        login = _build_login(credentials, registry_label)
    else:
        client.load_system_host_keys()
        login = {
            "username": unquote(parts.username) if parts.username else None,
            "password": unquote(parts.password) if parts.password else None,
        }
    connection = guard.connect(host, port, connect_timeout)
    problem = ""
    try:
        client.connect(
            host,
            port,
            sock=connection,
            # Otherwise paramiko would offer each key of the machine to the server as well.
            allow_agent=not has_credentials,
            look_for_keys=not has_credentials,
            timeout=connect_timeout,
            banner_timeout=read_timeout,
            auth_timeout=read_timeout,
            channel_timeout=read_timeout,
            **login,
        )
        files = client.open_sftp()
        files.get_channel().settimeout(read_timeout)
        # The path is that from the root, as smart-open and curl read it, and not from the folder of the user.
        with files.open(unquote(parts.path), "rb", bufsize=_READ_AHEAD) as file:
            yield file
    except paramiko.BadHostKeyException:
        problem = _describe_other_host_key(has_credentials=has_credentials)
    except paramiko.AuthenticationException:
        problem = _describe_rejection(credentials)
    except paramiko.SSHException as error:
        # RejectPolicy has no exception of its own.
        if "not found in known_hosts" not in str(error):
            raise
        problem = _describe_other_host_key(has_credentials=has_credentials)
    finally:
        client.close()
        connection.close()
    # Raised outside the `except` blocks, so that no traceback shows the original error.
    if problem:
        raise ConfigError(f"{registry_label} {problem}")


def _describe_other_host_key(*, has_credentials: bool) -> str:
    if has_credentials:
        return (
            "is on a server that shows another host key. Nothing was sent to it. Ask its administrator for the host "
            "key, and correct batch_registry.credentials.host_key."
        )
    return (
        "is on a server whose host key the machine does not know. Nothing was sent to it. Add the key to known_hosts, "
        "or set batch_registry.credentials with its host_key."
    )


def _describe_rejection(credentials: Credentials | None) -> str:
    if isinstance(credentials, SftpPasswordCredentials):
        names = "batch_registry.credentials.username and password"
    elif isinstance(credentials, SftpKeyCredentials):
        names = "batch_registry.credentials.username and private_key, and that the server knows the public key"
    else:
        return (
            "is on a server that rejects the user and the keys of the machine. "
            "Set batch_registry.credentials to sftp_password or sftp_key."
        )
    return f"is on a server that rejects the credentials. Check {names}."


def _trust_host_key(client: Any, host_key: str, host: str, port: int, paramiko: Any) -> None:
    type_name, key_text = host_key.split()
    key = paramiko.PKey.from_type_string(type_name, b64decode(key_text))
    name = host if port == _DEFAULT_PORT else f"[{host}]:{port}"  # the form of known_hosts
    client.get_host_keys().add(name, type_name, key)


def _build_login(credentials: SftpPasswordCredentials | SftpKeyCredentials, registry_label: str) -> dict[str, Any]:
    """Return the user and the secret of the settings for paramiko.

    Raises:
        ConfigError: the private key cannot be read.
    """
    username = credentials.username.get_secret_value()
    if isinstance(credentials, SftpPasswordCredentials):
        password = credentials.password.get_secret_value()
        register_secrets(username, password)
        return {"username": username, "password": password}
    private_key = credentials.private_key.get_secret_value()
    passphrase = credentials.passphrase.get_secret_value() if credentials.passphrase else None
    register_secrets(username, *list_secret_parts(private_key), passphrase or "")
    return {"username": username, "pkey": _load_private_key(private_key, passphrase, registry_label)}


def _load_private_key(private_key: str, passphrase: str | None, registry_label: str) -> Any:
    """Return a private key for paramiko, which does not read all the formats that ssh-keygen and openssl write.

    Raises:
        ConfigError: the key cannot be read.
    """
    serialization = import_module("cryptography.hazmat.primitives.serialization")
    paramiko = import_module("paramiko")
    password = passphrase.encode() if passphrase else None
    is_openssh = "BEGIN OPENSSH" in private_key
    load = serialization.load_ssh_private_key if is_openssh else serialization.load_pem_private_key
    try:
        key = load(private_key.encode(), password)
        openssh_text = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
        ).decode()
        public_type = (
            key.public_key()
            .public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
            .split()[0]
            .decode()
        )
        key_class = {"ssh-rsa": paramiko.RSAKey, "ssh-ed25519": paramiko.Ed25519Key}.get(public_type, paramiko.ECDSAKey)
        return key_class.from_private_key(io.StringIO(openssh_text))
    except TypeError:
        # cryptography's error for a passphrase that is missing or superfluous
        problem = (
            "has a passphrase. Set batch_registry.credentials.passphrase."
            if password is None
            else "has no passphrase. Remove batch_registry.credentials.passphrase."
        )
    except Exception:  # the libraries have no common error, and the advice is the same for all
        problem = "cannot be read. Check batch_registry.credentials.private_key and passphrase."
    raise ConfigError(f"{registry_label} cannot be opened: its private key {problem}")
