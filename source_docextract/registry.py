"""Batches named in a file that the user keeps anyway: CSV or JSON Lines, from https, s3, gs or a local path.

Columns `provider`, `template_id`, `batch_id`, and optional `created_at`, `expected_files`; others are passed over. No
error repeats what the file holds: whoever may set its address is not thereby allowed to read any file. Nor is whoever
keeps it: it may not lead on to addresses inside a network, and it has an end.

A storage that falls silent ends the sync instead of holding it. It is given the seconds that a provider is given; s3 is
asked twice, and gs again while those seconds last. (What s3 breaks off in the middle, smart-open resumes, five times.)
One that sends a byte now and then is never silent, so there is a time for all of it as well. That nobody can keep who
reads by himself: the libraries wait for whole buffers. So a thread reads, and the one that syncs waits for it.
smart-open is imported where there is a registry: with it come the clients of all storages that are installed, 16 MB.
"""

from __future__ import annotations

import csv
import ipaddress
import json
import re
import socket
from base64 import b64encode
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from importlib import import_module
from itertools import chain
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import IO, Any
from urllib.parse import unquote, urljoin, urlsplit

import requests
from pydantic import TypeAdapter

from .answers import TIMEOUT, refused_by_proxy
from .config import BasicCredentials, Credentials, HeaderCredentials, MachineCredentials, S3Credentials
from .errors import ConfigError
from .model import BatchRef, utc
from .plain import hide, without_password
from .wire import proxy_setting

NEEDS_TEMPLATE = {
    "extracta": True,
    "extracta_classification": True,
    "docmap": False,
    "sensible": False,
    "atlas": False,
}
"""The values of `provider`, and whether batches stand below templates there."""

_COLUMNS = ("provider", "template_id", "batch_id", "created_at", "expected_files")
_LONGEST_LINE, _MOST_LINES, _LARGEST = 10_000, 500_000, 100_000_000  # characters, lines, characters
_LONGEST_READING = 300.0
"""Seconds for the whole registry: 100 MB over a line of 3 Mbit/s."""

_WHOLE = frozenset({200, 203})
"""Statuses with which a web server sends a whole file. With 204, say, it sends none, and that names no batches."""

_TOLD = 5  # bad rows named in the error; the rest is counted


@dataclass(frozen=True, slots=True)
class Registry:
    """What a registry names.

    Attributes:
        batches: by product.
        passed_over: rows of providers that are not set up, by provider.
    """

    batches: Mapping[str, tuple[BatchRef, ...]] = field(default_factory=dict)
    passed_over: Mapping[str, int] = field(default_factory=dict)

    def of(self, product: str) -> tuple[BatchRef, ...]:
        return self.batches.get(product, ())


def read_registry(url: str, products: Collection[str], credentials: Credentials | None = None) -> Registry:
    """Reads the whole registry.

    Args:
        products: those that are set up; rows of others are only counted.
        credentials: what opens it; by default what the machine has.

    Raises:
        ConfigError: where it cannot be opened, or a row cannot be read (it names the lines).
    """
    has_credentials = not isinstance(credentials, MachineCredentials | None)
    hide(_password(url), unquote(_password(url)))
    where = f"The batch registry {_shown(url)}"
    ended, refusal = Event(), None
    try:
        if has_credentials and _password(url):
            raise ConfigError(f"{where} has credentials in batch_registry.url as well; remove them there.")
        return _in_time(lambda: _read(url, products, where, credentials, ended))
    except ConfigError:
        raise
    except Empty:
        trouble = f"took more than {_LONGEST_READING:.0f} s to read. Check batch_registry.url, or keep it nearer."
    except _NoFileError as error:
        trouble = f"is no file, but an answer with the status {error.status}. Check batch_registry.url."
    except _Elsewhere:
        words = "leads to an address inside a network, or to an unencrypted one; if that is meant, name it itself in"
        trouble = f"{words} batch_registry.url."
    except ImportError:
        trouble = f"needs more to be installed: pip install 'source-docextract[{urlsplit(url).scheme}]'."
    except UnicodeDecodeError:
        trouble = "is not text in UTF-8; unpack it, if it is compressed."
    except Exception as error:  # each kind of storage has errors of its own, and all mean the same here
        kind = type(error.__cause__ or error).__name__  # smart-open makes an OSError of all that S3 says
        trouble = f"cannot be read ({kind}). Check batch_registry.url."
        if has_credentials:
            trouble = f"cannot be read ({kind}). Check batch_registry.url and batch_registry.credentials."
        if "Proxy" in kind:
            tunnel = re.search(r"Tunnel connection failed: ([0-9]{3})", str(error))
            refusal = refused_by_proxy(where, int(tunnel[1]) if tunnel else None, proxy_setting())
    finally:
        ended.set()
    # Not while another error is dealt with, which quotes the address.
    raise refusal or ConfigError(f"{where} {trouble}")


