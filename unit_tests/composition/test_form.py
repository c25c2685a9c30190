"""Tests of Airbyte's form on the spec: each provider can be set up alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from docextract_sandbox import NewDocument, NewExtraction, NewFile, Sandbox, SensibleDocument, serve
from source_docextract.settings import REQUIREMENTS_BY_PROVIDER
from source_docextract.spec import build_connection_spec
from unit_tests.support.airbyte_form import Form, FormError
from unit_tests.support.cases import each_case
from unit_tests.support.command_line import run_connector
from unit_tests.support.registry_files import to_csv

SPEC = build_connection_spec()
USE_TITLES = {
    "extracta": "Use Extracta.ai",
    "docmap": "Use DocMap",
    "sensible": "Use Sensible",
    "atlas": "Use Atlas",
    "batch_registry": "Use a batch registry",
}
SAVED_DEFAULTS = {
    "lookback_days": 3,
    "lookback_checks": "thinning",
    "give_up_after_days": 30,
    "max_in_flight": 10,
    "keep_urls": True,
    "typed_tables": False,
    "table_names": [],
}


@pytest.fixture(scope="module")
def form_sandbox() -> Iterator[tuple[Sandbox, str]]:
    sandbox = Sandbox()
    with serve(sandbox) as url:
        yield sandbox, url


def test_form_untouched_submits_unused_sections_and_is_valid() -> None:
    form = Form(SPEC)

    assert form.list_invalid_fields() == []
    assert form.get_submitted_values() == {**{name: {"use": "no"} for name in USE_TITLES}, **SAVED_DEFAULTS}


@each_case("name", USE_TITLES)
def test_form_section_offers_not_used_first(name: str) -> None:
    assert Form(SPEC).list_options(name) == ["Not used", USE_TITLES[name]]


def test_form_untouched_shows_sections_and_start_date() -> None:
    assert Form(SPEC).list_visible_labels() == [
        "Extracta.ai",
        "DocMap",
        "Sensible",
        "Atlas",
        "Batch registry",
        "Start date",
    ]


@each_case(
    ("name", "labels"),
    [
        (
            "extracta",
            [
                "API key",
                "Extraction templates",
                "Extraction batches",
                "Classification templates",
                "Classification batches",
            ],
        ),
        ("docmap", ["API key", "Templates"]),
        ("sensible", ["API key", "Batches", "Document types"]),
        ("atlas", ["Client id", "Client secret", "Batches"]),
        ("batch_registry", ["Address", "Credentials"]),
    ],
)
def test_form_used_section_shows_keys_templates_and_batches(name: str, labels: list[str]) -> None:
    form = Form(SPEC)

    form.choose(name, USE_TITLES[name])

    assert form.list_visible_labels(name) == labels


@each_case(
    ("name", "required_keys"),
    [
        ("extracta", ["extracta.api_key"]),
        ("docmap", ["docmap.api_key"]),
        ("sensible", ["sensible.api_key"]),
        ("atlas", ["atlas.client_id", "atlas.client_secret"]),
        ("batch_registry", ["batch_registry.url"]),
    ],
)
def test_form_used_section_requires_only_its_own_keys(name: str, required_keys: list[str]) -> None:
    form = Form(SPEC)

    form.choose(name, USE_TITLES[name])

    assert form.list_invalid_fields() == required_keys


def test_form_submission_has_no_default_of_a_hidden_setting() -> None:
    form = Form(SPEC)
    for name, title in USE_TITLES.items():
        form.choose(name, title)
        form.values[name].update(dict.fromkeys(("api_key", "client_id", "client_secret", "url"), "x" * 20))

    submitted = form.get_submitted_values()

    hidden = {"base_url", "seconds_between_requests"}
    assert not any(hidden & submitted[name].keys() for name in USE_TITLES)
    assert submitted["extracta"]["follow_links"] is True  # the form shows it, so it saves its default


def test_form_section_switched_off_drops_its_values() -> None:
    form = Form(SPEC)
    form.choose("docmap", "Use DocMap")
    form.values["docmap"]["api_key"] = "dm_live_0123456789"

    form.choose("docmap", "Not used")

    assert form.get_submitted_values()["docmap"] == {"use": "no"}


@each_case(("date_text", "is_valid"), [("2026-01-01T00:00:00Z", True), ("", True), ("2026-01-01", False)])
def test_form_start_date_is_validated(date_text: str, is_valid: bool) -> None:
    form = Form(SPEC)

    form.values["start_date"] = date_text

    assert form.list_invalid_fields() == ([] if is_valid else ["start_date"])


def fill_extracta(sandbox: Sandbox, _folder: Path) -> dict[str, Any]:
    template = sandbox.extracta.create("Invoices", ["vendor"])
    sandbox.extracta.upload(template, [NewFile("a.pdf", duration_seconds=0, result={"vendor": "Acme"})])
    return {"extraction_ids": [template]}


def fill_docmap(sandbox: Sandbox, _folder: Path) -> dict[str, Any]:
    sandbox.docmap.add_extractions(sandbox.docmap.put_template("Invoices"), [NewExtraction("a.pdf", 0, {"n": 1})])
    return {}


def fill_sensible(sandbox: Sandbox, _folder: Path) -> dict[str, Any]:
    sandbox.sensible.add_document_type("claims")
    sandbox.sensible.extract([SensibleDocument("a.pdf", 0, {"n": {"value": 1, "type": "number"}})], "claims")
    return {}


def fill_atlas(sandbox: Sandbox, _folder: Path) -> dict[str, Any]:
    data: Any = {"document_type": "PAN", "name": {"value": "ASHA", "confidence_score": 0.9}}
    return {"batch_ids": [sandbox.atlas.submit([NewDocument("1", duration_seconds=0, file_data=data)])]}


@pytest.mark.parametrize("fill", [fill_extracta, fill_docmap, fill_sensible, fill_atlas], ids=REQUIREMENTS_BY_PROVIDER)
def test_form_single_provider_passes_check_and_read(
    fill: Callable[[Sandbox, Path], dict[str, Any]], form_sandbox: tuple[Sandbox, str], tmp_path: Path
) -> None:
    sandbox, url = form_sandbox
    name = fill.__name__.removeprefix("fill_")
    form = Form(SPEC)
    form.choose(name, USE_TITLES[name])
    form.values[name].update({**sandbox.credentials[name], **fill(sandbox, tmp_path)})

    submitted = form.get_submitted_values()
    jsonschema.validate(submitted, SPEC)
    submitted[name]["base_url"] = sandbox.get_base_urls(url)[name]  # the form hides this setting
    checked = run_connector(tmp_path, "check", submitted)
    read = run_connector(tmp_path, "read", submitted)

    assert [
        status_message["connectionStatus"]["status"] for status_message in checked.filter_messages("CONNECTION_STATUS")
    ] == ["SUCCEEDED"]
    assert read.exit_code == 0
    assert {message["record"]["stream"] for message in read.filter_messages("RECORD")} >= {
        f"{name}_files",
        f"{name}_results",
    }
    assert not [line for line in read.log_texts if "Unknown settings" in line]


def test_form_atlas_with_registry_only_passes_read(form_sandbox: tuple[Sandbox, str], tmp_path: Path) -> None:
    sandbox, url = form_sandbox
    [batch] = fill_atlas(sandbox, tmp_path)["batch_ids"]
    (tmp_path / "batches.csv").write_text(to_csv([{"provider": "atlas", "batch_id": batch}]))
    form = Form(SPEC)
    form.choose("atlas", "Use Atlas")
    form.values["atlas"].update(sandbox.credentials["atlas"])
    form.choose("batch_registry", "Use a batch registry")
    form.values["batch_registry"]["url"] = str(tmp_path / "batches.csv")

    submitted = form.get_submitted_values()
    jsonschema.validate(submitted, SPEC)
    submitted["atlas"]["base_url"] = sandbox.get_base_urls(url)["atlas"]
    read = run_connector(tmp_path, "read", submitted)

    assert read.exit_code == 0
    assert f"{batch}/1" in {record["id"] for record in read.records}


def test_form_untouched_submission_fails_check_with_an_explanation(tmp_path: Path) -> None:
    checked = run_connector(tmp_path, "check", Form(SPEC).get_submitted_values())

    assert "No provider is set up" in checked.stdout


class TestTheFormItself:
    """The imitated form has the behaviour that made the choices necessary."""

    def remove_choice(self, name: str) -> dict[str, Any]:
        """Return the spec with one section as a plain optional object, without the choice."""
        spec = deepcopy(SPEC)
        used = spec["properties"][name]["oneOf"][1]
        used["properties"].pop("use")
        spec["properties"][name] = {**used, "order": spec["properties"][name]["order"]}
        return spec

    @each_case(
        ("name", "required_keys"),
        [("docmap", ["docmap.api_key"]), ("atlas", ["atlas.client_id", "atlas.client_secret"])],
    )
    def test_form_optional_object_requires_its_keys(self, name: str, required_keys: list[str]) -> None:
        form = Form(self.remove_choice(name))
        form.choose("sensible", "Use Sensible")
        form.values["sensible"]["api_key"] = "key-0123456789"

        assert form.list_invalid_fields() == required_keys

    def test_form_choice_without_common_constant_is_an_error(self) -> None:
        spec = json.loads(json.dumps(SPEC))
        del spec["properties"]["docmap"]["oneOf"][1]["properties"]["use"]["const"]

        with pytest.raises(FormError):
            Form(spec)

    def test_form_hidden_default_is_saved(self) -> None:
        spec = json.loads(json.dumps(SPEC))
        spec["properties"]["docmap"]["oneOf"][1]["properties"]["base_url"]["default"] = "https://old.example"
        form = Form(spec)

        form.choose("docmap", "Use DocMap")

        assert form.values["docmap"]["base_url"] == "https://old.example"
