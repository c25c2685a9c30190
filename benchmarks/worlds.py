"""Worlds of the benchmark: sandboxes with a given number of documents.

Each world also returns its selections: settings that read a part of it, by name, without URLs and keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from math import inf
from random import Random

from docextract_sandbox import NewDocument, NewFile, Sandbox
from docextract_sandbox.context import JsonObject

Selections = dict[str, dict[str, JsonObject]]
"""Settings by name and provider."""

ALL_SELECTION, SMALL_SELECTION = "all", "small"
PER_PAGE = 50
LICENCE_FIELDS, INVOICE_FIELDS = 10, 15
"""Values in each document of Atlas and of Extracta."""
_MAX_AGE, _MIN_AGE = timedelta(days=390), timedelta(days=30)
_NAMES = ("ANANYA SHARMA", "RAHUL VERMA", "FATIMA SHEIKH", "JOSEPH D SOUZA", "LAKSHMI NAIR", "HARPREET SINGH")
_PLACES = ("Bhilwara, Rajasthan, 311001", "Kochi, Kerala, 682001", "Pune, Maharashtra, 411004")


def atlas(batches: int, documents: int) -> tuple[Sandbox, Selections]:
    """Return a world of equal batches, and a small batch of one page."""
    sandbox, random = Sandbox(seeds=False), Random(1)
    sizes = [documents] * batches + [PER_PAGE]
    batch_ids: list[str] = []
    for size, submitted_at in zip(sizes, _spread_moments(len(sizes)), strict=True):
        licences = [NewDocument(f"document-{number:06d}", 0, _make_licence(random)) for number in range(size)]
        batch_ids.append(sandbox.atlas.submit(licences, submitted_at=submitted_at))
    return sandbox, {
        ALL_SELECTION: {"atlas": {"batch_ids": batch_ids[:-1]}},
        SMALL_SELECTION: {"atlas": {"batch_ids": batch_ids[-1:]}},
    }


def extracta(
    templates: int, batches: int, files: int, open_batches: int = 0, *, new_batches: int = 0, spacing: float = 0.0
) -> tuple[Sandbox, Selections]:
    """Return a world of settled, open and just settled batches, and a template of one batch."""
    sandbox, random = Sandbox(spacing=spacing, seeds=False), Random(1)
    template_ids = [sandbox.extracta.create(f"Invoices {number}", ["vendor", "total"]) for number in range(templates)]
    for number, started_at in enumerate(_spread_moments(batches)):
        invoices = [NewFile(f"invoice-{file:05d}.pdf", 0, _make_invoice(random)) for file in range(files)]
        sandbox.extracta.upload(template_ids[number % templates], invoices, started_at=started_at)
    yesterday = sandbox.clock.now() - timedelta(days=1)
    for number in range(open_batches):
        open_files = [NewFile(f"invoice-{file:05d}.pdf", inf) for file in range(files)]
        sandbox.extracta.upload(
            template_ids[number % templates], open_files, started_at=yesterday + timedelta(seconds=number)
        )
    for number in range(new_batches):
        invoices = [NewFile(f"invoice-{file:05d}.pdf", 0, _make_invoice(random)) for file in range(files)]
        sandbox.extracta.upload(template_ids[number % templates], invoices)
    small_template_id = sandbox.extracta.create("Small", ["vendor"])
    sandbox.extracta.upload(small_template_id, [NewFile("invoice.pdf", 0, _make_invoice(random))], started_at=yesterday)
    spacing_settings: JsonObject = {"seconds_between_requests": spacing}
    return sandbox, {
        ALL_SELECTION: {"extracta": {"extraction_ids": template_ids, **spacing_settings}},
        SMALL_SELECTION: {"extracta": {"extraction_ids": [small_template_id], **spacing_settings}},
    }


def docmap(extractions: int, run_size: int, days: int = 360) -> tuple[Sandbox, Selections]:
    """Return a world of extractions that are spread over full days."""
    sandbox = Sandbox(seeds=False)
    variables = [{"name": "vendor", "type": "string", "description": "Who sends it"}]
    template_id = sandbox.docmap.put_template("Invoices", variables)
    today = sandbox.clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
    step = timedelta(days=days) / max(extractions, 1)
    sandbox.docmap.add_history(
        template_id, extractions, today - _MIN_AGE - timedelta(days=days), step.total_seconds(), run_size
    )
    return sandbox, {ALL_SELECTION: {"docmap": {}}}


def sensible(documents: int, batch_size: int, days: int = 360) -> tuple[Sandbox, Selections]:
    """Return a world of extractions that are spread over some days, grouped in batches."""
    sandbox = Sandbox(seeds=False)
    sandbox.sensible.add_document_type("invoices")
    start, step = sandbox.clock.now() - _MAX_AGE, timedelta(days=days) / max(documents, 1)
    sandbox.sensible.add_history("invoices", documents, start, step.total_seconds(), batch_size)
    return sandbox, {ALL_SELECTION: {"sensible": {}}}


WORLDS: dict[str, Callable[..., tuple[Sandbox, Selections]]] = {
    world.__name__: world for world in (atlas, extracta, docmap, sensible)
}


def _compute_step(count: int) -> timedelta:
    return (_MAX_AGE - _MIN_AGE) / max(count, 1)


def _spread_moments(count: int) -> Iterator[datetime]:
    """Return evenly spread moments of about a year, none of them in the last month."""
    start = datetime.now(timezone.utc) - _MAX_AGE
    return (start + number * _compute_step(count) for number in range(count))


def _make_licence(random: Random) -> JsonObject:
    """Return the data of a document that takes about 724 bytes on its page."""
    birth_date = f"{random.randint(10, 28)}/0{random.randint(1, 9)}/19{random.randint(55, 99)}"
    issue_year = random.randint(2010, 2024)
    name, place = random.choice(_NAMES), random.choice(_PLACES)
    return {
        "document_type": "DRIVING_LICENSE",
        "dl_number": _wrap_value(f"KA{random.randint(10, 99)} {random.randrange(10**11):011d}", random),
        "name": _wrap_value(name, random),
        "father_name": _wrap_value(random.choice(_NAMES), random),
        "date_of_birth": _wrap_value(birth_date, random),
        "issue_date": _wrap_value(f"12/05/{issue_year}", random),
        "valid_till": _wrap_value(f"11/05/{issue_year + 20}", random),
        "address": _wrap_value(
            f"{random.randint(1, 99)}-CH-{random.randint(10, 99)}, NEAR COMMUNITY HALL, {place}", random
        ),
        "blood_group": _wrap_value(random.choice(("A+", "B+", "O+", "AB-")), random),
        "vehicle_classes": _wrap_value("MCWG, LMV, TRANS", random),
        "state": _wrap_value(place.split(", ")[1], random),
    }


def _wrap_value(value: str, random: Random) -> JsonObject:
    return {"value": value, "confidence_score": random.randint(85, 99) / 100}


def _make_invoice(random: Random) -> JsonObject:
    lines: list[JsonObject] = [
        {"description": f"Part {random.randrange(10_000):04d}", "quantity": random.randint(1, 9), "price": 12.5}
        for _ in range(4)
    ]
    return {
        "vendor": "Acme Supplies Ltd",
        "number": f"INV-{random.randrange(10**6):06d}",
        "total": 809.73,
        "lines": lines,
    }
