"""A sandbox for syncs of all providers side by side."""

from __future__ import annotations

from typing import Any

from docextract_sandbox import DocumentType, NewDocument, NewExtraction, NewFile, Sandbox, SensibleDocument

SPACING = 120.0
"""Seconds between requests to one of Extracta's result endpoints: longer than all other work takes."""

OTHERS = ("docmap", "sensible", "atlas")
"""The providers without spacing."""


def fill_sandbox(sandbox: Sandbox) -> dict[str, Any]:
    """Add documents of all five products; return the settings that sync them."""
    template = sandbox.extracta.create("Invoices", ["vendor"])
    for number in range(4):
        sandbox.extracta.upload(template, [NewFile(f"{number}.pdf", 0, {"vendor": "Acme"})])
    mail = sandbox.classification.create("Mail", [DocumentType("other")])
    sorted_mail = NewFile("m.pdf", duration_seconds=0, result={"documentType": "other", "confidence": 0.5})
    paths = [f"{mail}/{sandbox.classification.upload(mail, [sorted_mail])}" for _ in range(2)]
    invoices = sandbox.docmap.put_template("Invoices")
    sandbox.docmap.add_extractions(
        invoices, [NewExtraction(f"{number}.pdf", 0, {"n": number}) for number in range(50)], "run 1"
    )
    sandbox.sensible.add_document_type("claims")
    claims = sandbox.sensible.add_batch([SensibleDocument(f"{number}.pdf", 0) for number in range(250)], "claims")
    for index in range(250):
        sandbox.sensible.upload(claims, index)
    data = {"document_type": "PAN", "name": {"value": "ASHA", "confidence_score": 0.9}}
    batch = sandbox.atlas.submit([NewDocument(f"{number}", 0, data) for number in range(250)])
    return {
        "extracta": {
            "extraction_ids": [template],
            "classification_batches": paths,
            "seconds_between_requests": SPACING,
        },
        "docmap": {},
        "sensible": {},
        "atlas": {"batch_ids": [batch]},
    }
