"""DocMap as an API of the sandbox, with its example and its demo documents."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from math import inf

from docextract_sandbox.api import Endpoint, FlatWorldAdapter, World
from docextract_sandbox.context import JsonObject, SandboxContext
from docextract_sandbox.history import OfficeHistory

from .extractions import NewExtraction
from .fake_documents import FAILURE_REASONS, TEMPLATE_VARIABLES, FakeDocuments
from .routes import API_KEY, BASE_PATH, DocMapRoutes
from .world import DocMapWorld

SEED_ID = "extract_9k2m4n6p8q0r1s3t"
SEED_TEMPLATE_ID = "tmpl_8f3a2b1c4d5e6f7g"
_TEMPLATE_NAMES = {"invoice": "Supplier invoices", "delivery": "Delivery notes"}
_RUN_AGES_IN_DAYS = {"invoice": (27.4, 13.2, 3.6), "delivery": (20.8, 6.1)}
_SINGLE_AGES_IN_DAYS = {"invoice": (29.1, 22.5, 17.3, 9.8, 1.7), "delivery": (25.2, 11.9, 4.4)}
_DOCUMENTS_PER_WEEK = {"invoice": 5, "delivery": 2}
_STUCK_AGE_IN_DAYS = 8.3
_PENDING_SECONDS = 3600.0
"""Seconds until pending documents finish by themselves: long enough that a user sees them pending in real time."""


class DocMapApi:
    """DocMap's host: one key and one world."""

    name = "docmap"
    base_path = BASE_PATH

    def __init__(self, context: SandboxContext) -> None:
        """Create an empty world."""
        random = context.make_random(self.name)
        self._context = context
        self._fake_documents = FakeDocuments(random)
        self.world = DocMapWorld(context, random, self._fake_documents)
        self._template_ids_by_kind: dict[str, str] = {}
        self._growing_run_id: str | None = None
        self._file_count = 0

    @property
    def credentials(self) -> Mapping[str, str]:
        """Return the key, in the documented format `dm_live_` and 64 hex digits."""
        return {"api_key": API_KEY}

    @property
    def worlds(self) -> Mapping[str, World]:
        """Return the world by the name that the control endpoints use."""
        return {"docmap": FlatWorldAdapter(self.world)}

    def list_endpoints(self) -> Sequence[Endpoint]:
        """Return the endpoints of DocMap."""
        return DocMapRoutes(self.world, self._fake_documents).list_endpoints()

    def load_seeds(self) -> None:
        """Add the completed example of the page "Get Extraction", value for value."""
        variable = {"name": "vendor_name", "type": "string", "description": "Name of the vendor or supplier"}
        template_id = self.world.put_template("Invoice Template", [variable], SEED_TEMPLATE_ID)
        data: JsonObject = {"vendor_name": "Acme Corp", "invoice_number": "INV-2024-001", "total_amount": 1250.0}
        example = NewExtraction("invoice-2024-001.pdf", 3.842, data, extraction_id=SEED_ID, processing_ms=3842)
        created_at = datetime(2024, 11, 20, 14, 30, tzinfo=timezone.utc)
        self.world.add_extractions(template_id, [example], created_at=created_at)

    def fill_demo(self) -> None:
        """Add runs and single documents of two templates.

        Later calls add a few, one of them to a finished run.
        """
        if self._template_ids_by_kind:
            for kind in self._template_ids_by_kind:
                self._add_run(kind, 0, [self._make_file(kind, 0), self._make_file(kind, _PENDING_SECONDS)])
            self._add_single("invoice", 0, self._make_file("invoice", _PENDING_SECONDS))
            self.world.add_extractions(
                self._template_ids_by_kind["delivery"],
                [self._make_file("delivery", _PENDING_SECONDS)],
                self._growing_run_id,
            )
            return
        for kind, name in _TEMPLATE_NAMES.items():
            self._template_ids_by_kind[kind] = self.world.put_template(name, TEMPLATE_VARIABLES[kind])
            for age in _RUN_AGES_IN_DAYS[kind]:
                self._growing_run_id = self._add_run(kind, age, [self._make_file(kind) for _ in range(4)])
            for age in _SINGLE_AGES_IN_DAYS[kind]:
                self._add_single(kind, age, self._make_file(kind))
        self._add_single(
            "invoice", 15.5, NewExtraction("invoice-damaged.pdf", error=self._fake_documents.draw_failure())
        )
        self._add_single(
            "delivery", 8.2, NewExtraction("delivery-damaged.pdf", error=self._fake_documents.draw_failure())
        )
        for kind in self._template_ids_by_kind:
            self._add_run(kind, 0.01, [self._make_file(kind, 20.0), self._make_file(kind, _PENDING_SECONDS)])
        self._fill_earlier_weeks()

    def _fill_earlier_weeks(self) -> None:
        """Add single documents of earlier weeks, and one that never finishes."""
        history = OfficeHistory(self._context.make_random("docmap/weeks"), self._context.clock.now())
        for week in history.iter_weeks():
            for kind, count in _DOCUMENTS_PER_WEEK.items():
                for created_at in history.draw_times(week, count):
                    duration_seconds = history.slow_down(week, self._fake_documents.draw_seconds())
                    error = history.draw_failure(week, FAILURE_REASONS)
                    self.world.add_extractions(
                        self._template_ids_by_kind[kind],
                        [self._make_file(kind, duration_seconds, error)],
                        created_at=created_at,
                    )
        self._add_single("invoice", _STUCK_AGE_IN_DAYS, self._make_file("invoice", inf))

    def _add_run(self, kind: str, age_in_days: float, files: Sequence[NewExtraction]) -> str:
        created_at = self._context.clock.now() - timedelta(days=age_in_days)
        run_id = self.world.draw_run_id()
        # DocMap takes one file per request, so the files of a run have different times.
        for number, file in enumerate(files):
            self.world.add_extractions(
                self._template_ids_by_kind[kind],
                [file],
                run_id,
                created_at=created_at + timedelta(seconds=0.35 * (number - len(files))),
            )
        return run_id

    def _add_single(self, kind: str, age_in_days: float, file: NewExtraction) -> None:
        created_at = self._context.clock.now() - timedelta(days=age_in_days)
        self.world.add_extractions(self._template_ids_by_kind[kind], [file], created_at=created_at)

    def _make_file(self, kind: str, duration_seconds: float | None = None, error: str | None = None) -> NewExtraction:
        self._file_count += 1
        source = "dashboard" if self._file_count % 5 == 0 else "api"
        return NewExtraction(f"{kind}-{self._file_count:04d}.pdf", duration_seconds, error=error, source=source)

    def build_settings(self) -> JsonObject:
        """Return no settings: the provider lists every extraction of the account."""
        return {}
