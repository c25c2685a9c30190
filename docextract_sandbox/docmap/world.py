"""The world of DocMap: one list of extractions, some of which share a run."""

import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from functools import partial
from math import inf
from random import Random

from docextract_sandbox.context import JsonObject, SandboxContext, UnknownId, to_datetime, to_milliseconds
from docextract_sandbox.timeline import Timeline, TimelineKey, make_lower_key, make_upper_key

from .extractions import CURRENT_USER_ID, Extraction, ExtractionView, NewExtraction, Status, Template, view_extraction
from .fake_documents import FakeDocuments

_SAMPLE_COUNT = 61
"""Number of different documents in a long history, whose rows differ by their field `reference`."""


class DocMapWorld:
    """Extractions by id and in the order of their creation.

    Attributes:
        context: The shared state of the sandbox.
        is_key_expired: Whether the key has expired; as documented it gets an error code of its own then.
        monthly_limit: Extractions per month, as documented for the plan `core`; only new ones are rejected beyond it.
    """

    def __init__(self, context: SandboxContext, random: Random, fake_documents: FakeDocuments) -> None:
        """Start without templates."""
        self.context = context
        self.is_key_expired = False
        self.monthly_limit = 2500
        self._random = random
        self._fake_documents = fake_documents
        self._templates: dict[str, Template] = {}
        self._rows: dict[str, Extraction] = {}
        self._user_timeline = Timeline()
        self._timelines_by_template: dict[str, Timeline] = {}
        self._timelines_by_run: dict[str, Timeline] = {}
        self._pending: dict[str, Extraction] = {}
        self._deleted_by_month: Counter[str] = Counter()

    @property
    def template_ids(self) -> list[str]:
        """Return the ids of all templates, in the order of their creation."""
        with self.context.hold_lock():
            return list(self._templates)

    @property
    def extraction_ids(self) -> list[str]:
        """Return the ids of all extractions, also of other users, oldest first."""
        with self.context.hold_lock():
            return list(self._rows)

    def put_template(
        self, name: str, variables: Sequence[Mapping[str, object]] = (), template_id: str | None = None
    ) -> str:
        """Create a template, or replace an existing one, and return its id.

        Existing extractions stay as they are.

        Args:
            name: Name of the template.
            variables: Variables, documented as `{name, type, description}`; without any, no key of the data is one.
            template_id: Id of the template; None draws one.
        """
        with self.context.hold_lock():
            new_id = template_id or self._fake_documents.draw_id("tmpl_")
            self._templates[new_id] = Template(new_id, name, tuple(dict(variable) for variable in variables))
            return new_id

    def add_extractions(
        self,
        template_id: str,
        files: Sequence[str | NewExtraction],
        run_id: str | None = None,
        *,
        created_at: datetime | None = None,
    ) -> list[str]:
        """Add extractions, all as of `created_at` (None: now), and return their ids.

        As documented, the client chooses `run_id` to group extractions, and may add to a run at any time.

        Raises:
            UnknownId: The template does not exist.
            ValueError: An extraction with that id exists.
        """
        with self.context.hold_lock():
            template = self._find_template(template_id)
            created_ms = to_milliseconds(created_at or self.context.clock.now())
            new_extractions = [NewExtraction(file) if isinstance(file, str) else file for file in files]
            return [
                self._store_row(self._make_extraction(new_extraction, template, run_id, created_ms))
                for new_extraction in new_extractions
            ]

    def add_history(
        self, template_id: str, count: int, start: datetime, step_seconds: float, run_size: int = 0
    ) -> list[str]:
        """Add a long history of finished extractions, and return their ids in order.

        Args:
            template_id: The template of all extractions.
            count: Number of extractions.
            start: Creation time of the first extraction.
            step_seconds: Seconds between two extractions.
            run_size: Extractions per run; 0 makes no runs.
        """
        with self.context.hold_lock():
            template = self._find_template(template_id)
            samples: list[JsonObject] = []
            first_ms, run_id = to_milliseconds(start), None
            rows = []
            for number in range(count):
                if run_size and number % run_size == 0:
                    run_id = self.draw_run_id()
                rows.append(
                    Extraction(
                        f"extract_{self._random.getrandbits(64):016x}",
                        template,
                        f"document-{number:07d}.pdf",
                        first_ms + round(number * step_seconds * 1000),
                        0.0,
                        partial(self._make_sample, template, samples, number),
                        None,
                        run_id,
                        5000 + number * 37 % 25_000,
                        CURRENT_USER_ID,
                        "api",
                    )
                )
            keys = [row.timeline_key for row in rows]
            self._rows.update(zip((row.extraction_id for row in rows), rows, strict=True))
            self._user_timeline.extend(keys)
            self._timelines_by_template.setdefault(template_id, Timeline()).extend(keys)
            for index in range(0, count, run_size or count or 1):
                if (run_id := rows[index].run_id) is not None:
                    self._timelines_by_run.setdefault(run_id, Timeline()).extend(keys[index : index + run_size])
            return [row.extraction_id for row in rows]

    def finish(self, extraction_id: str | None = None, *, skip_stuck: bool = False) -> int:
        """Finish pending extractions: all, one, or those of one run; return their number.

        Args:
            extraction_id: Id of an extraction or a run; None finishes every extraction.
            skip_stuck: Leave the extractions pending that would never finish by themselves.

        Raises:
            UnknownId: There is no such extraction or run.
        """
        with self.context.hold_lock():
            if (
                extraction_id is not None
                and extraction_id not in self._rows
                and extraction_id not in self._timelines_by_run
            ):
                raise UnknownId(f"there is no extraction or run {extraction_id}")
            now = self.context.timestamp()
            self._pending = {id_: row for id_, row in self._pending.items() if row.ready_at > now}
            finished_rows = [
                row
                for row in self._pending.values()
                if extraction_id is None or extraction_id in (row.extraction_id, row.run_id)
                if not (skip_stuck and row.ready_at == inf)
            ]
            for row in finished_rows:
                row.ready_at = now
            return len(finished_rows)

    def edit(self, extraction_id: str, data: Mapping[str, object], /) -> None:
        """Replace extracted data.

        No documented operation does so, but a client should survive it.
        """
        with self.context.hold_lock():
            row = self._find_row(extraction_id)
            # An edited document counts as read, also where reading had failed or was still in progress.
            row.load_data, row.error = partial(_return_data, data), None
            row.ready_at = min(row.ready_at, self.context.timestamp())

    def delete(self, extraction_id: str) -> None:
        """Delete an extraction; that it still counts towards the month's usage is a guess."""
        with self.context.hold_lock():
            row = self._find_row(extraction_id)
            del self._rows[extraction_id]
            self._pending.pop(extraction_id, None)
            if row.user_id == CURRENT_USER_ID:
                self._deleted_by_month[_format_month(row.created_ms)] += 1
            for timeline in self._list_timelines(row):
                timeline.remove(row.timeline_key)

    def get_extraction(self, extraction_id: str) -> ExtractionView:
        """Return an extraction as it is now."""
        with self.context.hold_lock():
            return view_extraction(self._find_row(extraction_id), self.context.timestamp())

    def iter_newest_first(
        self, template_id: str | None, run_id: str | None, first_key: TimelineKey | None, end_key: TimelineKey | None
    ) -> Iterator[ExtractionView]:
        """Yield the user's extractions from `first_key` to before `end_key`, newest first.

        The caller holds the lock while it iterates.
        """
        now = self.context.timestamp()
        for _, extraction_id in self._find_timeline(template_id, run_id).iter_newest_first(first_key, end_key):
            row = self._rows[extraction_id]
            if run_id is None or template_id in (None, row.template.template_id):
                yield view_extraction(row, now)

    def has_extraction_at(self, created_ms: int) -> bool:
        """Return whether the key's user has an extraction of that millisecond."""
        with self.context.hold_lock():
            return self._user_timeline.count(make_lower_key(created_ms), make_upper_key(created_ms)) > 0

    def invent_extractions(self, template_id: str, count: int, before_ms: int) -> list[ExtractionView]:
        """Return invented extractions, one millisecond apart, for lists without an end."""
        with self.context.hold_lock():
            template = self._find_template(template_id)
            return [
                ExtractionView(
                    f"extract_{before_ms - index:016x}",
                    template,
                    "invented.pdf",
                    Status.COMPLETED,
                    {},
                    None,
                    None,
                    1,
                    before_ms - index,
                    CURRENT_USER_ID,
                    "api",
                )
                for index in range(1, count + 1)
            ]

    def get_usage(self) -> tuple[str, int]:
        """Return the clock's month, such as `2026-11`, and its number of extractions."""
        with self.context.hold_lock():
            now = self.context.clock.now()
            start = datetime(now.year, now.month, 1, tzinfo=timezone.utc)
            made_count = self._user_timeline.count(
                make_lower_key(to_milliseconds(start)), make_upper_key(to_milliseconds(now))
            )
            period = f"{now:%Y-%m}"
            return period, made_count + self._deleted_by_month[period]

    def summarize(self) -> JsonObject:
        """Return the templates, and the numbers of runs and documents."""
        with self.context.hold_lock():
            now = self.context.timestamp()
            return {
                "templates": {id_: template.name for id_, template in self._templates.items()},
                "runs": len(self._timelines_by_run),
                "documents": len(self._rows),
                "pending_documents": sum(row.ready_at > now for row in self._pending.values()),
            }

    def _make_extraction(
        self, new_extraction: NewExtraction, template: Template, run_id: str | None, created_ms: int
    ) -> Extraction:
        duration_seconds = (
            self._fake_documents.draw_seconds()
            if new_extraction.duration_seconds is None
            else new_extraction.duration_seconds
        )
        data = (
            self._fake_documents.make_data(template.variables) if new_extraction.data is None else new_extraction.data
        )
        new_id = new_extraction.extraction_id or self._fake_documents.draw_id("extract_")
        if new_id in self._rows:
            raise ValueError(f"there is an extraction {new_id} already")
        return Extraction(
            new_id,
            template,
            new_extraction.file_name,
            created_ms,
            created_ms / 1000 + duration_seconds,
            partial(_return_data, data),
            new_extraction.error,
            run_id,
            new_extraction.processing_ms,
            CURRENT_USER_ID if new_extraction.user_id == "me" else new_extraction.user_id,
            new_extraction.source,
        )

    def _store_row(self, row: Extraction) -> str:
        self._rows[row.extraction_id] = row
        if row.ready_at > self.context.timestamp():
            self._pending[row.extraction_id] = row
        for timeline in self._list_timelines(row):
            timeline.add(row.timeline_key)
        return row.extraction_id

    def _list_timelines(self, row: Extraction) -> list[Timeline]:
        """Return the timelines that list an extraction: none for one of another user."""
        if row.user_id != CURRENT_USER_ID:
            return []
        timelines = [self._user_timeline, self._timelines_by_template.setdefault(row.template.template_id, Timeline())]
        return (
            timelines if row.run_id is None else [*timelines, self._timelines_by_run.setdefault(row.run_id, Timeline())]
        )

    def _find_timeline(self, template_id: str | None, run_id: str | None) -> Timeline:
        if run_id is not None:
            return self._timelines_by_run.get(run_id, Timeline())
        return self._user_timeline if template_id is None else self._timelines_by_template.get(template_id, Timeline())

    def _make_sample(self, template: Template, samples: list[JsonObject], number: int) -> JsonObject:
        if not samples:
            # A separate generator: the time of the first read must not change the draws of other documents.
            fake_documents = FakeDocuments(Random(template.template_id))
            samples += [fake_documents.make_data(template.variables) for _ in range(_SAMPLE_COUNT)]
        return {**samples[number % _SAMPLE_COUNT], "reference": f"R-{number:07d}"}

    def draw_run_id(self) -> str:
        """Return a random UUID for a run."""
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def _find_template(self, template_id: str) -> Template:
        try:
            return self._templates[template_id]
        except KeyError:
            raise UnknownId(f"there is no template {template_id}") from None

    def _find_row(self, extraction_id: str) -> Extraction:
        try:
            return self._rows[extraction_id]
        except KeyError:
            raise UnknownId(f"there is no extraction {extraction_id}") from None


def _return_data(data: Mapping[str, object]) -> Mapping[str, object]:
    return data


def _format_month(created_ms: int) -> str:
    return f"{to_datetime(created_ms / 1000):%Y-%m}"
