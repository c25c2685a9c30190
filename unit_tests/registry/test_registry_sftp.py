"""A registry on an SFTP server on loopback, whose host key is checked before anything is sent to it."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from source_docextract.core.errors import ConfigError
from source_docextract.core.redaction import sanitize
from unit_tests.support.registry_files import ROWS, read_rows, to_csv
from unit_tests.support.sftp_server import PASSWORD, USER, SftpServer, serve_sftp

USER_KEYS = {name: asyncssh.generate_private_key(name) for name in ("ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa")}
PASSPHRASE = "a p4ssphrase of acme"


@pytest.fixture(scope="module")
def sftp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SftpServer]:
    host_keys = tuple(asyncssh.generate_private_key(name) for name in ("ssh-ed25519", "ssh-rsa"))
    server = SftpServer(tmp_path_factory.mktemp("sftp"), host_keys, user_keys=tuple(USER_KEYS.values()))
    (server.folder / "lists").mkdir()
    (server.folder / "lists" / "batches of Zoë.csv").write_text("\ufeff" + to_csv(ROWS), encoding="utf-8")
    with serve_sftp(server):
        yield server


@pytest.fixture(autouse=True)
def without_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)


def password_credentials(server: SftpServer, **changes: str) -> dict[str, str]:
    credentials = {"type": "sftp_password", "username": USER, "password": PASSWORD, "host_key": server.host_key()}
    return {**credentials, **changes}


def key_credentials(server: SftpServer, private_key: str, **changes: str) -> dict[str, str]:
    credentials = {"type": "sftp_key", "username": USER, "private_key": private_key, "host_key": server.host_key()}
    return {**credentials, **changes}


def get_failure(url: str, credentials: Any) -> str:
    with pytest.raises(ConfigError) as exc_info:
        read_rows(url, credentials)
    return str(exc_info.value)


def file_url(server: SftpServer) -> str:
    return f"{server.url}/lists/batches%20of%20Zoë.csv"


@pytest.mark.parametrize("index", [0, 1])
def test_password_opens_registry_of_known_host(sftp: SftpServer, index: int) -> None:
    credentials = password_credentials(sftp, host_key=sftp.host_key(index))

    assert len(read_rows(file_url(sftp), credentials).get_batches("atlas")) == 1


@pytest.mark.parametrize("key_type", USER_KEYS)
@pytest.mark.parametrize("file_format", ["openssh", "pkcs8-pem", "pkcs1-pem"])
def test_private_key_of_each_type_and_format_opens_registry(sftp: SftpServer, key_type: str, file_format: str) -> None:
    if (key_type, file_format) == ("ssh-ed25519", "pkcs1-pem"):
        file_format = "openssh"  # there is no older format for this type
    text = USER_KEYS[key_type].export_private_key(file_format).decode()

    assert len(read_rows(file_url(sftp), key_credentials(sftp, text)).get_batches("atlas")) == 1


@pytest.mark.parametrize("line_break", [" ", "\\n", "\r\n"])
def test_private_key_with_damaged_line_breaks_opens_registry(sftp: SftpServer, line_break: str) -> None:
    text = USER_KEYS["ssh-ed25519"].export_private_key("openssh").decode().replace("\n", line_break)

    assert len(read_rows(file_url(sftp), key_credentials(sftp, text)).get_batches("atlas")) == 1


@pytest.mark.parametrize("file_format", ["openssh", "pkcs8-pem", "pkcs1-pem"])
def test_private_key_with_passphrase_opens_registry(sftp: SftpServer, file_format: str) -> None:
    text = USER_KEYS["ssh-rsa"].export_private_key(file_format, passphrase=PASSPHRASE, rounds=1).decode()
    credentials = key_credentials(sftp, text)

    assert len(read_rows(file_url(sftp), {**credentials, "passphrase": PASSPHRASE}).get_batches("atlas")) == 1
    assert "its private key has a passphrase. Set batch_registry.credentials.passphrase." in get_failure(
        file_url(sftp), credentials
    )
    assert "cannot be read. Check batch_registry.credentials.private_key and passphrase." in get_failure(
        file_url(sftp), {**credentials, "passphrase": "wr0ng-w0rds-0123"}
    )


def test_wrong_password_is_an_error_naming_settings(sftp: SftpServer) -> None:
    error = get_failure(file_url(sftp), password_credentials(sftp, password="another-0123"))

    assert error.endswith(
        "batches%20of%20Zoë.csv is on a server that rejects the credentials. "
        "Check batch_registry.credentials.username and password."
    )


def test_unknown_private_key_is_an_error_naming_settings(sftp: SftpServer) -> None:
    stranger = asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()

    error = get_failure(file_url(sftp), key_credentials(sftp, stranger))

    assert error.endswith(
        "is on a server that rejects the credentials. Check batch_registry.credentials.username and private_key, "
        "and that the server knows the public key."
    )


@pytest.mark.parametrize("key_type", ["ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256"])
def test_other_host_key_is_an_error_and_no_login_is_tried(sftp: SftpServer, key_type: str) -> None:
    other_key = asyncssh.generate_private_key(key_type).export_public_key().decode()
    sftp.attempts.clear()

    error = get_failure(file_url(sftp), password_credentials(sftp, host_key=other_key))

    assert error.endswith(
        "is on a server that shows another host key. Nothing was sent to it. Ask its administrator for the host key, "
        "and correct batch_registry.credentials.host_key."
    )
    assert sftp.attempts == []


@pytest.mark.parametrize("credentials", [None, {"type": "machine"}])
def test_host_unknown_to_machine_is_an_error_and_no_login_is_tried(sftp: SftpServer, credentials: Any) -> None:
    sftp.attempts.clear()

    error = get_failure(file_url(sftp).replace("://", f"://{USER}:passw0rd-0123@"), credentials)

    assert error.endswith(
        "is on a server whose host key the machine does not know. Nothing was sent to it. Add the key to known_hosts, "
        "or set batch_registry.credentials with its host_key."
    )
    assert sftp.attempts == []


class TestMachine:
    @pytest.fixture(autouse=True)
    def known_hosts(self, sftp: SftpServer, isolated_machine: None, monkeypatch: pytest.MonkeyPatch) -> Path:
        folder = Path(os.environ["HOME"]) / ".ssh"
        folder.mkdir()
        (folder / "known_hosts").write_text(f"[127.0.0.1]:{sftp.port} {sftp.host_key()}\n")
        return folder

    def test_key_of_machine_opens_registry(self, sftp: SftpServer, known_hosts: Path) -> None:
        (known_hosts / "id_ed25519").write_bytes(USER_KEYS["ssh-ed25519"].export_private_key())

        url = file_url(sftp).replace("://", f"://{USER}@")
        assert len(read_rows(url).get_batches("atlas")) == 1

    def test_password_of_url_opens_registry(self, sftp: SftpServer) -> None:
        url = file_url(sftp).replace("://", f"://{USER}:p%C3%A4ssw0rd-of-sftp@")

        assert len(read_rows(url).get_batches("atlas")) == 1

    def test_machine_without_key_is_an_error_naming_setting(self, sftp: SftpServer) -> None:
        error = get_failure(file_url(sftp).replace("://", f"://{USER}@"), None)

        assert "Set batch_registry.credentials to sftp_password or sftp_key." in error or "cannot be read (" in error

    def test_keys_of_machine_are_not_offered_beside_credentials(self, sftp: SftpServer, known_hosts: Path) -> None:
        (known_hosts / "id_ed25519").write_bytes(USER_KEYS["ssh-ed25519"].export_private_key())
        sftp.attempts.clear()

        get_failure(file_url(sftp), password_credentials(sftp, password="another-0123"))

        assert set(sftp.attempts) == {"password"}


def test_missing_file_is_an_error_naming_url(sftp: SftpServer) -> None:
    error = get_failure(f"{sftp.url}/lists/gone.csv", password_credentials(sftp))

    assert error == (
        f"The batch registry {sftp.url}/lists/gone.csv does not exist (FileNotFoundError). "
        "The credentials are accepted; check batch_registry.url."
    )


def test_server_that_never_responds_is_an_error(monkeypatch: pytest.MonkeyPatch, sftp: SftpServer) -> None:
    monkeypatch.setattr("source_docextract.registry.sftp.TIMEOUT", (0.3, 0.3))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"sftp://127.0.0.1:{silent.getsockname()[1]}/batches.csv"

        assert "cannot be read (" in get_failure(url, password_credentials(sftp))


def test_connection_is_closed_after_reading(sftp: SftpServer) -> None:
    threads = set(threading.enumerate())

    read_rows(file_url(sftp), password_credentials(sftp))

    for thread in set(threading.enumerate()) - threads:
        thread.join(30)
        assert not thread.is_alive()


def test_secrets_of_failure_are_registered(sftp: SftpServer) -> None:
    text = asyncssh.generate_private_key("ssh-rsa").export_private_key("openssh").decode()

    get_failure(file_url(sftp), password_credentials(sftp, password="another-s3cret-0123"))
    get_failure(file_url(sftp), key_credentials(sftp, text))

    assert "s3cret-0123" not in sanitize("the password another-s3cret-0123")
    for line in text.splitlines()[1:-1]:
        assert line[:16] not in sanitize(f"the line {line} of a key")


def test_credentials_with_password_in_url_are_refused(sftp: SftpServer) -> None:
    url = file_url(sftp).replace("://", f"://{USER}:passw0rd-0123@")

    assert "has credentials in batch_registry.url as well. Remove them there." in get_failure(
        url, password_credentials(sftp)
    )
