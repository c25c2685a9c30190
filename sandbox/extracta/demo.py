"""Extracta documents to play with."""

from datetime import timedelta
from math import inf
from random import Random

from sandbox.papers import FAILURES, FIELDS
from sandbox.shared import JsonObject
from sandbox.weeks import Habit, Weeks

from .classification import ClassificationWorld, DocumentType
from .extraction import ExtractionWorld
from .files import NewFile

_BATCH_AGES_IN_DAYS = {
    "invoice": (28.3, 14.6, 1.2, 0.01),
    "resume": (21.7, 6.4),
    "receipt": (9.1, 0.002),
}
_NAMES = {"invoice": "Supplier invoices", "resume": "Applicants", "receipt": "Travel receipts"}
_PAPERS_A_WEEK = {"invoice": 5, "receipt": 3}
_MAIL_EACH_WEEKS = 3
_MAIL_HABITS = {"invoice": Habit(0.96), "receipt": Habit(0.9, -0.012), "other": Habit(0.7, 0.005)}
_STUCK_FOR_DAYS = 5.5
_A_WHILE = 3600.0
"""Seconds until what is pending finishes by itself: long enough to see it pending, unless the clock is hurried."""


class Demo:
    """Fills the two worlds: the documents of some months first, then a few more each time."""

    def __init__(self, extraction: ExtractionWorld, classification: ClassificationWorld, random: Random) -> None:
        self._extraction = extraction
        self._classification = classification
        self._random = random
        self._extractions: dict[str, str] = {}
        self._classifications: list[str] = []
        self._number = 0

    def fill(self) -> None:
        if self._extractions:
            self._more()
        else:
            self._a_month()
            self._the_weeks_before()

    def _a_month(self) -> None:
        for kind, name in _NAMES.items():
            self._extractions[kind] = self._extraction.create(name, list(FIELDS[kind]))
            for age in _BATCH_AGES_IN_DAYS[kind]:
                self._batch(kind, age, 3 if age > 1 else 2)
        incoming = (
            DocumentType("Invoice", "A bill from a supplier", ("invoice number",), self._extractions["invoice"]),
            DocumentType("Receipt", "A till receipt", ("cash", "card")),
        )
        hiring = (
            DocumentType("Resume", "A curriculum vitae", ("experience",), self._extractions["resume"]),
            DocumentType("Letter", "A cover letter", ("dear",)),
        )
        self._classifications = [
            self._classification.create("Incoming mail", incoming),
            self._classification.create("Job applications", hiring),
        ]
        for template, age in zip(self._classifications, (12.5, 4.8), strict=True):
            started = self._extraction.shared.clock.now() - timedelta(days=age)
            self._classification.upload(template, [self._file("scan") for _ in range(4)], started_at=started)
        self._classification.upload(self._classifications[0], [self._file("scan", _A_WHILE) for _ in range(2)])

    def _the_weeks_before(self) -> None:
        """A batch of invoices each week, receipts and mail now and then, and a batch that nobody gets done."""
        now = self._extraction.shared.clock.now()
        weeks = Weeks(self._random, now)
        for week in weeks.past():
            for kind, count in _PAPERS_A_WEEK.items():
                if kind == "invoice" or week % 2:
                    started, *rest = weeks.times(week, count)
                    files = [self._file(kind, error=weeks.failure(week, FAILURES)) for _ in range(1 + len(rest))]
                    self._extraction.upload(self._extractions[kind], files, started_at=started)
            if week % _MAIL_EACH_WEEKS == 0:
                started, *_ = weeks.times(week, 1)
                mail = [self._file("scan", result=self._classified(weeks, week)) for _ in range(4)]
                self._classification.upload(self._classifications[0], mail, started_at=started)
        stuck = [self._file("receipt"), self._file("receipt", inf)]
        started = now - timedelta(days=_STUCK_FOR_DAYS)
        self._extraction.upload(self._extractions["receipt"], stuck, started_at=started)

    def _classified(self, weeks: Weeks, week: int) -> JsonObject:
        kind = self._random.choice(("invoice", "invoice", "receipt", "other"))
        return {"confidence": weeks.sureness(_MAIL_HABITS, kind, week), "documentType": kind}

    def _more(self) -> None:
        """New batches, and files for finished ones: all that a client can find without being told of new ids."""
        for kind in self._extractions:
            self._batch(kind, 0, 2)
        invoices = self._extractions["invoice"]
        batches = [self._extraction.batch(batch_id) for batch_id in self._extraction.batch_ids(invoices)]
        recent = max((batch for batch in batches if batch.finished), key=lambda batch: batch.started_at)
        self._correct(recent.batch_id)
        self._extraction.upload(invoices, [self._file("invoice", _A_WHILE)], recent.batch_id)
        template = self._classifications[1]
        batch = self._classification.batch_ids(template)[0]
        self._classification.upload(template, [self._file("resume", _A_WHILE)], batch)

    def _correct(self, batch_id: str) -> None:
        """Documented: a person can edit a result. Here the last line of an invoice was none."""
        for file in self._extraction.batch(batch_id).files:
            lines = (file.result or {}).get("line_items")
            if isinstance(lines, list) and lines:
                corrected = {**(file.result or {}), "line_items": lines[:-1], "customer": "Foxglove Laboratories Ltd"}
                self._extraction.edit(batch_id, file.file_id, corrected)
                return

    def _batch(self, kind: str, age_in_days: float, files: int) -> None:
        started = self._extraction.shared.clock.now() - timedelta(days=age_in_days)
        seconds = _A_WHILE if age_in_days < 1 else None
        new = [self._file(kind, seconds) for _ in range(files)]
        if age_in_days > 20:
            new.append(NewFile(f"{kind}-damaged.pdf", error="The file is damaged and cannot be opened"))
        self._extraction.upload(self._extractions[kind], new, started_at=started)

    def _file(
        self, kind: str, seconds: float | None = None, *, result: JsonObject | None = None, error: str | None = None
    ) -> NewFile:
        self._number += 1
        return NewFile(f"{kind}-{self._number:04d}.pdf", seconds, result, error)
