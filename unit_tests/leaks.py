"""Listens to all that the connector says while a test runs, and finds the secrets in it.

All means: log records at DEBUG with their tracebacks, the messages that `spec`, `check`, `discover` and `read` give
out, the errors that they and single requests end with, as Python would print them, and what processes of the connector
write. What is secret is learned from what the connector is given: keys and tokens; and anything that looks like a
signed link, which only the data of a record may hold.
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
from source_docextract.errors import ConnectorError
from source_docextract.http import Client
from source_docextract.messages import Lines
from source_docextract.plain import PlainLog

_VALUE = r"(?:=|%3d)[^\s*\"'\\]"
LOOKS = {sign: re.compile(rf"(?i){sign}{_VALUE}") for sign in ("signature", "sig", "credential", "security-token")}
LOOKS["://"] = re.compile(r"://[^/\s\"'\\]*:[^/\s\"'\\]*@")
LOOKS["eyj"] = re.compile(r"\beyJ(?:hbGci|0eXAi|raWQi)[\w-]{8,}")  # any "eyJ" would be found in the marks of a state
"""What a signed link, an address with a password and a token look like, by what each must have in small letters."""

MADE_UP = ("s1gned", "passw0rd", "s3cr3t", "a-wrong-")
"""Words that stand for secrets in these tests."""

_TOO_SHORT = 8  # to be told from other words
_SECRET_SETTINGS = ("api_key", "client_id", "client_secret")


def leaks(text: str, secrets: Iterable[str]) -> list[str]:
    """What in a text must not be there; links and made-up secrets included."""
    small = text.lower()
    found = [match[0] for sign, look in LOOKS.items() if sign in small for match in look.finditer(text)]
    return [*found, *(word for word in MADE_UP if word in text), *told(text, secrets)]


def told(text: str, secrets: Iterable[str]) -> list[str]:
    """The secrets that a text holds in one form or another."""
    small = text.lower()
    # A copy: a worker may learn of a token meanwhile.
    return [secret for secret in tuple(secrets) if any(form in small for form in _forms(secret))]


@cache
def _forms(secret: str) -> set[str]:
    forms = {secret, quote(secret, safe=""), json.dumps(secret)[1:-1], secret.replace("/", r"\/")}
    for shift in range(3):
        coded = b64encode(b"x" * shift + secret.encode()).decode().rstrip("=")
        forms.add(coded[(0, 2, 3)[shift] : -1])
    return {form.lower() for form in forms}


class Ears:
    """What was heard in one test."""

    def __init__(self) -> None:
        self.secrets: set[str] = set()
        self.leaks: list[str] = []
        self.characters = 0
        self.thrown_away: list[IO[bytes]] = []
        """What processes wrote that no test looks at."""
        self.data: set[Type] = set()
        """Messages that are not heard, where a provider sends secrets as data."""
        self._errors: set[str] = set()
        self._heard: set[int] = set()

    def learn(self, *values: str) -> None:
        secrets = {value.removeprefix("Bearer ") for value in values}
        self.secrets |= {secret for secret in secrets if len(secret) >= _TOO_SHORT}

    def hear(self, where: str, text: str) -> None:
        self.characters += len(text)
        if hash(text) in self._heard:
            return
        self._heard.add(hash(text))
        self.leaks.extend(f"{where}: {leak!r} in {text[:500]!r}" for leak in leaks(text, self.secrets))

    def hear_message(self, message: AirbyteMessage) -> None:
        if message.type in self.data:
            return
        if isinstance(message, Lines):
            self.hear_output(message.text.decode())
            return
        if message.type is Type.RECORD:
            self.hear_line(orjson.dumps(message.record.data).decode(), is_record=True)
        else:
            self.hear_line(orjson.dumps(AirbyteMessageSerializer.dump(message)).decode(), is_record=False)

    def hear_line(self, text: str, *, is_record: bool) -> None:
        """A record may hold links, and nothing else that opens something."""
        if not is_record:
            self.hear("message", text)
            return
        self.characters += len(text)
        self.leaks.extend(f"record: {secret!r} in {text[:500]!r}" for secret in told(text, self.secrets))

    def hear_output(self, text: str) -> None:
        for line in text.splitlines():
            self.hear_line(line, is_record=line.startswith('{"type":"RECORD"'))

    def hear_error(self, error: BaseException) -> None:
        if repr(error) not in self._errors:
            self._errors.add(repr(error))
            printed = traceback.TracebackException.from_exception(error)
            self.hear("error", f"{_printed(printed)}\n{error!r}")


def _printed(error: traceback.TracebackException) -> str:
    """As Python prints it, but for the lines of the tests, which may be about a secret."""
    error.stack = traceback.StackSummary.from_list([one for one in error.stack if "_tests" not in one.filename])
    for other in (error.__cause__, error.__context__):
        if other:
            _printed(other)
    return "".join(error.format())


class _Handler(logging.Handler):
    def __init__(self, ears: Ears) -> None:
        super().__init__(logging.DEBUG)
        self.ears = ears

    def emit(self, record: logging.LogRecord) -> None:
        """Of others only warnings are printed, and as the command line prints them."""
        if not record.name.startswith("airbyte"):
            record = copy(record)
            PlainLog().filter(record)
        self.ears.hear(f"log of {record.name}", self.format(record))


@pytest.fixture(autouse=True)
def no_leaks(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ears]:
    """Fails the test in which the connector told a secret."""
    ears = Ears()
    handler, logger, root = _Handler(ears), logging.getLogger("airbyte"), logging.getLogger()
    level = logger.level
    logger.setLevel(logging.DEBUG)
    for printing in root.handlers:
        if isinstance(printing.formatter, AirbyteLogFormatter):
            printing.setLevel(logging.INFO)  # what is heard here need not be printed as well
    root.addHandler(handler)
    _listen_to_the_source(ears, monkeypatch)
    _listen_to_clients(ears, monkeypatch)
    _listen_to_processes(ears, monkeypatch)
    try:
        yield ears
    finally:
        root.removeHandler(handler)
        logger.setLevel(level)
        for output in ears.thrown_away:
            output.seek(0)
            ears.hear_output(output.read().decode())
            output.close()
    assert not ears.leaks, "\n".join(ears.leaks[:5])


def _listen_to_the_source(ears: Ears, monkeypatch: pytest.MonkeyPatch) -> None:
    def hearing(verb: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(verb)
        def wrapped(*args: Any, **options: Any) -> Any:
            try:
                answer = verb(*args, **options)
            except BaseException as error:
                ears.hear_error(error)
                raise
            ears.hear("answer", repr(answer))
            return answer

        return wrapped

    def read(*args: Any, **options: Any) -> Iterator[AirbyteMessage]:
        messages = reading(*args, **options)
        try:
            for message in messages:
                ears.hear_message(message)
                yield message
        except BaseException as error:
            ears.hear_error(error)
            raise
        finally:
            messages.close()

    reading: Any = SourceDocextract.read
    monkeypatch.setattr(SourceDocextract, "read", read)
    for name in ("spec", "check", "discover"):
        monkeypatch.setattr(SourceDocextract, name, hearing(getattr(SourceDocextract, name)))


def _listen_to_clients(ears: Ears, monkeypatch: pytest.MonkeyPatch) -> None:
    """Learns the keys and tokens in use, and hears every error that is made."""
    make, log_in, make_error = Client.__init__, Client._log_in, ConnectorError.__init__

    def made(self: Client, *args: Any, **options: Any) -> None:
        login = options.get("login")
        ears.learn(*(options.get("headers") or {}).values(), *(login.request.headers.values() if login else ()))
        make(self, *args, **options)

    async def logged_in(self: Client, *args: Any) -> tuple[str, float]:
        token, lifetime = await log_in(self, *args)
        ears.learn(token)
        return token, lifetime

    def made_error(self: ConnectorError, *args: Any, **options: Any) -> None:
        make_error(self, *args, **options)
        ears.hear("error", str(self))

    async def send(*args: Any) -> Any:
        try:
            return await sending(*args)
        except BaseException as error:
            ears.hear_error(error)
            raise

    sending = Client._with_retries
    monkeypatch.setattr(Client, "__init__", made)
    monkeypatch.setattr(Client, "_log_in", logged_in)
    monkeypatch.setattr(Client, "_with_retries", send)
    monkeypatch.setattr(ConnectorError, "__init__", made_error)


def _listen_to_processes(ears: Ears, monkeypatch: pytest.MonkeyPatch) -> None:
    class Heard(subprocess.Popen[Any]):
        """One whose output is heard as well, also where the test throws it away."""

        def __init__(self, args: Any, *more: Any, **options: Any) -> None:
            if is_ours(args):
                ears.learn(*_secrets_of(args))
                for name in ("stdout", "stderr"):
                    if options.get(name) == subprocess.DEVNULL:
                        options[name] = tempfile.TemporaryFile()  # noqa: SIM115 (closed when the test ends)
                        ears.thrown_away.append(options[name])
            super().__init__(args, *more, **options)
            if is_ours(args):
                self.stdout, self.stderr = (_Tee.on(pipe, ears) for pipe in (self.stdout, self.stderr))

        def communicate(self, *args: Any, **options: Any) -> Any:
            output = super().communicate(*args, **options)
            if is_ours(self.args):
                for one in output:
                    ears.hear_output(one.decode() if isinstance(one, bytes) else one or "")
            return output

    monkeypatch.setattr(subprocess, "Popen", Heard)


class _Tee:
    """A pipe whose lines are heard as they are read."""

    def __init__(self, pipe: Any, ears: Ears) -> None:
        self._pipe, self._ears = pipe, ears

    @classmethod
    def on(cls, pipe: Any, ears: Ears) -> Any:
        return cls(pipe, ears) if pipe else pipe

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pipe, name)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.readline, type(self._pipe.readline(0))())

    def readline(self, *size: int) -> Any:
        return self._heard(self._pipe.readline(*size))

    def read(self, *size: int) -> Any:
        return self._heard(self._pipe.read(*size))

    def _heard(self, output: Any) -> Any:
        self._ears.hear_output(output.decode() if isinstance(output, bytes) else output)
        return output


def is_ours(args: Any) -> bool:
    return isinstance(args, list) and any(
        Path(str(one)).name in {"source-docextract", "source_docextract", "killed.py"} for one in args
    )


def _secrets_of(args: list[str]) -> Iterator[str]:
    """Those in the settings that a process is started with."""
    named = " ".join(map(str, args)).replace("=", " ").split()
    for name in (one for one in named if one.endswith("config") or one.endswith("config.json")):
        if Path(name).is_file():
            settings = json.loads(Path(name).read_text())
            for section in settings.values():
                if isinstance(section, dict):
                    yield from (str(section[key]) for key in _SECRET_SETTINGS if key in section)
