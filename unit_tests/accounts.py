"""Made-up accounts with each provider: what may happen in them, and what is true of them then.

In an account with a short lookback nothing happens to what may be settled already, unless a list tells of it: nobody
could see it. With a long one anything may.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar

from sandbox import DocumentType, NewDocument, NewExtraction, NewFile, Sandbox, SensibleDocument

HOUR = 3600.0
ENVIRONMENTS = ["PRODUCTION", "DEVELOPMENT"]
Row = tuple[str, Any]
"""A file's status, and the data of its result or None."""


@dataclass
class Account:
    """One product's documents.

    Attributes:
        anything: whatever happens is seen, whenever it does.
        gone: ids of files, and of batches, of which the rows may stay as they were.
        costs_again: something came to what may have been read and summed up, so that rows may come a second time.
        batches_again: settings have asked for less and then for more: a batch of which some was read before is asked
            for once more, and its row comes whether or not that changes it.
    """

    sandbox: Sandbox
    settings: dict[str, Any]
    anything: bool
    product: ClassVar[str]
    events: ClassVar[tuple[str, ...]]

    def __post_init__(self) -> None:
        self.gone: set[str] = set()
        self.costs_again = False
        self.batches_again = False
        self.number = 0
        self.begin()

    def begin(self) -> None:
        raise NotImplementedError

    def truth(self) -> dict[str, Row]:
        """By file id, what the warehouse should hold once all is finished."""
        raise NotImplementedError

    def finish(self, _a: int = 0, _b: int = 0) -> None:
        raise NotImplementedError

    def choose(self, a: int, b: int) -> None:
        """Settings ask for less, for something else, or for all."""

    def choose_all(self) -> None:
        """Settings ask for all that there is."""

    @property
    def host(self) -> str:
        return self.product.removesuffix("_classification")

    def next(self) -> int:
        self.number += 1
        return self.number


class _Extracta(Account):
    """What both products of Extracta have in common."""

    template: str

    def __post_init__(self) -> None:
        self.batches: list[str] = []
        super().__post_init__()

    @property
    def worlds(self) -> Any:
        raise NotImplementedError

    def file(self, kind: int) -> NewFile:
        raise NotImplementedError

    def new(self, a: int, b: int) -> None:
        self.batches.append(self.worlds.upload(self.template, [self.file(b + n) for n in range(1 + a % 3)]))

    def is_open(self, batch: str) -> bool:
        return not self.worlds.batch(batch).finished

    def finish(self, a: int = 0, b: int = 0) -> None:
        batch = self.some(a) if b % 2 else None
        self.worlds.finish(None if batch in self.gone else batch)

    def edit(self, a: int, b: int) -> None:
        """A person corrects what was read."""
        batch = self.some(a)
        if batch and (self.anything or self.is_open(batch)) and batch not in self.gone:
            files = self.worlds.batch(batch).files
            if files and not files[b % len(files)].error:
                self.worlds.edit(batch, files[b % len(files)].name, self.corrected())

    def corrected(self) -> dict[str, Any]:
        raise NotImplementedError

    def delete(self, a: int, b: int) -> None:
        batch = self.some(a)
        if batch and self.anything and batch not in self.gone:
            files = self.worlds.batch(batch).files
            key = f"{self.template}/{batch}"
            if b % 2 or len(files) < 2:
                self.gone |= {key, batch, *(f"{key}/{file.file_id}" for file in files)}
                self.worlds.delete(self.template, batch)
            else:
                self.gone |= {f"{key}/{files[0].file_id}"}
                self.worlds.delete(self.template, batch, files[0].file_id)

    def some(self, a: int) -> str | None:
        return self.batches[a % len(self.batches)] if self.batches else None

    def truth(self) -> dict[str, Row]:
        found = {}
        for template in self.worlds.template_ids:
            for batch in self.worlds.batch_ids(template):
                for file in self.worlds.batch(batch).files:
                    row = ("failed", None) if file.error else ("processed", file.result)
                    found[f"{template}/{batch}/{file.file_id}"] = row
        return found


