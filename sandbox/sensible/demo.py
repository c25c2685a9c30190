"""Sensible's documents to play with, and the example of its documentation."""

from datetime import datetime, timedelta, timezone
from random import Random

from sandbox.shared import JsonObject
from sandbox.weeks import Weeks

from .extractions import NEEDS_REVIEW, SensibleDocument
from .invoices import TYPE, Invoices, needs_a_look, renumbered, shortened
from .papers import FAILURES, Papers
from .world import SensibleWorld

SEED_BATCH_ID = "c73c7932-82c0-438c-a339-175d7d0771bd"
SEED_IDS = ("0b34ce99-bf15-4e0d-a391-b03e4c830414", "a122f739-3f4a-443d-bb70-718fd2828af1")
SEED_TYPE = "contracts"
_SEED_CREATED = datetime(2024, 1, 23, 19, 30, 41, 356_000, tzinfo=timezone.utc)
_SEED_SECONDS = 700.228
"""Until 2024-01-23T19:42:21.584Z."""

_AGES_IN_DAYS = {
    "contracts": (29.3, 24.8, 19.2, 13.7, 8.4, 2.6, 0.9),
    "tax_forms": (27.5, 21.4, 15.1, 10.6, 5.3, 1.8),
    "claims": (26.2, 18.9, 11.7, 6.5, 3.1),
}
_INVOICES_A_WEEK = 5
_UNDECIDED_WEEKS = 4
"""Reviews of so many weeks are still to be decided."""
_FORGOTTEN_FOR_DAYS = 12.4
_A_WHILE = 3600.0
"""Seconds until what is pending finishes by itself: long enough to see it pending, unless the clock is hurried."""


def plant(world: SensibleWorld) -> None:
    """The batch of the page "Group extractions by batch ID" once its first document is complete.

    Its times and ids are the page's; its `parsed_document` is cut there, so it is drawn here.
    """
    world.document_type(SEED_TYPE)
    documents = [
        SensibleDocument("doc1.pdf", _SEED_SECONDS, extraction_id=SEED_IDS[0]),
        SensibleDocument("doc2.pdf", extraction_id=SEED_IDS[1]),
    ]
    world.batch(documents, SEED_TYPE, "test batch", batch_id=SEED_BATCH_ID, created_at=_SEED_CREATED)
    world.upload(SEED_BATCH_ID, 0, uploaded_at=_SEED_CREATED)


