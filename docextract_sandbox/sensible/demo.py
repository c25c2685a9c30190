"""Sensible's demo documents, and the example of its documentation."""

from datetime import datetime, timedelta, timezone
from random import Random

from docextract_sandbox.context import JsonObject
from docextract_sandbox.history import OfficeHistory

from .extractions import NEEDS_REVIEW, SensibleDocument
from .fake_documents import FAILURE_REASONS, FakeDocuments
from .invoices import INVOICE_TYPE, FakeInvoices, drop_last_line, needs_review, renumber
from .world import SensibleWorld

SEED_BATCH_ID = "c73c7932-82c0-438c-a339-175d7d0771bd"
SEED_IDS = ("0b34ce99-bf15-4e0d-a391-b03e4c830414", "a122f739-3f4a-443d-bb70-718fd2828af1")
SEED_TYPE = "contracts"
_SEED_CREATED_AT = datetime(2024, 1, 23, 19, 30, 41, 356_000, tzinfo=timezone.utc)
_SEED_SECONDS = 700.228
"""Processing time of the example, until 2024-01-23T19:42:21.584Z."""

_AGES_IN_DAYS = {
    "contracts": (29.3, 24.8, 19.2, 13.7, 8.4, 2.6, 0.9),
    "tax_forms": (27.5, 21.4, 15.1, 10.6, 5.3, 1.8),
    "claims": (26.2, 18.9, 11.7, 6.5, 3.1),
}
_INVOICES_PER_WEEK = 5
_UNDECIDED_WEEKS = 4
"""Number of most recent weeks whose reviews have no decision yet."""
_FORGOTTEN_AGE_IN_DAYS = 12.4
_PENDING_SECONDS = 3600.0
"""Seconds until pending documents finish by themselves: long enough that a user sees them pending in real time."""


def load_seeds(world: SensibleWorld) -> None:
    """Add the batch of the page "Group extractions by batch ID".

    Times and ids are those of the page. The page abridges the `parsed_document`, so it is drawn.
    """
    world.add_document_type(SEED_TYPE)
    documents = [
        SensibleDocument("doc1.pdf", _SEED_SECONDS, extraction_id=SEED_IDS[0]),
        SensibleDocument("doc2.pdf", extraction_id=SEED_IDS[1]),
    ]
    world.add_batch(documents, SEED_TYPE, "test batch", batch_id=SEED_BATCH_ID, created_at=_SEED_CREATED_AT)
    world.upload(SEED_BATCH_ID, 0, uploaded_at=_SEED_CREATED_AT)


