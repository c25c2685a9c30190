"""Bad weather: what can be done to the answers of an endpoint, for a number of times or a share of the calls."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from random import Random
from typing import Literal, get_args

import orjson

Kind = Literal[
    "status",
    "reset",
    "reset in the middle",
    "cut",
    "html",
    "empty",
    "stall",
    "trickle",
    "redirect",
    "wrong types",
    "missing keys",
]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Fault:
    """One trouble, and whom it meets."""

    kind: Kind
    """
    status: answers so instead, with `body` and `headers`; the operation does not take place.
    reset, reset in the middle: breaks the connection before the answer, or after half of it.
    cut, html, empty: with status 200 half of the JSON, an HTML page, nothing.
    stall: silence for so many `seconds`, then the answer. trickle: the answer byte by byte, `seconds` in all.
    redirect: points to another host. wrong types, missing keys: an otherwise good answer, spoilt here and there.
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
    seconds: float = 0.0


class Faults:
    """The faults that are on now. The first that fits a call meets it."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._left: list[tuple[Fault, float]] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._left.append((fault, float("inf") if fault.times is None else fault.times))

    def clear(self) -> None:
        with self._lock:
            self._left.clear()

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
            for place, (fault, left) in enumerate(self._left):
                fits = fnmatchcase(endpoint, fault.endpoint) and fault.about.encode() in orjson.dumps(sent)
                if left > 0 and fits and self._random.random() < fault.share:
                    self._left[place] = (fault, left - 1)
                    return fault
        return None

    def spoil(self, body: object, kind: Kind) -> object:
        """The same answer with a value in about four of another type, or a key in about four missing."""
        if isinstance(body, dict):
            return {
                key: self._changed(value, kind)
                for key, value in body.items()
                if kind != "missing keys" or self._random.random() > 1 / 4
            }
        if isinstance(body, list):
            return [self._changed(value, kind) for value in body]
        return body

    def _changed(self, value: object, kind: Kind) -> object:
        if kind == "wrong types" and self._random.random() < 1 / 4:
            return self._random.choice([None, True, 7, -1.5, "", "text", [], {}, [value], {"value": value}])
        return self.spoil(value, kind)
