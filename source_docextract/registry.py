"""Batches named in a file that the user keeps anyway: CSV or JSON Lines, from https, s3, gs or a local path.

Columns `provider`, `template_id`, `batch_id`, and optional `created_at`, `expected_files`; others are passed over. No
error repeats what the file holds: whoever may set its address is not thereby allowed to read any file.

A storage that falls silent ends the sync instead of holding it. It is given the seconds that a provider is given; s3 is
asked twice, and gs again while those seconds last. (What s3 breaks off in the middle, smart-open resumes, five times.)
"""

from __future__ import annotations

import csv
import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from itertools import chain
from typing import Any
from urllib.parse import urlsplit

import smart_open

from .answers import TIMEOUT
from .errors import ConfigError
from .model import BatchRef, moment

NEEDS_TEMPLATE = {
    "extracta": True,
    "extracta_classification": True,
    "docmap": False,
    "sensible": False,
    "atlas": False,
}
"""The values of `provider`, and whether batches stand below templates there."""

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


def read_registry(url: str, products: Collection[str]) -> Registry:
    """Reads the whole registry.

    Args:
        products: those that are set up; rows of others are only counted.

    Raises:
        ConfigError: where it cannot be opened, or a row cannot be read (it names the lines).
    """
    where = _shown(url)
    try:
        with smart_open.open(url, encoding="utf-8-sig", newline="", transport_params=_limits(url)) as lines:
            return _registry(_rows(lines, where), products, where)
    except ConfigError:
        raise
    except ImportError:
        extra = urlsplit(url).scheme
        words = f"The batch registry {where} needs more to be installed: pip install 'source-docextract[{extra}]'."
        raise ConfigError(words) from None
    except Exception as trouble:  # each kind of storage has errors of its own, and all mean the same here
        kind = type(trouble.__cause__ or trouble).__name__  # smart-open makes an OSError of all that S3 says
        words = f"The batch registry {where} cannot be read ({kind}). Check batch_registry.url."
        raise ConfigError(words) from None


def _limits(url: str) -> dict[str, Any]:
    """What smart-open hands on to the client of a storage. The clients come with the extras, so they may be missing."""
    scheme = urlsplit(url).scheme
    if scheme in {"https", "http"}:
        return {"timeout": TIMEOUT}
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


def _shown(url: str) -> str:
    """An address as it may be told: without user, password and query."""
    parts = urlsplit(url)
    host, path = parts.hostname or "", parts.path
    if parts.scheme == "s3" and ":" in parts.netloc and "@" not in parts.netloc:
        host, path = "", path.partition("@")[2]  # smart-open takes key:secret@bucket, and a secret may hold slashes
    return f"{parts.scheme}://{host}{path}" if parts.scheme else url


def _rows(lines: Iterable[str], where: str) -> Iterator[tuple[int, Any]]:
    """Line numbers and rows. JSON Lines begin with a brace; anything else is CSV with a line of names."""
    numbered = enumerate(lines, start=1)
    first = next(((number, line) for number, line in numbered if line.strip()), None)
    if first is None:
        return
    if first[1].lstrip().startswith("{"):
        for number, line in chain([first], numbered):
            if line.strip():
                yield number, _json(line)
        return
    reader = csv.DictReader(line for _, line in chain([first], numbered))
    reader.fieldnames = [name.strip().lower() for name in reader.fieldnames or ()]
    if missing := [name for name in ("provider", "batch_id") if name not in reader.fieldnames]:
        raise ConfigError(f"The batch registry {where} has no column {' and no column '.join(missing)}.")
    for row in reader:
        yield first[0] + reader.line_num - 1, row


def _json(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def _registry(rows: Iterable[tuple[int, Any]], products: Collection[str], where: str) -> Registry:
    batches: defaultdict[str, list[BatchRef]] = defaultdict(list)
    passed_over: Counter[str] = Counter()
    bad: list[str] = []
    for number, row in rows:
        try:
            product, ref = _batch(row)
        except ValueError as reason:
            bad.append(f"line {number} {reason}")
            continue
        if product in products:
            batches[product].append(ref)
        else:
            passed_over[product] += 1
    if bad:
        more = f", and {len(bad) - _TOLD} more lines" if len(bad) > _TOLD else ""
        raise ConfigError(f"The batch registry {where} has rows that cannot be read: {'; '.join(bad[:_TOLD])}{more}.")
    return Registry({product: tuple(refs) for product, refs in batches.items()}, dict(passed_over))


def _batch(row: Any) -> tuple[str, BatchRef]:
    """One row.

    Raises:
        ValueError: what is wrong with it, to be read after "line 7".
    """
    if not isinstance(row, dict):
        raise ValueError("is not a JSON object")
    cells = {str(name).strip().lower(): _cell(value) for name, value in row.items()}
    product = cells.get("provider", "").lower()
    if product not in NEEDS_TEMPLATE:
        raise ValueError(f"has no known provider (known are {', '.join(NEEDS_TEMPLATE)})")
    if not cells.get("batch_id"):
        raise ValueError("has no batch_id")
    if NEEDS_TEMPLATE[product] and not cells.get("template_id"):
        raise ValueError("has no template_id")
    created, expected = cells.get("created_at", ""), cells.get("expected_files", "")
    if created and moment(created) is None:
        raise ValueError("has a created_at that is no time; write it like 2026-01-01T00:00:00Z")
    if expected and not (expected.isascii() and expected.isdigit()):
        raise ValueError("has an expected_files that is no whole number")
    return product, BatchRef(
        template_id=cells["template_id"] if NEEDS_TEMPLATE[product] else None,
        batch_id=cells["batch_id"],
        created_at=moment(created) if created else None,
        clock=moment(created) if created else None,
        named=True,
        expected_files=int(expected) if expected else None,
    )


def _cell(value: Any) -> str:
    return "" if value is None else str(value).strip()
