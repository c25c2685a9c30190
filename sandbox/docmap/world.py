"""The world of DocMap: one flat list of extractions, some of which share a run."""

import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from functools import partial
from math import inf
from random import Random

from sandbox.shared import JsonObject, Shared, Unknown, milliseconds, utc
from sandbox.timeline import Key, Timeline, after, from_

from .extractions import ME, Extraction, ExtractionView, NewExtraction, Status, Template, seen
from .papers import Papers

_SAMPLES = 61
"""So many different papers does a long history consist of; a reference of its own tells each of its rows apart."""


class DocMapWorld:
    """Extractions by id, and in the order of their creation."""

    def __init__(self, shared: Shared, random: Random, papers: Papers) -> None:
        self.shared = shared
        self.key_expired = False
        """Documented: keys can expire; requests with one get an error code of their own."""
        self.limit = 2500
        """Documented: extractions a month on the plan `core`. Beyond it only new ones are refused."""
        self._random = random
        self._papers = papers
        self._templates: dict[str, Template] = {}
        self._rows: dict[str, Extraction] = {}
        self._mine = Timeline()
        self._by_template: dict[str, Timeline] = {}
        self._by_run: dict[str, Timeline] = {}
        self._pending: dict[str, Extraction] = {}
        self._deleted: Counter[str] = Counter()

    @property
    def template_ids(self) -> list[str]:
        with self.shared.turn():
            return list(self._templates)

    @property
    def ids(self) -> list[str]:
        """Of all extractions, those of other users too, in the order in which they were added."""
        with self.shared.turn():
            return list(self._rows)

    def template(
        self, name: str, variables: Sequence[Mapping[str, object]] = (), template_id: str | None = None
    ) -> str:
        """A template, or with an id that exists a change of that one, which leaves its extractions as they are.

        `variables` are documented as `{name, type, description}`. Without any, all data lies beyond them.
        """
        with self.shared.turn():
            new_id = template_id or self._papers.identifier("tmpl_")
            self._templates[new_id] = Template(new_id, name, tuple(dict(one) for one in variables))
            return new_id

    def run(
        self,
        template_id: str,
        files: Sequence[str | NewExtraction],
        run_id: str | None = None,
        *,
        created_at: datetime | None = None,
    ) -> list[str]:
        """New extractions, all as of `created_at` (None: now); returns their ids.

        Documented: `run_id` is the client's own word for what belongs together; a run can be added to at any time.
        """
        with self.shared.turn():
            template = self._template(template_id)
            created_ms = milliseconds(created_at or self.shared.clock.now())
            new = [NewExtraction(file) if isinstance(file, str) else file for file in files]
            return [self._add(self._new(one, template, run_id, created_ms)) for one in new]

    def bulk(self, template_id: str, count: int, start: datetime, step_seconds: float, run_size: int = 0) -> list[str]:
        """A long history at little cost: finished extractions, one every `step_seconds` from `start` on.

        Each `run_size` of them are one run; with 0 there are no runs. Returns their ids in that order.
        """
        with self.shared.turn():
            template = self._template(template_id)
            samples: list[JsonObject] = []
            first_ms, run_id = milliseconds(start), None
            rows = []
            for number in range(count):
                if run_size and number % run_size == 0:
                    run_id = self.new_run_id()
                rows.append(
                    Extraction(
                        f"extract_{self._random.getrandbits(64):016x}",
                        template,
                        f"document-{number:07d}.pdf",
                        first_ms + round(number * step_seconds * 1000),
                        0.0,
                        partial(self._sample, template, samples, number),
                        None,
                        run_id,
                        5000 + number * 37 % 25_000,
                        ME,
                        "api",
                    )
                )
            keys = [row.key for row in rows]
            self._rows.update(zip((row.extraction_id for row in rows), rows, strict=True))
            self._mine.extend(keys)
            self._by_template.setdefault(template_id, Timeline()).extend(keys)
            for place in range(0, count, run_size or count or 1):
                if (run_id := rows[place].run_id) is not None:
                    self._by_run.setdefault(run_id, Timeline()).extend(keys[place : place + run_size])
            return [row.extraction_id for row in rows]

    def finish(self, extraction_id: str | None = None, *, by_itself: bool = False) -> int:
        """Finishes what is pending now: all, or one extraction, or one run by its id. Returns how many those were.

        `by_itself` leaves out what would never finish by itself.
        """
        with self.shared.turn():
            if extraction_id is not None and extraction_id not in self._rows and extraction_id not in self._by_run:
                raise Unknown(f"there is no extraction or run {extraction_id}")
            now = self.shared.timestamp()
            self._pending = {id_: row for id_, row in self._pending.items() if row.ready_at > now}
            chosen = [
                row
                for row in self._pending.values()
                if extraction_id is None or extraction_id in (row.extraction_id, row.run_id)
                if not (by_itself and row.ready_at == inf)
            ]
            for row in chosen:
                row.ready_at = now
            return len(chosen)

    def edit(self, extraction_id: str, data: JsonObject, /) -> None:
        """Replaces what was extracted. No documented operation does so, but a client should survive it."""
        with self.shared.turn():
            row = self._row(extraction_id)
            row.read, row.error = partial(_given, data), None
            row.ready_at = min(row.ready_at, self.shared.timestamp())

    def delete(self, extraction_id: str) -> None:
        """Deletes it for good. That it still counts towards the month's usage is a guess."""
        with self.shared.turn():
            row = self._row(extraction_id)
            del self._rows[extraction_id]
            self._pending.pop(extraction_id, None)
            if row.user == ME:
                self._deleted[_month(row.created_ms)] += 1
            for timeline in self._timelines(row):
                timeline.remove(row.key)

    def extraction(self, extraction_id: str) -> ExtractionView:
        with self.shared.turn():
            return seen(self._row(extraction_id), self.shared.timestamp())

    def newest_first(
        self, template_id: str | None, run_id: str | None, first: Key | None, end: Key | None
    ) -> Iterator[ExtractionView]:
        """The key's own extractions from `first` on and before `end`. To be used within one turn."""
        now = self.shared.timestamp()
        for _, extraction_id in self._timeline(template_id, run_id).newest_first(first, end):
            row = self._rows[extraction_id]
            if run_id is None or template_id in (None, row.template.template_id):
                yield seen(row, now)

    def has_row_of(self, created_ms: int) -> bool:
        """Whether the key's user has an extraction of that very millisecond."""
        with self.shared.turn():
            return self._mine.count(from_(created_ms), after(created_ms)) > 0

    def invented(self, template_id: str, count: int, before_ms: int) -> list[ExtractionView]:
        """Finished extractions that are nowhere else, a millisecond apart and before a time: for lists without end."""
        with self.shared.turn():
            template = self._template(template_id)
            return [
                ExtractionView(
                    f"extract_{before_ms - place:016x}",
                    template,
                    "invented.pdf",
                    Status.COMPLETED,
                    {},
                    None,
                    None,
                    1,
                    before_ms - place,
                    ME,
                    "api",
                )
                for place in range(1, count + 1)
            ]

    def usage(self) -> tuple[str, int]:
        """The clock's month such as `2026-11`, and how many extractions were made in it."""
        with self.shared.turn():
            now = self.shared.clock.now()
            start = datetime(now.year, now.month, 1, tzinfo=timezone.utc)
            made = self._mine.count(from_(milliseconds(start)), after(milliseconds(now)))
            period = f"{now:%Y-%m}"
            return period, made + self._deleted[period]

    def holds(self) -> JsonObject:
        with self.shared.turn():
            now = self.shared.timestamp()
            return {
                "templates": {id_: template.name for id_, template in self._templates.items()},
                "runs": len(self._by_run),
                "documents": len(self._rows),
                "pending_documents": sum(row.ready_at > now for row in self._pending.values()),
            }

    def _new(self, given: NewExtraction, template: Template, run_id: str | None, created_ms: int) -> Extraction:
        seconds = self._papers.seconds() if given.seconds is None else given.seconds
        data = self._papers.read(template.variables) if given.data is None else given.data
        new_id = given.extraction_id or self._papers.identifier("extract_")
        if new_id in self._rows:
            raise ValueError(f"there is an extraction {new_id} already")
        return Extraction(
            new_id,
            template,
            given.file_name,
            created_ms,
            created_ms / 1000 + seconds,
            partial(_given, data),
            given.error,
            run_id,
            given.processing_ms,
            ME if given.user == "me" else given.user,
            given.source,
        )

    def _add(self, row: Extraction) -> str:
        self._rows[row.extraction_id] = row
        if row.ready_at > self.shared.timestamp():
            self._pending[row.extraction_id] = row
        for timeline in self._timelines(row):
            timeline.add(row.key)
        return row.extraction_id

    def _timelines(self, row: Extraction) -> list[Timeline]:
        """Where it is listed: those of other users nowhere."""
        if row.user != ME:
            return []
        found = [self._mine, self._by_template.setdefault(row.template.template_id, Timeline())]
        return found if row.run_id is None else [*found, self._by_run.setdefault(row.run_id, Timeline())]

    def _timeline(self, template_id: str | None, run_id: str | None) -> Timeline:
        if run_id is not None:
            return self._by_run.get(run_id, Timeline())
        return self._mine if template_id is None else self._by_template.get(template_id, Timeline())

    def _sample(self, template: Template, samples: list[JsonObject], number: int) -> JsonObject:
        if not samples:
            # A generator of its own: when a history is first looked at must not change what is drawn elsewhere.
            papers = Papers(Random(template.template_id))
            samples += [papers.read(template.variables) for _ in range(_SAMPLES)]
        return {**samples[number % _SAMPLES], "reference": f"R-{number:07d}"}

    def new_run_id(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def _template(self, template_id: str) -> Template:
        try:
            return self._templates[template_id]
        except KeyError:
            raise Unknown(f"there is no template {template_id}") from None

    def _row(self, extraction_id: str) -> Extraction:
        try:
            return self._rows[extraction_id]
        except KeyError:
            raise Unknown(f"there is no extraction {extraction_id}") from None


def _given(data: JsonObject) -> JsonObject:
    return data


def _month(created_ms: int) -> str:
    return f"{utc(created_ms / 1000):%Y-%m}"