def _in_time(read: Callable[[], Registry]) -> Registry:
    """What is read, or raised, by a thread that nobody waits for any longer than that; else Empty."""
    outcomes: SimpleQueue[Registry | BaseException] = SimpleQueue()

    def run() -> None:
        try:
            outcomes.put(read())
        except BaseException as error:
            outcomes.put(error)

    Thread(target=run, name="registry", daemon=True).start()
    outcome = outcomes.get(timeout=_LONGEST_READING)
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


def _read(url: str, products: Collection[str], where: str, credentials: Credentials | None, ended: Event) -> Registry:
    if _is_odd(url):
        raise ConfigError(f"{where} is not a file.")
    params = _with_credentials(_limits(url), credentials)
    with import_module("smart_open").open(
        url, encoding="utf-8-sig", newline="", compression="disable", transport_params=params
    ) as lines:
        return _registry(_rows(_bounded(lines, where, ended), where), products, where)


def _is_odd(url: str) -> bool:
    """Whether it is something on this machine that is no file: a device, a pipe, a folder."""
    if urlsplit(url).scheme not in {"", "file"}:
        return False
    path = Path(import_module("smart_open.local_file").extract_local_path(url))
    return path.exists() and not path.is_file()


def _bounded(lines: IO[str], where: str, ended: Event) -> Iterator[str]:
    """The lines of something that may have no end, for as long as somebody waits for them."""
    size = 0
    for number in range(1, _MOST_LINES + 2):
        if ended.is_set():
            return
        line = lines.readline(_LONGEST_LINE + 1)
        size += len(line)
        if not line:
            return
        if len(line) > _LONGEST_LINE:
            raise ConfigError(f"{where} has a line {number} of more than {_LONGEST_LINE:,} characters.")
        if number > _MOST_LINES or size > _LARGEST:
            raise ConfigError(f"{where} has more than {_MOST_LINES:,} lines or {_LARGEST:,} characters; split it.")
        yield line


class _Elsewhere(Exception):
    """A web server points to where its user did not."""


