"""Plausible business papers from a seeded generator: what an extraction template would read from them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from .shared import JsonObject

_FIRST_NAMES = (
    "Amara",
    "Bruno",
    "Chiara",
    "Deepa",
    "Elias",
    "Fatou",
    "Goran",
    "Hanna",
    "Ines",
    "Jonas",
    "Keiko",
    "Zoë",
)
_SURNAMES = ("Adeyemi", "Brandt", "Castellano", "Dvořák", "Evans", "Ferreira", "Gupta", "Hansen", "Ito", "O'Neill")
_COMPANIES = (
    "Acme Supplies Ltd",
    "Blue Harbour GmbH",
    "Cobalt Paper Co.",
    "Delta Freight S.A.",
    "Émile & Fils",
    "Foxglove Labs",
)
_STREETS = ("12 Harbour Street", "Lindenweg 4", "8 Rue des Lilas", "201 Mill Road", "Via Roma 77")
_CITIES = ("Bristol", "Hamburg", "Lyon", "Porto", "Turin", "Gdańsk")
_WARES = (
    "Toner cartridge",
    "Steel bracket",
    "Office chair",
    "Copy paper A4",
    "Cable drum",
    "Coffee beans 1 kg",
    "Label roll",
)
_JOBS = ("Data Analyst", "Nurse", "Full-Stack Developer", "Site Manager", "Accountant", "Translator")
_SKILLS = ("Python", "SQL", "Excel", "German", "Negotiation", "AutoCAD", "First aid", "Bookkeeping")
_SHOPS = ("Corner Bakery", "Mercado Central", "Bahnhof Kiosk", "Green Grocer", "City Hardware")
FAILURES = (
    "The file is protected by a password",
    "No text could be recognised on the page",
    "The file is damaged and cannot be opened",
)
_KINDS_OF_FILE = ("pdf", "docx", "doc", "txt", "jpeg", "jpg", "png", "tiff", "bmp")
"""What Extracta accepts, as seen in public clients."""
_FAILING_SHARE = 0.05
_OTHER_SHARE = 0.1


@dataclass(frozen=True)
class Arrival:
    """A file as the generator would have it arrive."""

    error: str | None
    page_count: int


def _text(key: str, description: str, example: str) -> JsonObject:
    return {"key": key, "description": description, "example": example, "type": "string"}


def _listed(key: str, description: str, *properties: JsonObject) -> JsonObject:
    items = {"type": "object", "properties": list(properties)}
    return {"key": key, "description": description, "type": "array", "items": items}


FIELDS: Mapping[str, Sequence[JsonObject]] = {
    "invoice": (
        _text("invoice_number", "the invoice's number", "INV-1042"),
        _text("invoice_date", "the date of issue", "2026-03-09"),
        _text("due_date", "when it has to be paid", "2026-04-08"),
        {
            "key": "vendor",
            "description": "who sent it",
            "type": "object",
            "properties": [
                _text("name", "company", "Acme"),
                _text("address", "street and city", "4 Mill Road, Bristol"),
            ],
        },
        _text("customer", "who has to pay", "Foxglove Labs"),
        _listed(
            "line_items",
            "what is charged",
            _text("description", "the article", "Toner"),
            _text("quantity", "how many", "2"),
            _text("amount", "price of the line", "59.80"),
        ),
        _text("currency", "three letters", "EUR"),
        _text("total", "the sum to pay", "119.60"),
    ),
    "resume": (
        _text("name", "first name", "John"),
        _text("surname", "family name", "Smith"),
        _text("phone_number", "telephone", "000 000 000"),
        _text("last_job_position", "the latest job", "Full-Stack Developer"),
        _text("years_of_experience", "in years", "6"),
        {
            "key": "skills",
            "description": "what they know",
            "type": "array",
            "items": {"type": "string", "example": "SQL"},
        },
        _listed(
            "education", "schools", _text("school", "where", "University of Porto"), _text("year", "until", "2014")
        ),
    ),
    "receipt": (
        _text("merchant", "the shop", "Corner Bakery"),
        _text("date", "day of purchase", "16/07/2026"),
        _text("payment_method", "how it was paid", "card"),
        _listed("items", "what was bought", _text("name", "article", "Coffee"), _text("price", "of one", "2.40")),
        _text("total", "the sum", "7.20"),
    ),
}


class Papers:
    """Draws from the one generator that it is given, so that the same calls give the same papers."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def seconds(self) -> float:
        """How long reading a file takes."""
        return round(self._random.uniform(15, 90), 1)

    def arrival(self, name: str) -> Arrival:
        """Some files cannot be read; those of an unknown kind never can."""
        extension = name.rpartition(".")[2].lower()
        if extension not in _KINDS_OF_FILE:
            return Arrival(f"Unsupported file type: {extension}", 1)
        error = self._random.choice(FAILURES) if self._random.random() < _FAILING_SHARE else None
        return Arrival(error, self._random.randint(1, 4))

    def classify(self, types: Sequence[str], name: str) -> JsonObject:
        """A type that the file's name hints at, else any of them or, when none fits, `other`."""
        hinted = next((one for one in types if one in name.lower()), None)
        drawn = "other" if not types or self._random.random() < _OTHER_SHARE else self._random.choice(types)
        return {"confidence": round(self._random.uniform(0.62, 0.99), 2), "documentType": hinted or drawn}

    def read(self, fields: Sequence[object]) -> JsonObject:
        """A result for a template's fields: scalars are texts, numbers too, as the page "Get results" shows."""
        definitions = [field for field in fields if isinstance(field, dict)]
        keys = {field.get("key") for field in definitions}
        kind = max(FIELDS, key=lambda one: len(keys & {field["key"] for field in FIELDS[one]}))
        paper = self.paper(kind)
        return {str(one.get("key")): paper.get(str(one.get("key")), self._invented(one)) for one in definitions}

    def paper(self, kind: str) -> JsonObject:
        """All that stands on a paper of one kind, under the keys of its fields."""
        return {"invoice": self._invoice, "resume": self._resume, "receipt": self._receipt}[kind]()

    def _invented(self, field: Mapping[str, object]) -> object:
        properties, items = field.get("properties"), field.get("items")
        if field.get("type") == "object":
            return self.read(properties) if isinstance(properties, list) else {}
        if field.get("type") == "array":
            return [self._invented(items) for _ in range(2)] if isinstance(items, dict) else []
        if isinstance(properties, list):
            return self.read(properties)
        return field.get("example") or f"{self._random.choice(_WARES)} {self._random.randint(1, 99)}"

    def _invoice(self) -> JsonObject:
        issued = self._day()
        lines, cents = [], 0
        for ware in self._random.sample(_WARES, self._random.randint(1, 4)):
            quantity, price = self._random.randint(1, 12), self._random.randint(150, 24_900)
            cents += quantity * price
            lines.append({"description": ware, "quantity": str(quantity), "amount": _money(quantity * price)})
        # A paper need not have every field: such a one is read as an empty text (a guess).
        due = (issued + timedelta(days=30)).isoformat() if self._random.random() > 0.1 else ""
        return {
            "invoice_number": f"INV-{self._random.randint(1000, 9999)}",
            "invoice_date": issued.isoformat(),
            "due_date": due,
            "vendor": {
                "name": self._random.choice(_COMPANIES),
                "address": f"{self._random.choice(_STREETS)}, {self._random.choice(_CITIES)}",
            },
            "customer": self._random.choice(_COMPANIES),
            "line_items": lines,
            "currency": self._random.choice(("EUR", "GBP", "USD")),
            "total": _money(cents),
        }

    def _resume(self) -> JsonObject:
        return {
            "name": self._random.choice(_FIRST_NAMES),
            "surname": self._random.choice(_SURNAMES),
            "phone_number": f"{self._random.randint(0, 999):03d} {self._random.randint(0, 999):03d} 000",
            "last_job_position": self._random.choice(_JOBS),
            "years_of_experience": str(self._random.randint(0, 30)),
            "skills": self._random.sample(_SKILLS, self._random.randint(1, 4)),
            "education": [
                {"school": f"University of {city}", "year": str(self._random.randint(1995, 2025))}
                for city in self._random.sample(_CITIES, self._random.randint(0, 2))
            ],
        }

    def _receipt(self) -> JsonObject:
        prices = [self._random.randint(80, 3_500) for _ in range(self._random.randint(1, 5))]
        return {
            "merchant": self._random.choice(_SHOPS),
            "date": self._day().strftime("%d/%m/%Y"),
            "payment_method": self._random.choice(("card", "cash")),
            "items": [{"name": self._random.choice(_WARES), "price": _money(price)} for price in prices],
            "total": _money(sum(prices)),
        }

    def _day(self) -> date:
        return date(2026, 1, 1) + timedelta(days=self._random.randint(0, 300))


def _money(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"