class Demo:
    """Fills the world: the documents of some months first, then a few more each time."""

    def __init__(self, world: SensibleWorld, papers: Papers, random: Random) -> None:
        self._world = world
        self._papers = papers
        self._random = random
        self._unsure: list[str] = []
        self._under_review: list[str] = []
        self._batches: list[str] = []
        self._number = 0

    def fill(self) -> None:
        if self._batches:
            self._more()
        else:
            self._a_month()

    def _a_month(self) -> None:
        self._finish_the_seeds()
        known = {type_.name for type_ in self._world.document_types}
        for name, ages in _AGES_IN_DAYS.items():
            if name not in known:
                self._world.document_type(name)
            for place, age in enumerate(ages):
                self._extract(name, age, review=NEEDS_REVIEW if place in (2, 4) else None)
        now = self._world.shared.clock.now()
        failing = SensibleDocument("claims-damaged.pdf", error=self._papers.failure())
        self._world.extract([failing], "claims", created_at=now - timedelta(days=14.2))
        tried = self._file("contracts")
        self._world.extract([tried], "contracts", environment="development", created_at=now - timedelta(days=9.9))
        bundle = SensibleDocument("mail-of-the-day.pdf", portfolio=["contracts", "tax_forms"], review=NEEDS_REVIEW)
        self._world.extract([bundle], "contracts", created_at=now - timedelta(days=7.6))
        done = now - timedelta(days=4.5)
        files = [self._file("tax_forms") for _ in range(3)]
        batch_id = self._world.batch(files, "tax_forms", "Tax season", created_at=done)
        for place in range(3):
            self._world.upload(batch_id, place, uploaded_at=done + timedelta(minutes=place + 1))
        self._new_batch()
        self._extract("claims", 0, _A_WHILE)
        self._the_weeks_before()

    def _finish_the_seeds(self) -> None:
        """Upload the page's second document in 2024 as well.

        The page shows it waiting. In a world of the last months it would be the one document that is stuck for years.
        """
        if SEED_IDS[1] in self._world.ids:
            self._world.upload(SEED_BATCH_ID, 1, uploaded_at=_SEED_CREATED)

    def _the_weeks_before(self) -> None:
        """Invoices, of which the unsure ones are reviewed by people, and a batch of which one was never uploaded."""
        now = self._world.shared.clock.now()
        weeks = Weeks(self._random, now)
        invoices = Invoices(self._random, weeks)
        self._world.document_type(TYPE)
        for week in weeks.past():
            for created in weeks.times(week, _INVOICES_A_WEEK):
                parsed = invoices.read(week)
                seconds, error = weeks.slowed(week, self._papers.seconds()), weeks.failure(week, FAILURES)
                unsure = error is None and needs_a_look(parsed)
                file = self._file(TYPE, seconds, NEEDS_REVIEW if unsure else None, parsed=parsed, error=error)
                (extraction,) = self._world.extract([file], TYPE, created_at=created)
                if unsure and week > _UNDECIDED_WEEKS:
                    self._world.review(extraction, "REJECTED" if self._random.random() < 0.2 else "APPROVED")
                elif unsure:
                    self._unsure.append(extraction)
        created = now - timedelta(days=_FORGOTTEN_FOR_DAYS)
        files = [self._file(TYPE, parsed=invoices.read(_UNDECIDED_WEEKS)) for _ in range(3)]
        forgotten = self._world.batch(files, TYPE, "Forgotten", created_at=created)
        for place in (0, 1):
            self._world.upload(forgotten, place, uploaded_at=created + timedelta(minutes=1))

    def _more(self) -> None:
        """Some reviews are decided, with corrections, what waited is uploaded, and new documents come in."""
        if self._under_review:
            self._world.review(self._under_review.pop(0), "APPROVED")
        for decision, edit in (("APPROVED", shortened), ("APPROVED", renumbered), ("REJECTED", None)):
            if self._unsure:
                extraction = self._unsure.pop(0)
                parsed = self._world.document(extraction).parsed or {}
                self._world.review(extraction, decision, edit(parsed) if edit else None)
        self._world.upload(self._batches[-1], 2)
        self._new_batch()
        for name in _AGES_IN_DAYS:
            self._extract(name, 0, 0)
        self._extract("contracts", 0, _A_WHILE)

    def _new_batch(self) -> None:
        """Of three documents one is complete, one in progress, one not yet uploaded."""
        files = [self._file("contracts", 0), self._file("contracts", _A_WHILE), self._file("contracts", _A_WHILE)]
        self._batches.append(self._world.batch(files, "contracts", f"Incoming {len(self._batches) + 1}"))
        for place in (0, 1):
            self._world.upload(self._batches[-1], place)

    def _extract(
        self, type_name: str, age_in_days: float, seconds: float | None = None, review: str | None = None
    ) -> None:
        created = self._world.shared.clock.now() - timedelta(days=age_in_days)
        ids = self._world.extract([self._file(type_name, seconds, review)], type_name, created_at=created)
        if review is not None:
            self._under_review += ids

    def _file(
        self,
        type_name: str,
        seconds: float | None = None,
        review: str | None = None,
        *,
        parsed: JsonObject | None = None,
        error: str | None = None,
    ) -> SensibleDocument:
        self._number += 1
        return SensibleDocument(f"{type_name}-{self._number:04d}.pdf", seconds, parsed, error, review)
