"""Fake accounts with each provider: possible events, and the expected rows.

With a short lookback, no event changes what may be settled already, unless a list shows the change: the connector could
not see it. With a lookback that covers the whole schedule, any event may happen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar

from docextract_sandbox import DocumentType, NewDocument, NewExtraction, NewFile, Sandbox, SensibleDocument

HOUR = 3600.0
ENVIRONMENTS = ["PRODUCTION", "DEVELOPMENT"]
ExpectedRow = tuple[str, Any]
"""The status of a file, and the data of its result or None."""


@dataclass
class Account:
    """The documents of one product.

    Attributes:
        sandbox: the sandbox that holds them.
        settings: the settings of the connection; the account adds its own.
        sees_all_changes: the lookback covers the whole schedule, so the connector sees every change.
        product: the product, as in the names of its streams.
        events: the methods that a schedule may call, each with two numbers that choose among the possibilities.
        exempt_ids: ids of files and batches whose rows may be out of date, such as deleted ones.
        may_repeat_rows: documents were added to days that may be compacted already, so rows may be repeated.
        may_repeat_batches: settings were narrowed and widened again. A batch that was read in part is fetched once more
            then, and its row is emitted even if it did not change.
    """

    sandbox: Sandbox
    settings: dict[str, Any]
    sees_all_changes: bool
    product: ClassVar[str]
    events: ClassVar[tuple[str, ...]]

    def __post_init__(self) -> None:
        self.exempt_ids: set[str] = set()
        self.may_repeat_rows = False
        self.may_repeat_batches = False
        self.counter = 0
        self.set_up()

    def set_up(self) -> None:
        """Create the templates, and add the settings of the account."""
        raise NotImplementedError

    def list_expected_rows(self) -> dict[str, ExpectedRow]:
        """Return the rows that the warehouse must hold in the end, by file id."""
        raise NotImplementedError

    def finish(self, _pick: int = 0, _variant: int = 0) -> None:
        """Finish a batch, or everything."""
        raise NotImplementedError

    def choose(self, pick: int, variant: int) -> None:
        """Narrow, change or widen the settings."""

    def choose_all(self) -> None:
        """Let the settings select everything."""

    @property
    def host(self) -> str:
        """Return the provider of the product: both products of Extracta have the same."""
        return self.product.removesuffix("_classification")

    def next_number(self) -> int:
        """Return a number that no document of the account has."""
        self.counter += 1
        return self.counter


class ExtractaAccount(Account):
    """The common part of both products of Extracta."""

    template: str

    def __post_init__(self) -> None:
        self.batches: list[str] = []
        super().__post_init__()

    @property
    def world(self) -> Any:
        """Return the sandbox's part for this product."""
        raise NotImplementedError

    def new_file(self, kind: int) -> NewFile:
        """Return a new file; `kind` decides on its content and duration."""
        raise NotImplementedError

    def new(self, pick: int, variant: int) -> None:
        """Upload a batch of one to three files."""
        self.batches.append(
            self.world.upload(self.template, [self.new_file(variant + number) for number in range(1 + pick % 3)])
        )

    def is_open(self, batch: str) -> bool:
        """Return whether a batch has unfinished files."""
        return not self.world.get_batch(batch).is_finished

    def finish(self, pick: int = 0, variant: int = 0) -> None:
        batch = self.pick_batch(pick) if variant % 2 else None
        self.world.finish(None if batch in self.exempt_ids else batch)

    def edit(self, pick: int, variant: int) -> None:
        """Correct the data of a file, as a reviewer would."""
        batch = self.pick_batch(pick)
        if batch and (self.sees_all_changes or self.is_open(batch)) and batch not in self.exempt_ids:
            files = self.world.get_batch(batch).files
            if files and not files[variant % len(files)].error:
                self.world.edit(batch, files[variant % len(files)].name, self.make_correction())

    def make_correction(self) -> dict[str, Any]:
        """Return new data for a file."""
        raise NotImplementedError

    def delete(self, pick: int, variant: int) -> None:
        """Delete a batch, or one of its files."""
        batch = self.pick_batch(pick)
        if batch and self.sees_all_changes and batch not in self.exempt_ids:
            files = self.world.get_batch(batch).files
            key = f"{self.template}/{batch}"
            if variant % 2 or len(files) < 2:
                self.exempt_ids |= {key, batch, *(f"{key}/{new_file.file_id}" for new_file in files)}
                self.world.delete(self.template, batch)
            else:
                self.exempt_ids |= {f"{key}/{files[0].file_id}"}
                self.world.delete(self.template, batch, files[0].file_id)

    def pick_batch(self, pick: int) -> str | None:
        """Return one of the batches, None if there are none."""
        return self.batches[pick % len(self.batches)] if self.batches else None

    def list_expected_rows(self) -> dict[str, ExpectedRow]:
        rows = {}
        for template in self.world.template_ids:
            for batch in self.world.list_batch_ids(template):
                for new_file in self.world.get_batch(batch).files:
                    row = ("failed", None) if new_file.error else ("processed", new_file.result)
                    rows[f"{template}/{batch}/{new_file.file_id}"] = row
        return rows


