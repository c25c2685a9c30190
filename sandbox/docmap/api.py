"""DocMap as one API of the sandbox, with its example and its demo documents."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from math import inf

from sandbox.api import Endpoint, Unbatched, World
from sandbox.shared import JsonObject, Shared
from sandbox.weeks import Weeks

from .extractions import NewExtraction
from .papers import FAILURES, VARIABLES, Papers
from .routes import API_KEY, BASE_PATH, DocMapRoutes
from .world import DocMapWorld

SEED_ID = "extract_9k2m4n6p8q0r1s3t"
SEED_TEMPLATE_ID = "tmpl_8f3a2b1c4d5e6f7g"
_NAMES = {"invoice": "Supplier invoices", "delivery": "Delivery notes"}
_RUNS_AGES_IN_DAYS = {"invoice": (27.4, 13.2, 3.6), "delivery": (20.8, 6.1)}
_SINGLES_AGES_IN_DAYS = {"invoice": (29.1, 22.5, 17.3, 9.8, 1.7), "delivery": (25.2, 11.9, 4.4)}
_PAPERS_A_WEEK = {"invoice": 5, "delivery": 2}
_STUCK_FOR_DAYS = 8.3
_A_WHILE = 3600.0
"""Seconds until what is pending finishes by itself: long enough to see it pending, unless the clock is hurried."""


class DocMapApi:
    """One host, one key, one world."""

    name = "docmap"
    base_path = BASE_PATH

    def __init__(self, shared: Shared) -> None:
        random = shared.generator(self.name)
        self._shared = shared
        self._papers = Papers(random)
        self.world = DocMapWorld(shared, random, self._papers)
        self._demo: dict[str, str] = {}
        self._growing: str | None = None
        self._number = 0

    @property
    def credentials(self) -> Mapping[str, str]:
        """Documented: a key is `dm_live_` and 64 hexadecimal digits."""
        return {"api_key": API_KEY}

    @property
    def worlds(self) -> Mapping[str, World]:
        return {"docmap": Unbatched(self.world)}

    def endpoints(self) -> Sequence[Endpoint]:
        return DocMapRoutes(self.world, self._papers).endpoints()

    def plant_seeds(self) -> None:
        """The completed example of the page "Get Extraction", value for value."""
        variable = {"name": "vendor_name", "type": "string", "description": "Name of the vendor or supplier"}
        template_id = self.world.template("Invoice Template", [variable], SEED_TEMPLATE_ID)
        data: JsonObject = {"vendor_name": "Acme Corp", "invoice_number": "INV-2024-001", "total_amount": 1250.0}
        example = NewExtraction("invoice-2024-001.pdf", 3.842, data, extraction_id=SEED_ID, processing_ms=3842)
        created = datetime(2024, 11, 20, 14, 30, tzinfo=timezone.utc)
        self.world.run(template_id, [example], created_at=created)

    def fill_demo(self) -> None:
        """Runs and single documents of two templates; further calls add a few, one of them to a finished run."""
        if self._demo:
            for kind in self._demo:
                self._run(kind, 0, [self._file(kind, 0), self._file(kind, _A_WHILE)])
            self._single("invoice", 0, self._file("invoice", _A_WHILE))
            self.world.run(self._demo["delivery"], [self._file("delivery", _A_WHILE)], self._growing)
            return
        for kind, name in _NAMES.items():
            self._demo[kind] = self.world.template(name, VARIABLES[kind])
            for age in _RUNS_AGES_IN_DAYS[kind]:
                self._growing = self._run(kind, age, [self._file(kind) for _ in range(4)])
            for age in _SINGLES_AGES_IN_DAYS[kind]:
                self._single(kind, age, self._file(kind))
        self._single("invoice", 15.5, NewExtraction("invoice-damaged.pdf", error=self._papers.failure()))
        self._single("delivery", 8.2, NewExtraction("delivery-damaged.pdf", error=self._papers.failure()))
        for kind in self._demo:
            self._run(kind, 0.01, [self._file(kind, 20.0), self._file(kind, _A_WHILE)])
        self._the_weeks_before()

    def _the_weeks_before(self) -> None:
        """Single documents, and one that nobody gets done."""
        weeks = Weeks(self._shared.generator("docmap/weeks"), self._shared.clock.now())
        for week in weeks.past():
            for kind, count in _PAPERS_A_WEEK.items():
                for created in weeks.times(week, count):
                    seconds, error = weeks.slowed(week, self._papers.seconds()), weeks.failure(week, FAILURES)
                    self.world.run(self._demo[kind], [self._file(kind, seconds, error)], created_at=created)
        self._single("invoice", _STUCK_FOR_DAYS, self._file("invoice", inf))

    def _run(self, kind: str, age_in_days: float, files: Sequence[NewExtraction]) -> str:
        created = self._shared.clock.now() - timedelta(days=age_in_days)
        run_id = self.world.new_run_id()
        # A request a file, and so a moment each.
        for number, file in enumerate(files):
            self.world.run(
                self._demo[kind], [file], run_id, created_at=created + timedelta(seconds=0.35 * (number - len(files)))
            )
        return run_id

    def _single(self, kind: str, age_in_days: float, file: NewExtraction) -> None:
        created = self._shared.clock.now() - timedelta(days=age_in_days)
        self.world.run(self._demo[kind], [file], created_at=created)

    def _file(self, kind: str, seconds: float | None = None, error: str | None = None) -> NewExtraction:
        self._number += 1
        source = "dashboard" if self._number % 5 == 0 else "api"
        return NewExtraction(f"{kind}-{self._number:04d}.pdf", seconds, error=error, source=source)

    def settings(self) -> JsonObject:
        """Nothing need be told: the account's extractions are listed."""
        return {}
