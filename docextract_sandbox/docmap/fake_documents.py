"""Invented documents for DocMap, with numbers, booleans and lists as values."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from random import Random
from string import ascii_lowercase, digits

from docextract_sandbox.context import JsonObject

_VENDORS = ("Acme Corp", "Blue Harbour GmbH", "Cobalt Paper Co.", "Delta Freight S.A.", "Émile & Fils")
_ARTICLES = ("Toner cartridge", "Steel bracket", "Office chair", "Copy paper A4", "Cable drum")
_CARRIERS = ("Northwind Parcels", "Rapid Road", "Seaway Lines")
FAILURE_REASONS = ("The document could not be read", "No text was found in the document", "The document is encrypted")
_EXTRA_KEYS_RATE = 0.5


def _make_variable(name: str, value_type: str, description: str) -> JsonObject:
    return {"name": name, "type": value_type, "description": description}


TEMPLATE_VARIABLES: Mapping[str, Sequence[JsonObject]] = {
    "invoice": (
        _make_variable("vendor_name", "string", "Name of the vendor or supplier"),
        _make_variable("invoice_number", "string", "The invoice's number"),
        _make_variable("invoice_date", "date", "Date of issue"),
        _make_variable("total_amount", "number", "Sum to pay"),
        _make_variable("is_paid", "boolean", "Whether it is marked as paid"),
        _make_variable("line_items", "array", "What is charged"),
    ),
    "delivery": (
        _make_variable("carrier", "string", "Who delivers"),
        _make_variable("delivery_date", "date", "Day of the delivery"),
        _make_variable("parcels", "number", "How many parcels"),
        _make_variable("weight_kg", "number", "Total weight in kilograms"),
        _make_variable("signed", "boolean", "Whether someone has signed"),
        _make_variable("recipient", "object", "Who receives it"),
    ),
}
"""Variables of the demo's templates; only the type `string` is documented, the others are guesses."""


class FakeDocuments:
    """A source of invented documents.

    The same seed and the same calls give the same documents.
    """

    def __init__(self, random: Random) -> None:
        """Draw from `random` only."""
        self._random = random

    def draw_id(self, prefix: str) -> str:
        """Return an id such as `extract_9k2m4n6p8q0r1s3t`."""
        return prefix + "".join(self._random.choices(ascii_lowercase + digits, k=16))

    def draw_seconds(self) -> float:
        """Return the processing time of a file: 5 to 30 seconds, as documented."""
        return round(self._random.uniform(5, 30), 3)

    def draw_failure(self) -> str:
        """Return a reason of a failure."""
        return self._random.choice(FAILURE_REASONS)

    def make_data(self, variables: Sequence[Mapping[str, object]]) -> JsonObject:
        """Return data for a template's variables, at times with further keys."""
        variables_by_name = {str(variable.get("name")): variable for variable in variables}

        def count_shared_variables(kind: str) -> int:
            return sum(known["name"] in variables_by_name for known in TEMPLATE_VARIABLES[kind])

        document_kind = max(TEMPLATE_VARIABLES, key=count_shared_variables)
        document = self._make_invoice() if document_kind == "invoice" else self._make_delivery()
        known = {str(variable["name"]) for variable in TEMPLATE_VARIABLES[document_kind]}
        data: JsonObject = {}
        for name, variable in variables_by_name.items():
            data[name] = document[name] if name in known else self._invent_value(str(variable.get("type")))
        if not variables_by_name or (variables_by_name.keys() & known and self._random.random() < _EXTRA_KEYS_RATE):
            data |= {name: value for name, value in document.items() if not variables_by_name or name not in known}
        return data

    def _invent_value(self, value_type: str) -> object:
        """Return a value of a type; a text for an unknown type."""
        if value_type in ("number", "currency"):
            return round(self._random.uniform(1, 5000), 2)
        if value_type == "boolean":
            return self._random.random() < 0.5
        if value_type == "date":
            return self._draw_date().isoformat()
        if value_type == "array":
            return self._random.sample(_ARTICLES, 2)
        if value_type == "object":
            return {"name": self._random.choice(_VENDORS), "count": self._random.randint(1, 9)}
        return f"{self._random.choice(_ARTICLES)} {self._random.randint(1, 99)}"

    def _make_invoice(self) -> JsonObject:
        lines: list[JsonObject] = []
        total = 0.0
        for article in self._random.sample(_ARTICLES, self._random.randint(1, 3)):
            quantity, price = self._random.randint(1, 12), round(self._random.uniform(1.5, 249), 2)
            total += quantity * price
            lines.append({"description": article, "quantity": quantity, "unit_price": price})
        return {
            "vendor_name": self._random.choice(_VENDORS),
            "invoice_number": f"INV-2026-{self._random.randint(1, 999):03d}",
            "invoice_date": self._draw_date().isoformat(),
            "total_amount": round(total, 2),
            # A value that the document does not show is null (a guess: no example has one).
            "is_paid": self._random.choice((True, False, None)),
            "line_items": lines,
            "currency": self._random.choice(("EUR", "GBP", "USD")),
            "tax_rate": self._random.choice((0, 7, 19, 5.5)),
        }

    def _make_delivery(self) -> JsonObject:
        return {
            "carrier": self._random.choice(_CARRIERS),
            "delivery_date": self._draw_date().isoformat(),
            "parcels": self._random.randint(1, 40),
            "weight_kg": round(self._random.uniform(0.2, 900), 1),
            "signed": self._random.random() < 0.8,
            "recipient": {"name": self._random.choice(_VENDORS), "gate": self._random.randint(1, 12)},
            "remarks": self._random.choice(("", "left at the gate", "one box dented")),
        }

    def _draw_date(self) -> date:
        return date(2026, 1, 1) + timedelta(days=self._random.randint(0, 300))
