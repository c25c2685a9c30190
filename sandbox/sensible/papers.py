"""What Sensible would read from plausible papers: every documented shape of a field, from a seeded generator."""

from collections.abc import Callable
from datetime import date, timedelta
from random import Random
from zlib import crc32

from sandbox.shared import JsonObject

_PEOPLE = ("Amara Adeyemi", "Bruno Brandt", "Chiara Castellano", "Zoë O'Neill", "Keiko Ito")
_FIRMS = ("Acme Corp", "Blue Harbour GmbH", "Émile & Fils", "Foxglove Labs", "Delta Freight S.A.")
_STREETS = ("12 Harbour Street\nBristol", "Lindenweg 4\nHamburg", "201 Mill Road\nSpringfield, IL 62701")
_CLAUSES = ("Term and termination", "Confidentiality", "Liability", "Payment", "Governing law")
_CAUSES = ("water damage", "collision", "theft", "hail")
_SIGNALS = ("confident_answer", "multiple_possible_answers", "answer_may_be_incomplete", "inferred_answer")
"""Four of the nine that are documented."""
FAILURES = ("The document has no readable pages", "The document is protected by a password")
_ABSENT_SHARE = 0.2


class Papers:
    """Draws from the one generator that it is given, so that the same calls give the same papers."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._kinds: dict[str, Callable[[], JsonObject]] = {
            "contract": self._contract,
            "tax": self._tax_form,
            "claim": self._claims,
        }

    def uuid(self) -> str:
        """Written out by hand: the standard library's way takes several times as long, and histories are long."""
        digits = f"{self._random.getrandbits(128):032x}"
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"

    def seconds(self) -> float:
        """How long reading a document takes: a guess. The documented example took almost 12 minutes."""
        return round(self._random.uniform(10, 60), 3)

    def page_count(self) -> int:
        return self._random.randint(1, 8)

    def failure(self) -> str:
        return self._random.choice(FAILURES)

    def read(self, type_name: str) -> JsonObject:
        """A `parsed_document` for a document of that type: of the kind that its name has in it, else of any."""
        kinds = list(self._kinds)
        kind = next((one for one in kinds if one in type_name.lower()), kinds[crc32(type_name.encode()) % len(kinds)])
        return self._kinds[kind]()

    def _contract(self) -> JsonObject:
        amount = round(self._random.uniform(900, 90_000), 2)
        return {
            "contract_number": _field(f"C-{self._random.randint(1000, 9999)}", "string"),
            "parties": _field(self._random.sample(_FIRMS, 2), "name"),
            "effective_date": self._signalled(self._day(), "date"),
            "contract_value": {**_field(amount, "currency", "$"), "source": f"${amount:,.2f}"},
            "discount": self._perhaps(_field(round(self._random.uniform(1, 20), 1), "percentage")),
            "auto_renewal": self._perhaps(_field(self._random.random() < 0.5, "boolean")),
            "signatories": [_field([one], "name") for one in self._random.sample(_PEOPLE, self._random.randint(1, 3))],
            "clauses": [
                {
                    "title": _field(title, "string"),
                    "page": _field(self._random.randint(1, 8), "number"),
                    "amendments": [{"date": _field(self._day(), "date")} for _ in range(self._random.randint(0, 2))],
                }
                for title in self._random.sample(_CLAUSES, 2)
            ],
        }

    def _tax_form(self) -> JsonObject:
        single = self._random.random() < 0.5
        return {
            "employee": _field([self._random.choice(_PEOPLE)], "name"),
            "employer address": _field(self._random.choice(_STREETS), "address"),
            "phone": self._perhaps(_field(f"+1555{self._random.randint(0, 9_999_999):07d}", "phoneNumber")),
            "filing_status.single": _field(single, "boolean"),
            "filing_status.married": _field(not single, "boolean"),
            "wages": _field(round(self._random.uniform(18_000, 180_000), 2), "currency", "$"),
            "adjustment": self._perhaps(_field(-round(self._random.uniform(1, 900), 2), "accountingCurrency", "$")),
            "tax_year": _field(str(self._random.randint(2019, 2025)), "date-YYYY"),
            "state_tax": self._perhaps(self._signalled(round(self._random.uniform(100, 9_000), 2), "number")),
        }

    def _claims(self) -> JsonObject:
        rows = self._random.randint(1, 4)
        return {
            "policy_number": self._signalled(f"P{self._random.randint(10**7, 10**8 - 1)}", "string"),
            "carrier": _field(self._random.choice(_FIRMS), "string"),
            "insured": self._perhaps(_field([self._random.choice(_PEOPLE)], "name")),
            "mileage": self._perhaps(_field(self._random.randint(100, 90_000), "distance", "miles")),
            "cargo": self._perhaps(_field(round(self._random.uniform(1, 900), 1), "weight", "kg")),
            "losses": {
                "columns": [
                    {"id": "date_of_loss", "values": [_field(self._day(), "date") for _ in range(rows)]},
                    {"id": "cause", "values": [_field(self._random.choice(_CAUSES), "string") for _ in range(rows)]},
                    {
                        "id": "paid",
                        "values": [
                            self._perhaps(_field(round(self._random.uniform(50, 9_000), 2), "currency", "$"))
                            for _ in range(rows)
                        ],
                    },
                ],
                "title": _field("Losses of the last five years", "string"),
            },
        }

    def _signalled(self, value: object, type_: str) -> JsonObject:
        return {**_field(value, type_), "confidenceSignal": self._random.choice(_SIGNALS)}

    def _perhaps(self, field: JsonObject) -> JsonObject | None:
        """Documented: a field that is not found is null as a whole."""
        return None if self._random.random() < _ABSENT_SHARE else field

    def _day(self) -> str:
        """Documented: dates are midnight, UTC."""
        day = date(2024, 1, 1) + timedelta(days=self._random.randint(0, 1000))
        return f"{day.isoformat()}T00:00:00.000Z"


def _field(value: object, type_: str, unit: str | None = None) -> JsonObject:
    found: JsonObject = {"value": value, "type": type_}
    return found if unit is None else {**found, "unit": unit}