class Extraction(_Extracta):
    product = "extracta"
    events = ("new", "new", "more", "late", "finish", "edit", "delete")

    @property
    def worlds(self) -> Any:
        return self.sandbox.extracta

    def begin(self) -> None:
        self.template = self.sandbox.extracta.create("Invoices", ["vendor"])
        self.settings.setdefault("extracta", {})["extraction_ids"] = [self.template]

    def file(self, kind: int) -> NewFile:
        error = "unreadable" if kind % 5 == 4 else None
        result = {"vendor": f"{self.next()}", "lines": [{"n": f"{self.number}", "of": None}] * (kind % 3)}
        return NewFile(f"{self.number}.pdf", (0, HOUR)[kind % 2], result, error=error)

    def corrected(self) -> dict[str, Any]:
        return {"vendor": f"edited {self.next()}"}

    def more(self, a: int, b: int) -> None:
        """Files are added to a batch, however old."""
        batch = self.some(a)
        if batch and batch not in self.gone:
            self.costs_again = self.costs_again or not self.anything
            self.worlds.upload(self.template, [self.file(b)], batch)

    def late(self, a: int, b: int) -> None:
        """A batch is listed long after it was created. Where days are summed up, one more costs its whole day."""
        self.costs_again = True
        started = self.sandbox.clock.now() - timedelta(days=1 + b * 5)
        files = [self.file(b + n) for n in range(1 + a % 3)]
        batch = self.worlds.upload(self.template, files, started_at=started)
        if not self.anything or b > 0:
            return  # settled since its creation, if it is finished already: too long ago to see what happens to it
        self.batches.append(batch)


