"""A small world that holds all that matters: what there is on a first day, and what comes nine days later.

Open and finished batches, named ones and found ones, failed files, several pages, runs, a portfolio, a review, a
document that is too large, links from classification to extraction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from harness import START

from sandbox import (
    DocumentType,
    NewDocument,
    NewExtraction,
    NewFile,
    PortfolioPart,
    Sandbox,
    SensibleDocument,
)

INF = float("inf")


class Told(NamedTuple):
    """One file of some product: its id, its status, and the data of its results by their ids."""

    product: str
    key: str
    status: str
    results: dict[str, Any]


def truth(sandbox: Sandbox) -> Iterator[Told]:
    """What the sandbox's own worlds hold."""
    return chain(*(told(sandbox) for told in (_extracta_told, _docmap_told, _sensible_told, _atlas_told)))


def _extracta_told(sandbox: Sandbox) -> Iterator[Told]:
    worlds: dict[str, Any] = {"extracta": sandbox.extracta, "extracta_classification": sandbox.classification}
    for product, world_ in worlds.items():
        for template in world_.template_ids:
            for batch in map(world_.batch, world_.batch_ids(template)):
                for file in batch.files if batch.finished else ():  # a batch in work shows none
                    key = f"{template}/{batch.batch_id}/{file.file_id}"
                    yield Told(product, key, file.status.value, {} if file.result is None else {key: file.result})


def _docmap_told(sandbox: Sandbox) -> Iterator[Told]:
    statuses = {"processing": "pending", "completed": "processed", "failed": "failed"}
    for one in map(sandbox.docmap.extraction, sandbox.docmap.ids):
        key = one.extraction_id
        yield Told("docmap", key, statuses[one.status.value], {} if one.data is None else {key: one.data})


def _sensible_told(sandbox: Sandbox) -> Iterator[Told]:
    statuses = {"WAITING": "pending", "PROCESSING": "pending", "COMPLETE": "processed", "FAILED": "failed"}
    for one in map(sandbox.sensible.document, sandbox.sensible.ids):
        status = "failed" if one.too_large else statuses[one.status.value]
        parts = enumerate(one.parts) if status == "processed" else ()
        results = {f"{one.extraction_id}#{place}".removesuffix("#0"): part.parsed for place, part in parts}
        yield Told("sensible", one.extraction_id, status, results)


def _atlas_told(sandbox: Sandbox) -> Iterator[Told]:
    for batch in map(sandbox.atlas.batch, sandbox.atlas.batch_ids):
        for one in batch.documents:
            key = f"{batch.batch_id}/{one.document_id}"
            done = "failed" if one.error_code else "processed"
            results = {key: one.file_data} if one.file_data else {}
            yield Told("atlas", key, done if one.extracted else "pending", results)


def first_day(sandbox: Sandbox, folder: Path) -> dict[str, Any]:
    """Documents of all products, and the settings that bring them."""
    ago = START - timedelta(days=1)
    extracta, mail = sandbox.extracta, sandbox.classification
    listed, linked, by_hand = (extracta.create(name, ["vendor"]) for name in ("Invoices", "Receipts", "Letters"))
    extracta.upload(listed, _files("settled", 2), started_at=ago)
    extracta.upload(listed, [*_files("slow", 1), NewFile("slow.pdf", INF)], "open", started_at=ago)
    named = extracta.upload(by_hand, _files("named", 2), started_at=ago)
    single = extracta.upload(by_hand, [NewFile("single.pdf", INF, file_id="one")], started_at=ago)
    types = [DocumentType("receipt", extraction_id=linked), DocumentType("other")]
    sorting, sorting_by_hand = mail.create("Mail", types), mail.create("Post", types)
    mail.upload(sorting, [_mail("receipt"), _mail("other")], started_at=ago)
    mail.upload(sorting, [NewFile("slow mail.pdf", INF, {"documentType": "other"})], "open mail", started_at=ago)
    mailed = mail.upload(sorting_by_hand, [_mail("other")], started_at=ago)

    template = sandbox.docmap.template("Notes", (), "notes")
    watched = [_extraction("a"), _extraction("slow", INF, extraction_id="watched document")]
    sandbox.docmap.run(template, watched, "watched", created_at=ago)
    old = [_extraction("b"), _extraction("old", INF)]
    sandbox.docmap.run(template, old, "by hand", created_at=START - timedelta(days=40))
    (folder / "runs.csv").write_text("provider,batch_id\ndocmap,by hand\n")

    for name in ("claims", "tax_forms"):
        sandbox.sensible.document_type(name)
    _sensible_batch(sandbox, "watched", "claims", [_document("a"), _document("slow", INF)], ago)
    _sensible_batch(sandbox, "by hand", "claims", [_document("b"), _document("late")], ago)

    first = sandbox.atlas.submit([_paper(n) for n in range(4)], submitted_at=ago)
    return {
        "extracta": {
            "extraction_ids": [listed],
            "extraction_batches": [f"{by_hand}/{named}", f"{by_hand}/{single}/one"],
            "classification_ids": [sorting],
            "classification_batches": [f"{sorting_by_hand}/{mailed}"],
        },
        "docmap": {},
        "sensible": {"document_types": ["claims", "tax_forms"], "batch_ids": ["by hand"]},
        "atlas": {"batch_ids": [first]},
        "batch_registry": {"url": str(folder / "runs.csv")},
    }


