"""Bad weather: what can be done to the answers of an endpoint, for a number of times or a share of the calls."""

import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from fnmatch import fnmatchcase
from math import inf
from random import Random
from typing import Literal, get_args

import orjson

FaultKind = Literal[
    "status",
    "unknown id",
    "reset",
    "reset in the middle",
    "cut",
    "html",
    "empty",
    "stall",
    "trickle",
    "redirect",
    "firewall",
    "charset",
    "bad byte",
    "endless",
    "bomb",
    "wrong types",
    "missing keys",
    "nulls",
]
FAULT_KINDS: tuple[FaultKind, ...] = get_args(FaultKind)
PAYLOAD_FAULTS: tuple[FaultKind, ...] = ("wrong types", "missing keys", "nulls")


@dataclass(frozen=True)
class Fault:
    """One trouble, and whom it meets."""

    kind: FaultKind
    """
    status: answers so instead, with `body` and `headers`; the operation does not take place.
    unknown id: answers as the API does about an id that it does not know; the operation does not take place.
    reset, reset in the middle: breaks the connection before the answer, or after half of it.
    cut, html, empty: with status 200 half of the JSON, an HTML page, nothing.
    stall: silence for so many `seconds`, then the answer. trickle: the answer bit by bit, `seconds` in all.
    redirect: points to another host. firewall: a page of HTML with `status`, 401 or 403, instead of the API's answer.
    charset: the answer in another `charset`, which its header names. bad byte: one that is no UTF-8 within a text.
    endless: the answer, and blanks after it for ever. bomb: the same in gzip, so that 300 kB unpack to 300 MB.
    wrong types, missing keys, nulls: an otherwise good answer, spoilt here and there.
    """
    endpoint: str = "*"
    """Its name in the journal, with wildcards: `sensible.*`."""
    about: str = ""
    """Only calls that have this in their path, query or body."""
    times: int | None = None
    """So often; None is always."""
    share: float = 1.0
    """Of the calls."""
    status: int = 500
    body: object = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    retry_after: int | None = None
    """Of a status: the seconds that its `Retry-After` header tells, `as_date` by the sandbox's clock."""
    as_date: bool = False
    seconds: float = 0.0
    charset: str = "iso-8859-1"


def make_throttle_fault(
    endpoint: str = "*", retry_after: int | None = None, *, as_date: bool = False, times: int | None = None
) -> Fault:
    """429, with or without a `Retry-After`."""
    body = {"message": "Too many requests"}
    return Fault("status", endpoint, times=times, status=429, body=body, retry_after=retry_after, as_date=as_date)


_GATEWAY_404_PAGE = "<html>\n<head><title>404 Not Found</title></head>\n<body><h1>Not Found</h1></body>\n</html>\n"

TRANSIENT_4XX_FAULTS: Mapping[str, Fault] = {
    "402": Fault("status", status=402, body={"error": "Payment required"}),
    "404 page": Fault("status", status=404, body=_GATEWAY_404_PAGE, headers={"Content-Type": "text/html"}),
    "409": Fault("status", status=409, body={"error": "Conflict"}),
    "425": Fault("status", status=425, body="Too Early"),
    "451": Fault("status", status=451, body="Unavailable For Legal Reasons"),
}
"""Answers of 4xx that were met in passing at such services, and that say nothing of what was asked for."""


class InvalidFault(ValueError):
    """A fault that does not exist, or a value that it does not take."""