class DemoFiller:
    """A source of demo documents: twelve weeks, then a few more at each call."""

    def __init__(self, world: SensibleWorld, fake_documents: FakeDocuments, random: Random) -> None:
        """Fill one world; `random` draws the earlier weeks."""
        self._world = world
        self._fake_documents = fake_documents
        self._random = random
        self._unsure_ids: list[str] = []
        self._under_review_ids: list[str] = []
        self._batch_ids: list[str] = []
        self._file_count = 0

    def fill(self) -> None:
        """Add demo documents."""
        if self._batch_ids:
            self._add_documents()
        else:
            self._fill_recent_month()

    def _fill_recent_month(self) -> None:
        self._finish_seeds()
        known_types = {document_type.name for document_type in self._world.document_types}
        for type_name, ages in _AGES_IN_DAYS.items():
            if type_name not in known_types:
                self._world.add_document_type(type_name)
            for index, age in enumerate(ages):
                self._extract_file(type_name, age, review=NEEDS_REVIEW if index in (2, 4) else None)
        now = self._world.context.clock.now()
        failing_document = SensibleDocument("claims-damaged.pdf", error=self._fake_documents.draw_failure())
        self._world.extract([failing_document], "claims", created_at=now - timedelta(days=14.2))
        development_document = self._make_file("contracts")
        self._world.extract(
            [development_document], "contracts", environment="development", created_at=now - timedelta(days=9.9)
        )
        portfolio = SensibleDocument("mail-of-the-day.pdf", portfolio=["contracts", "tax_forms"], review=NEEDS_REVIEW)
        self._world.extract([portfolio], "contracts", created_at=now - timedelta(days=7.6))
        batch_created_at = now - timedelta(days=4.5)
        files = [self._make_file("tax_forms") for _ in range(3)]
        batch_id = self._world.add_batch(files, "tax_forms", "Tax season", created_at=batch_created_at)
        for index in range(3):
            self._world.upload(batch_id, index, uploaded_at=batch_created_at + timedelta(minutes=index + 1))
        self._add_batch()
        self._extract_file("claims", 0, _PENDING_SECONDS)
        self._fill_earlier_weeks()

    def _finish_seeds(self) -> None:
        """Upload the second document of the page's example, which the page shows waiting.

        In a demo of twelve weeks it would be the only document that has been stuck for years.
        """
        if SEED_IDS[1] in self._world.extraction_ids:
            self._world.upload(SEED_BATCH_ID, 1, uploaded_at=_SEED_CREATED_AT)

    def _fill_earlier_weeks(self) -> None:
        """Add invoices, reviews, and a batch with a document that is never uploaded."""
        now = self._world.context.clock.now()
        history = OfficeHistory(self._random, now)
        invoices = FakeInvoices(self._random, history)
        self._world.add_document_type(INVOICE_TYPE)
        for week in history.iter_weeks():
            for created_at in history.draw_times(week, _INVOICES_PER_WEEK):
                parsed_document = invoices.make_parsed_document(week)
                duration_seconds = history.slow_down(week, self._fake_documents.draw_seconds())
                error = history.draw_failure(week, FAILURE_REASONS)
                is_unsure = error is None and needs_review(parsed_document)
                file = self._make_file(
                    INVOICE_TYPE,
                    duration_seconds,
                    NEEDS_REVIEW if is_unsure else None,
                    parsed_document=parsed_document,
                    error=error,
                )
                (extraction_id,) = self._world.extract([file], INVOICE_TYPE, created_at=created_at)
                if is_unsure and week > _UNDECIDED_WEEKS:
                    self._world.review(extraction_id, "REJECTED" if self._random.random() < 0.2 else "APPROVED")
                elif is_unsure:
                    self._unsure_ids.append(extraction_id)
        created_at = now - timedelta(days=_FORGOTTEN_AGE_IN_DAYS)
        files = [
            self._make_file(INVOICE_TYPE, parsed_document=invoices.make_parsed_document(_UNDECIDED_WEEKS))
            for _ in range(3)
        ]
        forgotten_batch_id = self._world.add_batch(files, INVOICE_TYPE, "Forgotten", created_at=created_at)
        for index in (0, 1):
            self._world.upload(forgotten_batch_id, index, uploaded_at=created_at + timedelta(minutes=1))

    def _add_documents(self) -> None:
        """Decide some reviews, upload a waiting document, and add new documents."""
        if self._under_review_ids:
            self._world.review(self._under_review_ids.pop(0), "APPROVED")
        for decision, edit_document in (("APPROVED", drop_last_line), ("APPROVED", renumber), ("REJECTED", None)):
            if self._unsure_ids:
                extraction_id = self._unsure_ids.pop(0)
                parsed_document = self._world.get_document(extraction_id).parsed_document or {}
                self._world.review(extraction_id, decision, edit_document(parsed_document) if edit_document else None)
        self._world.upload(self._batch_ids[-1], 2)
        self._add_batch()
        for type_name in _AGES_IN_DAYS:
            self._extract_file(type_name, 0, 0)
        self._extract_file("contracts", 0, _PENDING_SECONDS)

    def _add_batch(self) -> None:
        """Add a batch with a complete, a pending and a waiting document."""
        files = [
            self._make_file("contracts", 0),
            self._make_file("contracts", _PENDING_SECONDS),
            self._make_file("contracts", _PENDING_SECONDS),
        ]
        self._batch_ids.append(self._world.add_batch(files, "contracts", f"Incoming {len(self._batch_ids) + 1}"))
        for index in (0, 1):
            self._world.upload(self._batch_ids[-1], index)

    def _extract_file(
        self, type_name: str, age_in_days: float, duration_seconds: float | None = None, review: str | None = None
    ) -> None:
        created_at = self._world.context.clock.now() - timedelta(days=age_in_days)
        extraction_ids = self._world.extract(
            [self._make_file(type_name, duration_seconds, review)], type_name, created_at=created_at
        )
        if review is not None:
            self._under_review_ids += extraction_ids

    def _make_file(
        self,
        type_name: str,
        duration_seconds: float | None = None,
        review: str | None = None,
        *,
        parsed_document: JsonObject | None = None,
        error: str | None = None,
    ) -> SensibleDocument:
        self._file_count += 1
        return SensibleDocument(
            f"{type_name}-{self._file_count:04d}.pdf", duration_seconds, parsed_document, error, review
        )
