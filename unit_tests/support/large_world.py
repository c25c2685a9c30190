"""A sandbox that is large enough for a sync to be stopped in the middle."""

from __future__ import annotations

from typing import Any

from docextract_sandbox import (
    DocumentType,
    ExtractionReference,
    NewDocument,
    NewExtraction,
    NewFile,
    Sandbox,
    SensibleDocument,
)


def fill(sandbox: Sandbox) -> dict[str, Any]:
    """Add documents of all five products; return the settings that sync them.

    Their messages are more than a pipe holds.
    """
    template = sandbox.extracta.create("Invoices", ["vendor"])
    batches = [
        sandbox.extracta.upload(template, [NewFile(f"{n}-{k}.pdf", 0, {"vendor": "Acme"}) for k in range(5)])
        for n in range(8)
    ]
    mail = sandbox.classification.create("Mail", [DocumentType("invoice", extraction_id=template)])
    reference = ExtractionReference(template, batches[0], sandbox.extracta.get_batch(batches[0]).files[0].file_id)
    classified = NewFile("m.pdf", 0, {"documentType": "invoice", "confidence": 0.5}, reference=reference)
    paths = [f"{mail}/{sandbox.classification.upload(mail, [classified])}" for _ in range(4)]
    invoices = sandbox.docmap.put_template("Invoices")
    for run in range(3):
        sandbox.docmap.add_extractions(
            invoices, [NewExtraction(f"{run}-{n}.pdf", 0, {"n": n}) for n in range(20)], f"run {run}"
        )
    sandbox.sensible.add_document_type("claims")
    claims = sandbox.sensible.add_batch([SensibleDocument(f"{n}.pdf", 0) for n in range(30)], "claims")
    for place in range(30):
        sandbox.sensible.upload(claims, place)
    data = {"document_type": "PAN", "name": {"value": "ASHA", "confidence_score": 0.9}}
    submitted = [sandbox.atlas.submit([NewDocument(f"{n}", 0, data) for n in range(60)]) for _ in range(3)]
    extracta = {"extraction_ids": [template], "classification_batches": paths}
    return {"extracta": extracta, "docmap": {}, "sensible": {}, "atlas": {"batch_ids": submitted}}
