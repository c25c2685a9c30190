"""Invented Indian identity documents for Atlas, from a seeded generator."""

from collections.abc import Callable
from random import Random
from string import ascii_uppercase, digits

from docextract_sandbox.context import JsonObject

_NAMES = (
    "ANANYA SHARMA",
    "RAHUL VERMA",
    "FATIMA SHEIKH",
    "JOSEPH D SOUZA",
    "LAKSHMI NAIR",
    "HARPREET SINGH",
    "MEERA IYER",
)
_FATHER_NAMES = ("SURESH SHARMA", "MOHAN VERMA", "IMRAN SHEIKH", "PETER D SOUZA", "RAMAN NAIR")
_PLACES = (
    ("Rajasthan", "311001", "Bhilwara"),
    ("Kerala", "682001", "Kochi"),
    ("Maharashtra", "411004", "Pune"),
    ("Tamil Nadu", "600017", "Chennai"),
)
_FIRMS = ("Sunrise Textiles Private Limited", "Malabar Spices LLP", "Deccan Tools & Dies")
ERROR_CODES = ("UNRECOGNISED", "INVALID_DOC")
"""Error codes documented for documents of Atlas's flows; that the Bulk service has them too is a guess."""
_FAILURE_RATE = 0.05


class FakeIdentities:
    """A source of documents with the fields of the page "Supported documents"."""

    def __init__(self, random: Random) -> None:
        """Draw from `random` only."""
        self._random = random
        self._makers_by_kind: dict[str, Callable[[], JsonObject]] = {
            "PAN": self._make_pan,
            "AADHAAR": self._make_aadhaar,
            "DRIVING_LICENSE": self._make_driving_license,
            "VOTER_ID": self._make_voter_id,
            "PASSPORT": self._make_passport,
            "GST_CERT": self._make_gst_cert,
        }

    def draw_seconds(self) -> float:
        """Return the processing time of a document, in seconds."""
        return round(self._random.uniform(10, 120), 1)

    def draw_error_code(self) -> str | None:
        """Return an error code for a few documents, None for the others."""
        return self._random.choice(ERROR_CODES) if self._random.random() < _FAILURE_RATE else None

    def make_file_data(self, kind: str | None = None) -> JsonObject:
        """Return one document's `file_data`, by default of a random kind."""
        document_kind = kind or self._random.choice(list(self._makers_by_kind))
        return {"document_type": document_kind, **self._makers_by_kind[document_kind]()}

    def _make_pan(self) -> JsonObject:
        return {
            "name_as_per_pan": self._wrap_value(self._random.choice(_NAMES)),
            "father_name": self._wrap_value(self._random.choice(_FATHER_NAMES)),
            "dob": self._wrap_value(self._draw_date(1955, 2004)),
            "pan_number": self._wrap_value(f"{self._draw_letters(5)}{self._draw_digits(4)}{self._draw_letters(1)}"),
            "document_quality_flag": self._wrap_value(
                self._random.choice(("original", "xerox_copy", "photo_of_photo"))
            ),
        }

    def _make_aadhaar(self) -> JsonObject:
        state, postcode, city = self._random.choice(_PLACES)
        street = f"{self._random.randint(1, 99)}, Station Road"
        last_digits = self._draw_digits(4)
        number = (
            f"**** **** {last_digits}"
            if self._random.random() < 0.5
            else f"{self._draw_digits(4)} {self._draw_digits(4)} {last_digits}"
        )
        return {
            "name": self._wrap_value(self._random.choice(_NAMES)),
            "date_of_birth": self._wrap_value(self._draw_date(1955, 2010)),
            "address": self._wrap_value(f"{street}, {city}, {state}, {postcode}"),
            "formatted_address": self._wrap_value(
                {
                    "state": state,
                    "postcode": postcode,
                    "address_line_1": street,
                    "address_line_2": "",
                    "city": city,
                }
            ),
            "aadhaar_number": {**self._wrap_value(number), "redact_url": ""},
        }

    def _make_driving_license(self) -> JsonObject:
        return {
            "dl_number": self._wrap_value(f"{self._draw_letters(2)}{self._draw_digits(2)} {self._draw_digits(11)}"),
            "name": self._wrap_value(self._random.choice(_NAMES)),
            "date_of_birth": self._wrap_value(self._draw_date(1955, 2004)),
            "issue_date": self._wrap_value(self._draw_date(2010, 2024)),
            "valid_till": self._wrap_value(self._draw_date(2027, 2044)),
            "state": self._wrap_value(self._random.choice(_PLACES)[0]),
        }

    def _make_voter_id(self) -> JsonObject:
        return {
            "voter_id": self._wrap_value(f"{self._draw_letters(3)}{self._draw_digits(7)}"),
            "name": self._wrap_value(self._random.choice(_NAMES)),
            "date_of_birth": self._wrap_value(self._draw_date(1955, 2004)),
            "gender": self._wrap_value(self._random.choice(("MALE", "FEMALE"))),
        }

    def _make_passport(self) -> JsonObject:
        return {
            "passport_number": self._wrap_value(f"{self._draw_letters(1)}{self._draw_digits(7)}"),
            "name": self._wrap_value(self._random.choice(_NAMES)),
            "date_of_birth": self._wrap_value(self._draw_date(1955, 2010)),
            "place_of_birth": self._wrap_value(self._random.choice(_PLACES)[2].upper()),
            "gender": self._wrap_value(self._random.choice(("M", "F"))),
            "date_of_issue": self._wrap_value(self._draw_date(2017, 2024)),
            "date_of_expiry": self._wrap_value(self._draw_date(2027, 2034)),
            "place_of_issue": self._wrap_value(self._random.choice(_PLACES)[2].upper()),
        }

    def _make_gst_cert(self) -> JsonObject:
        state, postcode, city = self._random.choice(_PLACES)
        return {
            "gst_number": self._wrap_value(
                f"{self._draw_digits(2)}{self._draw_letters(5)}{self._draw_digits(4)}{self._draw_letters(1)}1Z5"
            ),
            "legal_name": self._wrap_value(self._random.choice(_FIRMS)),
            "address": self._wrap_value(f"Plot {self._random.randint(1, 400)}, {city}, {state}, {postcode}"),
            "date_of_issue": self._wrap_value(self._draw_date(2017, 2024)),
            "constitution_of_business": self._wrap_value(
                self._random.choice(("Partnership", "Private Limited Company"))
            ),
        }

    def _wrap_value(self, value: object) -> JsonObject:
        """Return a value in Atlas's wrapper.

        One confidence in ten is low enough for a review.
        """
        is_low = self._random.random() < 0.1
        return {
            "value": value,
            "confidence_score": round(
                self._random.uniform(0.41, 0.7) if is_low else self._random.uniform(0.85, 0.99), 2
            ),
        }

    def _draw_date(self, first_year: int, last_year: int) -> str:
        day, month = self._random.randint(1, 28), self._random.randint(1, 12)
        return f"{day:02d}/{month:02d}/{self._random.randint(first_year, last_year)}"

    def _draw_letters(self, count: int) -> str:
        return "".join(self._random.choices(ascii_uppercase, k=count))

    def _draw_digits(self, count: int) -> str:
        return "".join(self._random.choices(digits, k=count))
