"""Atlas's document types, for typed tables: those whose fields are documented, and what recent batches show.

Facts are from Atlas's page "Supported documents". No endpoint tells of types; there are more than that page shows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from ...core.json_types import JsonObject
from ...core.model import Extraction
from ...core.templates import DiscoveredTemplates, Field, FieldPart, Template, ValueType
from ...core.wrappers import WrapperFormat
from ..inference import infer_fields, merge_fields

_KNOWN_FIELD_NAMES = {
    "AADHAAR": "name address formatted_address aadhaar_number date_of_birth",
    "PAN": "name_as_per_pan father_name dob pan_number document_quality_flag",
    "DRIVING_LICENSE": "dl_number name date_of_birth issue_date valid_till state",
    "VOTER_ID": "voter_id name date_of_birth gender",
    "PASSPORT": (
        "passport_number name date_of_birth place_of_birth gender date_of_issue date_of_expiry place_of_issue"
    ),
    "GST_CERT": "gst_number legal_name address formatted_address date_of_issue constitution_of_business",
}

_OBJECT_FIELDS = frozenset({"formatted_address"})


def infer_templates(extractions: Sequence[Extraction], wrapper_format: WrapperFormat) -> DiscoveredTemplates:
    """The types that are known, and those of some extractions, whose fields count before those that are known."""
    data_by_type: defaultdict[str, list[JsonObject]] = defaultdict(list)
    for extraction in extractions:
        if extraction.document_type:
            data_by_type[extraction.document_type].append(extraction.hashable_data)
    return DiscoveredTemplates(
        [
            Template(
                type_name,
                type_name,
                merge_fields(infer_fields(data_by_type[type_name], wrapper_format), _list_known_fields(type_name)),
            )
            for type_name in dict.fromkeys([*_KNOWN_FIELD_NAMES, *sorted(data_by_type)])
        ]
    )


def _list_known_fields(type_name: str) -> list[Field]:
    return [
        Field(
            field_name, ValueType.OBJECT if field_name in _OBJECT_FIELDS else ValueType.STRING, (FieldPart.CONFIDENCE,)
        )
        for field_name in _KNOWN_FIELD_NAMES.get(type_name, "").split()
    ]
