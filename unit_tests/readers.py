"""The readers of all APIs, each with good answers of the sandbox, and what of an answer may not get lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from typing import Any

import orjson
from harness import START, world
from scripted import Waiting

from sandbox import DocumentType, NewDocument, NewExtraction, NewFile, Sandbox, SensibleDocument
from source_docextract.config import Settings
from source_docextract.errors import Refused
from source_docextract.http import Request
from source_docextract.model import BatchRef, Snapshot, moment
from source_docextract.providers import plans
from source_docextract.providers.base import Listed, Plan, Product, Script
from source_docextract.scroll import Window, midnight

Json = Any
DAY = Window("", midnight(START), midnight(START) + timedelta(days=1))


@dataclass(frozen=True)
class Reader:
    """One script.

    Attributes:
        start: a new run of it, as in a sync of its own.
        product: what reads it.
        answers: good ones, as JSON, in the order in which they are asked for.
        entries: what an answer lists, None where it has no list.
        id_key: where an entry has its id.
        is_one: the answer is about one document, which is there whatever it says.
        has_all: of two entries with one id, both are delivered.
        is_lost: whether an entry cannot be told apart, or is not there to be told.
        is_elsewhere: whether an entry of a list belongs to another window.
    """

    name: str
    start: Callable[[], Script[Any]]
    product: Product
    answers: tuple[bytes, ...]
    entries: Callable[[Json], list[Json] | None]
    id_key: str = "id"
    is_one: bool = False
    has_all: bool = False
    is_lost: Callable[[Json], bool] = lambda entry: not isinstance(entry, dict)
    is_elsewhere: Callable[[Json], bool] = lambda _entry: False

    def lost(self, bodies: Sequence[Json]) -> int:
        """How many entries have to be told of."""
        return sum(self.is_lost(entry) for entry in self.listed(bodies))

    def ids(self, bodies: Sequence[Json]) -> Counter[str]:
        """Of the entries that have to be delivered. Who has no id counts as well."""
        kept = [one for one in self.listed(bodies) if not self.is_lost(one) and not self.is_elsewhere(one)]
        return Counter(id_of(entry, self.id_key) for entry in kept)

    def listed(self, bodies: Sequence[Json]) -> Iterable[Json]:
        return (entry for body in bodies for entry in self.entries(body) or ())


def id_of(entry: Json, key: str = "id") -> str:
    found = entry.get(key) if isinstance(entry, dict) else entry
    return found if isinstance(found, str) else "" if found is None else orjson.dumps(found).decode()


def delivered(result: Any) -> Counter[str]:
    """The ids of what a script has read."""
    if isinstance(result, Listed):
        return Counter(ref.batch_id for ref in result.refs)
    documents = result.documents or () if isinstance(result, Snapshot) else ()
    return Counter(document.file_id or "" for document in documents)


def _under(*keys: str) -> Callable[[Json], list[Json] | None]:
    def entries(body: Json) -> list[Json] | None:
        for key in keys:
            body = body.get(key) if isinstance(body, dict) else None
        return body if isinstance(body, list) else None

    return entries


def _docmap_rows(body: Json) -> list[Json] | None:
    return _under("data")(body) or _under("data", "extractions")(body)


def _no_id(entry: Json) -> bool:
    return not isinstance(entry, dict) or not id_of(entry)


def _is_odd(value: Json) -> bool:
    """Whether it can be no id."""
    return value is not None and type(value) not in {str, int}


def _no_row(entry: Json) -> bool:
    return _no_id(entry) or any(_is_odd(entry.get(key)) for key in ("id", "templateId", "runId"))


def _no_summary(entry: Json) -> bool:
    return _no_id(entry) or _is_odd(entry["id"])


def _no_file(entry: Json) -> bool:
    """One whose link cannot be read is not told either: what it leads to would never be."""
    link = entry.get("extraction") or {} if isinstance(entry, dict) else {}
    is_link = isinstance(link, dict) and not any(_is_odd(link.get(key)) for key in ("extractionId", "batchId"))
    return not isinstance(entry, dict) or _is_odd(entry.get("fileId")) or not is_link


def _no_paper(entry: Json) -> bool:
    return not isinstance(entry, dict) or _is_odd(entry.get("document_id"))


def _no_name(entry: Json) -> bool:
    return not entry or type(entry) not in {str, int}


def _elsewhere(key: str) -> Callable[[Json], bool]:
    """Near the window and not in it: where days are counted in another zone, the window beside it has the row."""

    def is_elsewhere(entry: Json) -> bool:
        when = moment(entry.get(key))
        if when is None or DAY.start <= when < DAY.end:
            return False
        return DAY.start - when <= timedelta(days=1) and when - DAY.end < timedelta(days=1)

    return is_elsewhere


@cache
def readers() -> Mapping[str, Reader]:
    """Asks the sandbox once; what it answers is kept."""
    with world() as (sandbox, url):
        named = _fill(sandbox)
        base_urls = sandbox.base_urls(url).items()
        settings = {name: {**sandbox.credentials[name], "base_url": base_url} for name, base_url in base_urls}
        settings["extracta"] |= {"extraction_ids": [named["template"]], "classification_ids": [named["types"]]}
        settings["extracta"]["seconds_between_requests"] = 0
        settings["atlas"]["batch_ids"] = [named["atlas"]]
        return {reader.name: reader for reader in _readers(Settings.parse(settings), named)}


def _fill(sandbox: Sandbox) -> dict[str, str]:
    """Something of everything: finished and not, failed, linked, under review, a portfolio."""
    template = sandbox.extracta.create("Invoices", ["vendor"])
    files = [NewFile(f"{n}.pdf", 0, {"vendor": f"{n}", "lines": [{"sku": n}]}) for n in range(3)]
    files.append(NewFile("bad.pdf", 0, {}, error="unreadable"))
    kinds = [DocumentType("invoice", extraction_id=template), DocumentType("other")]
    types = sandbox.classification.create("Mail", kinds)
    mail = [NewFile(f"{kind.name}.pdf", 0, {"documentType": kind.name, "confidence": 0.5}) for kind in kinds]

    invoices = sandbox.docmap.template("Invoices")
    for n in range(6):
        new = NewExtraction(f"{n}.pdf", 0, {"total": 12.5, "n": n}, error="unreadable" if n == 5 else None)
        sandbox.docmap.run(invoices, [new], "run 1")
        sandbox.clock.advance(seconds=1)
    sandbox.docmap.run(invoices, [NewExtraction("later.pdf", 60, {})])

    for name in ("claims", "tax"):
        sandbox.sensible.document_type(name)
    parsed = {"vendor": {"value": "Acme", "type": "string"}, "losses": {"columns": [{"id": "a", "values": [None]}]}}
    documents = [
        SensibleDocument("0.pdf", 0, parsed),
        SensibleDocument("1.pdf", 0, parsed, review="NEEDS_REVIEW"),
        SensibleDocument("2.pdf", 0, error="unreadable"),
        SensibleDocument("3.pdf", 60, parsed),
        SensibleDocument("4.pdf", 0, portfolio=("claims", "tax")),
    ]
    batch = sandbox.sensible.batch(documents, "claims", "all of them")
    for n in range(len(documents)):
        sandbox.sensible.upload(batch, n)
    extraction_ids = sandbox.sensible.batch_view(batch).extraction_ids

    name = {"value": "ASHA", "confidence_score": 0.9}
    card = {"document_type": "AADHAAR", "name": name, "aadhaar_number": {**name, "redact_url": "https://x.example/a"}}
    return {
        "template": template,
        "batch": sandbox.extracta.upload(template, files),
        "types": types,
        "mail": sandbox.classification.upload(types, mail),
        "atlas": sandbox.atlas.submit([NewDocument(f"{n}", 0, card) for n in range(5)]),
        "row": sandbox.docmap.ids[0],
        "sensible": batch,
        "document": extraction_ids[1],
        "portfolio": extraction_ids[4],
    }


NAMES = (
    *("extracta", "extracta list", "extracta classification", "docmap list", "docmap one", "docmap run"),
    *("sensible list", "sensible document", "sensible portfolio", "sensible batch", "atlas"),
    *("extracta templates", "docmap templates", "sensible templates", "atlas templates"),
)


def _readers(settings: Settings, named: Mapping[str, str]) -> Iterable[Reader]:
    def reader(name: str, product: str, script: Callable[[Sequence[Product]], Script[Any]], **more: Any) -> Reader:
        answers = _answers(script(_products(settings, product)), _plan(settings, product))
        start = lambda: script(_products(settings, product))  # noqa: E731 (of a sync of its own each time)
        return Reader(name, start, _products(settings, product)[0], tuple(answers), **more)

    def fetch(batch_id: str, template_id: str | None = None) -> Callable[[Sequence[Product]], Script[Any]]:
        return lambda products: products[0].fetch(BatchRef(template_id, batch_id, named=True))

    def window(scope: str) -> Callable[[Sequence[Product]], Script[Any]]:
        return lambda products: products[0].window(replace(DAY, scope=scope))  # type: ignore[misc]

    files: dict[str, Any] = {"entries": _under("files"), "id_key": "fileId", "has_all": True, "is_lost": _no_file}
    one: dict[str, Any] = {"entries": lambda _: None, "is_one": True}
    ids: dict[str, Any] = {"entries": _under("extraction_ids"), "is_lost": _no_name, "has_all": True}
    batches = lambda products: products[0].discover(named["template"])  # noqa: E731
    rows: dict[str, Any] = {"entries": _docmap_rows, "is_lost": _no_row}
    summaries = {"entries": _under("extractions"), "is_lost": _no_summary, "is_elsewhere": _elsewhere("created")}
    papers = {"entries": _under("data"), "id_key": "document_id", "is_lost": _no_paper}

    yield reader("extracta", "extracta", fetch(named["batch"], named["template"]), **files)
    yield reader("extracta list", "extracta", batches, entries=lambda _: None)
    yield reader("extracta classification", "extracta_classification", fetch(named["mail"], named["types"]), **files)
    yield reader("docmap list", "docmap", window(""), **rows, is_elsewhere=_elsewhere("createdAt"))
    yield reader("docmap one", "docmap", fetch(named["row"]), **one)
    yield reader("docmap run", "docmap_runs", fetch("run 1"), **rows, has_all=True)
    yield reader("sensible list", "sensible", window("PRODUCTION/"), **summaries)
    for which in ("document", "portfolio"):
        yield reader(f"sensible {which}", "sensible", fetch(named[which]), **one)
    yield reader("sensible batch", "sensible_batches", fetch(named["sensible"]), **ids)
    yield reader("atlas", "atlas", fetch(named["atlas"]), **papers)
    for product in ("extracta", "docmap", "sensible", "atlas"):
        templates = lambda products: products[0].typing.templates()  # noqa: E731
        yield reader(f"{product} templates", product, templates, entries=lambda _: None)


def _plan(settings: Settings, product: str) -> Plan:
    return next(plan for plan in plans(settings) if any(one.name == product for one in plan.products))


def _products(settings: Settings, product: str) -> list[Product]:
    """Those of the plan, the wanted one first."""
    products = _plan(settings, product).products
    return sorted(products, key=lambda one: one.name != product)


def _answers(script: Script[Any], plan: Plan) -> Iterable[bytes]:
    """What the sandbox answers, in small pages."""
    client = Waiting(plan.dialect, plan.base_url, headers=plan.headers, login=plan.login)
    small = {"limit": 3, "per_page": 2}
    try:
        requests = next(script)
        while True:
            few = [_with(request, small) for request in requests]
            answers = [client.send(request) for request in few]
            yield from map(orjson.dumps, answers)
            requests = script.send(answers)
    except StopIteration:
        return
    finally:
        client.close()


def _with(request: Request, few: Mapping[str, int]) -> Request:
    params = {key: min(int(value), few[key]) if key in few else value for key, value in request.params.items()}
    return replace(request, params=params)


NOTHING = Refused("Nobody knows.", 404, None)
"""The answer to whatever a spoilt one leads to."""