def parse_fault(fault_json: Mapping[str, object], endpoint_names: Collection[str]) -> Fault:
    """The fault that a JSON object describes; raises BadFault in words meant for a person."""
    field_names = [item.name for item in fields(Fault)]
    for name, value in fault_json.items():
        if name not in field_names:
            raise InvalidFault(f"a fault has no {name!r}; it has: {', '.join(field_names)}")
        if name in _FIELD_CHECKS:
            is_valid, expectation = _FIELD_CHECKS[name]
            if not is_valid(value):
                raise InvalidFault(f"{name} takes {expectation}")
    if fault_json.get("kind") not in FAULT_KINDS:
        raise InvalidFault(f"kind takes one of {', '.join(FAULT_KINDS)}")
    endpoint = str(fault_json.get("endpoint", "*"))
    if not any(fnmatchcase(item, endpoint) for item in endpoint_names):
        raise InvalidFault(f"there is no endpoint {endpoint}; there are: {', '.join(sorted(set(endpoint_names)))}")
    # Every value was checked above against its own attribute; the signature cannot know.
    return Fault(**fault_json)  # type: ignore[arg-type]


def _is_number(value: object, minimum: float, maximum: float = inf) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and minimum <= value <= maximum


def _is_integer(value: object, minimum: int, maximum: float = inf) -> bool:
    return isinstance(value, int) and _is_number(value, minimum, maximum)


def _are_headers(value: object) -> bool:
    return isinstance(value, dict) and all(
        name.isascii()
        and name.replace("-", "").isalnum()
        and isinstance(header_value, str)
        and header_value.isascii()
        # A line break would end the headers.
        and header_value.isprintable()
        for name, header_value in value.items()
    )


def _is_charset(value: object) -> bool:
    try:
        return isinstance(value, str) and value.isascii() and "{}".encode(value) is not None
    except (LookupError, ValueError):
        return False


_FIELD_CHECKS: dict[str, tuple[Callable[[object], bool], str]] = {
    "endpoint": (lambda value: isinstance(value, str) and value != "", "the name of an endpoint, with wildcards"),
    "about": (lambda value: isinstance(value, str), "a text"),
    "times": (lambda value: value is None or _is_integer(value, 1), "a whole number from 1, or null for always"),
    "share": (lambda value: _is_number(value, 0, 1) and value != 0, "a number above 0, up to 1"),
    "status": (lambda value: _is_integer(value, 200, 599), "a whole number from 200 to 599"),
    "headers": (_are_headers, "an object of plain texts by the names of headers"),
    "retry_after": (lambda value: value is None or _is_integer(value, 0), "a whole number from 0, or null for none"),
    "as_date": (lambda value: isinstance(value, bool), "true or false"),
    "charset": (_is_charset, "the name of a charset that Python knows"),
    "seconds": (lambda value: _is_number(value, 0, 3600), "a number from 0 to 3600"),
}


@dataclass
class _ActiveFault:
    fault: Fault
    match_count: int = 0

    @property
    def is_exhausted(self) -> bool:
        return self.fault.times is not None and self.match_count >= self.fault.times


class Faults:
    """The faults that are on now. The first that fits a call meets it."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self._active_faults: list[_ActiveFault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._active_faults.append(_ActiveFault(fault))

    def clear(self) -> None:
        with self._lock:
            self._active_faults.clear()

    def describe(self) -> list[dict[str, object]]:
        """The faults, in the order in which they are tried, and how many calls each of them has `met`."""
        with self._lock:
            return [
                {**asdict(active_fault.fault), "met": active_fault.match_count} for active_fault in self._active_faults
            ]

    @contextmanager
    def apply_only(self, *faults: Fault) -> Iterator[None]:
        """These and no others while the block runs, none after it."""
        self.clear()
        for fault in faults:
            self.add(fault)
        try:
            yield
        finally:
            self.clear()

    def match_call(self, endpoint: str, request_parts: Mapping[str, object]) -> Fault | None:
        """The fault that meets a call, if any; that is one of its times."""
        with self._lock:
            for active_fault in self._active_faults:
                fault = active_fault.fault
                is_match = fnmatchcase(endpoint, fault.endpoint) and fault.about.encode() in orjson.dumps(request_parts)
                if is_match and not active_fault.is_exhausted and self.random.random() < fault.share:
                    active_fault.match_count += 1
                    return fault
        return None
