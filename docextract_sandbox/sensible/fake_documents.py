"""Invented documents for Sensible, with every documented form of a field."""

from collections.abc import Callable
from datetime import date, timedelta
from random import Random
from zlib import crc32

from docextract_sandbox.context import JsonObject

_PEOPLE = ("Amara Adeyemi", "Bruno Brandt", "Chiara Castellano", "Zoë O'Neill", "Keiko Ito")
_FIRMS = ("Acme Corp", "Blue Harbour GmbH", "Émile & Fils", "Foxglove Labs", "Delta Freight S.A.")
_STREETS = ("12 Harbour Street\nBristol", "Lindenweg 4\nHamburg", "201 Mill Road\nSpringfield, IL 62701")
_CLAUSES = ("Term and termination", "Confidentiality", "Liability", "Payment", "Governing law")
_CAUSES = ("water damage", "collision", "theft", "hail")
_SIGNALS = ("confident_answer", "multiple_possible_answers", "answer_may_be_incomplete", "inferred_answer")
"""Four of the nine documented confidence signals."""
FAILURE_REASONS = ("The document has no readable pages", "The document is protected by a password")
_ABSENCE_RATE = 0.2


class FakeDocuments:
    """A source of invented documents.

    The same seed and the same calls give the same documents.
    """

    def __init__(self, random: Random) -> None:
        """Draw from `random` only."""
        self._random = random
        self._makers_by_kind: dict[str, Callable[[], JsonObject]] = {
            "contract": self._make_contract,
            "tax": self._make_tax_form,
            "claim": self._make_claims,
        }

    def draw_uuid(self) -> str:
        """Return a random UUID (version 4)."""
        # Formatted here: `uuid.UUID` takes several times as long, and histories have many ids.
        digits = f"{self._random.getrandbits(128):032x}"
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"

    def draw_seconds(self) -> float:
        """Return the processing time of a document in seconds (a guess)."""
        return round(self._random.uniform(10, 60), 3)

    def draw_page_count(self) -> int:
        """Return a number of pages."""
        return self._random.randint(1, 8)

    def draw_failure(self) -> str:
        """Return a reason of a failure."""
        return self._random.choice(FAILURE_REASONS)

    def make_parsed_document(self, type_name: str) -> JsonObject:
        """Return a `parsed_document` of a kind that the type's name determines."""
        document_kinds = list(self._makers_by_kind)
        document_kind = next(
            (candidate for candidate in document_kinds if candidate in type_name.lower()),
            document_kinds[crc32(type_name.encode()) % len(document_kinds)],
        )
        return self._makers_by_kind[document_kind]()

    def _make_contract(self) -> JsonObject:
        amount = round(self._random.uniform(900, 90_000), 2)
        return {
            "contract_number": _make_field(f"C-{self._random.randint(1000, 9999)}", "string"),
            "parties": _make_field(self._random.sample(_FIRMS, 2), "name"),
            "effective_date": self._make_signalled_field(self._draw_date(), "date"),
            "contract_value": {**_make_field(amount, "currency", "$"), "source": f"${amount:,.2f}"},
            "discount": self._drop_sometimes(_make_field(round(self._random.uniform(1, 20), 1), "percentage")),
            "auto_renewal": self._drop_sometimes(_make_field(self._random.random() < 0.5, "boolean")),
            "signatories": [
                _make_field([person], "name") for person in self._random.sample(_PEOPLE, self._random.randint(1, 3))
            ],
            "clauses": [self._make_clause(title) for title in self._random.sample(_CLAUSES, 2)],
        }

    def _make_clause(self, title: str) -> JsonObject:
        return {
            "title": _make_field(title, "string"),
            "page": _make_field(self._random.randint(1, 8), "number"),
            "amendments": [{"date": _make_field(self._draw_date(), "date")} for _ in range(self._random.randint(0, 2))],
        }

    def _make_tax_form(self) -> JsonObject:
        is_single = self._random.random() < 0.5
        return {
            "employee": _make_field([self._random.choice(_PEOPLE)], "name"),
            "employer address": _make_field(self._random.choice(_STREETS), "address"),
            "phone": self._drop_sometimes(_make_field(f"+1555{self._random.randint(0, 9_999_999):07d}", "phoneNumber")),
            "filing_status.single": _make_field(is_single, "boolean"),
            "filing_status.married": _make_field(not is_single, "boolean"),
            "wages": _make_field(round(self._random.uniform(18_000, 180_000), 2), "currency", "$"),
            "adjustment": self._drop_sometimes(
                _make_field(-round(self._random.uniform(1, 900), 2), "accountingCurrency", "$")
            ),
            "tax_year": _make_field(str(self._random.randint(2019, 2025)), "date-YYYY"),
            "state_tax": self._drop_sometimes(
                self._make_signalled_field(round(self._random.uniform(100, 9_000), 2), "number")
            ),
        }

    def _make_claims(self) -> JsonObject:
        row_count = self._random.randint(1, 4)
        return {
            "policy_number": self._make_signalled_field(f"P{self._random.randint(10**7, 10**8 - 1)}", "string"),
            "carrier": _make_field(self._random.choice(_FIRMS), "string"),
            "insured": self._drop_sometimes(_make_field([self._random.choice(_PEOPLE)], "name")),
            "mileage": self._drop_sometimes(_make_field(self._random.randint(100, 90_000), "distance", "miles")),
            "cargo": self._drop_sometimes(_make_field(round(self._random.uniform(1, 900), 1), "weight", "kg")),
            "losses": {
                "columns": [
                    {
                        "id": "date_of_loss",
                        "values": [_make_field(self._draw_date(), "date") for _ in range(row_count)],
                    },
                    {
                        "id": "cause",
                        "values": [_make_field(self._random.choice(_CAUSES), "string") for _ in range(row_count)],
                    },
                    {
                        "id": "paid",
                        "values": [
                            self._drop_sometimes(
                                _make_field(round(self._random.uniform(50, 9_000), 2), "currency", "$")
                            )
                            for _ in range(row_count)
                        ],
                    },
                ],
                "title": _make_field("Losses of the last five years", "string"),
            },
        }

    def _make_signalled_field(self, value: object, value_type: str) -> JsonObject:
        return {**_make_field(value, value_type), "confidenceSignal": self._random.choice(_SIGNALS)}

    def _drop_sometimes(self, field: JsonObject) -> JsonObject | None:
        """Return a field or None: as documented, a field that is not found is null."""
        return None if self._random.random() < _ABSENCE_RATE else field

    def _draw_date(self) -> str:
        """Return a date as midnight UTC, the documented form."""
        day = date(2024, 1, 1) + timedelta(days=self._random.randint(0, 1000))
        return f"{day.isoformat()}T00:00:00.000Z"


def _make_field(value: object, value_type: str, unit: str | None = None) -> JsonObject:
    field_json: JsonObject = {"value": value, "type": value_type}
    return field_json if unit is None else {**field_json, "unit": unit}
