"""Extracta's demo documents."""

from datetime import timedelta
from math import inf
from random import Random

from docextract_sandbox.context import JsonObject
from docextract_sandbox.fake_documents import FAILURE_REASONS, TEMPLATE_FIELDS
from docextract_sandbox.history import ConfidenceTrend, OfficeHistory

from .classification import ClassificationWorld, DocumentType
from .extraction import ExtractionWorld
from .files import NewFile

_BATCH_AGES_IN_DAYS = {
    "invoice": (28.3, 14.6, 1.2, 0.01),
    "resume": (21.7, 6.4),
    "receipt": (9.1, 0.002),
}
_TEMPLATE_NAMES = {"invoice": "Supplier invoices", "resume": "Applicants", "receipt": "Travel receipts"}
_DOCUMENTS_PER_WEEK = {"invoice": 5, "receipt": 3}
_MAIL_WEEK_INTERVAL = 3
_MAIL_CONFIDENCE_TRENDS = {
    "invoice": ConfidenceTrend(0.96),
    "receipt": ConfidenceTrend(0.9, -0.012),
    "other": ConfidenceTrend(0.7, 0.005),
}
_STUCK_AGE_IN_DAYS = 5.5
_PENDING_SECONDS = 3600.0
"""Seconds until pending documents finish by themselves: long enough that a user sees them pending in real time."""


class DemoFiller:
    """A source of demo documents: twelve weeks, then a few more at each call."""

    def __init__(
        self, extraction_world: ExtractionWorld, classification_world: ClassificationWorld, random: Random
    ) -> None:
        """Fill both worlds; `random` draws the earlier weeks."""
        self._extraction_world = extraction_world
        self._classification_world = classification_world
        self._random = random
        self._template_ids_by_kind: dict[str, str] = {}
        self._classification_ids: list[str] = []
        self._file_count = 0

    def fill(self) -> None:
        """Add demo documents to both worlds."""
        if self._template_ids_by_kind:
            self._add_documents()
        else:
            self._fill_recent_month()
            self._fill_earlier_weeks()

    def _fill_recent_month(self) -> None:
        for kind, name in _TEMPLATE_NAMES.items():
            self._template_ids_by_kind[kind] = self._extraction_world.create(name, list(TEMPLATE_FIELDS[kind]))
            for age in _BATCH_AGES_IN_DAYS[kind]:
                self._upload_batch(kind, age, 3 if age > 1 else 2)
        mail_types = (
            DocumentType(
                "Invoice", "A bill from a supplier", ("invoice number",), self._template_ids_by_kind["invoice"]
            ),
            DocumentType("Receipt", "A till receipt", ("cash", "card")),
        )
        application_types = (
            DocumentType("Resume", "A curriculum vitae", ("experience",), self._template_ids_by_kind["resume"]),
            DocumentType("Letter", "A cover letter", ("dear",)),
        )
        self._classification_ids = [
            self._classification_world.create("Incoming mail", mail_types),
            self._classification_world.create("Job applications", application_types),
        ]
        for classification_id, age in zip(self._classification_ids, (12.5, 4.8), strict=True):
            started_at = self._extraction_world.context.clock.now() - timedelta(days=age)
            self._classification_world.upload(
                classification_id, [self._make_file("scan") for _ in range(4)], started_at=started_at
            )
        self._classification_world.upload(
            self._classification_ids[0], [self._make_file("scan", _PENDING_SECONDS) for _ in range(2)]
        )

    def _fill_earlier_weeks(self) -> None:
        """Add weekly batches of invoices, receipts and mail, and one that never finishes."""
        now = self._extraction_world.context.clock.now()
        history = OfficeHistory(self._random, now)
        for week in history.iter_weeks():
            for kind, count in _DOCUMENTS_PER_WEEK.items():
                if kind == "invoice" or week % 2:
                    started_at, *later_times = history.draw_times(week, count)
                    files = [
                        self._make_file(kind, error=history.draw_failure(week, FAILURE_REASONS))
                        for _ in range(1 + len(later_times))
                    ]
                    self._extraction_world.upload(self._template_ids_by_kind[kind], files, started_at=started_at)
            if week % _MAIL_WEEK_INTERVAL == 0:
                started_at, *_ = history.draw_times(week, 1)
                mail_files = [
                    self._make_file("scan", result=self._draw_classification(history, week)) for _ in range(4)
                ]
                self._classification_world.upload(self._classification_ids[0], mail_files, started_at=started_at)
        stuck_files = [self._make_file("receipt"), self._make_file("receipt", inf)]
        started_at = now - timedelta(days=_STUCK_AGE_IN_DAYS)
        self._extraction_world.upload(self._template_ids_by_kind["receipt"], stuck_files, started_at=started_at)

    def _draw_classification(self, history: OfficeHistory, week: int) -> JsonObject:
        kind = self._random.choice(("invoice", "invoice", "receipt", "other"))
        return {"confidence": history.draw_confidence(_MAIL_CONFIDENCE_TRENDS, kind, week), "documentType": kind}

    def _add_documents(self) -> None:
        """Add batches and files that a client finds without new ids in its settings."""
        for kind in self._template_ids_by_kind:
            self._upload_batch(kind, 0, 2)
        invoice_template_id = self._template_ids_by_kind["invoice"]
        batches = [
            self._extraction_world.get_batch(batch_id)
            for batch_id in self._extraction_world.list_batch_ids(invoice_template_id)
        ]
        recent_batch = max((batch for batch in batches if batch.is_finished), key=lambda batch: batch.started_at)
        self._correct_invoice(recent_batch.batch_id)
        self._extraction_world.upload(
            invoice_template_id, [self._make_file("invoice", _PENDING_SECONDS)], recent_batch.batch_id
        )
        classification_id = self._classification_ids[1]
        batch = self._classification_world.list_batch_ids(classification_id)[0]
        self._classification_world.upload(classification_id, [self._make_file("resume", _PENDING_SECONDS)], batch)

    def _correct_invoice(self, batch_id: str) -> None:
        """Edit an invoice as a person may do, as documented."""
        for file in self._extraction_world.get_batch(batch_id).files:
            lines = (file.result or {}).get("line_items")
            if isinstance(lines, list) and lines:
                corrected_result = {
                    **(file.result or {}),
                    "line_items": lines[:-1],
                    "customer": "Foxglove Laboratories Ltd",
                }
                self._extraction_world.edit(batch_id, file.file_id, corrected_result)
                return

    def _upload_batch(self, kind: str, age_in_days: float, file_count: int) -> None:
        started_at = self._extraction_world.context.clock.now() - timedelta(days=age_in_days)
        duration_seconds = _PENDING_SECONDS if age_in_days < 1 else None
        new_files = [self._make_file(kind, duration_seconds) for _ in range(file_count)]
        if age_in_days > 20:
            new_files.append(NewFile(f"{kind}-damaged.pdf", error="The file is damaged and cannot be opened"))
        self._extraction_world.upload(self._template_ids_by_kind[kind], new_files, started_at=started_at)

    def _make_file(
        self,
        kind: str,
        duration_seconds: float | None = None,
        *,
        result: JsonObject | None = None,
        error: str | None = None,
    ) -> NewFile:
        self._file_count += 1
        return NewFile(f"{kind}-{self._file_count:04d}.pdf", duration_seconds, result, error)