class Classification(_Extracta):
    product = "extracta_classification"
    events = ("new", "new", "more", "finish", "edit", "delete")

    @property
    def worlds(self) -> Any:
        return self.sandbox.classification

    def begin(self) -> None:
        [template] = self.settings["extracta"]["extraction_ids"]
        types = [DocumentType("invoice", extraction_id=template), DocumentType("other")]
        self.template = self.sandbox.classification.create("Mail", types)
        self.listed = self.sandbox.switches.classification_batches
        if self.listed:
            self.settings["extracta"]["classification_ids"] = [self.template]

    def new(self, a: int, b: int) -> None:
        super().new(a, b)
        if not self.listed:
            paths = [f"{self.template}/{batch}" for batch in self.batches]
            self.settings["extracta"]["classification_batches"] = paths

    def file(self, kind: int) -> NewFile:
        named = ("invoice", "other")[kind // 2 % 2]
        result = {"documentType": named, "confidence": 0.5}
        return NewFile(f"{self.next()}.pdf", (0, HOUR)[kind % 2], result)

    def corrected(self) -> dict[str, Any]:
        return {"documentType": "other", "confidence": self.next() / 1000}

    def more(self, a: int, b: int) -> None:
        batch = self.some(a)
        if batch and batch not in self.gone and (self.anything or self.listed or self.is_open(batch)):
            self.costs_again = self.costs_again or not self.anything
            self.worlds.upload(self.template, [self.file(b)], batch)


class Atlas(Account):
    product = "atlas"
    events = ("new", "new", "more", "finish", "edit")

    def begin(self) -> None:
        self.batches: list[str] = []
        self.settings["atlas"] = {"batch_ids": ["BATCH-0"]}

    def document(self, kind: int) -> NewDocument:
        name = {"value": f"{self.next()}", "confidence_score": 0.5}
        error = "INVALID_DOC" if kind % 5 == 4 else None
        data = {"document_type": "PAN", "name": name}
        return NewDocument(f"{self.number}", (0, HOUR)[kind % 2], data, error_code=error)

    def new(self, a: int, b: int) -> None:
        # What counts only what is extracted looks whole as soon as the first document is.
        is_even = not self.anything and self.sandbox.switches.atlas_total_counts_extracted
        documents = [self.document(b if is_even else b + n) for n in range((1, 3, 60)[a % 3])]
        self.batches.append(self.sandbox.atlas.submit(documents))
        self.settings["atlas"]["batch_ids"] = ["BATCH-0", *self.batches]

    def open_to(self, a: int) -> str | None:
        """A batch in which what happens will be seen: any, or one that says itself that it is unfinished."""
        batch = self.batches[a % len(self.batches)] if self.batches else None
        if batch is None or self.anything:
            return batch
        is_told = not self.sandbox.switches.atlas_total_counts_extracted
        documents = self.sandbox.atlas.batch(batch).documents
        return batch if is_told and not all(document.extracted for document in documents) else None

    def more(self, a: int, b: int) -> None:
        if batch := self.open_to(a):
            self.sandbox.atlas.add(batch, [self.document(b)])

    def edit(self, a: int, b: int) -> None:
        if batch := self.open_to(a):
            documents = self.sandbox.atlas.batch(batch).documents
            if documents:
                data: Any = self.document(0).file_data
                self.sandbox.atlas.edit(batch, documents[b % len(documents)].document_id, data)

    def finish(self, a: int = 0, b: int = 0) -> None:
        self.sandbox.atlas.finish(self.batches[a % len(self.batches)] if b % 2 and self.batches else None)

    def truth(self) -> dict[str, Row]:
        return {
            f"{batch}/{document.document_id}": (
                ("failed", None) if document.error_code else ("processed", document.file_data)
            )
            for batch in self.batches
            for document in self.sandbox.atlas.batch(batch).documents
        }


class Docmap(Account):
    product = "docmap"
    events = ("new", "new", "new", "finish", "delete", "choose")

    def begin(self) -> None:
        self.settings["docmap"] = {}
        self.templates = [self.sandbox.docmap.template(name) for name in ("Invoices", "Notes")]

    def new(self, a: int, b: int) -> None:
        """In no run, a new one, or one that there is already."""
        files = [
            NewExtraction(
                f"{self.next()}.pdf",
                (0, HOUR, 25 * HOUR)[(b + n) % 3],
                {"n": self.number},
                error="unreadable" if (b + n) % 5 == 4 else None,
            )
            for n in range(1 + a % 4)
        ]
        run = (None, "r1", "r2", f"run {self.number}")[(a + b) % 4]
        # What is made in one moment differs by milliseconds: short pages could not tell more of one from each other.
        created = self.sandbox.clock.now() - timedelta(milliseconds=self.number)
        self.sandbox.docmap.run(self.templates[b % 2], files, run, created_at=created)

    def choose(self, a: int, _b: int) -> None:
        one, other = self.templates
        self.settings["docmap"]["template_ids"] = ([], [one], [other], [one, other])[a % 4]
        self.batches_again = True

    def choose_all(self) -> None:
        self.settings["docmap"].pop("template_ids", None)

    def finish(self, _a: int = 0, _b: int = 0) -> None:
        self.sandbox.docmap.finish()

    def delete(self, a: int, _b: int) -> None:
        ids = self.sandbox.docmap.ids
        if ids:
            chosen = ids[a % len(ids)]
            view = self.sandbox.docmap.extraction(chosen)
            # Nobody tells of what is deleted after it was read: its run keeps counting it until it is asked for again.
            self.gone |= {chosen, view.run_id or chosen}
            self.sandbox.docmap.delete(chosen)

    def truth(self) -> dict[str, Row]:
        found: dict[str, Row] = {}
        for one in self.sandbox.docmap.ids:
            view = self.sandbox.docmap.extraction(one)
            done = view.status.value == "completed"
            found[one] = ("processed" if done else "failed", view.data if done else None)
        return found


class Sensible(Account):
    product = "sensible"
    events = ("new", "batch", "batch", "upload", "upload", "finish", "review", "purge", "name", "choose")

    def begin(self) -> None:
        self.settings["sensible"] = {"environments": ENVIRONMENTS}
        for name in ("claims", "contracts"):
            self.sandbox.sensible.document_type(name)

    def documents(self, a: int, b: int) -> list[SensibleDocument]:
        return [
            SensibleDocument(
                f"{self.next()}.pdf",
                (0, HOUR, 25 * HOUR)[(b + n) % 3],
                {"n": {"value": self.number, "type": "number"}},
                error="unreadable" if (a + n) % 5 == 4 else None,
                review="NEEDS_REVIEW" if (a + b + n) % 3 == 2 else None,
                portfolio=("claims", "contracts") if (a + n) % 7 == 6 else None,
                too_large=(b + n) % 8 == 7,
            )
            for n in range(1 + a % 4)
        ]

    def new(self, a: int, b: int) -> None:
        environment = ("production", "production", "development")[b % 3]
        self.sandbox.sensible.extract(self.documents(a, b), "claims", environment=environment)

    def choose(self, a: int, b: int) -> None:
        types = ([], ["claims"], ["contracts"], ["contracts", "claims"])[a % 4]
        environments = (ENVIRONMENTS, ENVIRONMENTS[:1], ENVIRONMENTS[1:])[b % 3]
        self.settings["sensible"].update({"document_types": types, "environments": environments})
        self.batches_again = True

    def choose_all(self) -> None:
        self.settings["sensible"].pop("document_types", None)
        self.settings["sensible"]["environments"] = ENVIRONMENTS

    def batch(self, a: int, b: int) -> None:
        self.sandbox.sensible.batch(self.documents(a, b), "contracts", f"batch {self.number}")

    def upload(self, a: int, b: int) -> None:
        if batches := self.sandbox.sensible.batch_ids:
            batch = batches[a % len(batches)]
            ids = self.sandbox.sensible.batch_view(batch).extraction_ids
            self.sandbox.sensible.upload(batch, b % len(ids))

    def finish(self, _a: int = 0, _b: int = 0) -> None:
        self.sandbox.sensible.finish()

    def views(self, wanted: Callable[[Any], bool]) -> list[Any]:
        views = map(self.sandbox.sensible.document, self.sandbox.sensible.ids)
        return [view for view in views if wanted(view)]

    def review(self, a: int, b: int) -> None:
        if found := self.views(lambda view: any(part.review == "NEEDS_REVIEW" for part in view.parts)):
            parsed = {"edited": {"value": self.next(), "type": "number"}} if b % 2 else None
            status = ("APPROVED", "REJECTED")[b // 2 % 2]
            self.sandbox.sensible.review(found[a % len(found)].extraction_id, status, parsed)

    def purge(self, a: int, _b: int) -> None:
        """A document is deleted while it is read."""
        if found := self.views(lambda view: view.status.value == "PROCESSING"):
            self.sandbox.sensible.purge(found[a % len(found)].extraction_id)

    def name(self, a: int, _b: int) -> None:
        """A batch is named by hand, early or late."""
        if batches := self.sandbox.sensible.batch_ids:
            self.costs_again = True
            named = self.settings["sensible"].setdefault("batch_ids", [])
            named.append(batches[a % len(batches)])

    def truth(self) -> dict[str, Row]:
        found: dict[str, Row] = {}
        for view in self.views(lambda _: True):
            lost = view.too_large or view.purged
            status = {"COMPLETE": "processed", "FAILED": "failed"}.get(view.status.value, "pending")
            found[view.extraction_id] = ("failed" if lost else status, None if lost else self.data(view))
            if lost:
                # Its name and its batch are told by some answers only.
                self.gone |= {view.extraction_id, *({view.batch_id} if self._is_lost(view.batch_id) else ())}
        return found

    def data(self, view: Any) -> Any:
        """What is extracted of a document, or of the first of a portfolio."""
        portfolios = self.sandbox.switches.sensible_portfolios
        if not view.is_portfolio or view.parsed is None or portfolios == "whole":
            return view.parsed
        return {} if portfolios == "no_output" else None

    def _is_lost(self, batch: str | None) -> bool:
        """Whether no document is left that could tell of the batch."""
        ids = self.sandbox.sensible.batch_view(batch).extraction_ids if batch else ()
        views = [self.sandbox.sensible.document(one) for one in ids]
        return all(view.too_large or view.purged for view in views)


ACCOUNTS: tuple[type[Account], ...] = (Extraction, Classification, Atlas, Docmap, Sensible)
