"""What the documentation says, beside what is there. What it tells to do is done by `test_docs_commands.py`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from airbyte_cdk.models import AirbyteMessageSerializer
from pages import DOCS, PAGES, ROOT, Block, Page, page
from pydantic import BaseModel
from sentences import GAP, texts, told

from source_docextract.config import Settings
from source_docextract.entries import Rules
from source_docextract.model import BatchRef, BatchStatus, Document, Extraction, FileStatus, Snapshot
from source_docextract.providers import plans
from source_docextract.registry import NEEDS_TEMPLATE, read_registry
from source_docextract.sentences import models
from source_docextract.spec import connection_specification
from source_docextract.state import Ledger
from source_docextract.tables import FIELDS, TABLES, View
from source_docextract.typed import COLUMNS
from source_docextract.version import VERSION

PACKAGE = ROOT / "source_docextract"
EVERYTHING = Settings.parse(
    {
        "extracta": {"api_key": "a-made-up-key", "extraction_ids": ["x"]},
        "docmap": {"api_key": "a-made-up-key"},
        "sensible": {"api_key": "a-made-up-key"},
        "atlas": {"client_id": "a-made-up-id", "client_secret": "a-made-up-secret", "batch_ids": ["b"]},
    }
)
NOTATIONS = {product.name: product.notation for plan in plans(EVERYTHING) for product in plan.products}

RUN = {"source-docextract", "docextract-sandbox", "grep", "python3", "."}
"""What can be run anywhere, and is."""

NOT_RUN = {
    "docker": "needs an engine; what the image is told is run without it",
    "kind": "needs a cluster",
    "kubectl": "needs a cluster",
    "helm": "needs a cluster",
    "abctl": "needs a cluster",
    "make": "runs these tests, among others",
    "pip": "needs a package index; the README's is given none, and what it needs is there",
    "python": "needs a warehouse: `test_workbook_command.py` reads its arguments, and runs it with others",
    ".venv-demo/bin/python": "is not where these tests are; test_report.py writes reports",
}
"""By first word, why."""

HEADINGS = (
    "Document Extraction",
    "Prerequisites",
    "Setup guide",
    "Set up Document Extraction",
    "Set up the Document Extraction connector in Airbyte",
    "For Airbyte Open Source:",
    "Supported sync modes",
    "Supported Streams",
    "Performance considerations",
    "Data type map",
    "Limitations & Troubleshooting",
    "Changelog",
)
"""What Airbyte wants of the page of a connector, in its order. Others may stand between."""

FIELDS_PAGE = "docs/fields.md"
"""Its JSON is extracted data."""

each_page = pytest.mark.parametrize("one", PAGES, ids=str)


def blocks(*languages: str, besides: str = "") -> list[Any]:
    pages = [one for one in PAGES if str(one) != besides]
    found = [(one, block) for one in pages for block in one.blocks if block.language in languages]
    return [pytest.param(block, id=f"{one}:{block.line}") for one, block in found]


def test_each_page_is_in_the_index() -> None:
    index = page("docs/README.md")

    assert {link.partition("#")[0] for link in index.links} >= {one.path.name for one in DOCS if one != index}


@each_page
def test_links_lead_somewhere(one: Page) -> None:
    broken = [link for link in one.links if not re.match(r"https?://", link) and not _leads_somewhere(one, link)]

    assert not broken


def _leads_somewhere(one: Page, link: str) -> bool:
    name, _, anchor = link.partition("#")
    target = (one.path.parent / name).resolve() if name else one.path
    return target.exists() and (not anchor or anchor in Page(target).anchors)


def test_the_connectors_page_has_the_headings_that_airbyte_wants() -> None:
    found = page("docs/docextract.md").headings

    assert [heading for heading in found if heading in HEADINGS] == list(HEADINGS)


def test_the_connectors_page_knows_this_version() -> None:
    changelog = page("docs/docextract.md").text.partition("## Changelog")[2]

    assert f"| {VERSION} |" in changelog
    assert f"## {VERSION}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


@each_page
def test_images_have_the_version_of_the_package(one: Page) -> None:
    assert set(re.findall(r"source-docextract:([\w.]+)", one.text)) <= {VERSION}


def test_each_setting_is_explained() -> None:
    explained = {word for one in DOCS for word in one.code}

    assert set(_settings(Settings)) <= explained


def test_the_steps_of_the_form_name_what_it_shows() -> None:
    steps = page("docs/docextract.md").text.partition("### For Airbyte Open Source:")[2].partition("### Settings")[0]
    form = connection_specification()["properties"].values()
    shown = {field["title"] for field in form if "oneOf" in field or field.get("always_show")}
    options = {option["title"] for field in form for option in field.get("oneOf", ())}

    assert {label for label in shown | options if f"**{label}**" not in steps} == set()


def _settings(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield name
        for section in models(field.annotation):
            yield from _settings(section)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.kind)
def test_each_column_is_explained(table: Any) -> None:
    explained = {word for one in DOCS for word in one.code}

    assert table.columns.keys() <= explained


def test_each_column_that_all_typed_tables_have_is_explained_on_their_page() -> None:
    assert set(COLUMNS) <= set(page("docs/typed-tables.md").code)


def test_each_provider_of_a_registry_is_named() -> None:
    assert NEEDS_TEMPLATE.keys() <= set(page("docs/registry.md").code)


@each_page
def test_each_block_is_of_a_known_language(one: Page) -> None:
    known = {"bash", "python", "sql", "json", "csv", "yaml", "text"}

    assert [(block.line, block.language) for block in one.blocks if block.language not in known] == []


@pytest.mark.parametrize("block", blocks("bash"))
def test_each_command_is_run_or_it_is_known_why_not(block: Block) -> None:
    unknown = [command for command in block.commands if command.split()[0] not in RUN | NOT_RUN.keys()]

    assert not unknown


@pytest.mark.parametrize("block", blocks("bash"))
def test_what_can_be_made_is_in_the_makefile(block: Block) -> None:
    targets = [command.split()[1] for command in block.commands if command.startswith("make ")]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")

    assert [target for target in targets if not re.search(rf"^{target}:", makefile, re.MULTILINE)] == []


@pytest.mark.parametrize("block", blocks("json", besides=FIELDS_PAGE))
def test_json_is_what_it_is_shown_for(block: Block, tmp_path: Path) -> None:
    """Settings, a state, a row of a registry, or a message."""
    document = json.loads(block.content)

    if document.keys() <= Settings.model_fields.keys():
        assert Settings.parse(document)
    elif "version" in document:
        ledger = Ledger(Rules(), stream=document.get("stream", "")).load(document, document.get("stream", "a stream"))
        assert ledger.as_json().keys() >= document.keys() - {"links"}
    elif "batch_id" in document:
        _read_registry(tmp_path, json.dumps(document))
    else:
        assert AirbyteMessageSerializer.load(document)


@pytest.mark.parametrize("provider", ["extracta", "atlas", "sensible"])
def test_extracted_data_has_the_fields_that_are_shown_below_it(provider: str) -> None:
    """One example for each way of writing data, in this order."""
    by_order = dict(zip(("extracta", "atlas", "sensible"), page(FIELDS_PAGE).blocks_of("json"), strict=True))
    block = by_order[provider]
    titles, *shown = page(FIELDS_PAGE).table_below(block)
    data = json.loads(block.content)
    document = Document("f", FileStatus.PROCESSED, extractions=(Extraction(data=data, stable=data),))
    snapshot = Snapshot(BatchRef(None, "b"), BatchStatus.COMPLETE, documents=(document,))

    [rows] = FIELDS.rows(snapshot, View(provider, notation=NOTATIONS[provider]))

    told = [[row[title.strip("`")] for title in titles] for row in rows.records]
    assert [[cell.strip("`") for cell in line] for line in shown] == [
        ["" if cell is None else str(cell) for cell in line] for line in told
    ]


@pytest.mark.parametrize("block", blocks("csv"))
def test_csv_is_a_registry(block: Block, tmp_path: Path) -> None:
    _read_registry(tmp_path, block.content)


def _read_registry(folder: Path, content: str) -> None:
    (folder / "registry").write_text(content, encoding="utf-8")

    registry = read_registry(str(folder / "registry"), NEEDS_TEMPLATE)

    assert sum(map(len, registry.batches.values())) == len(content.strip().splitlines()) - (content[0] != "{")


@pytest.mark.parametrize("block", blocks("yaml"))
def test_yaml_is_for_airbytes_chart(block: Block) -> None:
    assert yaml.safe_load(block.content).keys() <= {"global", "worker", "workloadLauncher"}


def test_each_sentence_of_the_troubleshooting_is_the_connectors_own() -> None:
    sentences = texts(PACKAGE)
    quotes = page("docs/troubleshooting.md").quotes

    strange = [quote for quote in quotes for part in _parts(quote) if not any(part in one for one in sentences)]

    assert len(quotes) > 50
    assert strange == []


def test_each_error_and_warning_is_in_the_troubleshooting() -> None:
    parts = {part for quote in page("docs/troubleshooting.md").quotes for part in _parts(quote) if len(part) >= 5}

    assert [sentence for sentence in sorted(told(PACKAGE)) if not any(part in sentence for part in parts)] == []


def _parts(sentence: str) -> list[str]:
    """What stands between the gaps."""
    return [part for part in (part.strip() for part in sentence.split(GAP)) if part]
