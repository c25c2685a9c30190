"""A small sandbox with partitions of all kinds, and more of them nine days later.

It holds open and finished batches, named and listed ones, failed files, several pages, runs, a portfolio, a review, a
document that is too large, and references from classification to extraction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from docextract_sandbox import (
    DocumentType,
    NewDocument,
    NewExtraction,
    NewFile,
    PortfolioPart,
    Sandbox,
    SensibleDocument,
)
from unit_tests.support.harness import START

NEVER = float("inf")
"""Seconds after which a document finishes that stays pending."""


class ExpectedFile(NamedTuple):
    """One file that a sync must deliver.

    Attributes:
        product: its product.
        key: the id of its row.
        status: its status.
        results: the data of its results, by the ids of their rows.
    """

    product: str
    key: str
    status: str
    results: dict[str, Any]


def list_expected_files(sandbox: Sandbox) -> Iterator[ExpectedFile]:
    """Return the files that the sandbox holds, read from the sandbox itself."""
    return chain(
        _list_extracta_files(sandbox),
        _list_docmap_files(sandbox),
        _list_sensible_files(sandbox),
        _list_atlas_files(sandbox),
    )


def _list_extracta_files(sandbox: Sandbox) -> Iterator[ExpectedFile]:
    worlds: dict[str, Any] = {"extracta": sandbox.extracta, "extracta_classification": sandbox.classification}
    for product, world in worlds.items():
        for template in world.template_ids:
            for batch in map(world.get_batch, world.list_batch_ids(template)):
                for file in batch.files if batch.is_finished else ():  # an open batch shows none
                    key = f"{template}/{batch.batch_id}/{file.file_id}"
                    yield ExpectedFile(
                        product, key, file.status.value, {} if file.result is None else {key: file.result}
                    )


def _list_docmap_files(sandbox: Sandbox) -> Iterator[ExpectedFile]:
    statuses = {"processing": "pending", "completed": "processed", "failed": "failed"}
    for extraction in map(sandbox.docmap.get_extraction, sandbox.docmap.extraction_ids):
        key = extraction.extraction_id
        yield ExpectedFile(
            "docmap", key, statuses[extraction.status.value], {} if extraction.data is None else {key: extraction.data}
        )


def _list_sensible_files(sandbox: Sandbox) -> Iterator[ExpectedFile]:
    statuses = {"WAITING": "pending", "PROCESSING": "pending", "COMPLETE": "processed", "FAILED": "failed"}
    for document in map(sandbox.sensible.get_document, sandbox.sensible.extraction_ids):
        status = "failed" if document.is_too_large else statuses[document.status.value]
        parts = enumerate(document.parts) if status == "processed" else ()
        results = {
            f"{document.extraction_id}#{index}".removesuffix("#0"): part.parsed_document for index, part in parts
        }
        yield ExpectedFile("sensible", document.extraction_id, status, results)


def _list_atlas_files(sandbox: Sandbox) -> Iterator[ExpectedFile]:
    for batch in map(sandbox.atlas.get_batch, sandbox.atlas.batch_ids):
        for document in batch.documents:
            key = f"{batch.batch_id}/{document.document_id}"
            status = "failed" if document.error_code else "processed"
            results = {key: document.file_data} if document.file_data else {}
            yield ExpectedFile("atlas", key, status if document.is_extracted else "pending", results)


def add_first_day(sandbox: Sandbox, folder: Path) -> dict[str, Any]:
    """Add documents of all products; return the settings that sync them."""
    day_before = START - timedelta(days=1)
    extracta, classification = sandbox.extracta, sandbox.classification
    listed_template, referenced_template, explicit_template = (
        extracta.create(name, ["vendor"]) for name in ("Invoices", "Receipts", "Letters")
    )
    extracta.upload(listed_template, _new_files("settled", 2), started_at=day_before)
    extracta.upload(
        listed_template, [*_new_files("slow", 1), NewFile("slow.pdf", NEVER)], "open", started_at=day_before
    )
    explicit_batch = extracta.upload(explicit_template, _new_files("named", 2), started_at=day_before)
    single_file_batch = extracta.upload(
        explicit_template, [NewFile("single.pdf", NEVER, file_id="one")], started_at=day_before
    )
    types = [DocumentType("receipt", extraction_id=referenced_template), DocumentType("other")]
    listed_classifier, explicit_classifier = classification.create("Mail", types), classification.create("Post", types)
    classification.upload(
        listed_classifier, [_new_mail_file("receipt"), _new_mail_file("other")], started_at=day_before
    )
    classification.upload(
        listed_classifier,
        [NewFile("slow mail.pdf", NEVER, {"documentType": "other"})],
        "open mail",
        started_at=day_before,
    )
    explicit_mail_batch = classification.upload(explicit_classifier, [_new_mail_file("other")], started_at=day_before)

    template = sandbox.docmap.put_template("Notes", (), "notes")
    watched_files = [_new_extraction("a"), _new_extraction("slow", NEVER, extraction_id="watched document")]
    sandbox.docmap.add_extractions(template, watched_files, "watched", created_at=day_before)
    old_files = [_new_extraction("b"), _new_extraction("old", NEVER)]
    sandbox.docmap.add_extractions(template, old_files, "by hand", created_at=START - timedelta(days=40))
    (folder / "runs.csv").write_text("provider,batch_id\ndocmap,by hand\n")

    for name in ("claims", "tax_forms"):
        sandbox.sensible.add_document_type(name)
    _add_sensible_batch(
        sandbox, "watched", "claims", [_new_sensible_document("a"), _new_sensible_document("slow", NEVER)], day_before
    )
    _add_sensible_batch(
        sandbox, "by hand", "claims", [_new_sensible_document("b"), _new_sensible_document("late")], day_before
    )

    atlas_batch = sandbox.atlas.submit([_new_atlas_document(number) for number in range(4)], submitted_at=day_before)
    return {
        "extracta": {
            "extraction_ids": [listed_template],
            "extraction_batches": [
                f"{explicit_template}/{explicit_batch}",
                f"{explicit_template}/{single_file_batch}/one",
            ],
            "classification_ids": [listed_classifier],
            "classification_batches": [f"{explicit_classifier}/{explicit_mail_batch}"],
        },
        "docmap": {},
        "sensible": {"document_types": ["claims", "tax_forms"], "batch_ids": ["by hand"]},
        "atlas": {"batch_ids": [atlas_batch]},
        "batch_registry": {"url": str(folder / "runs.csv")},
    }


def add_second_day(sandbox: Sandbox, settings: dict[str, Any]) -> None:
    """Add more of everything, so that a sync requests each kind of response again."""
    now = sandbox.clock.now()
    [listed_template] = settings["extracta"]["extraction_ids"]
    [listed_classifier] = settings["extracta"]["classification_ids"]
    damaged_file = NewFile("bad.pdf", 0, error="The file is damaged")
    sandbox.extracta.upload(listed_template, [*_new_files("new", 2), damaged_file], "new batch")
    sandbox.extracta.upload(listed_template, [NewFile("newer.pdf", NEVER)])
    mail_files = [
        _new_mail_file("receipt"),
        _new_mail_file("other"),
        _new_mail_file("receipt"),
        NewFile("bad.pdf", 0, error="The file is damaged"),
    ]
    sandbox.classification.upload(listed_classifier, mail_files, "new mail")
    referenced_template = next(
        item for item in sandbox.extracta.template_ids if sandbox.extracta.get_template_name(item) == "Receipts"
    )
    sandbox.extracta.finish(sandbox.extracta.list_batch_ids(referenced_template)[-1])

    minutes = iter(range(9))
    for run, count in ((None, 2), ("new run", 3), ("watched", 1), ("by hand", 1)):
        for number in range(count):
            error = "The document could not be read" if (run, number) == ("new run", 1) else None
            extraction_id = "new extraction" if (run, number) == ("new run", 0) else None
            item = _new_extraction(f"{run} {number}", error=error, extraction_id=extraction_id)
            sandbox.docmap.add_extractions("notes", [item], run, created_at=now - timedelta(minutes=next(minutes)))

    parts = [PortfolioPart("claims", _SENSIBLE_DATA), PortfolioPart("tax_forms", _SENSIBLE_DATA, "NEEDS_REVIEW")]
    single_documents = [
        _new_sensible_document("d", review="NEEDS_REVIEW", extraction_id="new document"),
        _new_sensible_document("mail", portfolio=parts),
        _new_sensible_document("e", is_too_large=True),
    ]
    for number, document in enumerate(single_documents):
        sandbox.sensible.extract([document], "claims", created_at=now - timedelta(minutes=number))
    batch_documents = [
        _new_sensible_document("f"),
        _new_sensible_document("g", error="The document has no readable pages"),
        _new_sensible_document("late"),
    ]
    _add_sensible_batch(sandbox, "new batch", "tax_forms", batch_documents, now)

    atlas_documents = [_new_atlas_document(number) for number in range(6)]
    settings["atlas"]["batch_ids"] += [
        sandbox.atlas.submit(
            [*atlas_documents, NewDocument("bad", 0, error_code="UNRECOGNISED")], batch_id="new batch"
        ),
        sandbox.atlas.submit([_new_atlas_document(1), NewDocument("slow", NEVER)]),
    ]


def _new_files(name: str, count: int) -> list[NewFile]:
    return [NewFile(f"{name} {number}.pdf", 0, {"vendor": f"Zoë {name} {number}"}) for number in range(count)]


def _new_mail_file(document_type: str) -> NewFile:
    return NewFile(f"{document_type}.pdf", 0, {"documentType": document_type, "confidence": 0.5})


def _new_extraction(name: str, seconds: float = 0, **options: Any) -> NewExtraction:
    return NewExtraction(f"{name}.pdf", seconds, {"vendor": name}, processing_ms=1500, **options)


_SENSIBLE_DATA = {"vendor": {"value": "Bäcker €", "type": "string"}, "total": None}


def _new_sensible_document(name: str, seconds: float = 0, **options: Any) -> SensibleDocument:
    return SensibleDocument(f"{name}.pdf", seconds, _SENSIBLE_DATA, **options)


def _add_sensible_batch(
    sandbox: Sandbox, name: str, type_name: str, documents: Sequence[SensibleDocument], created_at: datetime
) -> None:
    """Add a batch whose documents are uploaded, except the one named late."""
    batch = sandbox.sensible.add_batch(documents, type_name, name, batch_id=name, created_at=created_at)
    for index, document in enumerate(documents):
        if document.name != "late.pdf":
            sandbox.sensible.upload(batch, index, uploaded_at=created_at)


def _new_atlas_document(number: int) -> NewDocument:
    data = {"document_type": "PAN", "name": {"value": f"ASHA {number}", "confidence_score": 0.9}}
    return NewDocument(f"{number}", 0, data)
