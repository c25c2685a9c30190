"""Sensible's document types, for typed tables: their fields are those of recent documents.

Configurations would tell fields as well, but a type has several of them, each in a language of its own; what they made
of documents is what there is to deliver.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from ...errors import Unavailable
from ...http import Request
from ...model import BatchRef, Json, JsonObject
from ...templates import Template, Templates, seen
from ..base import Script, answers, each, json_object, path, text
from .documents import NOTATION, ref_of, snapshot_of
from .listing import Walk

_LISTED = 100
_ASKED = 20
"""So many documents of each type are looked into, of all its configurations alike."""


def templates(names: Sequence[str], ids: Mapping[str, str], environments: Sequence[str]) -> Script[Templates]:
    """The document types with these names, whose ids are `ids`."""
    known = [name for name in names if ids.get(name)]
    data: defaultdict[str, dict[str, list[JsonObject]]] = defaultdict(dict)
    for name in known:
        refs = _chosen((yield from _newest(_list(ids[name], environments))))
        found = yield from answers([Request("GET", path("documents", ref.batch_id)) for ref in refs])
        for ref, answer in zip(refs, found, strict=True):
            if not isinstance(answer, Unavailable):
                for type_name, some in _data(ref, answer).items():
                    data[type_name][ref.batch_id] = some
    return Templates(
        [Template(name, name, seen((one for some in data[name].values() for one in some), NOTATION)) for name in known],
        [f"Sensible has no document type {name!r}; it has no typed table." for name in names if not ids.get(name)],
    )


def _newest(page: Request) -> Script[list[BatchRef]]:
    """Summaries, enough of them to choose from, or all there are: a page may be empty and not the last."""
    found: list[BatchRef] = []
    walk = Walk(page)
    while not walk.is_over and len(found) < _ASKED:
        found += each((yield from walk.step()), ref_of)
    return found


def _list(type_id: str, environments: Sequence[str]) -> Request:
    """Newest first."""
    chosen = {"document_type_ids": type_id, "environments": ",".join(environments)}
    return Request("GET", path("extractions"), params={**chosen, "statuses": "COMPLETE", "limit": _LISTED})


def _chosen(refs: Sequence[BatchRef]) -> list[BatchRef]:
    """The newest of each configuration, then the second newest of each, and so on."""
    ranks: Counter[str | None] = Counter()
    ranked = []
    for ref in refs:
        configuration = text((ref.row or {}).get("configuration"))
        ranks[configuration] += 1
        ranked.append((ranks[configuration], ref))
    return [ref for _, ref in sorted(ranked, key=lambda one: one[0])[:_ASKED]]


def _data(ref: BatchRef, answer: Json) -> dict[str, list[JsonObject]]:
    """What was extracted from a document, or from each of a portfolio, by document type."""
    found: defaultdict[str, list[JsonObject]] = defaultdict(list)
    for snapshot in each([answer], lambda row: snapshot_of(ref, json_object(row, "A document"))):
        for one in (one for document in snapshot.documents or () for one in document.extractions):
            found[one.document_type or ""].append(one.data)
    return found
