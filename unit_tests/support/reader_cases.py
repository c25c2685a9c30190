"""The request flows of all APIs, with good responses and their entries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from typing import Any

import orjson

from docextract_sandbox import DocumentType, NewDocument, NewExtraction, NewFile, Sandbox, SensibleDocument
from source_docextract.core.errors import RequestRejected
from source_docextract.core.model import PartitionRef, Snapshot
from source_docextract.core.provider import NO_FILTERS, ListedRows, ProviderSpec, RequestFlow, StreamGroup, Window
from source_docextract.core.requests import Request
from source_docextract.core.timestamps import parse_time, truncate_to_day
from source_docextract.provider_specs import build_specs
from source_docextract.settings import Settings
from unit_tests.support.harness import START, frozen_sandbox
from unit_tests.support.stub_server import BlockingClient, flatten_flow

Json = Any
DAY = Window("", truncate_to_day(START), truncate_to_day(START) + timedelta(days=1))


@dataclass(frozen=True)
class Reader:
    """One request flow, with good responses to it.

    Attributes:
        name: the name in test ids.
        start: starts the flow anew, as in a sync of its own.
        product: the product that it belongs to.
        responses: good responses as JSON, in the order of the requests.
        entries: returns the entries that a response lists, None if it has no list.
        id_key: the key of an entry's id.
        is_single: the response is about one document, which yields a file row whatever it says.
        keeps_duplicates: two entries with one id are both delivered.
        is_unusable: returns whether an entry cannot be identified, so that it is only counted.
        is_outside_window: returns whether an entry of a list belongs to another window.
    """

    name: str
    start: Callable[[], RequestFlow[Any]]
    product: StreamGroup
    responses: tuple[bytes, ...]
    entries: Callable[[Json], list[Json] | None]
    id_key: str = "id"
    is_single: bool = False
    keeps_duplicates: bool = False
    is_unusable: Callable[[Json], bool] = lambda entry: not isinstance(entry, dict)
    is_outside_window: Callable[[Json], bool] = lambda _entry: False

    def count_unusable(self, bodies: Sequence[Json]) -> int:
        """Return the number of entries that the flow must report as unreadable."""
        return sum(self.is_unusable(entry) for entry in self.list_entries(bodies))

    def count_expected_ids(self, bodies: Sequence[Json]) -> Counter[str]:
        """Count the ids of the entries that must be delivered.

        A missing id counts as an empty one.
        """
        expected_entries = [
            item
            for item in self.list_entries(bodies)
            if not self.is_unusable(item) and not self.is_outside_window(item)
        ]
        return Counter(get_id(entry, self.id_key) for entry in expected_entries)

    def list_entries(self, bodies: Sequence[Json]) -> Iterable[Json]:
        """Return the entries of all bodies."""
        return (entry for body in bodies for entry in self.entries(body) or ())


def get_id(entry: Json, key: str = "id") -> str:
    """Return the id of an entry as text, empty if it has none."""
    value = entry.get(key) if isinstance(entry, dict) else entry
    return value if isinstance(value, str) else "" if value is None else orjson.dumps(value).decode()


def count_delivered_ids(result: Any) -> Counter[str]:
    """Count the ids in the result of a flow."""
    if isinstance(result, ListedRows):
        return Counter(ref.batch_id for ref in result.refs)
    documents = result.documents or () if isinstance(result, Snapshot) else ()
    return Counter(document.file_id or "" for document in documents)


def entries_at(*keys: str) -> Callable[[Json], list[Json] | None]:
    """Return a function that returns the list under a path of keys, or None."""

    def entries(body: Json) -> list[Json] | None:
        for key in keys:
            body = body.get(key) if isinstance(body, dict) else None
        return body if isinstance(body, list) else None

    return entries


def _docmap_rows(body: Json) -> list[Json] | None:
    return entries_at("data")(body) or entries_at("data", "extractions")(body)


def _has_no_id(entry: Json) -> bool:
    return not isinstance(entry, dict) or not get_id(entry)


def _is_invalid_id(value: Json) -> bool:
    """Return whether a value cannot be an id."""
    return value is not None and type(value) not in {str, int}


def _is_unusable_row(entry: Json) -> bool:
    return _has_no_id(entry) or any(_is_invalid_id(entry.get(key)) for key in ("id", "templateId", "runId"))


def _is_unusable_summary(entry: Json) -> bool:
    return _has_no_id(entry) or _is_invalid_id(entry["id"])


def _is_unusable_file(entry: Json) -> bool:
    """Return whether a file is unusable, or its reference to a batch unreadable.

    Delivered without its reference, it would hide the batch that it refers to for good.
    """
    reference = entry.get("extraction") or {} if isinstance(entry, dict) else {}
    is_valid_reference = isinstance(reference, dict) and not any(
        _is_invalid_id(reference.get(key)) for key in ("extractionId", "batchId")
    )
    return not isinstance(entry, dict) or _is_invalid_id(entry.get("fileId")) or not is_valid_reference


def _is_unusable_document(entry: Json) -> bool:
    return not isinstance(entry, dict) or _is_invalid_id(entry.get("document_id"))


def _is_unusable_id(entry: Json) -> bool:
    return not entry or type(entry) not in {str, int}


def _in_adjacent_window(key: str) -> Callable[[Json], bool]:
    """Return a test for rows up to a day outside the window.

    The provider may count days in another time zone, so the list shows them, and the adjacent window delivers them.
    """

    def is_in_adjacent_window(entry: Json) -> bool:
        created_at = parse_time(entry.get(key))
        if created_at is None or DAY.start <= created_at < DAY.end:
            return False
        return DAY.start - created_at <= timedelta(days=1) and created_at - DAY.end < timedelta(days=1)

    return is_in_adjacent_window


@cache
def build_readers() -> Mapping[str, Reader]:
    """Return all readers by name; the sandbox is asked once for the responses."""
    with frozen_sandbox() as (sandbox, url):
        ids = _fill_sandbox(sandbox)
        base_urls = sandbox.get_base_urls(url).items()
        settings: dict[str, dict[str, Any]] = {
            name: {**sandbox.credentials[name], "base_url": base_url} for name, base_url in base_urls
        }
        settings["extracta"] |= {"extraction_ids": [ids["template"]], "classification_ids": [ids["types"]]}
        settings["extracta"]["seconds_between_requests"] = 0
        settings["atlas"]["batch_ids"] = [ids["atlas"]]
        return {reader.name: reader for reader in _build_readers(Settings.parse(settings), ids)}


def _fill_sandbox(sandbox: Sandbox) -> dict[str, str]:
    """Add documents of all kinds, such as failed, referenced and reviewed ones."""
    template = sandbox.extracta.create("Invoices", ["vendor"])
    files = [NewFile(f"{number}.pdf", 0, {"vendor": f"{number}", "lines": [{"sku": number}]}) for number in range(3)]
    files.append(NewFile("bad.pdf", 0, {}, error="unreadable"))
    document_types = [DocumentType("invoice", extraction_id=template), DocumentType("other")]
    classifier = sandbox.classification.create("Mail", document_types)
    mail = [
        NewFile(f"{document_type.name}.pdf", 0, {"documentType": document_type.name, "confidence": 0.5})
        for document_type in document_types
    ]

    invoices = sandbox.docmap.put_template("Invoices")
    for number in range(6):
        extraction = NewExtraction(
            f"{number}.pdf", 0, {"total": 12.5, "n": number}, error="unreadable" if number == 5 else None
        )
        sandbox.docmap.add_extractions(invoices, [extraction], "run 1")
        sandbox.clock.advance(seconds=1)
    sandbox.docmap.add_extractions(invoices, [NewExtraction("later.pdf", 60, {})])

    for name in ("claims", "tax"):
        sandbox.sensible.add_document_type(name)
    parsed = {"vendor": {"value": "Acme", "type": "string"}, "losses": {"columns": [{"id": "a", "values": [None]}]}}
    documents = [
        SensibleDocument("0.pdf", 0, parsed),
        SensibleDocument("1.pdf", 0, parsed, review="NEEDS_REVIEW"),
        SensibleDocument("2.pdf", 0, error="unreadable"),
        SensibleDocument("3.pdf", 60, parsed),
        SensibleDocument("4.pdf", 0, portfolio=("claims", "tax")),
    ]
    batch = sandbox.sensible.add_batch(documents, "claims", "all of them")
    for number in range(len(documents)):
        sandbox.sensible.upload(batch, number)
    extraction_ids = sandbox.sensible.get_batch(batch).extraction_ids

    wrapped_name = {"value": "ASHA", "confidence_score": 0.9}
    card = {
        "document_type": "AADHAAR",
        "name": wrapped_name,
        "aadhaar_number": {**wrapped_name, "redact_url": "https://x.example/a"},
    }
    return {
        "template": template,
        "batch": sandbox.extracta.upload(template, files),
        "types": classifier,
        "mail": sandbox.classification.upload(classifier, mail),
        "atlas": sandbox.atlas.submit([NewDocument(f"{number}", 0, card) for number in range(5)]),
        "row": sandbox.docmap.extraction_ids[0],
        "sensible": batch,
        "document": extraction_ids[1],
        "portfolio": extraction_ids[4],
    }


NAMES = (
    *("extracta", "extracta list", "extracta classification", "docmap list", "docmap one", "docmap run"),
    *("sensible list", "sensible document", "sensible portfolio", "sensible batch", "atlas"),
    *("extracta templates", "docmap templates", "sensible templates", "atlas templates"),
)


def _build_readers(settings: Settings, named_ids: Mapping[str, str]) -> Iterable[Reader]:
    def make_reader(
        name: str, product: str, start_flow: Callable[[Sequence[StreamGroup]], RequestFlow[Any]], **options: Any
    ) -> Reader:
        responses = _read_responses(start_flow(_order_products(settings, product)), _find_spec(settings, product))
        start = lambda: start_flow(_order_products(settings, product))  # noqa: E731 (a sync of its own each time)
        return Reader(name, start, _order_products(settings, product)[0], tuple(responses), **options)

    def fetch(batch_id: str, template_id: str | None = None) -> Callable[[Sequence[StreamGroup]], RequestFlow[Any]]:
        return lambda products: products[0].fetch(PartitionRef(template_id, batch_id, is_explicit=True))

    def window(scope: str) -> Callable[[Sequence[StreamGroup]], RequestFlow[Any]]:
        return lambda products: products[0].read_window(replace(DAY, scope=scope), (), NO_FILTERS)  # type: ignore[misc]

    file_options: dict[str, Any] = {
        "entries": entries_at("files"),
        "id_key": "fileId",
        "keeps_duplicates": True,
        "is_unusable": _is_unusable_file,
    }
    single_options: dict[str, Any] = {"entries": lambda _: None, "is_single": True}
    member_options: dict[str, Any] = {
        "entries": entries_at("extraction_ids"),
        "is_unusable": _is_unusable_id,
        "keeps_duplicates": True,
    }
    discover = lambda products: products[0].discover(named_ids["template"])  # noqa: E731
    row_options: dict[str, Any] = {"entries": _docmap_rows, "is_unusable": _is_unusable_row}
    summary_options = {
        "entries": entries_at("extractions"),
        "is_unusable": _is_unusable_summary,
        "is_outside_window": _in_adjacent_window("created"),
    }
    document_options = {"entries": entries_at("data"), "id_key": "document_id", "is_unusable": _is_unusable_document}

    yield make_reader("extracta", "extracta", fetch(named_ids["batch"], named_ids["template"]), **file_options)
    yield make_reader("extracta list", "extracta", discover, entries=lambda _: None)
    yield make_reader(
        "extracta classification",
        "extracta_classification",
        fetch(named_ids["mail"], named_ids["types"]),
        **file_options,
    )
    yield make_reader(
        "docmap list", "docmap", window(""), **row_options, is_outside_window=_in_adjacent_window("createdAt")
    )
    yield make_reader("docmap one", "docmap", fetch(named_ids["row"]), **single_options)
    yield make_reader("docmap run", "docmap_runs", fetch("run 1"), **row_options, keeps_duplicates=True)
    yield make_reader("sensible list", "sensible", window("PRODUCTION/"), **summary_options)
    for document_name in ("document", "portfolio"):
        yield make_reader(f"sensible {document_name}", "sensible", fetch(named_ids[document_name]), **single_options)
    yield make_reader("sensible batch", "sensible_batches", fetch(named_ids["sensible"]), **member_options)
    yield make_reader("atlas", "atlas", fetch(named_ids["atlas"]), **document_options)
    for product in ("extracta", "docmap", "sensible", "atlas"):
        templates = lambda products: products[0].typed_tables.discover_templates()  # noqa: E731
        yield make_reader(f"{product} templates", product, templates, entries=lambda _: None)


def _find_spec(settings: Settings, product: str) -> ProviderSpec:
    return next(
        plan
        for plan in build_specs(settings)
        if any(product_group.name == product for product_group in plan.stream_groups)
    )


def _order_products(settings: Settings, product: str) -> list[StreamGroup]:
    """Return the products of one provider, the named one first."""
    products = _find_spec(settings, product).stream_groups
    return sorted(products, key=lambda product_group: product_group.name != product)


def _read_responses(request_flow: RequestFlow[Any], plan: ProviderSpec) -> Iterable[bytes]:
    """Return the responses of the sandbox to a flow, in small pages."""
    client = BlockingClient(plan.error_format, plan.base_url, headers=plan.headers, login=plan.login)
    flow = flatten_flow(request_flow)
    page_limits = {"limit": 3, "per_page": 2}
    try:
        requests = next(flow)
        while True:
            limited_requests = [_limit_page(request, page_limits) for request in requests]
            responses = [client.send(request) for request in limited_requests]
            yield from map(orjson.dumps, responses)
            requests = flow.send(responses)
    except StopIteration:
        return
    finally:
        client.close()


def _limit_page(request: Request, limits: Mapping[str, int]) -> Request:
    params = {key: min(int(value), limits[key]) if key in limits else value for key, value in request.params.items()}
    return replace(request, params=params)


UNKNOWN_ID_ERROR = RequestRejected("Nobody knows.", 404, None)
"""The response to all requests that a corrupted response leads to."""
