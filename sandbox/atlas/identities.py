"""Plausible Indian identity papers for Atlas, from a seeded generator. The people and numbers are invented."""

from collections.abc import Callable
from random import Random
from string import ascii_uppercase, digits

from sandbox.shared import JsonObject

_NAMES = (
    "ANANYA SHARMA",
    "RAHUL VERMA",
    "FATIMA SHEIKH",
    "JOSEPH D SOUZA",
    "LAKSHMI NAIR",
    "HARPREET SINGH",
    "MEERA IYER",
)
_FATHERS = ("SURESH SHARMA", "MOHAN VERMA", "IMRAN SHEIKH", "PETER D SOUZA", "RAMAN NAIR")
_PLACES = (
    ("Rajasthan", "311001", "Bhilwara"),
    ("Kerala", "682001", "Kochi"),
    ("Maharashtra", "411004", "Pune"),
    ("Tamil Nadu", "600017", "Chennai"),
)
_FIRMS = ("Sunrise Textiles Private Limited", "Malabar Spices LLP", "Deccan Tools & Dies")
ERRORS = ("UNRECOGNISED", "INVALID_DOC")
"""Documented for documents of Atlas's flows; that bulk has them too is a guess."""
_FAILING_SHARE = 0.05


class Identities:
    """Draws from the one generator that it is given. Keys of fields are those of the page "Supported documents"."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._kinds: dict[str, Callable[[], JsonObject]] = {
            "PAN": self._pan,
            "AADHAAR": self._aadhaar,
            "DRIVING_LICENSE": self._driving_license,
            "VOTER_ID": self._voter_id,
            "PASSPORT": self._passport,
            "GST_CERT": self._gst_cert,
        }

    def seconds(self) -> float:
        return round(self._random.uniform(10, 120), 1)

    def error_code(self) -> str | None:
        return self._random.choice(ERRORS) if self._random.random() < _FAILING_SHARE else None

    def file_data(self, kind: str | None = None) -> JsonObject:
        """One document's `file_data`; any kind if none is asked for."""
        chosen = kind or self._random.choice(list(self._kinds))
        return {"document_type": chosen, **self._kinds[chosen]()}

    def _pan(self) -> JsonObject:
        return {
            "name_as_per_pan": self._read(self._random.choice(_NAMES)),
            "father_name": self._read(self._random.choice(_FATHERS)),
            "dob": self._read(self._date(1955, 2004)),
            "pan_number": self._read(f"{self._letters(5)}{self._digits(4)}{self._letters(1)}"),
            "document_quality_flag": self._read(self._random.choice(("original", "xerox_copy", "photo_of_photo"))),
        }

    def _aadhaar(self) -> JsonObject:
        state, postcode, city = self._random.choice(_PLACES)
        street = f"{self._random.randint(1, 99)}, Station Road"
        last = self._digits(4)
        number = f"**** **** {last}" if self._random.random() < 0.5 else f"{self._digits(4)} {self._digits(4)} {last}"
        return {
            "name": self._read(self._random.choice(_NAMES)),
            "date_of_birth": self._read(self._date(1955, 2010)),
            "address": self._read(f"{street}, {city}, {state}, {postcode}"),
            "formatted_address": self._read(
                {
                    "state": state,
                    "postcode": postcode,
                    "address_line_1": street,
                    "address_line_2": "",
                    "city": city,
                }
            ),
            "aadhaar_number": {**self._read(number), "redact_url": ""},
        }

    def _driving_license(self) -> JsonObject:
        return {
            "dl_number": self._read(f"{self._letters(2)}{self._digits(2)} {self._digits(11)}"),
            "name": self._read(self._random.choice(_NAMES)),
            "date_of_birth": self._read(self._date(1955, 2004)),
            "issue_date": self._read(self._date(2010, 2024)),
            "valid_till": self._read(self._date(2027, 2044)),
            "state": self._read(self._random.choice(_PLACES)[0]),
        }

    def _voter_id(self) -> JsonObject:
        return {
            "voter_id": self._read(f"{self._letters(3)}{self._digits(7)}"),
            "name": self._read(self._random.choice(_NAMES)),
            "date_of_birth": self._read(self._date(1955, 2004)),
            "gender": self._read(self._random.choice(("MALE", "FEMALE"))),
        }

    def _passport(self) -> JsonObject:
        return {
            "passport_number": self._read(f"{self._letters(1)}{self._digits(7)}"),
            "name": self._read(self._random.choice(_NAMES)),
            "date_of_birth": self._read(self._date(1955, 2010)),
            "place_of_birth": self._read(self._random.choice(_PLACES)[2].upper()),
            "gender": self._read(self._random.choice(("M", "F"))),
            "date_of_issue": self._read(self._date(2017, 2024)),
            "date_of_expiry": self._read(self._date(2027, 2034)),
            "place_of_issue": self._read(self._random.choice(_PLACES)[2].upper()),
        }

    def _gst_cert(self) -> JsonObject:
        state, postcode, city = self._random.choice(_PLACES)
        return {
            "gst_number": self._read(f"{self._digits(2)}{self._letters(5)}{self._digits(4)}{self._letters(1)}1Z5"),
            "legal_name": self._read(self._random.choice(_FIRMS)),
            "address": self._read(f"Plot {self._random.randint(1, 400)}, {city}, {state}, {postcode}"),
            "date_of_issue": self._read(self._date(2017, 2024)),
            "constitution_of_business": self._read(self._random.choice(("Partnership", "Private Limited Company"))),
        }

    def _read(self, value: object) -> JsonObject:
        """A wrapped value. Confidences vary: most are high, some so low that one would look again."""
        low = self._random.random() < 0.1
        return {
            "value": value,
            "confidence_score": round(self._random.uniform(0.41, 0.7) if low else self._random.uniform(0.85, 0.99), 2),
        }

    def _date(self, first_year: int, last_year: int) -> str:
        day, month = self._random.randint(1, 28), self._random.randint(1, 12)
        return f"{day:02d}/{month:02d}/{self._random.randint(first_year, last_year)}"

    def _letters(self, count: int) -> str:
        return "".join(self._random.choices(ascii_uppercase, k=count))

    def _digits(self, count: int) -> str:
        return "".join(self._random.choices(digits, k=count))