class ExtractionAccount(ExtractaAccount):
    """The batches of one extraction template, which lists them."""

    product = "extracta"
    events = ("new", "new", "more", "late", "finish", "edit", "delete")

    @property
    def world(self) -> Any:
        return self.sandbox.extracta

    def set_up(self) -> None:
        self.template = self.sandbox.extracta.create("Invoices", ["vendor"])
        self.settings.setdefault("extracta", {})["extraction_ids"] = [self.template]

    def new_file(self, kind: int) -> NewFile:
        error = "unreadable" if kind % 5 == 4 else None
        result = {"vendor": f"{self.next_number()}", "lines": [{"n": f"{self.counter}", "of": None}] * (kind % 3)}
        return NewFile(f"{self.counter}.pdf", (0, HOUR)[kind % 2], result, error=error)

    def make_correction(self) -> dict[str, Any]:
        return {"vendor": f"edited {self.next_number()}"}

    def more(self, pick: int, variant: int) -> None:
        """Add a file to a batch, however old."""
        batch = self.pick_batch(pick)
        if batch and batch not in self.exempt_ids:
            self.may_repeat_rows = self.may_repeat_rows or not self.sees_all_changes
            self.world.upload(self.template, [self.new_file(variant)], batch)

    def late(self, pick: int, variant: int) -> None:
        """Create a batch that is listed long after its creation.

        If its day is compacted already, the whole day is read again.
        """
        self.may_repeat_rows = True
        started_at = self.sandbox.clock.now() - timedelta(days=1 + variant * 5)
        files = [self.new_file(variant + number) for number in range(1 + pick % 3)]
        batch = self.world.upload(self.template, files, started_at=started_at)
        if not self.sees_all_changes or variant > 0:
            # A finished batch counts as settled since its creation: later changes may fall out of the lookback.
            return
        self.batches.append(batch)


