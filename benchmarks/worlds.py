"""What the sandbox holds in a benchmark. All documents are finished and old, but for batches that are meant to be open.

A world gives its selections as well: settings by name, each of which reads a part of it, without addresses and keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from math import inf
from random import Random

from sandbox import NewDocument, NewFile, Sandbox
from sandbox.shared import JsonObject

Selections = dict[str, dict[str, JsonObject]]
"""Settings by name and provider."""

ALL, SMALL = "all", "small"
PER_PAGE = 50
LICENCE_FIELDS, INVOICE_FIELDS = 10, 15
"""Values in each document of Atlas and of Extracta."""
_OLDEST, _YOUNGEST = timedelta(days=390), timedelta(days=30)
_NAMES = ("ANANYA SHARMA", "RAHUL VERMA", "FATIMA SHEIKH", "JOSEPH D SOUZA", "LAKSHMI NAIR", "HARPREET SINGH")
_PLACES = ("Bhilwara, Rajasthan, 311001", "Kochi, Kerala, 682001", "Pune, Maharashtra, 411004")


def atlas(batches: int, documents: int) -> tuple[Sandbox, Selections]:
    """So many batches of so many documents each, and a small one of one page."""
    sandbox, draw = Sandbox(seeds=False), Random(1)
    sizes = [documents] * batches + [PER_PAGE]
    ids = [
        sandbox.atlas.submit(
            [NewDocument(f"document-{number:06d}", 0, _licence(draw)) for number in range(size)], submitted_at=when
        )
        for size, when in zip(sizes, _days_gone_by(len(sizes)), strict=True)
    ]
    return sandbox, {ALL: {"atlas": {"batch_ids": ids[:-1]}}, SMALL: {"atlas": {"batch_ids": ids[-1:]}}}


def extracta(
    templates: int, batches: int, files: int, open_batches: int = 0, spacing: float = 0.0
) -> tuple[Sandbox, Selections]:
    """So many settled and open batches over all templates, of so many files each; and a small template of one batch."""
    sandbox, draw = Sandbox(spacing=spacing, seeds=False), Random(1)
    ids = [sandbox.extracta.create(f"Invoices {number}", ["vendor", "total"]) for number in range(templates)]
    for number, when in enumerate(_days_gone_by(batches)):
        invoices = [NewFile(f"invoice-{file:05d}.pdf", 0, _invoice(draw)) for file in range(files)]
        sandbox.extracta.upload(ids[number % templates], invoices, started_at=when)
    yesterday = sandbox.clock.now() - timedelta(days=1)
    for number in range(open_batches):
        waiting = [NewFile(f"invoice-{file:05d}.pdf", inf) for file in range(files)]
        sandbox.extracta.upload(ids[number % templates], waiting, started_at=yesterday + timedelta(seconds=number))
    small = sandbox.extracta.create("Small", ["vendor"])
    sandbox.extracta.upload(small, [NewFile("invoice.pdf", 0, _invoice(draw))], started_at=yesterday)
    pace: JsonObject = {"seconds_between_requests": spacing}
    return sandbox, {
        ALL: {"extracta": {"extraction_ids": ids, **pace}},
        SMALL: {"extracta": {"extraction_ids": [small], **pace}},
    }


def docmap(extractions: int, run_size: int, days: int = 360) -> tuple[Sandbox, Selections]:
    """So many extractions over so many days, each of which begins at midnight."""
    sandbox = Sandbox(seeds=False)
    variables = [{"name": "vendor", "type": "string", "description": "Who sends it"}]
    template = sandbox.docmap.template("Invoices", variables)
    today = sandbox.clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
    step = timedelta(days=days) / max(extractions, 1)
    sandbox.docmap.bulk(template, extractions, today - _YOUNGEST - timedelta(days=days), step.total_seconds(), run_size)
    return sandbox, {ALL: {"docmap": {}}}


def sensible(documents: int, batch_size: int) -> tuple[Sandbox, Selections]:
    sandbox = Sandbox(seeds=False)
    sandbox.sensible.document_type("invoices")
    start = sandbox.clock.now() - _OLDEST
    sandbox.sensible.bulk("invoices", documents, start, _step(documents).total_seconds(), batch_size)
    return sandbox, {ALL: {"sensible": {}}}


WORLDS: dict[str, Callable[..., tuple[Sandbox, Selections]]] = {
    world.__name__: world for world in (atlas, extracta, docmap, sensible)
}


def _step(count: int) -> timedelta:
    return (_OLDEST - _YOUNGEST) / max(count, 1)


def _days_gone_by(count: int) -> Iterator[datetime]:
    """Evenly spread moments of about a year, none of them within the last month."""
    start = datetime.now(timezone.utc) - _OLDEST
    return (start + number * _step(count) for number in range(count))


def _licence(draw: Random) -> JsonObject:
    """The data of a document that takes about 724 bytes on its page."""
    born, issued = f"{draw.randint(10, 28)}/0{draw.randint(1, 9)}/19{draw.randint(55, 99)}", draw.randint(2010, 2024)
    name, place = draw.choice(_NAMES), draw.choice(_PLACES)
    return {
        "document_type": "DRIVING_LICENSE",
        "dl_number": _read(f"KA{draw.randint(10, 99)} {draw.randrange(10**11):011d}", draw),
        "name": _read(name, draw),
        "father_name": _read(draw.choice(_NAMES), draw),
        "date_of_birth": _read(born, draw),
        "issue_date": _read(f"12/05/{issued}", draw),
        "valid_till": _read(f"11/05/{issued + 20}", draw),
        "address": _read(f"{draw.randint(1, 99)}-CH-{draw.randint(10, 99)}, NEAR COMMUNITY HALL, {place}", draw),
        "blood_group": _read(draw.choice(("A+", "B+", "O+", "AB-")), draw),
        "vehicle_classes": _read("MCWG, LMV, TRANS", draw),
        "state": _read(place.split(", ")[1], draw),
    }


def _read(value: str, draw: Random) -> JsonObject:
    return {"value": value, "confidence_score": draw.randint(85, 99) / 100}


def _invoice(draw: Random) -> JsonObject:
    lines: list[JsonObject] = [
        {"description": f"Part {draw.randrange(10_000):04d}", "quantity": draw.randint(1, 9), "price": 12.5}
        for _ in range(4)
    ]
    return {
        "vendor": "Acme Supplies Ltd",
        "number": f"INV-{draw.randrange(10**6):06d}",
        "total": 809.73,
        "lines": lines,
    }
