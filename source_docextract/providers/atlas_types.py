"""Atlas's document types, for typed tables: those whose fields are documented, and what recent batches show.

Facts are from Atlas's page "Supported documents". No endpoint tells of types; there are more than that page shows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from ..fields import Notation
from ..model import Extraction, JsonObject
from ..templates import Field, Kind, Part, Template, Templates, merged, seen

_KNOWN = {
    "AADHAAR": "name address formatted_address aadhaar_number date_of_birth",
    "PAN": "name_as_per_pan father_name dob pan_number document_quality_flag",
    "DRIVING_LICENSE": "dl_number name date_of_birth issue_date valid_till state",
    "VOTER_ID": "voter_id name date_of_birth gender",
    "PASSPORT": (
        "passport_number name date_of_birth place_of_birth gender date_of_issue date_of_expiry place_of_issue"
    ),
    "GST_CERT": "gst_number legal_name address formatted_address date_of_issue constitution_of_business",
}
_OBJECTS = frozenset({"formatted_address"})


def templates(extractions: Sequence[Extraction], notation: Notation) -> Templates:
    """The types that are known, and those of some extractions, whose fields count before those that are known."""
    data: defaultdict[str, list[JsonObject]] = defaultdict(list)
    for one in extractions:
        if one.document_type:
            data[one.document_type].append(one.stable)
    return Templates(
        [
            Template(name, name, merged(seen(data[name], notation), _known(name)))
            for name in dict.fromkeys([*_KNOWN, *sorted(data)])
        ]
    )


def _known(name: str) -> list[Field]:
    return [
        Field(field, Kind.OBJECT if field in _OBJECTS else Kind.STRING, (Part.CONFIDENCE,))
        for field in _KNOWN.get(name, "").split()
    ]
