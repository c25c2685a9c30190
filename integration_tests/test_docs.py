"""The documentation compared with the code. `test_docs_commands.py` runs its commands."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from airbyte_cdk.models import AirbyteMessageSerializer
from pydantic import BaseModel

from integration_tests.pages import DOCS, PAGES, ROOT, Block, Page, get_page
from integration_tests.sentences import PLACEHOLDER, list_messages, list_texts
from source_docextract.core.model import Document, Extraction, FileStatus, PartitionRef, PartitionStatus, Snapshot
from source_docextract.core.products import NEEDS_TEMPLATE
from source_docextract.provider_specs import build_specs
from source_docextract.registry.opening import read_registry
from source_docextract.settings import Settings
from source_docextract.settings_errors import iterate_models
from source_docextract.spec import build_connection_spec
from source_docextract.state.entries import SyncPolicy
from source_docextract.state.serialization import StreamState
from source_docextract.tables.rows import FIELDS, TABLES, RenderOptions
from source_docextract.tables.typed import RESERVED_COLUMNS
from source_docextract.version import VERSION
from unit_tests.support.cases import each_case

PACKAGE = ROOT / "source_docextract"
ALL_SETTINGS = Settings.parse(
    {
        "extracta": {"api_key": "a-made-up-key", "extraction_ids": ["x"]},
        "docmap": {"api_key": "a-made-up-key"},
        "sensible": {"api_key": "a-made-up-key"},
        "atlas": {"client_id": "a-made-up-id", "client_secret": "a-made-up-secret", "batch_ids": ["b"]},
    }
)
NOTATIONS = {
    product.name: product.wrapper_format for plan in build_specs(ALL_SETTINGS) for product in plan.stream_groups
}

RUN = {"source-docextract", "docextract-sandbox", "grep", "python3", "."}
"""What can be run anywhere, and is."""

UNRUN_COMMANDS = {
    "docker": "needs an engine; the arguments of the image are run without it",
    "gcloud": "needs an account of Google Cloud",
    "az": "needs an account of Azure",
    "ssh-keygen": "writes a key into the home of a user; the formats are read in test_registry_sftp.py",
    "ssh-keyscan": "needs a server; its lines are read in test_registry_credentials.py",
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

each_page = each_case("document_page", PAGES, ids=str)


def list_blocks(*languages: str, excluded_page: str = "") -> list[Any]:
    pages = [page for page in PAGES if str(page) != excluded_page]
    page_blocks = [(page, block) for page in pages for block in page.blocks if block.language in languages]
    return [pytest.param(block, id=f"{page}:{block.line}") for page, block in page_blocks]


def test_docs_index_lists_every_page() -> None:
    index = get_page("docs/README.md")

    assert {url.partition("#")[0] for url in index.urls} >= {
        document_page.path.name for document_page in DOCS if document_page != index
    }


@each_page
def test_page_links_are_not_broken(document_page: Page) -> None:
    broken = [
        url for url in document_page.urls if not re.match(r"https?://", url) and not _is_reachable(document_page, url)
    ]

    assert not broken


def _is_reachable(source_page: Page, url: str) -> bool:
    name, _, anchor = url.partition("#")
    target = (source_page.path.parent / name).resolve() if name else source_page.path
    return target.exists() and (not anchor or anchor in Page(target).anchors)


def test_connector_page_has_the_headings_airbyte_requires() -> None:
    headings = get_page("docs/docextract.md").headings

    assert [heading for heading in headings if heading in HEADINGS] == list(HEADINGS)


def test_connector_page_changelog_has_the_current_version() -> None:
    changelog = get_page("docs/docextract.md").text.partition("## Changelog")[2]

    assert f"| {VERSION} |" in changelog
    assert f"## {VERSION}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


@each_page
def test_page_image_tags_equal_the_package_version(document_page: Page) -> None:
    assert set(re.findall(r"source-docextract:([\w.]+)", document_page.text)) <= {VERSION}


def test_docs_explain_every_setting() -> None:
    explained = {word for document_page in DOCS for word in document_page.code}

    assert set(_settings(Settings)) <= explained


def test_connector_page_steps_name_every_visible_form_field() -> None:
    steps = (
        get_page("docs/docextract.md").text.partition("### For Airbyte Open Source:")[2].partition("### Settings")[0]
    )
    form = build_connection_spec()["properties"].values()
    visible_titles = {field["title"] for field in form if "oneOf" in field or field.get("always_show")}
    options = {option["title"] for field in form for option in field.get("oneOf", ())}

    assert {label for label in visible_titles | options if f"**{label}**" not in steps} == set()


def _settings(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield name
        for section in iterate_models(field.annotation):
            yield from _settings(section)


@each_case("table", TABLES, ids=lambda table: table.kind)
def test_docs_explain_every_column(table: Any) -> None:
    explained = {word for document_page in DOCS for word in document_page.code}

    assert table.columns.keys() <= explained


def test_typed_tables_page_explains_the_reserved_columns() -> None:
    assert set(RESERVED_COLUMNS) <= set(get_page("docs/typed-tables.md").code)


def test_registry_page_names_every_provider() -> None:
    assert NEEDS_TEMPLATE.keys() <= set(get_page("docs/registry.md").code)


@each_page
def test_page_code_blocks_have_a_known_language(document_page: Page) -> None:
    known = {"bash", "python", "sql", "json", "csv", "yaml", "text"}

    assert [(block.line, block.language) for block in document_page.blocks if block.language not in known] == []


@each_case("block", list_blocks("bash"))
def test_page_commands_are_run_or_listed_as_not_run(block: Block) -> None:
    unknown = [command for command in block.commands if command.split()[0] not in RUN | UNRUN_COMMANDS.keys()]

    assert not unknown


@each_case("block", list_blocks("bash"))
def test_page_make_targets_are_in_the_makefile(block: Block) -> None:
    targets = [command.split()[1] for command in block.commands if command.startswith("make ")]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")

    assert [target for target in targets if not re.search(rf"^{target}:", makefile, re.MULTILINE)] == []


@pytest.mark.parametrize("block", list_blocks("json", excluded_page=FIELDS_PAGE))
def test_page_json_blocks_are_valid_for_their_kind(block: Block, tmp_path: Path) -> None:
    """Settings, a state, a row of a registry, a policy of AWS, or a message."""
    document = json.loads(block.content)

    if document.keys() <= Settings.model_fields.keys():
        assert Settings.parse(document)
    elif "version" in document:
        ledger = StreamState(SyncPolicy(), stream_name=document.get("stream", "")).load(
            document, document.get("stream", "a stream")
        )
        assert ledger.as_json().keys() >= document.keys() - {"reference_ledger"}
    elif "Statement" in document:
        assert [statement["Action"] for statement in document["Statement"]] == ["s3:GetObject"]
    elif "batch_id" in document:
        _read_registry(tmp_path, json.dumps(document))
    else:
        assert AirbyteMessageSerializer.load(document)


@each_case("provider", ["extracta", "atlas", "sensible"])
def test_fields_page_tables_equal_the_rows_of_the_examples(provider: str) -> None:
    """One example for each way of writing data, in this order."""
    by_order = dict(zip(("extracta", "atlas", "sensible"), get_page(FIELDS_PAGE).blocks_of("json"), strict=True))
    block = by_order[provider]
    titles, *expected_rows = get_page(FIELDS_PAGE).table_below(block)
    data = json.loads(block.content)
    document = Document("f", FileStatus.PROCESSED, extractions=(Extraction(data=data, hashable_data=data),))
    snapshot = Snapshot(PartitionRef(None, "b"), PartitionStatus.COMPLETE, documents=(document,))

    [rows] = FIELDS.build_rows(snapshot, RenderOptions(provider, wrapper_format=NOTATIONS[provider]))

    actual_rows = [[row[title.strip("`")] for title in titles] for row in rows.records]
    assert [[cell.strip("`") for cell in line] for line in expected_rows] == [
        ["" if cell is None else str(cell) for cell in line] for line in actual_rows
    ]


@pytest.mark.parametrize("block", list_blocks("csv"))
def test_page_csv_blocks_are_valid_registries(block: Block, tmp_path: Path) -> None:
    _read_registry(tmp_path, block.content)


def _read_registry(folder: Path, content: str) -> None:
    (folder / "registry").write_text(content, encoding="utf-8")

    registry = read_registry(str(folder / "registry"), NEEDS_TEMPLATE)

    assert sum(map(len, registry.batches.values())) == len(content.strip().splitlines()) - (content[0] != "{")


@each_case("block", list_blocks("yaml"))
def test_page_yaml_blocks_have_only_helm_chart_keys(block: Block) -> None:
    assert yaml.safe_load(block.content).keys() <= {"global", "worker", "workloadLauncher"}


def test_troubleshooting_page_quotes_exist_in_the_package() -> None:
    sentences = list_texts(PACKAGE)
    quotes = get_page("docs/troubleshooting.md").quotes

    strange = [
        quote
        for quote in quotes
        for part in _split_at_placeholders(quote)
        if not any(part in document_page for document_page in sentences)
    ]

    assert len(quotes) > 50
    assert strange == []


def test_troubleshooting_page_covers_every_error_and_warning() -> None:
    parts = {
        part
        for quote in get_page("docs/troubleshooting.md").quotes
        for part in _split_at_placeholders(quote)
        if len(part) >= 5
    }

    assert [
        sentence for sentence in sorted(list_messages(PACKAGE)) if not any(part in sentence for part in parts)
    ] == []


def _split_at_placeholders(sentence: str) -> list[str]:
    """What stands between the gaps."""
    return [part for part in (part.strip() for part in sentence.split(PLACEHOLDER)) if part]
