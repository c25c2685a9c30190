"""A scanner that finds secrets in all output of the connector while a test runs.

It scans log records at DEBUG with their tracebacks, the messages of `spec`, `check`, `discover` and `read`, the errors
of these and of single requests as Python prints them, and the output of the connector's processes.

Secrets are the keys and tokens that the connector is given, and anything that looks like a signed URL. Only the data of
a record may hold signed URLs.
"""

from __future__ import annotations

import json
import logging
import re
import subprocess
import tempfile
import traceback
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from copy import copy
from functools import cache, wraps
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import orjson
import pytest
from airbyte_cdk.logger import AirbyteLogFormatter
from airbyte_cdk.models import AirbyteMessage, AirbyteMessageSerializer, Type

from source_docextract import SourceDocextract
from source_docextract.core.errors import ConnectorError
from source_docextract.core.redaction import SanitizingFilter
from source_docextract.http.client import Client
from source_docextract.sync.messages import RecordLines
from unit_tests.support import connector_process

_VALUE_PATTERN = r"(?:=|%3d)[^\s*\"'\\]"
SECRET_PATTERNS = {
    marker: re.compile(rf"(?i){marker}{_VALUE_PATTERN}")
    for marker in ("signature", "sig", "credential", "security-token")
}
SECRET_PATTERNS["://"] = re.compile(r"://[^/\s\"'\\]*:[^/\s\"'\\]*@")
# A token is matched by the start of a JWT's header, since a bare "eyJ" may occur in the row hashes of a state.
SECRET_PATTERNS["eyj"] = re.compile(r"\beyJ(?:hbGci|0eXAi|raWQi)[\w-]{8,}")
"""The patterns of signed URLs, URLs with a password and tokens, by a lower-case text that each match contains."""

FAKE_SECRETS = ("s1gned", "passw0rd", "s3cr3t", "a-wrong-")
"""Parts of the fake secrets in the tests."""

_MIN_SECRET_LENGTH = 8  # shorter ones occur in other words
_SECRET_SETTINGS = ("api_key", "client_id", "client_secret")


def find_leaks(text: str, secrets: Iterable[str]) -> list[str]:
    """Return the secrets in a text, including signed URLs and fake secrets."""
    lowered = text.lower()
    matches = [
        match[0] for marker, pattern in SECRET_PATTERNS.items() if marker in lowered for match in pattern.finditer(text)
    ]
    return [*matches, *(word for word in FAKE_SECRETS if word in text), *find_secrets(text, secrets)]


def find_secrets(text: str, secrets: Iterable[str]) -> list[str]:
    """Return those of the given secrets that a text holds, in any of their encodings."""
    lowered = text.lower()
    # A copy: the client's thread may add a token meanwhile.
    return [secret for secret in tuple(secrets) if any(form in lowered for form in _encoded_forms(secret))]


@cache
def _encoded_forms(secret: str) -> set[str]:
    forms = {secret, quote(secret, safe=""), json.dumps(secret)[1:-1], secret.replace("/", r"\/")}
    for shift in range(3):
        encoded = b64encode(b"x" * shift + secret.encode()).decode().rstrip("=")
        forms.add(encoded[(0, 2, 3)[shift] : -1])
    return {form.lower() for form in forms}