def second_day(sandbox: Sandbox, settings: dict[str, Any]) -> None:
    """More of all, so that each page and each kind of answer is asked for once more."""
    now = sandbox.clock.now()
    [listed] = settings["extracta"]["extraction_ids"]
    [sorting] = settings["extracta"]["classification_ids"]
    bad = NewFile("bad.pdf", 0, error="The file is damaged")
    sandbox.extracta.upload(listed, [*_files("new", 2), bad], "new batch")
    sandbox.extracta.upload(listed, [NewFile("newer.pdf", INF)])
    mails = [_mail("receipt"), _mail("other"), _mail("receipt"), NewFile("bad.pdf", 0, error="The file is damaged")]
    sandbox.classification.upload(sorting, mails, "new mail")
    linked = next(one for one in sandbox.extracta.template_ids if sandbox.extracta.template_name(one) == "Receipts")
    sandbox.extracta.finish(sandbox.extracta.batch_ids(linked)[-1])

    minutes = iter(range(9))
    for run, count in ((None, 2), ("new run", 3), ("watched", 1), ("by hand", 1)):
        for n in range(count):
            error = "The document could not be read" if (run, n) == ("new run", 1) else None
            known = "new extraction" if (run, n) == ("new run", 0) else None
            one = _extraction(f"{run} {n}", error=error, extraction_id=known)
            sandbox.docmap.run("notes", [one], run, created_at=now - timedelta(minutes=next(minutes)))

    parts = [PortfolioPart("claims", _PARSED), PortfolioPart("tax_forms", _PARSED, "NEEDS_REVIEW")]
    single = [
        _document("d", review="NEEDS_REVIEW", extraction_id="new document"),
        _document("mail", portfolio=parts),
        _document("e", too_large=True),
    ]
    for n, one in enumerate(single):
        sandbox.sensible.extract([one], "claims", created_at=now - timedelta(minutes=n))
    more = [_document("f"), _document("g", error="The document has no readable pages"), _document("late")]
    _sensible_batch(sandbox, "new batch", "tax_forms", more, now)

    papers = [_paper(n) for n in range(6)]
    settings["atlas"]["batch_ids"] += [
        sandbox.atlas.submit([*papers, NewDocument("bad", 0, error_code="UNRECOGNISED")], batch_id="new batch"),
        sandbox.atlas.submit([_paper(1), NewDocument("slow", INF)]),
    ]


def _files(name: str, count: int) -> list[NewFile]:
    return [NewFile(f"{name} {n}.pdf", 0, {"vendor": f"Zoë {name} {n}"}) for n in range(count)]


def _mail(document_type: str) -> NewFile:
    return NewFile(f"{document_type}.pdf", 0, {"documentType": document_type, "confidence": 0.5})


def _extraction(name: str, seconds: float = 0, **more: Any) -> NewExtraction:
    return NewExtraction(f"{name}.pdf", seconds, {"vendor": name}, processing_ms=1500, **more)


_PARSED = {"vendor": {"value": "Bäcker €", "type": "string"}, "total": None}


def _document(name: str, seconds: float = 0, **more: Any) -> SensibleDocument:
    return SensibleDocument(f"{name}.pdf", seconds, _PARSED, **more)


def _sensible_batch(
    sandbox: Sandbox, name: str, type_name: str, documents: Sequence[SensibleDocument], when: datetime
) -> None:
    """A batch whose documents have all been uploaded but that which is called late."""
    batch = sandbox.sensible.batch(documents, type_name, name, batch_id=name, created_at=when)
    for place, document in enumerate(documents):
        if document.name != "late.pdf":
            sandbox.sensible.upload(batch, place, uploaded_at=when)


def _paper(number: int) -> NewDocument:
    data = {"document_type": "PAN", "name": {"value": f"ASHA {number}", "confidence_score": 0.9}}
    return NewDocument(f"{number}", 0, data)