class ClassificationAccount(ExtractaAccount):
    """The batches of one classification, listed by it or named in the settings.

    Files of the type `invoice` are handed on to the extraction template.
    """

    product = "extracta_classification"
    events = ("new", "new", "more", "finish", "edit", "delete")

    @property
    def world(self) -> Any:
        return self.sandbox.classification

    def set_up(self) -> None:
        [template] = self.settings["extracta"]["extraction_ids"]
        types = [DocumentType("invoice", extraction_id=template), DocumentType("other")]
        self.template = self.sandbox.classification.create("Mail", types)
        self.is_listed = self.sandbox.switches.classification_batches
        if self.is_listed:
            self.settings["extracta"]["classification_ids"] = [self.template]

    def new(self, pick: int, variant: int) -> None:
        super().new(pick, variant)
        if not self.is_listed:
            paths = [f"{self.template}/{batch}" for batch in self.batches]
            self.settings["extracta"]["classification_batches"] = paths

    def new_file(self, kind: int) -> NewFile:
        document_type = ("invoice", "other")[kind // 2 % 2]
        result = {"documentType": document_type, "confidence": 0.5}
        return NewFile(f"{self.next_number()}.pdf", (0, HOUR)[kind % 2], result)

    def make_correction(self) -> dict[str, Any]:
        return {"documentType": "other", "confidence": self.next_number() / 1000}

    def more(self, pick: int, variant: int) -> None:
        """Add a file to a batch whose changes the connector sees."""
        batch = self.pick_batch(pick)
        if batch and batch not in self.exempt_ids and (self.sees_all_changes or self.is_listed or self.is_open(batch)):
            self.may_repeat_rows = self.may_repeat_rows or not self.sees_all_changes
            self.world.upload(self.template, [self.new_file(variant)], batch)


class AtlasAccount(Account):
    """Batches of Atlas, all named in the settings; one name is unknown to Atlas."""

    product = "atlas"
    events = ("new", "new", "more", "finish", "edit")

    def set_up(self) -> None:
        self.batches: list[str] = []
        self.settings["atlas"] = {"batch_ids": ["BATCH-0"]}

    def new_document(self, kind: int) -> NewDocument:
        """Return a new document; `kind` decides on its duration and error."""
        name = {"value": f"{self.next_number()}", "confidence_score": 0.5}
        error = "INVALID_DOC" if kind % 5 == 4 else None
        data = {"document_type": "PAN", "name": name}
        return NewDocument(f"{self.counter}", (0, HOUR)[kind % 2], data, error_code=error)

    def new(self, pick: int, variant: int) -> None:
        # If `total_items` counts extracted documents only, a batch looks complete once the first one is extracted.
        """Submit a batch of 1, 3 or 60 documents: the last has several pages."""
        same_kind = not self.sees_all_changes and self.sandbox.switches.atlas_total_counts_extracted
        documents = [
            self.new_document(variant if same_kind else variant + number) for number in range((1, 3, 60)[pick % 3])
        ]
        self.batches.append(self.sandbox.atlas.submit(documents))
        self.settings["atlas"]["batch_ids"] = ["BATCH-0", *self.batches]

    def pick_changeable_batch(self, pick: int) -> str | None:
        """Return a batch whose changes the connector sees.

        That is any, or with a short lookback one that is unfinished.
        """
        batch = self.batches[pick % len(self.batches)] if self.batches else None
        if batch is None or self.sees_all_changes:
            return batch
        is_completeness_known = not self.sandbox.switches.atlas_total_counts_extracted
        documents = self.sandbox.atlas.get_batch(batch).documents
        return batch if is_completeness_known and not all(document.is_extracted for document in documents) else None

    def more(self, pick: int, variant: int) -> None:
        """Add a document to a batch."""
        if batch := self.pick_changeable_batch(pick):
            self.sandbox.atlas.add_documents(batch, [self.new_document(variant)])

    def edit(self, pick: int, variant: int) -> None:
        """Change the data of a document."""
        if batch := self.pick_changeable_batch(pick):
            documents = self.sandbox.atlas.get_batch(batch).documents
            if documents:
                data: Any = self.new_document(0).file_data
                self.sandbox.atlas.edit(batch, documents[variant % len(documents)].document_id, data)

    def finish(self, pick: int = 0, variant: int = 0) -> None:
        self.sandbox.atlas.finish(self.batches[pick % len(self.batches)] if variant % 2 and self.batches else None)

    def list_expected_rows(self) -> dict[str, ExpectedRow]:
        rows: dict[str, ExpectedRow] = {}
        for batch in self.batches:
            for document in self.sandbox.atlas.get_batch(batch).documents:
                row = ("failed", None) if document.error_code else ("processed", document.file_data)
                rows[f"{batch}/{document.document_id}"] = row
        return rows


class DocmapAccount(Account):
    """Extractions of two DocMap templates, in runs and without."""

    product = "docmap"
    events = ("new", "new", "new", "finish", "delete", "choose")

    def set_up(self) -> None:
        self.settings["docmap"] = {}
        self.templates = [self.sandbox.docmap.put_template(name) for name in ("Invoices", "Notes")]

    def new(self, pick: int, variant: int) -> None:
        """Add extractions without a run, in a new run, or in one that exists."""
        files = [
            NewExtraction(
                f"{self.next_number()}.pdf",
                (0, HOUR, 25 * HOUR)[(variant + number) % 3],
                {"n": self.counter},
                error="unreadable" if (variant + number) % 5 == 4 else None,
            )
            for number in range(1 + pick % 4)
        ]
        run = (None, "r1", "r2", f"run {self.counter}")[(pick + variant) % 4]
        # Each call has a `createdAt` of its own: a short page could not hold all rows that share one.
        created_at = self.sandbox.clock.now() - timedelta(milliseconds=self.counter)
        self.sandbox.docmap.add_extractions(self.templates[variant % 2], files, run, created_at=created_at)

    def choose(self, pick: int, _variant: int) -> None:
        first, second = self.templates
        self.settings["docmap"]["template_ids"] = ([], [first], [second], [first, second])[pick % 4]
        self.may_repeat_batches = True

    def choose_all(self) -> None:
        self.settings["docmap"].pop("template_ids", None)

    def finish(self, _pick: int = 0, _variant: int = 0) -> None:
        self.sandbox.docmap.finish()

    def delete(self, pick: int, _variant: int) -> None:
        """Delete an extraction."""
        ids = self.sandbox.docmap.extraction_ids
        if ids:
            extraction_id = ids[pick % len(ids)]
            view = self.sandbox.docmap.get_extraction(extraction_id)
            # No response mentions a deleted extraction: its run keeps counting it until the run is fetched again.
            self.exempt_ids |= {extraction_id, view.run_id or extraction_id}
            self.sandbox.docmap.delete(extraction_id)

    def list_expected_rows(self) -> dict[str, ExpectedRow]:
        rows: dict[str, ExpectedRow] = {}
        for extraction_id in self.sandbox.docmap.extraction_ids:
            view = self.sandbox.docmap.get_extraction(extraction_id)
            is_completed = view.status.value == "completed"
            rows[extraction_id] = ("processed" if is_completed else "failed", view.data if is_completed else None)
        return rows


class SensibleAccount(Account):
    """Documents of two types and two environments, single, in batches and portfolios."""

    product = "sensible"
    events = ("new", "batch", "batch", "upload", "upload", "finish", "review", "purge", "name", "choose")

    def set_up(self) -> None:
        self.settings["sensible"] = {"environments": ENVIRONMENTS}
        for name in ("claims", "contracts"):
            self.sandbox.sensible.add_document_type(name)

    def new_documents(self, pick: int, variant: int) -> list[SensibleDocument]:
        """Return one to four new documents."""
        return [
            SensibleDocument(
                f"{self.next_number()}.pdf",
                (0, HOUR, 25 * HOUR)[(variant + number) % 3],
                {"n": {"value": self.counter, "type": "number"}},
                error="unreadable" if (pick + number) % 5 == 4 else None,
                review="NEEDS_REVIEW" if (pick + variant + number) % 3 == 2 else None,
                portfolio=("claims", "contracts") if (pick + number) % 7 == 6 else None,
                is_too_large=(variant + number) % 8 == 7,
            )
            for number in range(1 + pick % 4)
        ]

    def new(self, pick: int, variant: int) -> None:
        """Send single documents."""
        environment = ("production", "production", "development")[variant % 3]
        self.sandbox.sensible.extract(self.new_documents(pick, variant), "claims", environment=environment)

    def choose(self, pick: int, variant: int) -> None:
        types = ([], ["claims"], ["contracts"], ["contracts", "claims"])[pick % 4]
        environments = (ENVIRONMENTS, ENVIRONMENTS[:1], ENVIRONMENTS[1:])[variant % 3]
        self.settings["sensible"].update({"document_types": types, "environments": environments})
        self.may_repeat_batches = True

    def choose_all(self) -> None:
        self.settings["sensible"].pop("document_types", None)
        self.settings["sensible"]["environments"] = ENVIRONMENTS

    def batch(self, pick: int, variant: int) -> None:
        self.sandbox.sensible.add_batch(self.new_documents(pick, variant), "contracts", f"batch {self.counter}")

    def upload(self, pick: int, variant: int) -> None:
        if batches := self.sandbox.sensible.batch_ids:
            batch = batches[pick % len(batches)]
            ids = self.sandbox.sensible.get_batch(batch).extraction_ids
            self.sandbox.sensible.upload(batch, variant % len(ids))

    def finish(self, _pick: int = 0, _variant: int = 0) -> None:
        self.sandbox.sensible.finish()

    def find_views(self, predicate: Callable[[Any], bool]) -> list[Any]:
        """Return the documents that a predicate accepts."""
        views = map(self.sandbox.sensible.get_document, self.sandbox.sensible.extraction_ids)
        return [view for view in views if predicate(view)]

    def review(self, pick: int, variant: int) -> None:
        """Approve or reject a document, with or without a correction."""
        if views := self.find_views(lambda view: any(part.review == "NEEDS_REVIEW" for part in view.parts)):
            parsed = {"edited": {"value": self.next_number(), "type": "number"}} if variant % 2 else None
            status = ("APPROVED", "REJECTED")[variant // 2 % 2]
            self.sandbox.sensible.review(views[pick % len(views)].extraction_id, status, parsed)

    def purge(self, pick: int, _variant: int) -> None:
        """Delete a document while the provider processes it."""
        if views := self.find_views(lambda view: view.status.value == "PROCESSING"):
            self.sandbox.sensible.purge(views[pick % len(views)].extraction_id)

    def name(self, pick: int, _variant: int) -> None:
        """Name a batch in the settings, early or late."""
        if batches := self.sandbox.sensible.batch_ids:
            # The row of a batch that was settled and forgotten is emitted once more; its documents are not.
            self.may_repeat_batches = True
            batch_ids = self.settings["sensible"].setdefault("batch_ids", [])
            batch_ids.append(batches[pick % len(batches)])

    def list_expected_rows(self) -> dict[str, ExpectedRow]:
        rows: dict[str, ExpectedRow] = {}
        for view in self.find_views(lambda _: True):
            is_lost = view.is_too_large or view.is_purged
            status = {"COMPLETE": "processed", "FAILED": "failed"}.get(view.status.value, "pending")
            rows[view.extraction_id] = ("failed" if is_lost else status, None if is_lost else self.expected_data(view))
            if is_lost:
                # Only some responses have its name and its batch, so its row may lack them.
                self.exempt_ids.add(view.extraction_id)
                if self._is_batch_unknown(view.batch_id):
                    self.exempt_ids.add(view.batch_id)
        return rows

    def expected_data(self, view: Any) -> Any:
        """Return the data of a document, or of the first document in a portfolio."""
        portfolios = self.sandbox.switches.sensible_portfolios
        if not view.is_portfolio or view.parsed_document is None or portfolios == "whole":
            return view.parsed_document
        return {} if portfolios == "no_output" else None

    def _is_batch_unknown(self, batch: str | None) -> bool:
        """Return whether no readable document of a batch names it."""
        ids = self.sandbox.sensible.get_batch(batch).extraction_ids if batch else ()
        views = [self.sandbox.sensible.get_document(document_id) for document_id in ids]
        return all(view.is_too_large or view.is_purged for view in views)


ACCOUNTS: tuple[type[Account], ...] = (
    ExtractionAccount,
    ClassificationAccount,
    AtlasAccount,
    DocmapAccount,
    SensibleAccount,
)