class SecretScanner:
    """The secrets known in one test, and the leaks that were found.

    Attributes:
        secrets: the keys and tokens in use.
        leaks: a description of each leak.
        scanned_characters: how much text was scanned.
    """

    def __init__(self) -> None:
        self.secrets: set[str] = set()
        self.leaks: list[str] = []
        self.scanned_characters = 0
        self.discarded_outputs: list[IO[bytes]] = []
        """Files with the output of processes that a test discards; they are scanned at its end."""
        self.unscanned_types: set[Type] = set()
        """Types of messages that are not scanned, for tests in which a provider sends secrets as data."""
        self._scanned_errors: set[str] = set()
        self._scanned_hashes: set[int] = set()

    def add_secrets(self, *values: str) -> None:
        """Add keys and tokens to look for."""
        secrets = {value.removeprefix("Bearer ") for value in values}
        self.secrets |= {secret for secret in secrets if len(secret) >= _MIN_SECRET_LENGTH}

    def scan(self, source: str, text: str) -> None:
        """Look for secrets in a text; `source` names its origin in a leak's description."""
        self.scanned_characters += len(text)
        if hash(text) in self._scanned_hashes:
            return
        self._scanned_hashes.add(hash(text))
        self.leaks.extend(f"{source}: {leak!r} in {text[:500]!r}" for leak in find_leaks(text, self.secrets))

    def scan_message(self, message: AirbyteMessage) -> None:
        """Look for secrets in a message."""
        if message.type in self.unscanned_types:
            return
        if isinstance(message, RecordLines):
            self.scan_output(message.payload.decode())
            return
        if message.type is Type.RECORD:
            assert message.record
            self.scan_line(orjson.dumps(message.record.data).decode(), is_record=True)
        else:
            self.scan_line(orjson.dumps(AirbyteMessageSerializer.dump(message)).decode(), is_record=False)

    def scan_line(self, text: str, *, is_record: bool) -> None:
        """Look for secrets in a line.

        A record may hold signed URLs, but no keys and tokens.
        """
        if not is_record:
            self.scan("message", text)
            return
        self.scanned_characters += len(text)
        self.leaks.extend(f"record: {secret!r} in {text[:500]!r}" for secret in find_secrets(text, self.secrets))

    def scan_output(self, text: str) -> None:
        """Look for secrets in the output of a process."""
        for line in text.splitlines():
            self.scan_line(line, is_record=line.startswith('{"type":"RECORD"'))

    def scan_error(self, error: BaseException) -> None:
        """Look for secrets in an error and its traceback."""
        if repr(error) not in self._scanned_errors:
            self._scanned_errors.add(repr(error))
            traceback_exception = traceback.TracebackException.from_exception(error)
            self.scan("error", f"{_format_exception(traceback_exception)}\n{error!r}")


def _format_exception(error: traceback.TracebackException) -> str:
    """Format an error as Python prints it, without the lines of the tests.

    These may hold secrets.
    """
    error.stack = traceback.StackSummary.from_list([frame for frame in error.stack if "_tests" not in frame.filename])
    for linked_error in (error.__cause__, error.__context__):
        if linked_error:
            _format_exception(linked_error)
    return "".join(error.format())


class _ScanningHandler(logging.Handler):
    def __init__(self, scanner: SecretScanner) -> None:
        super().__init__(logging.DEBUG)
        self.scanner = scanner

    def emit(self, record: logging.LogRecord) -> None:
        """Scan a record; those of other loggers pass the filter of the command line first."""
        if not record.name.startswith("airbyte"):
            record = copy(record)
            SanitizingFilter().filter(record)
        self.scanner.scan(f"log of {record.name}", self.format(record))


