"""Atlas's document types and their fields, for typed tables.

No endpoint returns document types. Their fields come from Atlas's page "Supported documents" and from recent batches,
since other pages name types beyond those of that page.
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
"""Fields by document type, as "Supported documents" lists them. Typed tables have them before any document arrives."""

_OBJECT_FIELDS = frozenset({"formatted_address"})
"""Fields that hold an object. All others are text in the documented examples, dates included."""


def infer_templates(extractions: Sequence[Extraction], wrapper_format: WrapperFormat) -> DiscoveredTemplates:
    """Return the documented document types and those of some extractions.

    The fields that were extracted come first, with the types of their values; documented fields are added.
    """
    data_by_type: defaultdict[str, list[JsonObject]] = defaultdict(list)
    for extraction in extractions:
        if extraction.document_type:
            # Without signed URLs, which are no extracted values.
            data_by_type[extraction.document_type].append(extraction.hashable_data)
    templates = []
    # Sorted, so that the order of the tables does not depend on which batch shows a type first.
    for type_name in dict.fromkeys([*_KNOWN_FIELD_NAMES, *sorted(data_by_type)]):
        # The types of found values outweigh the documented ones, which are known from examples only.
        found_fields = infer_fields(data_by_type[type_name], wrapper_format)
        templates.append(Template(type_name, type_name, merge_fields(found_fields, _list_known_fields(type_name))))
    return DiscoveredTemplates(templates)


def _list_known_fields(type_name: str) -> list[Field]:
    """Return the documented fields of a document type, each with a confidence."""
    fields = []
    for field_name in _KNOWN_FIELD_NAMES.get(type_name, "").split():
        value_type = ValueType.OBJECT if field_name in _OBJECT_FIELDS else ValueType.STRING
        fields.append(Field(field_name, value_type, (FieldPart.CONFIDENCE,)))
    return fields
