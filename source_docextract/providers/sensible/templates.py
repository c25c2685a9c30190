"""Sensible's document types and their fields, for typed tables.

The fields are those of recent documents. The API also returns configurations, but a document type has several of them,
each written in Sensible's query language. The documents show what they extract.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain

from ...core.errors import ResourceUnavailable
from ...core.json_types import Json, JsonObject
from ...core.model import PartitionRef
from ...core.provider import RequestFlow, gather_tolerant
from ...core.requests import Request
from ...core.templates import DiscoveredTemplates, Template
from ...core.timestamps import format_rfc3339
from ...core.urls import build_path
from ..inference import infer_fields
from ..listing import list_month_starts
from ..parsing import as_number, as_text, parse_each, require_object
from .listing import ListPager
from .reading import WRAPPER_FORMAT, build_snapshot, parse_page, parse_ref

_LIST_LIMIT = 100

_SAMPLE_SIZE = 20
"""Number of documents of each type to read, spread evenly over its configurations."""

_SAMPLED_QUARTERS = 3
"""Number of quarters of the year before whose beginning a page of older summaries is read."""


def discover_templates(
    type_names: Sequence[str], type_ids: Mapping[str, str], environments: Sequence[str]
) -> RequestFlow[DiscoveredTemplates]:
    """Return document types with the fields of their recent documents.

    Args:
        type_names: Names of the document types.
        type_ids: Ids of Sensible's document types by name.
        environments: Environments whose documents are read.
    """
    known_names = [name for name in type_names if type_ids.get(name)]
    data_by_type: defaultdict[str, dict[str, list[JsonObject]]] = defaultdict(dict)
    for name in known_names:
        refs = _select_sample((yield from _list_complete(_build_list_request(type_ids[name], environments))))
        responses = yield from gather_tolerant([Request("GET", build_path("documents", ref.batch_id)) for ref in refs])
        for ref, response in zip(refs, responses, strict=True):
            # Accounts may keep documents for a short time only. One that is gone costs the sample itself alone.
            if isinstance(response, ResourceUnavailable):
                continue
            # By extraction id: a portfolio is in the sample of each of its types, and must count once.
            for type_name, data_objects in _extract_data_by_type(ref, response).items():
                data_by_type[type_name][ref.batch_id] = data_objects
    templates = []
    for name in known_names:
        fields = infer_fields(chain.from_iterable(data_by_type[name].values()), WRAPPER_FORMAT)
        templates.append(Template(name, name, fields))
    errors = [
        f"Sensible has no document type {name!r}; it has no typed table."
        for name in type_names
        if not type_ids.get(name)
    ]
    return DiscoveredTemplates(templates, errors)


def _list_complete(first_request: Request) -> RequestFlow[list[PartitionRef]]:
    """Return summaries of complete extractions, newest first, whether or not Sensible filters by status."""
    try:
        refs = yield from _list_candidates(first_request)
    except ResourceUnavailable:
        other_params = {name: value for name, value in first_request.params.items() if name != "statuses"}
        refs = yield from _list_candidates(replace(first_request, params=other_params))
    return [ref for ref in refs if (ref.listed_row or {}).get("status", "COMPLETE") == "COMPLETE"]


def _list_candidates(first_request: Request) -> RequestFlow[list[PartitionRef]]:
    """Return summaries, newest first: the newest ones, and some of each of the quarters before them.

    One page may not suffice for the newest, because a page may be short or empty and not the last (see ListPager).
    """
    refs: list[PartitionRef] = []
    pager = ListPager(first_request)
    while not pager.is_done and len(refs) < _SAMPLE_SIZE:
        refs += parse_each((yield from pager.read_page()), parse_ref)
    creation_times = [ref.approx_created_at for ref in refs if ref.approx_created_at]
    if pager.is_done or not creation_times:
        return refs
    requests = [
        replace(first_request, params={**first_request.params, "end_date": format_rfc3339(quarter_start) or ""})
        for quarter_start in list_month_starts(min(creation_times), _SAMPLED_QUARTERS, step=3)
    ]
    for body in (yield requests):
        refs += parse_each(parse_page(body)[0], parse_ref)
    return refs


def _build_list_request(type_id: str, environments: Sequence[str]) -> Request:
    """Return a request for complete extractions of one document type."""
    scope_params = {"document_type_ids": type_id, "environments": ",".join(environments)}
    return Request(
        "GET", build_path("extractions"), params={**scope_params, "statuses": "COMPLETE", "limit": _LIST_LIMIT}
    )


def _select_sample(refs: Sequence[PartitionRef]) -> list[PartitionRef]:
    """Return the extractions to read: the newest, and those in which the most fields were found.

    A field that no recent document has then stays known for as long as an older one with many fields is listed.
    """
    unique_refs = list({ref.batch_id: ref for ref in refs}.values())
    newest_refs = _spread_over_configurations(unique_refs)[: _SAMPLE_SIZE // 2]
    other_refs = [ref for ref in unique_refs if ref not in newest_refs]
    fullest_refs = _spread_over_configurations(sorted(other_refs, key=_count_fields, reverse=True))
    return [*newest_refs, *fullest_refs[: _SAMPLE_SIZE - len(newest_refs)]]


def _count_fields(ref: PartitionRef) -> float:
    """Return the number of fields that Sensible found in an extraction, 0 if its summary does not state it."""
    summary = (ref.listed_row or {}).get("validation_summary")
    return as_number(summary.get("fields_present")) or 0 if isinstance(summary, Mapping) else 0


def _spread_over_configurations(refs: Sequence[PartitionRef]) -> list[PartitionRef]:
    """Return the first extraction of each configuration, then the second ones, and so on."""
    # The configurations of a type may extract different fields, so each of them has to be in the sample before any is
    # in it twice.
    rank_by_configuration: Counter[str | None] = Counter()
    ranked_refs = []
    for ref in refs:
        configuration = as_text((ref.listed_row or {}).get("configuration"))
        rank_by_configuration[configuration] += 1
        ranked_refs.append((rank_by_configuration[configuration], ref))
    return [ref for _, ref in sorted(ranked_refs, key=lambda ranked_ref: ranked_ref[0])]


def _extract_data_by_type(ref: PartitionRef, response: Json) -> dict[str, list[JsonObject]]:
    """Return the extracted data of a document or portfolio by document type.

    A document that cannot be read gives none: a sample may be incomplete.
    """
    data_by_type: defaultdict[str, list[JsonObject]] = defaultdict(list)
    for snapshot in parse_each([response], lambda row: build_snapshot(ref, require_object(row, "A document"))):
        for document in snapshot.documents or ():
            for extraction in document.extractions:
                data_by_type[extraction.document_type or ""].append(extraction.data)
    return data_by_type
