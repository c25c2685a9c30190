"""Atlas's weeks before: invoices and identity papers, read more or less surely."""

from collections.abc import Mapping
from datetime import datetime
from random import Random

from sandbox.shared import JsonObject
from sandbox.weeks import Habit, Weeks

from .identities import ERRORS, Identities
from .world import AtlasWorld, NewDocument

_HABITS = {
    "invoice_number": Habit(0.97),
    "invoice_date": Habit(0.96),
    "vendor_name": Habit(0.78, 0.014),
    "gst_number": Habit(0.95, -0.018),
    "total_amount": Habit(0.93, 0.001),
    "name": Habit(0.95),
    "date_of_birth": Habit(0.96),
    "passport_number": Habit(0.98),
    "place_of_birth": Habit(0.9, -0.012),
    "pan_number": Habit(0.97),
}
_IDENTITIES = ("PASSPORT", "PAN", "VOTER_ID")
_VENDORS = ("Sunrise Textiles Private Limited", "Malabar Spices LLP", "Deccan Tools & Dies", "Nilgiri Paper Mills")


def weekly_batches(world: AtlasWorld, identities: Identities, random: Random) -> None:
    """Each week a batch of invoices and one of identity papers."""
    weeks = Weeks(random, world.shared.clock.now())
    for week in weeks.past():
        for names, count in ((("INVOICE",), 5), (_IDENTITIES, 4)):
            submitted, *rest = weeks.times(week, count)
            documents = []
            for number in range(1, 2 + len(rest)):
                kind, error = random.choice(names), weeks.failure(week, ERRORS)
                data = _invoice(random, submitted) if kind == "INVOICE" else identities.file_data(kind)
                documents.append(NewDocument(str(number), None, _read(data, weeks, week), error))
            world.submit(documents, submitted_at=submitted)


def _invoice(random: Random, before: datetime) -> JsonObject:
    """INVOICE is a documented kind; no page shows its fields, so these are guesses."""
    number = f"INV/{before:%y}/{random.randint(1, 9999):04d}"
    read = {
        "invoice_number": number,
        "invoice_date": f"{before:%d/%m/%Y}",
        "vendor_name": random.choice(_VENDORS),
        "gst_number": f"{random.randint(10, 36)}AAACS{random.randint(1000, 9999)}K1Z5",
        "total_amount": f"{random.randint(100_000, 99_999_999) / 100:.2f}",
    }
    return {"document_type": "INVOICE", **{name: {"value": value} for name, value in read.items()}}


def _read(data: Mapping[str, object], weeks: Weeks, week: int) -> JsonObject:
    return {
        name: {**field, "confidence_score": weeks.sureness(_HABITS, name, week)} if isinstance(field, dict) else field
        for name, field in data.items()
    }