class _NoFileError(Exception):
    """A web server answers with something that is no file."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class _Session(requests.Session):
    """Follows to the same server, and to public addresses by https. Takes nothing but whole files."""

    secret_header: str | None = None
    """Is sent to the server of the address alone, as requests does it with Authorization."""

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        response = super().send(request, **options)
        is_part = response.status_code == 206 and "Range" in request.headers  # what was broken off is resumed
        if response.ok and not response.is_redirect and response.status_code not in _WHOLE and not is_part:
            response.close()
            raise _NoFileError(response.status_code)
        return response

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        super().rebuild_auth(prepared_request, response)  # type: ignore[no-untyped-call]
        here, there = response.request.url or "", prepared_request.url or ""
        is_elsewhere = self.should_strip_auth(here, there)  # type: ignore[no-untyped-call]
        if self.secret_header and is_elsewhere:
            prepared_request.headers.pop(self.secret_header, None)

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        target = super().get_redirect_target(resp)
        if target:
            here, there = urlsplit(resp.url), urlsplit(urljoin(resp.url, target))
            is_same = (here.scheme, here.hostname, here.port) == (there.scheme, there.hostname, there.port)
            if not is_same and not (there.scheme == "https" and _is_public(there.hostname or "")):
                raise _Elsewhere
            resp.raw.close()  # it may have no end, and would be read to it
            resp.raw = None
        return target


def _is_public(host: str) -> bool:
    """Whether all its addresses are; a name that nobody knows here is left to a proxy that may."""
    try:
        addresses = [ipaddress.ip_address(found[4][0]) for found in socket.getaddrinfo(host, None)]
    except (OSError, UnicodeError):
        return True
    return all((getattr(address, "ipv4_mapped", None) or address).is_global for address in addresses)


def _limits(url: str) -> dict[str, Any]:
    """What smart-open hands on to the client of a storage. The clients come with the extras, so they may be missing."""
    scheme = urlsplit(url).scheme
    if scheme in {"https", "http"}:
        session = _Session()
        session.trust_env = scheme == "https"  # what is not encrypted stays on this machine, whatever proxies there are
        return {"timeout": TIMEOUT, "session": session}
    if scheme == "s3":
        connect, silent = TIMEOUT
        retries = {"mode": "standard", "total_max_attempts": 2}
        config = import_module("botocore.config").Config(connect_timeout=connect, read_timeout=silent, retries=retries)
        return {"client_kwargs": {"S3.Client": {"config": config}}}
    if scheme == "gs":
        retry = import_module("google.cloud.storage.retry").DEFAULT_RETRY.with_timeout(TIMEOUT[1])
        asking = {"timeout": TIMEOUT, "retry": retry}
        return {"get_blob_kwargs": asking, "blob_open_kwargs": asking}
    return {}


def _with_credentials(params: dict[str, Any], credentials: Credentials | None) -> dict[str, Any]:
    """Return what smart-open hands on to the client of a storage, with the credentials of the settings."""
    if isinstance(credentials, S3Credentials):
        key, secret = credentials.access_key_id.get_secret_value(), credentials.secret_access_key.get_secret_value()
        token = credentials.session_token.get_secret_value() if credentials.session_token else None
        hide(key, secret, token or "")
        keys = {"aws_access_key_id": key, "aws_secret_access_key": secret, "aws_session_token": token}
        place = {"region_name": credentials.region, "endpoint_url": credentials.endpoint}
        client = {**params["client_kwargs"]["S3.Client"], **keys, **place}
        return {**params, "client_kwargs": {"S3.Client": client}}
    if isinstance(credentials, BasicCredentials):
        user, password = credentials.username.get_secret_value(), credentials.password.get_secret_value()
        hide(user, password, b64encode(f"{user}:{password}".encode()).decode())
        return {**params, "user": user.encode(), "password": password.encode()}
    if isinstance(credentials, HeaderCredentials):
        value = credentials.value.get_secret_value()
        hide(value, *value.split())
        params["session"].secret_header = credentials.name
        # smart-open's own header, which keeps the file from being compressed on its way, is replaced by these.
        return {**params, "headers": {"Accept-Encoding": "identity", credentials.name: value}}
    return params


def _shown(url: str) -> str:
    """An address as it may be told: without user, password and query."""
    parts = urlsplit(url)
    if parts.scheme in {"https", "http"}:
        parts = urlsplit(without_password(url))
        return f"{parts.scheme}://{parts.hostname}{parts.path}"
    if parts.scheme not in {"s3", "gs"}:
        return without_password(url)
    place = f"{parts.netloc}{parts.path}"
    before, _, after = place.partition("@")
    return f"{parts.scheme}://{after if ':' in before else place}"  # key:secret@bucket; a secret may hold slashes


def _password(url: str) -> str:
    """What stands between a user and the last @, whatever signs it holds; of s3 and gs before the first, as they do."""
    place = url.partition("//")[2] or url
    is_bucket = url.startswith(("s3:", "gs:"))
    user, _, password = (place.partition("@") if is_bucket else place.rpartition("@"))[0].partition(":")
    return "" if "/" in user else password


def _rows(lines: Iterable[str], where: str) -> Iterator[tuple[int, Any]]:
    """Line numbers and rows. JSON Lines begin with a brace; anything else is CSV with a line of names."""
    numbered = enumerate(lines, start=1)
    first = next(((number, line) for number, line in numbered if line.strip()), None)
    if first is None:
        raise ConfigError(f"{where} is empty. Check batch_registry.url; one that names no batches has a line of names.")
    if first[1].lstrip().startswith("{"):
        for number, line in chain([first], numbered):
            if line.strip():
                yield number, _json(line)
        return
    reader = csv.DictReader(line for _, line in chain([first], numbered))
    reader.fieldnames = [name.strip().lower() for name in reader.fieldnames or ()]
    if missing := [name for name in ("provider", "batch_id") if name not in reader.fieldnames]:
        raise ConfigError(f"{where} has no column {' and no column '.join(missing)}.")
    for row in reader:
        yield first[0] + reader.line_num - 1, row


def _json(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _registry(rows: Iterable[tuple[int, Any]], products: Collection[str], where: str) -> Registry:
    batches: defaultdict[str, list[BatchRef]] = defaultdict(list)
    passed_over: Counter[str] = Counter()
    bad: list[str] = []
    more = 0
    for number, row in rows:
        try:
            product, ref = _batch(row)
        except ValueError as reason:
            more += len(bad) == _TOLD
            bad.extend([f"line {number} {reason}"] if len(bad) < _TOLD else ())
            continue
        if product in products:
            batches[product].append(ref)
        else:
            passed_over[product] += 1
    if bad:
        rest = f", and {more} more lines" if more else ""
        raise ConfigError(f"{where} has rows that cannot be read: {'; '.join(bad)}{rest}.")
    return Registry({product: tuple(refs) for product, refs in batches.items()}, dict(passed_over))


def _batch(row: Any) -> tuple[str, BatchRef]:
    """One row.

    Raises:
        ValueError: what is wrong with it, to be read after "line 7".
    """
    if not isinstance(row, dict):
        raise ValueError("is not a JSON object")
    named = {str(name).strip().lower(): value for name, value in row.items()}
    cells = {name: _cell(name, named.get(name)) for name in _COLUMNS}
    product = cells["provider"].lower()
    if product not in NEEDS_TEMPLATE:
        raise ValueError(f"has no known provider (known are {', '.join(NEEDS_TEMPLATE)})")
    if not cells["batch_id"]:
        raise ValueError("has no batch_id")
    if NEEDS_TEMPLATE[product] and not cells["template_id"]:
        raise ValueError("has no template_id")
    created, expected = _created(cells["created_at"]), cells["expected_files"]
    if expected and not (expected.isascii() and expected.isdigit() and len(expected) < 10):
        raise ValueError("has an expected_files that is no whole number")
    return product, BatchRef(
        template_id=cells["template_id"] if NEEDS_TEMPLATE[product] else None,
        batch_id=cells["batch_id"],
        created_at=created,
        clock=created,
        named=True,
        expected_files=int(expected) if expected else None,
    )


_STAMP = re.compile(r"(\d{8})(?:T?(\d{6})(Z|[+-]\d\d:?\d\d)?)?", re.ASCII)
_NUMBER = re.compile(r"\d{9,13}(?:\.\d{1,9})?", re.ASCII)
_ISO = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:.+)?", re.ASCII)
_TIME = TypeAdapter(datetime)  # the same forms on each Python, other than `datetime.fromisoformat`
_SECONDS_UP_TO = 1e11  # the year 5138 in seconds, 1973 in milliseconds
_YEAR_1970, _YEAR_2000 = (datetime(year, 1, 1, tzinfo=timezone.utc) for year in (1970, 2000))


def _created(cell: str) -> datetime | None:
    """Return the time that a cell of `created_at` holds, UTC where it names no zone; None if the cell is empty.

    Eight and fourteen digits are a day and a stamp, as in Atlas's ids, and never a number: 20261128 seconds would be
    a day of 1970, the batch would count as settled long ago, and no correction of it would ever arrive.
    """
    if not cell:
        return None
    try:
        if stamp := _STAMP.fullmatch(cell):
            day, time, zone = stamp.groups()
            return utc(datetime.strptime(f"{day}{time or '000000'}{zone or 'Z'}", "%Y%m%d%H%M%S%z"))
        if _NUMBER.fullmatch(cell):
            number = float(cell)
            since = timedelta(seconds=number) if number < _SECONDS_UP_TO else timedelta(milliseconds=number)
            created = _YEAR_1970 + since
            if created >= _YEAR_2000:
                return created
        elif _ISO.fullmatch(cell):
            return utc(_TIME.validate_python(cell))
    except (ValueError, OverflowError):  # a month 13; before the year 1 in UTC
        pass
    raise ValueError("has a created_at that is no time; write it like 2026-01-01T00:00:00Z")


def _cell(name: str, value: Any) -> str:
    if value is not None and type(value) not in {str, int, float}:
        raise ValueError(f"has a {name} that is no text")
    cell = "" if value is None else str(value).strip()
    if not cell.isprintable():
        raise ValueError(f"has a {name} with characters that cannot be seen")
    return cell
