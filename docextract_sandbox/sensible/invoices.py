"""Invoices of Sensible's demo history, some of which need a review."""

from collections.abc import Mapping
from random import Random

from docextract_sandbox.context import JsonObject
from docextract_sandbox.history import ConfidenceTrend, OfficeHistory

INVOICE_TYPE = "invoices"
REVIEW_THRESHOLD = 0.65
"""Confidence below which a rule of the document type puts a document under review."""
_CONFIDENCE_TRENDS = {
    "invoice_number": ConfidenceTrend(0.98, 0.0, 0.008),
    "invoice_date": ConfidenceTrend(0.96),
    "vendor": ConfidenceTrend(0.93, -0.001),
    "purchase_order": ConfidenceTrend(0.7, 0.016, 0.06),
    "total": ConfidenceTrend(0.96, -0.002),
    "tax": ConfidenceTrend(0.92, -0.02, 0.04),
}
_VENDORS = ("Acme Corp", "Blue Harbour GmbH", "Émile & Fils", "Foxglove Labs", "Delta Freight S.A.")
_ARTICLES = ("Toner cartridge", "Steel bracket", "Office chair", "Copy paper A4", "Cable drum")
_SIGNALS = ("confident_answer", "confident_answer", "inferred_answer", "answer_may_be_incomplete")


class FakeInvoices:
    """A source of invoices; the same seed and the same calls give the same invoices."""

    def __init__(self, random: Random, history: OfficeHistory) -> None:
        """Draw values from `random` and confidences from `history`."""
        self._random = random
        self._history = history

    def make_parsed_document(self, week: int) -> JsonObject:
        """Return a `parsed_document` with `valueConfidence`, as verbose output has it."""
        prices = [round(self._random.uniform(4, 900), 2) for _ in range(self._random.randint(1, 3))]
        total = round(sum(prices) * 1.2, 2)
        month, day = self._random.randint(1, 9), self._random.randint(1, 28)
        scored_fields: dict[str, JsonObject] = {
            "invoice_number": {"value": f"{self._random.randint(10_000, 99_999)}", "type": "string"},
            "invoice_date": {"value": f"2026-{month:02d}-{day:02d}T00:00:00.000Z", "type": "date"},
            "vendor": {"value": self._random.choice(_VENDORS), "type": "string"},
            "purchase_order": {"value": f"PO-{self._random.randint(100, 999)}", "type": "string"},
            "total": {"value": total, "type": "currency", "unit": "$"},
            "tax": {"value": round(total / 6, 2), "type": "currency", "unit": "$"},
        }
        parsed_document: JsonObject = {
            name: {**field, "valueConfidence": self._history.draw_confidence(_CONFIDENCE_TRENDS, name, week)}
            for name, field in scored_fields.items()
        }
        if self._random.random() < 0.15:
            parsed_document["purchase_order"] = None
        parsed_document["terms"] = {
            "value": "30 days",
            "type": "string",
            "confidenceSignal": self._random.choice(_SIGNALS),
        }
        parsed_document["line_items"] = [
            {
                "description": {"value": self._random.choice(_ARTICLES), "type": "string"},
                "amount": {"value": price, "type": "currency", "unit": "$"},
            }
            for price in prices
        ]
        return parsed_document


def needs_review(parsed_document: JsonObject) -> bool:
    """Return whether a confidence is below `REVIEW_THRESHOLD`."""
    confidences = [
        field["valueConfidence"]
        for field in parsed_document.values()
        if isinstance(field, dict) and "valueConfidence" in field
    ]
    return any(isinstance(confidence, float) and confidence < REVIEW_THRESHOLD for confidence in confidences)


def renumber(parsed_document: Mapping[str, object]) -> JsonObject:
    """Return the data as a reviewer corrects it who reads another invoice number."""
    return {**parsed_document, "invoice_number": {"value": "10000", "type": "string"}}


def drop_last_line(parsed_document: Mapping[str, object]) -> JsonObject:
    """Return the data with another invoice number and without its last line."""
    lines = parsed_document.get("line_items")
    return {**renumber(parsed_document), "line_items": lines[:-1] if isinstance(lines, list) else []}
