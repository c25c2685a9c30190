"""Invoices as Sensible reads them in the weeks before: some so unsurely that a person has to look at them."""

from random import Random

from sandbox.shared import JsonObject
from sandbox.weeks import Habit, Weeks

TYPE = "invoices"
UNSURE = 0.65
"""Below this a rule of the document type puts a document under review."""
_HABITS = {
    "invoice_number": Habit(0.98, 0.0, 0.008),
    "invoice_date": Habit(0.96),
    "vendor": Habit(0.93, -0.001),
    "purchase_order": Habit(0.7, 0.016, 0.06),
    "total": Habit(0.96, -0.002),
    "tax": Habit(0.92, -0.02, 0.04),
}
_VENDORS = ("Acme Corp", "Blue Harbour GmbH", "Émile & Fils", "Foxglove Labs", "Delta Freight S.A.")
_WARES = ("Toner cartridge", "Steel bracket", "Office chair", "Copy paper A4", "Cable drum")
_SIGNALS = ("confident_answer", "confident_answer", "inferred_answer", "answer_may_be_incomplete")


class Invoices:
    """Draws from the generator that it is given."""

    def __init__(self, random: Random, weeks: Weeks) -> None:
        self._random = random
        self._weeks = weeks

    def read(self, week: int) -> JsonObject:
        """A `parsed_document`. `valueConfidence` is documented of a verbose configuration."""
        prices = [round(self._random.uniform(4, 900), 2) for _ in range(self._random.randint(1, 3))]
        total = round(sum(prices) * 1.2, 2)
        month, day = self._random.randint(1, 9), self._random.randint(1, 28)
        found: dict[str, JsonObject] = {
            "invoice_number": {"value": f"{self._random.randint(10_000, 99_999)}", "type": "string"},
            "invoice_date": {"value": f"2026-{month:02d}-{day:02d}T00:00:00.000Z", "type": "date"},
            "vendor": {"value": self._random.choice(_VENDORS), "type": "string"},
            "purchase_order": {"value": f"PO-{self._random.randint(100, 999)}", "type": "string"},
            "total": {"value": total, "type": "currency", "unit": "$"},
            "tax": {"value": round(total / 6, 2), "type": "currency", "unit": "$"},
        }
        parsed: JsonObject = {
            name: {**field, "valueConfidence": self._weeks.sureness(_HABITS, name, week)}
            for name, field in found.items()
        }
        if self._random.random() < 0.15:
            parsed["purchase_order"] = None
        parsed["terms"] = {"value": "30 days", "type": "string", "confidenceSignal": self._random.choice(_SIGNALS)}
        parsed["line_items"] = [
            {
                "description": {"value": self._random.choice(_WARES), "type": "string"},
                "amount": {"value": price, "type": "currency", "unit": "$"},
            }
            for price in prices
        ]
        return parsed


def needs_a_look(parsed: JsonObject) -> bool:
    sure = [
        field["valueConfidence"] for field in parsed.values() if isinstance(field, dict) and "valueConfidence" in field
    ]
    return any(isinstance(one, float) and one < UNSURE for one in sure)


def renumbered(parsed: JsonObject) -> JsonObject:
    """As a person leaves it: another number stands on the paper."""
    return {**parsed, "invoice_number": {"value": "10000", "type": "string"}}


def shortened(parsed: JsonObject) -> JsonObject:
    """As a person leaves it: the last line was none."""
    lines = parsed.get("line_items")
    return {**renumbered(parsed), "line_items": lines[:-1] if isinstance(lines, list) else []}
