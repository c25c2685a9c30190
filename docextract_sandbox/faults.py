"""Faults: errors injected into the responses to all or some calls."""

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
"""Every kind of fault; the tests go over this tuple, so a new kind is tested as soon as it stands here."""
PAYLOAD_FAULTS: tuple[FaultKind, ...] = ("wrong types", "missing keys", "nulls")
"""Kinds that change the JSON of a response; every other kind acts on status, headers or bytes."""


@dataclass(frozen=True)
class Fault:
    """A fault, and the calls that it applies to."""

    kind: FaultKind
    """
    status: responds with `status`, `body` and `headers` instead; the operation does not take place.
    unknown id: responds as the API does to an id that does not exist; the operation does not take place.
    reset, reset in the middle: breaks the connection before the response, or after half of it.
    cut, html, empty: responds with status 200 and half of the JSON, an HTML page, or an empty body.
    stall: waits for `seconds`, then responds. trickle: sends the response in small parts, over `seconds` in all.
    redirect: redirects to another host. firewall: responds with an HTML page and `status` 401 or 403.
    charset: encodes the response in `charset`, named in its header. bad byte: puts a byte that is no UTF-8 into a text.
    endless: sends the response, then blanks without end. bomb: the same in gzip, 300 kB that unpack to 300 MB.
    wrong types, missing keys, nulls: changes some values of an otherwise good response.
    """
    endpoint: str = "*"
    """Name of the endpoint in the journal, with wildcards: `sensible.*`."""
    about: str = ""
    """Text that the path, query or body of a call must hold for the fault to apply."""
    times: int | None = None
    """Number of calls that the fault applies to; None is every call."""
    share: float = 1.0
    """Share of the matching calls that the fault applies to, above 0 and up to 1."""
    status: int = 500
    body: object = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    retry_after: int | None = None
    """Of a status: the seconds in its `Retry-After` header; with `as_date` a date by the sandbox's clock."""
    as_date: bool = False
    seconds: float = 0.0
    charset: str = "iso-8859-1"


def make_throttle_fault(
    endpoint: str = "*", retry_after: int | None = None, *, as_date: bool = False, times: int | None = None
) -> Fault:
    """Return a fault of status 429, with or without a `Retry-After` header."""
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
"""4xx responses seen now and then at such services, which say nothing about the requested id.

They protect the promise that only the documented response about an unknown id makes a batch `missing`.
"""


class InvalidFault(ValueError):
    """An unknown fault, or a value that a fault does not accept."""


def parse_fault(fault_json: Mapping[str, object], endpoint_names: Collection[str]) -> Fault:
    """Return the fault that a JSON object describes.

    Args:
        fault_json: Values by the names of the attributes of `Fault`.
        endpoint_names: Names of all endpoints, against which `endpoint` is checked.

    Raises:
        InvalidFault: A name or a value is not valid; the message is meant for a person.
    """
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
    # Every value was checked above against its own attribute, which the type checker cannot see.
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
        # A line break would end the header.
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
    """The active faults, of which the first that matches a call applies to it."""

    def __init__(self, random: Random) -> None:
        """Start without faults.

        `random` decides which share of the calls a fault applies to.
        """
        self.random = random
        self._active_faults: list[_ActiveFault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        """Activate a fault, behind those that are active already."""
        with self._lock:
            self._active_faults.append(_ActiveFault(fault))

    def clear(self) -> None:
        """Remove every fault."""
        with self._lock:
            self._active_faults.clear()

    def describe(self) -> list[dict[str, object]]:
        """Return the faults in their order, and the number of calls each has `met`."""
        with self._lock:
            return [
                {**asdict(active_fault.fault), "met": active_fault.match_count} for active_fault in self._active_faults
            ]

    @contextmanager
    def apply_only(self, *faults: Fault) -> Iterator[None]:
        """Activate only these faults while the block runs, and none after it."""
        self.clear()
        for fault in faults:
            self.add(fault)
        try:
            yield
        finally:
            self.clear()

    def match_call(self, endpoint: str, request_parts: Mapping[str, object]) -> Fault | None:
        """Return the fault that applies to a call, or None, and count the call."""
        with self._lock:
            for active_fault in self._active_faults:
                fault = active_fault.fault
                is_match = fnmatchcase(endpoint, fault.endpoint) and fault.about.encode() in orjson.dumps(request_parts)
                if is_match and not active_fault.is_exhausted and self.random.random() < fault.share:
                    active_fault.match_count += 1
                    return fault
        return None
