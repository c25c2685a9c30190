"""Atlas's demo history: weekly batches of invoices and identity documents."""

from collections.abc import Mapping
from datetime import datetime
from random import Random

from docextract_sandbox.context import JsonObject
from docextract_sandbox.history import ConfidenceTrend, OfficeHistory

from .identities import ERROR_CODES, FakeIdentities
from .world import AtlasWorld, NewDocument

_CONFIDENCE_TRENDS = {
    "invoice_number": ConfidenceTrend(0.97),
    "invoice_date": ConfidenceTrend(0.96),
    "vendor_name": ConfidenceTrend(0.78, 0.014),
    "gst_number": ConfidenceTrend(0.95, -0.018),
    "total_amount": ConfidenceTrend(0.93, 0.001),
    "name": ConfidenceTrend(0.95),
    "date_of_birth": ConfidenceTrend(0.96),
    "passport_number": ConfidenceTrend(0.98),
    "place_of_birth": ConfidenceTrend(0.9, -0.012),
    "pan_number": ConfidenceTrend(0.97),
}
_IDENTITY_KINDS = ("PASSPORT", "PAN", "VOTER_ID")
_VENDORS = ("Sunrise Textiles Private Limited", "Malabar Spices LLP", "Deccan Tools & Dies", "Nilgiri Paper Mills")


def submit_weekly_batches(world: AtlasWorld, fake_identities: FakeIdentities, random: Random) -> None:
    """Submit a batch of invoices and one of identity documents for each week."""
    history = OfficeHistory(random, world.context.clock.now())
    for week in history.iter_weeks():
        for document_kinds, count in ((("INVOICE",), 5), (_IDENTITY_KINDS, 4)):
            submitted_at, *later_times = history.draw_times(week, count)
            documents = []
            for number in range(1, 2 + len(later_times)):
                document_kind, error = random.choice(document_kinds), history.draw_failure(week, ERROR_CODES)
                data = (
                    _make_invoice(random, submitted_at)
                    if document_kind == "INVOICE"
                    else fake_identities.make_file_data(document_kind)
                )
                documents.append(NewDocument(str(number), None, _add_confidences(data, history, week), error))
            world.submit(documents, submitted_at=submitted_at)


def _make_invoice(random: Random, issued_at: datetime) -> JsonObject:
    """Return an invoice's data.

    INVOICE is a documented kind, but no page shows its fields: these are guesses.
    """
    number = f"INV/{issued_at:%y}/{random.randint(1, 9999):04d}"
    values = {
        "invoice_number": number,
        "invoice_date": f"{issued_at:%d/%m/%Y}",
        "vendor_name": random.choice(_VENDORS),
        "gst_number": f"{random.randint(10, 36)}AAACS{random.randint(1000, 9999)}K1Z5",
        "total_amount": f"{random.randint(100_000, 99_999_999) / 100:.2f}",
    }
    return {"document_type": "INVOICE", **{name: {"value": value} for name, value in values.items()}}


def _add_confidences(data: Mapping[str, object], history: OfficeHistory, week: int) -> JsonObject:
    return {
        name: {**field, "confidence_score": history.draw_confidence(_CONFIDENCE_TRENDS, name, week)}
        if isinstance(field, dict)
        else field
        for name, field in data.items()
    }
