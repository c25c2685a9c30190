"""Sensible's document types, for typed tables: their fields are those of recent documents.

Configurations would tell fields as well, but a type has several of them, each in a language of its own; what they made
of documents is what there is to deliver.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from ...core.errors import ResourceUnavailable
from ...core.json_types import Json, JsonObject
from ...core.model import PartitionRef
from ...core.provider import RequestFlow, gather_tolerant
from ...core.requests import Request
from ...core.templates import DiscoveredTemplates, Template
from ...core.urls import build_path
from ..inference import infer_fields
from ..parsing import as_text, parse_each, require_object
from .listing import ListPager
from .reading import WRAPPER_FORMAT, build_snapshot, parse_ref

_LIST_LIMIT = 100

_SAMPLE_SIZE = 20
"""So many documents of each type are looked into, of all its configurations alike."""


def discover_templates(
    type_names: Sequence[str], type_ids: Mapping[str, str], environments: Sequence[str]
) -> RequestFlow[DiscoveredTemplates]:
    """The document types with these names, whose ids are `ids`."""
    known_names = [name for name in type_names if type_ids.get(name)]
    data_by_type: defaultdict[str, dict[str, list[JsonObject]]] = defaultdict(dict)
    for name in known_names:
        refs = _select_sample((yield from _list_newest(_build_list_request(type_ids[name], environments))))
        responses = yield from gather_tolerant([Request("GET", build_path("documents", ref.batch_id)) for ref in refs])
        for ref, response in zip(refs, responses, strict=True):
            if not isinstance(response, ResourceUnavailable):
                for type_name, document_data in _extract_data_by_type(ref, response).items():
                    data_by_type[type_name][ref.batch_id] = document_data
    return DiscoveredTemplates(
        [
            Template(
                name,
                name,
                infer_fields(
                    (
                        extracted_data
                        for document_data in data_by_type[name].values()
                        for extracted_data in document_data
                    ),
                    WRAPPER_FORMAT,
                ),
            )
            for name in known_names
        ],
        [
            f"Sensible has no document type {name!r}; it has no typed table."
            for name in type_names
            if not type_ids.get(name)
        ],
    )


def _list_newest(first_request: Request) -> RequestFlow[list[PartitionRef]]:
    """Summaries, enough of them to choose from, or all there are: a page may be empty and not the last."""
    refs: list[PartitionRef] = []
    pager = ListPager(first_request)
    while not pager.is_done and len(refs) < _SAMPLE_SIZE:
        refs += parse_each((yield from pager.read_page()), parse_ref)
    return refs


def _build_list_request(type_id: str, environments: Sequence[str]) -> Request:
    """Newest first."""
    scope_params = {"document_type_ids": type_id, "environments": ",".join(environments)}
    return Request(
        "GET", build_path("extractions"), params={**scope_params, "statuses": "COMPLETE", "limit": _LIST_LIMIT}
    )


def _select_sample(refs: Sequence[PartitionRef]) -> list[PartitionRef]:
    """The newest of each configuration, then the second newest of each, and so on."""
    rank_by_configuration: Counter[str | None] = Counter()
    ranked_refs = []
    for ref in refs:
        configuration = as_text((ref.listed_row or {}).get("configuration"))
        rank_by_configuration[configuration] += 1
        ranked_refs.append((rank_by_configuration[configuration], ref))
    return [ref for _, ref in sorted(ranked_refs, key=lambda ranked_ref: ranked_ref[0])[:_SAMPLE_SIZE]]


def _extract_data_by_type(ref: PartitionRef, response: Json) -> dict[str, list[JsonObject]]:
    """What was extracted from a document, or from each of a portfolio, by document type."""
    data_by_type: defaultdict[str, list[JsonObject]] = defaultdict(list)
    for snapshot in parse_each([response], lambda row: build_snapshot(ref, require_object(row, "A document"))):
        for extraction in (extraction for document in snapshot.documents or () for extraction in document.extractions):
            data_by_type[extraction.document_type or ""].append(extraction.data)
    return data_by_type
