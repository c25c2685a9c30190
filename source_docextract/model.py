"""The vocabulary that all rooms speak: batches, documents and what was extracted from them.

A provider's reader turns its JSON into these; nothing after it knows where they came from. Times are aware and UTC.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from enum import Enum
from hashlib import blake2b
from math import inf, isfinite
from typing import Any, NamedTuple
from urllib.parse import unquote

import orjson

from .plain import cut

Json = Any
"""A parsed JSON value: None, bool, int, float, str, list or dict."""

JsonObject = Mapping[str, Json]

_NOTHING: JsonObject = {}


class BatchStatus(str, Enum):
    """What a batch is to a user, whatever its provider calls it."""

    OPEN = "open"  # something in it is unfinished
    COMPLETE = "complete"
    STALLED = "stalled"  # unfinished for so long that it is given up
    MISSING = "missing"  # the provider does not know it


class FileStatus(str, Enum):
    """What one document is to a user."""

    PENDING = "pending"
    PROCESSED = "processed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class BatchRef:
    """A batch as it is known before it is asked for.

    Attributes:
        template_id: the template it belongs to, None where the provider has none above a batch.
        file_ids: ask for these files only; empty means the whole batch.
        created_at: creation time as told by a list.
        clock: creation time for inside use (age, order) where it is only a guess; `created_at` where that is told.
        expected_files: how many files it will have in the end, as its user says; it stays open while it has fewer.
        named: by hand, by a registry or by a link, so it is read whatever `start_date` says.
        linked: a classification result pointed at it.
        listing: what the list tells of it besides; keys are columns of Batch.
        row: the list's own row, where that tells enough to read the batch without asking.
        fingerprint: changes when the list tells something new (Extracta's `filesNo`), so a re-opened batch is seen.
        memo: what its reader wrote down at the last reading (`Snapshot.memo`).
        told: of a batch that a document points at: that document's id, and its status.
    """

    template_id: str | None
    batch_id: str
    file_ids: tuple[str, ...] = ()
    created_at: datetime | None = None
    clock: datetime | None = None
    expected_files: int | None = None
    named: bool = False
    linked: bool = False
    template_name: str | None = None
    files_total: int | None = None
    provider_status: str | None = None
    provider_data: JsonObject = field(default_factory=dict)
    row: JsonObject | None = None
    fingerprint: str = ""
    memo: str = ""
    told: Mapping[str, FileStatus] = field(default_factory=dict)

    @property
    def key(self) -> BatchKey:
        return BatchKey(self.template_id or "", self.batch_id)

    @property
    def signature(self) -> str:
        """All that makes a batch due if it changes: what the list tells, and which files are asked for."""
        files = "/".join(sorted(map(escaped, self.file_ids)))
        return f"{self.fingerprint} {files}".strip()

    def merged(self, other: BatchRef) -> BatchRef:
        """Of two mentions of one batch: whole before some files, what a list tells before what anybody else says."""
        told, said = (other, self) if self.named and not other.named else (self, other)
        both_partial = bool(self.file_ids and other.file_ids)
        return replace(
            told,
            file_ids=tuple(dict.fromkeys(self.file_ids + other.file_ids)) if both_partial else (),
            created_at=told.created_at or said.created_at,
            clock=told.clock or said.clock,
            expected_files=told.expected_files or said.expected_files,
            named=self.named or other.named,
            linked=self.linked or other.linked,
        )


@dataclass(frozen=True, slots=True, order=True)
class BatchKey:
    """Names a batch inside its product; `template_id` is empty where the provider has no template above it."""

    template_id: str
    batch_id: str

    def __str__(self) -> str:
        return f"{self.template_id}/{self.batch_id}" if self.template_id else self.batch_id

    @property
    def shown(self) -> str:
        """For a message, which has to have room for what it says of the batch."""
        return cut(str(self))


class Extraction(NamedTuple):
    """What was extracted from one document.

    Attributes:
        data: exactly as sent; an object, or `{"value": ...}` around what is none.
        stable: `data` without its links to files, which are signed anew in each answer; names the content.
        document_index: the n-th document inside one file, from 0.
        known_digest: the digest, where its reader has worked it out already.
    """

    data: JsonObject
    stable: JsonObject
    document_index: int = 0
    document_type: str | None = None
    confidence: float | None = None
    review_status: str | None = None
    created_at: datetime | None = None
    completed_at: datetime | None = None
    provider_data: JsonObject = _NOTHING
    known_digest: str = ""

    @property
    def digest(self) -> str:
        """Names the content of `data`, links aside: 32 hex digits, the same whatever the order of its keys."""
        return self.known_digest or digest_of_data(sorted_json(self.stable))


class Document(NamedTuple):
    """One file of a batch. `key` is unique in its batch (FileKeys sees to that) and already escaped.

    `home` is the batch it belongs to where its snapshot is not of a batch but of this one document; its batch id may
    be empty: the document belongs to none.
    """

    key: str
    status: FileStatus
    file_id: str | None = None
    file_name: str | None = None
    provider_status: str | None = None
    error: str | None = None
    document_type: str | None = None
    page_count: int | None = None
    url: str | None = None
    created_at: datetime | None = None
    completed_at: datetime | None = None
    processing_ms: int | None = None
    provider_data: JsonObject = _NOTHING
    extractions: tuple[Extraction, ...] = ()
    home: BatchRef | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One batch as its provider told it at one moment.

    Attributes:
        documents: None while the provider does not tell them ("waiting"), which is not the same as none.
        finished: everything in it is done, so far as the provider tells.
        template_id, template_name: of a batch whose id does not stand below a template, where all of it has one.
        counters: more of `provider_data`, whose change alone is no news.
        links: batches of another product that its documents point at.
        homeless: which batch its document is in is not told.
        memo: what its reader wants to be given back at the next reading, as short as can be.
        odd_times: keys of times that are not certain: they are null, and `provider_data` has what was sent.
        odd_statuses: statuses nobody documented; they count as unfinished and are warned of once.
        trouble: that something in it cannot be read, in a sentence. The rest is here, and the batch stays open.
        is_lacking: the provider does not know some of what was asked for, so it is asked for again.
    """

    ref: BatchRef
    status: BatchStatus
    documents: tuple[Document, ...] | None = None
    provider_status: str | None = None
    description: str | None = None
    error: str | None = None
    completed_at: datetime | None = None
    provider_data: JsonObject = field(default_factory=dict)
    template_id: str | None = None
    template_name: str | None = None
    counters: JsonObject = field(default_factory=dict)
    links: tuple[BatchRef, ...] = ()
    homeless: bool = False
    memo: str = ""
    odd_times: frozenset[str] = frozenset()
    odd_statuses: frozenset[str] = frozenset()
    trouble: str = ""
    is_lacking: bool = False

    @property
    def finished(self) -> bool:
        return self.status is not BatchStatus.OPEN

    def awaiting_files(self) -> Snapshot:
        """The same, but open if its user says that more files are to come."""
        is_short = self.documents is not None and len(self.documents) < (self.ref.expected_files or 0)
        return replace(self, status=BatchStatus.OPEN) if self.status is BatchStatus.COMPLETE and is_short else self


_ESCAPES = str.maketrans({"%": "%25", "/": "%2F", "~": "%7E", "#": "%23"})


def escaped(part: str) -> str:
    """One part of an id, with the characters that join parts percent-encoded."""
    is_plain = "%" not in part and "/" not in part and "~" not in part and "#" not in part  # as most are
    return part if is_plain else part.translate(_ESCAPES)


def digest_of(content: bytes) -> str:
    """A short name for some content: 12 characters, enough to tell one state of one thing from another."""
    return blake2b(content, digest_size=6).hexdigest()


def sorted_json(data: JsonObject) -> bytes:
    return orjson.dumps(data, option=orjson.OPT_SORT_KEYS)


def digest_of_data(written: bytes) -> str:
    """Of data written as `sorted_json`."""
    return blake2b(written, digest_size=16).hexdigest()


def unescaped(part: str) -> str:
    return unquote(part)


class FileKeys:
    """Hands out the file keys of one answer: the n-th file (n > 1) with the same key gets `~n`."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}

    def key(self, file_id: str | None, file_name: str | None) -> str:
        base = escaped(file_id or file_name or "unnamed")
        count = self._seen[base] = self._seen.get(base, 0) + 1
        return base if count == 1 else f"{base}~{count}"


def utc(moment: datetime) -> datetime:
    """Aware and UTC; a time without a zone is taken for UTC."""
    return moment.replace(tzinfo=timezone.utc) if moment.tzinfo is None else moment.astimezone(timezone.utc)


def rfc3339(moment: datetime | None) -> str | None:
    """`2026-11-20T09:00:00.000Z`, the one shape in which times leave this connector."""
    if moment is None:
        return None
    return moment.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


_ISO = re.compile(
    r"(\d{4})-?(\d\d)-?(\d\d)"
    r"(?:[Tt ](\d\d):?(\d\d)(?::?(\d\d)(?:[.,](\d+))?)?\s?(?:([Zz]|UTC|GMT)|([+-])(\d\d):?(\d\d)?)?)?",
    re.ASCII,
)
_MAIL = re.compile(
    r"(?:[A-Z][a-z]{2}, )?\d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d(?::\d\d)? (?:GMT|UTC|UT|[+-]\d{4})", re.ASCII
)
_FIRST, _LAST = 946_684_800, 4_102_444_800  # 2000 and 2100, in seconds since 1970
_UNITS = (1, 1_000, 1_000_000, 1_000_000_000)
"""Parts of a second in which times are counted. Between 2000 and 2100 no number is of two of them."""

_STAMP, _USUAL = len("20260309081408"), len("2026-03-09T08:14:08.000Z")

_SPLIT_TIMES = (("_seconds", "_nanoseconds"), ("seconds", "nanoseconds"), ("seconds", "nanos"))
"""How Firestore's clients write a time as JSON, and protocol buffers."""

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def moment(value: Json) -> datetime | None:
    """Return a time that was sent, UTC; None where there is none, or it is not certain which one is meant.

    Read are ISO 8601 with its compact form, the dates of HTTP and mail, seconds and nanoseconds apart, and what counts
    seconds or thousandths, millionths or billionths of them since 1970 and falls between 2000 and 2100.
    """
    if isinstance(value, str):
        return _time_in_text(value.strip())
    if isinstance(value, Mapping):
        return _split_time(value)
    return _time_in_number(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _time_in_text(text: str) -> datetime | None:
    try:
        if len(text) == _USUAL and text[10] == "T" and text[-1] == "Z":
            return datetime.fromisoformat(f"{text[:-1]}+00:00")
        if _NUMBER.fullmatch(text):  # before dates, which may be digits alone as well
            if found := _time_in_number(int(text) if text.isdecimal() else float(text)):
                return found
            text = f"{text[:8]}T{text[8:]}" if len(text) == _STAMP else text
        if parts := _ISO.fullmatch(text):
            return _iso_time(parts)
        return utc(parsedate_to_datetime(text)) if _MAIL.fullmatch(text) else None
    except (ValueError, OverflowError):  # a 31st of June, or a zone that leads out of the year 9999
        return None


def _iso_time(found: re.Match[str]) -> datetime:
    """Not by `fromisoformat`, of which each Python reads something else; more digits than six are cut."""
    year, month, day, hour, minute, second, part, _, sign, hours, minutes = found.groups()
    micro = int((part or "0")[:6].ljust(6, "0"))
    clock = (int(hour or 0), int(minute or 0), int(second or 0), micro)
    read = datetime(int(year), int(month), int(day), *clock, tzinfo=timezone.utc)
    if sign is None:
        return read
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    return read + offset if sign == "-" else read - offset


def _time_in_number(number: float) -> datetime | None:
    for unit in _UNITS:
        if _FIRST * unit <= number < _LAST * unit:
            # By whole numbers where they are sent: a float does not hold all digits of billionths.
            exact = number * 1_000_000 // unit if isinstance(number, int) else round(number / unit * 1_000_000)
            return _EPOCH + timedelta(microseconds=exact)
    return None


def _split_time(sent: JsonObject) -> datetime | None:
    for seconds_key, part_key in _SPLIT_TIMES:
        seconds, part = sent.get(seconds_key), sent.get(part_key, 0)
        if sent.keys() <= {seconds_key, part_key} and type(seconds) is int and type(part) is int:
            is_certain = _FIRST <= seconds < _LAST and 0 <= part < 1_000_000_000
            return _EPOCH + timedelta(seconds=seconds, microseconds=part // 1000) if is_certain else None
    return None


_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)


def confidence(value: Json) -> float | None:
    """Return how sure a provider is; also where the number was sent as text. Of "98%" it is not certain."""
    if isinstance(value, str):
        read = float(value) if _NUMBER.fullmatch(value) else inf
        return read if isfinite(read) else None
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None
