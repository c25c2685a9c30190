"""The ledger of one stream as JSON: what Airbyte keeps between syncs. `docs/state.md` shows one.

Pure. A batch stands under `open`, `settled`, `stalled` or `missing`, by template, the time since when, and its id;
folded days stand under `days` as `<number of batches>:<sum of their marks>`; times are UTC to the minute.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from .days import Day
from .entries import Entry, Rules, Watch
from .errors import ConfigError
from .ledger import Book
from .model import BatchKey, BatchRef, BatchStatus, FileStatus, rfc3339, utc
from .ranges import BEGINNING, Range, united

VERSION = 2

_SECTIONS = {
    "open": BatchStatus.OPEN,
    "settled": BatchStatus.COMPLETE,
    "stalled": BatchStatus.STALLED,
    "missing": BatchStatus.MISSING,
}
_SECTION_OF = {status: section for section, status in _SECTIONS.items()}


class Ledger:
    """One stream's state.

    Attributes:
        batches: what this stream delivers rows of.
        links: batches of another product, read for the batches they point at.
        of: the template or document type of a typed table: a state serves for the same one only.
        observed_at: the latest of the rows that were delivered: no later row may have an earlier one, whatever the
            clock does meanwhile.
        sync_id: set while the stream is read in full: a state serves to go on with that same sync and no other.
        is_full_refresh: whether the stream is read in full. The state of a full refresh resumes that same sync and
            serves no other: Airbyte drops the rows of one that breaks off, so an incremental sync would miss them.
        sync_id: names a full refresh across its attempts; None where the platform names none.
        stream: the stream's name. It stands in the state, so that a state given to another stream is noticed.
    """

    def __init__(
        self,
        rules: Rules,
        sync_id: int | None = None,
        *,
        stream: str = "",
        watch: Watch = Watch.ASK,
        links_watch: Watch = Watch.ASK,
        of: str = "",
        only: Callable[[BatchRef], bool] | None = None,
    ) -> None:
        own = replace(rules, only=only)
        self.concerns = own.concern
        self.batches = Book(own, watch)
        self.links = Book(rules, links_watch)
        self.of = of
        self.observed_at: datetime | None = None
        self.is_full_refresh = sync_id is not None
        self.sync_id = sync_id
        self.stream = stream

    def __len__(self) -> int:
        return len(self.batches) + len(self.links)

    def as_json(self) -> dict[str, Any]:
        document: dict[str, Any] = {"version": VERSION}
        if self.stream:
            document["stream"] = self.stream
        document.update(_book_json(self.batches))
        if links := _book_json(self.links):
            document["links"] = links
        if self.observed_at:
            document["observed_at"] = rfc3339(self.observed_at)
        if self.of:
            document["of"] = self.of
        if self.is_full_refresh:
            document["full_refresh"] = True if self.sync_id is None else self.sync_id
        return document

    def resumes(self, document: Mapping[str, Any]) -> bool:
        """Return whether a state is that of an earlier attempt of this same full refresh."""
        mark = document.get("full_refresh")
        return self.sync_id is not None and mark is not True and mark == self.sync_id

    def load(self, document: Mapping[str, Any], stream: str) -> Ledger:
        """Takes in a stream's state; an empty one is that of a new stream.

        Raises:
            ConfigError: for a state of a version unknown here, of another stream, or edited beyond reading.
        """
        if not document:
            return self
        if (owner := document.get("stream", stream)) != stream:
            raise ConfigError(
                f"The state of {stream} is that of {owner}. Give each stream its own state again, or clear the state "
                f"of {stream} to read everything again."
            )
        version = document.get("version")
        if version not in {VERSION, *_MIGRATIONS} or isinstance(version, bool):
            raise ConfigError(
                f"The state of {stream} has version {version!r}, and this connector knows versions up to {VERSION}. "
                "Use the connector that wrote it or a newer one, or clear the stream's state to read everything again."
            )
        try:
            while (version := document["version"]) != VERSION:
                document = _MIGRATIONS[version](document)
            _load(self.batches, document)
            _load(self.links, document.get("links", {}))
            self.observed_at = _observed(document.get("observed_at"))
        except (AttributeError, KeyError, TypeError, ValueError):
            raise ConfigError(
                f"The state of {stream} cannot be read. Undo the last edit of it, or clear the stream's state to read "
                "everything again."
            ) from None
        return self


def _book_json(book: Book) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for key, entry in book.entries.items():
        section = document.setdefault(_SECTION_OF[entry.status], {}).setdefault(key.template_id, {})
        section.setdefault(_minute(entry.since), {})[key.batch_id] = _entry_json(entry)
    if days := {template_id: _days_json(days) for template_id, days in book.days.items() if days}:
        document["days"] = days
    for key in sorted(book.failed):
        document.setdefault("failed", {}).setdefault(key.template_id, []).append(key.batch_id)
    if book.until:
        document["until"] = {scope: _minute(moment) for scope, moment in book.until.items()}
        document["read"] = {scope: [_range_text(span) for span in ranges] for scope, ranges in book.read.items()}
        document["forgotten"] = {scope: _minute(moment) for scope, moment in book.forgotten.items()}
    if book.asleep:
        document["asleep"] = sorted(book.asleep)
    return document


def _load(book: Book, document: Mapping[str, Any]) -> None:
    for section, status in _SECTIONS.items():
        for template_id, times in document.get(section, {}).items():
            for since, batches in times.items():
                for batch_id, entry in batches.items():
                    book.entries[BatchKey(template_id, batch_id)] = _entry(entry, status, _moment(since))
    for template_id, days in document.get("days", {}).items():
        book.days[template_id] = {day: _day(text) for day, text in days.items()}
    book.failed = {
        BatchKey(template_id, str(batch_id))
        for template_id, batch_ids in document.get("failed", {}).items()
        for batch_id in batch_ids
    }
    book.read = {scope: united(map(_range, texts)) for scope, texts in document.get("read", {}).items()}
    book.forgotten = {scope: _moment(text) for scope, text in document.get("forgotten", {}).items()}
    book.asleep = set(document.get("asleep", ()))
    for scope, text in document.get("until", {}).items():
        if scope not in book.read:
            book.load_until(scope, _moment(text))


def _entry_json(entry: Entry) -> dict[str, Any]:
    document: dict[str, Any] = {}
    if entry.signature:
        document["listed"] = entry.signature
    if entry.rows:
        document["rows"] = entry.rows
    if entry.linked:
        document["linked"] = _minute(entry.linked)
    if not entry.read:
        document["read"] = False
    if entry.again:
        document["again"] = True
    if entry.memo:
        document["memo"] = entry.memo
    if entry.kept:
        document["kept"] = True
    if entry.told:
        document["told"] = {document_id: status.value for document_id, status in entry.told.items()}
    if entry.missing and (entry.status is not BatchStatus.MISSING or entry.missing != entry.since):
        document["missing"] = _minute(entry.missing)
    if entry.asked and entry.asked != entry.missing:
        document["asked"] = _minute(entry.asked)
    return document


def _entry(document: Mapping[str, Any], status: BatchStatus, since: datetime) -> Entry:
    linked, asked = document.get("linked"), document.get("asked")
    missing = _moment(document["missing"]) if "missing" in document else None
    if status is BatchStatus.MISSING:
        missing = missing or since
    return Entry(
        since=since,
        status=status,
        signature=str(document.get("listed", "")),
        rows=str(document.get("rows", "")),
        linked=_moment(linked) if linked else None,
        read=bool(document.get("read", True)),
        again=bool(document.get("again", False)),
        memo=str(document.get("memo", "")),
        kept=bool(document.get("kept", False)),
        told={str(document_id): FileStatus(status) for document_id, status in document.get("told", {}).items()},
        missing=missing,
        asked=_moment(asked) if asked else missing,
    )


def _days_json(days: Mapping[str, Day]) -> dict[str, str]:
    return {day: f"{entry.count}:{entry.total:012x}" for day, entry in sorted(days.items())}


def _day(text: str) -> Day:
    count, total = text.split(":")
    return Day(int(count), int(total, 16))


def _minute(moment: datetime) -> str:
    """By its own words and not by a format, which writes the year 1 (a missing time, to some) in one digit."""
    return moment.astimezone(timezone.utc).replace(tzinfo=None).isoformat(timespec="minutes") + "Z"


def _moment(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%MZ").replace(tzinfo=timezone.utc)


def _observed(text: str | None) -> datetime | None:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc) if text else None


_OPEN_START = ".."
"""The start of a range of time that has none, as ISO 8601-2 writes it."""


def _range_text(span: Range) -> str:
    """To the minute, and exactly where a `start_date` is more exact than that: what is older was not delivered."""
    start = span.start.astimezone(timezone.utc).replace(tzinfo=None)
    is_whole = not (start.second or start.microsecond)
    text = _minute(span.start) if is_whole else f"{start.isoformat()}Z"
    return f"{_OPEN_START if span.start == BEGINNING else text}/{_minute(span.end)}"


def _range(text: str) -> Range:
    start, end = text.split("/")
    if start == _OPEN_START:
        return Range(BEGINNING, _moment(end))
    return Range(utc(datetime.fromisoformat(start.removesuffix("Z"))), _moment(end))


def _from_1(document: Mapping[str, Any]) -> dict[str, Any]:
    """In version 1 each batch had a `since` of its own, also where thousands were first seen in one sync."""
    migrated = {**document, "version": 2}
    for section in _SECTIONS.keys() & document.keys():
        migrated[section] = {template_id: _by_since(batches) for template_id, batches in document[section].items()}
    if links := document.get("links"):
        migrated["links"] = {name: part for name, part in _from_1(links).items() if name != "version"}
    return migrated


def _by_since(batches: Mapping[str, Any]) -> dict[str, Any]:
    times: dict[str, Any] = {}
    for batch_id, entry in batches.items():
        rest = {name: value for name, value in entry.items() if name != "since"}
        times.setdefault(entry["since"], {})[batch_id] = rest
    return times


_MIGRATIONS = {1: _from_1}
"""How a state of an older version becomes one of the next."""
