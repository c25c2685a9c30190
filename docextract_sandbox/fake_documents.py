"""Invented business documents, as an extraction template would read them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from .context import JsonObject

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
_ARTICLES = (
    "Toner cartridge",
    "Steel bracket",
    "Office chair",
    "Copy paper A4",
    "Cable drum",
    "Coffee beans 1 kg",
    "Label roll",
)
_JOB_TITLES = ("Data Analyst", "Nurse", "Full-Stack Developer", "Site Manager", "Accountant", "Translator")
_SKILLS = ("Python", "SQL", "Excel", "German", "Negotiation", "AutoCAD", "First aid", "Bookkeeping")
_SHOPS = ("Corner Bakery", "Mercado Central", "Bahnhof Kiosk", "Green Grocer", "City Hardware")
FAILURE_REASONS = (
    "The file is protected by a password",
    "No text could be recognised on the page",
    "The file is damaged and cannot be opened",
)
_FILE_EXTENSIONS = ("pdf", "docx", "doc", "txt", "jpeg", "jpg", "png", "tiff", "bmp")
"""File types that Extracta accepts, as seen in public clients."""
_FAILURE_RATE = 0.05
_OTHER_TYPE_RATE = 0.1


@dataclass(frozen=True)
class FileOutcome:
    """The drawn outcome of a file: its error, or None, and its number of pages."""

    error: str | None
    page_count: int


def _text_field(key: str, description: str, example: str) -> JsonObject:
    return {"key": key, "description": description, "example": example, "type": "string"}


def _list_field(key: str, description: str, *properties: JsonObject) -> JsonObject:
    items = {"type": "object", "properties": list(properties)}
    return {"key": key, "description": description, "type": "array", "items": items}


TEMPLATE_FIELDS: Mapping[str, Sequence[JsonObject]] = {
    "invoice": (
        _text_field("invoice_number", "the invoice's number", "INV-1042"),
        _text_field("invoice_date", "the date of issue", "2026-03-09"),
        _text_field("due_date", "when it has to be paid", "2026-04-08"),
        {
            "key": "vendor",
            "description": "who sent it",
            "type": "object",
            "properties": [
                _text_field("name", "company", "Acme"),
                _text_field("address", "street and city", "4 Mill Road, Bristol"),
            ],
        },
        _text_field("customer", "who has to pay", "Foxglove Labs"),
        _list_field(
            "line_items",
            "what is charged",
            _text_field("description", "the article", "Toner"),
            _text_field("quantity", "how many", "2"),
            _text_field("amount", "price of the line", "59.80"),
        ),
        _text_field("currency", "three letters", "EUR"),
        _text_field("total", "the sum to pay", "119.60"),
    ),
    "resume": (
        _text_field("name", "first name", "John"),
        _text_field("surname", "family name", "Smith"),
        _text_field("phone_number", "telephone", "000 000 000"),
        _text_field("last_job_position", "the latest job", "Full-Stack Developer"),
        _text_field("years_of_experience", "in years", "6"),
        {
            "key": "skills",
            "description": "what they know",
            "type": "array",
            "items": {"type": "string", "example": "SQL"},
        },
        _list_field(
            "education",
            "schools",
            _text_field("school", "where", "University of Porto"),
            _text_field("year", "until", "2014"),
        ),
    ),
    "receipt": (
        _text_field("merchant", "the shop", "Corner Bakery"),
        _text_field("date", "day of purchase", "16/07/2026"),
        _text_field("payment_method", "how it was paid", "card"),
        _list_field(
            "items", "what was bought", _text_field("name", "article", "Coffee"), _text_field("price", "of one", "2.40")
        ),
        _text_field("total", "the sum", "7.20"),
    ),
}


class FakeDocuments:
    """A source of invented documents.

    The same seed and the same calls give the same documents.
    """

    def __init__(self, random: Random) -> None:
        """Draw from `random` only."""
        self._random = random

    def draw_seconds(self) -> float:
        """Return the processing time of a file, in seconds."""
        return round(self._random.uniform(15, 90), 1)

    def draw_outcome(self, file_name: str) -> FileOutcome:
        """Return the outcome of a file: a few fail, and all of an unsupported type."""
        extension = file_name.rpartition(".")[2].lower()
        if extension not in _FILE_EXTENSIONS:
            return FileOutcome(f"Unsupported file type: {extension}", 1)
        error = self._random.choice(FAILURE_REASONS) if self._random.random() < _FAILURE_RATE else None
        return FileOutcome(error, self._random.randint(1, 4))

    def draw_classification(self, type_names: Sequence[str], file_name: str) -> JsonObject:
        """Return the type that the file's name holds, else a random type or `other`."""
        hinted_type = next((type_name for type_name in type_names if type_name in file_name.lower()), None)
        random_type = (
            "other" if not type_names or self._random.random() < _OTHER_TYPE_RATE else self._random.choice(type_names)
        )
        return {"confidence": round(self._random.uniform(0.62, 0.99), 2), "documentType": hinted_type or random_type}

    def extract_fields(self, fields: Sequence[object]) -> JsonObject:
        """Return a result for a template's fields.

        Scalars are texts, numbers too, as Extracta's page "Get results" shows.
        """
        definitions = [field for field in fields if isinstance(field, dict)]
        field_keys = {field.get("key") for field in definitions}

        def count_shared_fields(kind: str) -> int:
            return len(field_keys & {field["key"] for field in TEMPLATE_FIELDS[kind]})

        # The kind of document that has most of the template's fields; values are invented for the other fields.
        document = self.make_document(max(TEMPLATE_FIELDS, key=count_shared_fields))
        return {
            str(entry.get("key")): document.get(str(entry.get("key")), self._invent_value(entry))
            for entry in definitions
        }

    def make_document(self, document_kind: str) -> JsonObject:
        """Return the values of all fields of one kind of document, by the fields' keys."""
        makers = {"invoice": self._make_invoice, "resume": self._make_resume, "receipt": self._make_receipt}
        return makers[document_kind]()

    def _invent_value(self, field: Mapping[str, object]) -> object:
        properties, items = field.get("properties"), field.get("items")
        if field.get("type") == "object":
            return self.extract_fields(properties) if isinstance(properties, list) else {}
        if field.get("type") == "array":
            return [self._invent_value(items) for _ in range(2)] if isinstance(items, dict) else []
        if isinstance(properties, list):
            return self.extract_fields(properties)
        return field.get("example") or f"{self._random.choice(_ARTICLES)} {self._random.randint(1, 99)}"

    def _make_invoice(self) -> JsonObject:
        issue_date = self._draw_date()
        lines, total_cents = [], 0
        for article in self._random.sample(_ARTICLES, self._random.randint(1, 4)):
            quantity, price = self._random.randint(1, 12), self._random.randint(150, 24_900)
            total_cents += quantity * price
            lines.append({"description": article, "quantity": str(quantity), "amount": _format_cents(quantity * price)})
        # A document need not have every field; the provider returns an empty text for a missing one (a guess).
        due_date = (issue_date + timedelta(days=30)).isoformat() if self._random.random() > 0.1 else ""
        return {
            "invoice_number": f"INV-{self._random.randint(1000, 9999)}",
            "invoice_date": issue_date.isoformat(),
            "due_date": due_date,
            "vendor": {
                "name": self._random.choice(_COMPANIES),
                "address": f"{self._random.choice(_STREETS)}, {self._random.choice(_CITIES)}",
            },
            "customer": self._random.choice(_COMPANIES),
            "line_items": lines,
            "currency": self._random.choice(("EUR", "GBP", "USD")),
            "total": _format_cents(total_cents),
        }

    def _make_resume(self) -> JsonObject:
        return {
            "name": self._random.choice(_FIRST_NAMES),
            "surname": self._random.choice(_SURNAMES),
            "phone_number": f"{self._random.randint(0, 999):03d} {self._random.randint(0, 999):03d} 000",
            "last_job_position": self._random.choice(_JOB_TITLES),
            "years_of_experience": str(self._random.randint(0, 30)),
            "skills": self._random.sample(_SKILLS, self._random.randint(1, 4)),
            "education": [
                {"school": f"University of {city}", "year": str(self._random.randint(1995, 2025))}
                for city in self._random.sample(_CITIES, self._random.randint(0, 2))
            ],
        }

    def _make_receipt(self) -> JsonObject:
        prices = [self._random.randint(80, 3_500) for _ in range(self._random.randint(1, 5))]
        return {
            "merchant": self._random.choice(_SHOPS),
            "date": self._draw_date().strftime("%d/%m/%Y"),
            "payment_method": self._random.choice(("card", "cash")),
            "items": [{"name": self._random.choice(_ARTICLES), "price": _format_cents(price)} for price in prices],
            "total": _format_cents(sum(prices)),
        }

    def _draw_date(self) -> date:
        return date(2026, 1, 1) + timedelta(days=self._random.randint(0, 300))


def _format_cents(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"