@pytest.fixture(autouse=True)
def leak_scanner(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[SecretScanner]:
    """Fail a test in which the connector outputs a secret."""
    monkeypatch.setattr(connector_process, "starts_anew", request.node.get_closest_marker("long") is not None)
    scanner = SecretScanner()
    handler, logger, root = _ScanningHandler(scanner), logging.getLogger("airbyte"), logging.getLogger()
    level = logger.level
    logger.setLevel(logging.DEBUG)
    for root_handler in root.handlers:
        if isinstance(root_handler.formatter, AirbyteLogFormatter):
            root_handler.setLevel(logging.INFO)  # scanned here, so DEBUG records need not be printed too
    root.addHandler(handler)
    _scan_source(scanner, monkeypatch)
    _scan_clients(scanner, monkeypatch)
    _scan_processes(scanner, monkeypatch)
    try:
        yield scanner
    finally:
        root.removeHandler(handler)
        logger.setLevel(level)
        for output in scanner.discarded_outputs:
            output.seek(0)
            scanner.scan_output(output.read().decode())
            output.close()
    assert not scanner.leaks, "\n".join(scanner.leaks[:5])


def _scan_source(scanner: SecretScanner, monkeypatch: pytest.MonkeyPatch) -> None:
    def scan_calls(verb: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(verb)
        def wrapped(*args: Any, **options: Any) -> Any:
            try:
                result = verb(*args, **options)
            except BaseException as error:
                scanner.scan_error(error)
                raise
            scanner.scan("answer", repr(result))
            return result

        return wrapped

    def read(*args: Any, **options: Any) -> Iterator[AirbyteMessage]:
        messages = original_read(*args, **options)
        try:
            for message in messages:
                scanner.scan_message(message)
                yield message
        except BaseException as error:
            scanner.scan_error(error)
            raise
        finally:
            messages.close()

    original_read: Any = SourceDocextract.read
    monkeypatch.setattr(SourceDocextract, "read", read)
    for name in ("spec", "check", "discover"):
        monkeypatch.setattr(SourceDocextract, name, scan_calls(getattr(SourceDocextract, name)))


def _scan_clients(scanner: SecretScanner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Collect the keys and tokens in use, and scan every error that is created."""
    original_init, original_log_in, original_error_init = Client.__init__, Client._log_in, ConnectorError.__init__

    def scanned_init(self: Client, *args: Any, **options: Any) -> None:
        login = options.get("login")
        scanner.add_secrets(
            *(options.get("headers") or {}).values(), *(login.request.headers.values() if login else ())
        )
        original_init(self, *args, **options)

    async def scanned_log_in(self: Client, *args: Any) -> tuple[str, float]:
        token, lifetime = await original_log_in(self, *args)
        scanner.add_secrets(token)
        return token, lifetime

    def scanned_error_init(self: ConnectorError, *args: Any, **options: Any) -> None:
        original_error_init(self, *args, **options)
        scanner.scan("error", str(self))

    async def scanned_send(*args: Any) -> Any:
        try:
            return await original_send(*args)
        except BaseException as error:
            scanner.scan_error(error)
            raise

    original_send = Client._send_with_retries
    monkeypatch.setattr(Client, "__init__", scanned_init)
    monkeypatch.setattr(Client, "_log_in", scanned_log_in)
    monkeypatch.setattr(Client, "_send_with_retries", scanned_send)
    monkeypatch.setattr(ConnectorError, "__init__", scanned_error_init)


def _scan_processes(scanner: SecretScanner, monkeypatch: pytest.MonkeyPatch) -> None:
    class ScannedProcess(subprocess.Popen[Any]):
        """A process whose output is scanned, also if the test discards it."""

        def __init__(self, args: Any, *positional: Any, **options: Any) -> None:
            if is_connector_process(args):
                scanner.add_secrets(*_read_config_secrets(args))
                for name in ("stdout", "stderr"):
                    if options.get(name) == subprocess.DEVNULL:
                        options[name] = tempfile.TemporaryFile()  # noqa: SIM115 (closed when the test ends)
                        scanner.discarded_outputs.append(options[name])
            super().__init__(args, *positional, **options)
            if is_connector_process(args):
                self.stdout, self.stderr = (_Tee.wrap(pipe, scanner) for pipe in (self.stdout, self.stderr))

        def communicate(self, *args: Any, **options: Any) -> Any:
            output = super().communicate(*args, **options)
            if is_connector_process(self.args):
                for stream_output in output:
                    scanner.scan_output(
                        stream_output.decode() if isinstance(stream_output, bytes) else stream_output or ""
                    )
            return output

    class ScannedForkedProcess(connector_process.ForkedProcess):
        """A forked process whose output is scanned."""

        def __init__(self, args: list[str], *positional: Any) -> None:
            scanner.add_secrets(*_read_config_secrets(args))
            super().__init__(args, *positional)
            self.stdout = _Tee.wrap(self.stdout, scanner)

    monkeypatch.setattr(subprocess, "Popen", ScannedProcess)
    monkeypatch.setattr(connector_process, "ForkedProcess", ScannedForkedProcess)


class _Tee:
    """A pipe whose lines are scanned as they are read."""

    def __init__(self, pipe: Any, scanner: SecretScanner) -> None:
        self._pipe, self._scanner = pipe, scanner

    @classmethod
    def wrap(cls, pipe: Any, scanner: SecretScanner) -> Any:
        return cls(pipe, scanner) if pipe else pipe

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pipe, name)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.readline, type(self._pipe.readline(0))())

    def readline(self, *size: int) -> Any:
        return self._scan_output(self._pipe.readline(*size))

    def read(self, *size: int) -> Any:
        return self._scan_output(self._pipe.read(*size))

    def _scan_output(self, output: Any) -> Any:
        self._scanner.scan_output(output.decode() if isinstance(output, bytes) else output)
        return output


def is_connector_process(args: Any) -> bool:
    """Return whether a command line starts the connector."""
    return isinstance(args, list) and any(
        Path(str(argument)).name in {"source-docextract", "source_docextract", "subprocess_entry.py"}
        for argument in args
    )


def _read_config_secrets(args: list[str]) -> Iterator[str]:
    """Return the secrets in the settings that a process is started with."""
    arguments = " ".join(map(str, args)).replace("=", " ").split()
    for path in (argument for argument in arguments if argument.endswith("config") or argument.endswith("config.json")):
        if Path(path).is_file():
            settings = json.loads(Path(path).read_text())
            for section in settings.values():
                if isinstance(section, dict):
                    yield from (str(section[key]) for key in _SECRET_SETTINGS if key in section)
