"""Plausible papers for DocMap from a seeded generator: values are real numbers, truth values and lists."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from random import Random
from string import ascii_lowercase, digits

from sandbox.shared import JsonObject

_VENDORS = ("Acme Corp", "Blue Harbour GmbH", "Cobalt Paper Co.", "Delta Freight S.A.", "Émile & Fils")
_WARES = ("Toner cartridge", "Steel bracket", "Office chair", "Copy paper A4", "Cable drum")
_CARRIERS = ("Northwind Parcels", "Rapid Road", "Seaway Lines")
FAILURES = ("The document could not be read", "No text was found in the document", "The document is encrypted")
_EXTRA_SHARE = 0.5


def _variable(name: str, type_: str, description: str) -> JsonObject:
    return {"name": name, "type": type_, "description": description}


VARIABLES: Mapping[str, Sequence[JsonObject]] = {
    "invoice": (
        _variable("vendor_name", "string", "Name of the vendor or supplier"),
        _variable("invoice_number", "string", "The invoice's number"),
        _variable("invoice_date", "date", "Date of issue"),
        _variable("total_amount", "number", "Sum to pay"),
        _variable("is_paid", "boolean", "Whether it is marked as paid"),
        _variable("line_items", "array", "What is charged"),
    ),
    "delivery": (
        _variable("carrier", "string", "Who delivers"),
        _variable("delivery_date", "date", "Day of the delivery"),
        _variable("parcels", "number", "How many parcels"),
        _variable("weight_kg", "number", "Total weight in kilograms"),
        _variable("signed", "boolean", "Whether someone has signed"),
        _variable("recipient", "object", "Who receives it"),
    ),
}
"""Variables as templates define them. Of their types only `string` is documented; the others are guesses."""


class Papers:
    """Draws from the one generator that it is given, so that the same calls give the same papers."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def identifier(self, prefix: str) -> str:
        """An id such as `extract_9k2m4n6p8q0r1s3t`."""
        return prefix + "".join(self._random.choices(ascii_lowercase + digits, k=16))

    def seconds(self) -> float:
        """Documented: most extractions complete within 5 to 30 seconds."""
        return round(self._random.uniform(5, 30), 3)

    def failure(self) -> str:
        return self._random.choice(FAILURES)

    def read(self, variables: Sequence[Mapping[str, object]]) -> JsonObject:
        """Data for a template's variables. As in the documented example, there may be keys beyond them."""
        wanted = {str(variable.get("name")): variable for variable in variables}
        kind = max(VARIABLES, key=lambda one: sum(known["name"] in wanted for known in VARIABLES[one]))
        paper = self._invoice() if kind == "invoice" else self._delivery()
        known = {str(variable["name"]) for variable in VARIABLES[kind]}
        read: JsonObject = {}
        for name, variable in wanted.items():
            read[name] = paper[name] if name in known else self._invented(str(variable.get("type")))
        if not wanted or (wanted.keys() & known and self._random.random() < _EXTRA_SHARE):
            read |= {name: value for name, value in paper.items() if not wanted or name not in known}
        return read

    def _invented(self, type_: str) -> object:
        """A value of a type; words for those that nobody knows."""
        if type_ in ("number", "currency"):
            return round(self._random.uniform(1, 5000), 2)
        if type_ == "boolean":
            return self._random.random() < 0.5
        if type_ == "date":
            return self._day().isoformat()
        if type_ == "array":
            return self._random.sample(_WARES, 2)
        if type_ == "object":
            return {"name": self._random.choice(_VENDORS), "count": self._random.randint(1, 9)}
        return f"{self._random.choice(_WARES)} {self._random.randint(1, 99)}"

    def _invoice(self) -> JsonObject:
        lines: list[JsonObject] = []
        total = 0.0
        for ware in self._random.sample(_WARES, self._random.randint(1, 3)):
            quantity, price = self._random.randint(1, 12), round(self._random.uniform(1.5, 249), 2)
            total += quantity * price
            lines.append({"description": ware, "quantity": quantity, "unit_price": price})
        return {
            "vendor_name": self._random.choice(_VENDORS),
            "invoice_number": f"INV-2026-{self._random.randint(1, 999):03d}",
            "invoice_date": self._day().isoformat(),
            "total_amount": round(total, 2),
            # What is not on the paper is null: a guess, as no example has it.
            "is_paid": self._random.choice((True, False, None)),
            "line_items": lines,
            "currency": self._random.choice(("EUR", "GBP", "USD")),
            "tax_rate": self._random.choice((0, 7, 19, 5.5)),
        }

    def _delivery(self) -> JsonObject:
        return {
            "carrier": self._random.choice(_CARRIERS),
            "delivery_date": self._day().isoformat(),
            "parcels": self._random.randint(1, 40),
            "weight_kg": round(self._random.uniform(0.2, 900), 1),
            "signed": self._random.random() < 0.8,
            "recipient": {"name": self._random.choice(_VENDORS), "gate": self._random.randint(1, 12)},
            "remarks": self._random.choice(("", "left at the gate", "one box dented")),
        }

    def _day(self) -> date:
        return date(2026, 1, 1) + timedelta(days=self._random.randint(0, 300))
