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

Kind = Literal[
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
KINDS: tuple[Kind, ...] = get_args(Kind)
SPOILT: tuple[Kind, ...] = ("wrong types", "missing keys", "nulls")


@dataclass(frozen=True)
class Fault:
    """One trouble, and whom it meets."""

    kind: Kind
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


def throttled(
    endpoint: str = "*", retry_after: int | None = None, *, as_date: bool = False, times: int | None = None
) -> Fault:
    """429, with or without a `Retry-After`."""
    body = {"message": "Too many requests"}
    return Fault("status", endpoint, times=times, status=429, body=body, retry_after=retry_after, as_date=as_date)


_GATEWAY = "<html>\n<head><title>404 Not Found</title></head>\n<body><h1>Not Found</h1></body>\n</html>\n"

REFUSALS: Mapping[str, Fault] = {
    "402": Fault("status", status=402, body={"error": "Payment required"}),
    "404 page": Fault("status", status=404, body=_GATEWAY, headers={"Content-Type": "text/html"}),
    "409": Fault("status", status=409, body={"error": "Conflict"}),
    "425": Fault("status", status=425, body="Too Early"),
    "451": Fault("status", status=451, body="Unavailable For Legal Reasons"),
}
"""Answers of 4xx that were met in passing at such services, and that say nothing of what was asked for."""


class BadFault(ValueError):
    """A fault that does not exist, or a value that it does not take."""


def described(told: Mapping[str, object], endpoints: Collection[str]) -> Fault:
    """The fault that a JSON object describes; raises BadFault in words meant for a person."""
    known = [one.name for one in fields(Fault)]
    for name, value in told.items():
        if name not in known:
            raise BadFault(f"a fault has no {name!r}; it has: {', '.join(known)}")
        if name in _TAKES:
            is_fit, words = _TAKES[name]
            if not is_fit(value):
                raise BadFault(f"{name} takes {words}")
    if told.get("kind") not in KINDS:
        raise BadFault(f"kind takes one of {', '.join(KINDS)}")
    endpoint = str(told.get("endpoint", "*"))
    if not any(fnmatchcase(one, endpoint) for one in endpoints):
        raise BadFault(f"there is no endpoint {endpoint}; there are: {', '.join(sorted(set(endpoints)))}")
    # Every value was checked above against its own attribute; the signature cannot know.
    return Fault(**told)  # type: ignore[arg-type]


def _is_number(value: object, least: float, most: float = inf) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and least <= value <= most


def _is_whole(value: object, least: int, most: float = inf) -> bool:
    return isinstance(value, int) and _is_number(value, least, most)


def _are_headers(value: object) -> bool:
    return isinstance(value, dict) and all(
        name.isascii()
        and name.replace("-", "").isalnum()
        and isinstance(text, str)
        and text.isascii()
        # A line break would end the headers.
        and text.isprintable()
        for name, text in value.items()
    )


def _is_charset(value: object) -> bool:
    try:
        return isinstance(value, str) and value.isascii() and "{}".encode(value) is not None
    except (LookupError, ValueError):
        return False


_TAKES: dict[str, tuple[Callable[[object], bool], str]] = {
    "endpoint": (lambda value: isinstance(value, str) and value != "", "the name of an endpoint, with wildcards"),
    "about": (lambda value: isinstance(value, str), "a text"),
    "times": (lambda value: value is None or _is_whole(value, 1), "a whole number from 1, or null for always"),
    "share": (lambda value: _is_number(value, 0, 1) and value != 0, "a number above 0, up to 1"),
    "status": (lambda value: _is_whole(value, 200, 599), "a whole number from 200 to 599"),
    "headers": (_are_headers, "an object of plain texts by the names of headers"),
    "retry_after": (lambda value: value is None or _is_whole(value, 0), "a whole number from 0, or null for none"),
    "as_date": (lambda value: isinstance(value, bool), "true or false"),
    "charset": (_is_charset, "the name of a charset that Python knows"),
    "seconds": (lambda value: _is_number(value, 0, 3600), "a number from 0 to 3600"),
}


@dataclass
class _Active:
    fault: Fault
    met: int = 0

    @property
    def is_over(self) -> bool:
        return self.fault.times is not None and self.met >= self.fault.times


class Faults:
    """The faults that are on now. The first that fits a call meets it."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self._active: list[_Active] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._active.append(_Active(fault))

    def clear(self) -> None:
        with self._lock:
            self._active.clear()

    def told(self) -> list[dict[str, object]]:
        """The faults, in the order in which they are tried, and how many calls each of them has `met`."""
        with self._lock:
            return [{**asdict(one.fault), "met": one.met} for one in self._active]

    @contextmanager
    def during(self, *faults: Fault) -> Iterator[None]:
        """These and no others while the block runs, none after it."""
        self.clear()
        for fault in faults:
            self.add(fault)
        try:
            yield
        finally:
            self.clear()

    def meet(self, endpoint: str, sent: Mapping[str, object]) -> Fault | None:
        """The fault that meets a call, if any; that is one of its times."""
        with self._lock:
            for one in self._active:
                fault = one.fault
                fits = fnmatchcase(endpoint, fault.endpoint) and fault.about.encode() in orjson.dumps(sent)
                if fits and not one.is_over and self.random.random() < fault.share:
                    one.met += 1
                    return fault
        return None
