"""Airbyte's form on the spec: each provider can be set up alone, and what the form sends is checked and read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from airbyte_form import Form, FormError
from commandline import run
from test_registry import as_csv

from sandbox import NewDocument, NewExtraction, NewFile, Sandbox, SensibleDocument, serve
from source_docextract.config import PROVIDERS
from source_docextract.spec import connection_specification

SPEC = connection_specification()
USES = {
    "extracta": "Use Extracta.ai",
    "docmap": "Use DocMap",
    "sensible": "Use Sensible",
    "atlas": "Use Atlas",
    "batch_registry": "Use a batch registry",
}
FOLDED = {"lookback_days": 3, "give_up_after_days": 30, "max_in_flight": 10, "keep_urls": True, "typed_tables": False,
          "table_names": []}  # fmt: skip


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Sandbox, str]]:
    sandbox = Sandbox()
    with serve(sandbox) as url:
        yield sandbox, url


def test_an_empty_form_uses_nothing_and_demands_nothing() -> None:
    form = Form(SPEC)

    assert form.complaints() == []
    assert form.sent() == {**{name: {"use": "no"} for name in USES}, **FOLDED}


@pytest.mark.parametrize("name", USES)
def test_each_section_is_a_choice_that_begins_with_not_used(name: str) -> None:
    assert Form(SPEC).options(name) == ["Not used", USES[name]]


def test_the_form_shows_the_sections_and_the_start_date_at_once() -> None:
    assert Form(SPEC).shown() == ["Extracta.ai", "DocMap", "Sensible", "Atlas", "Batch registry", "Start date"]


@pytest.mark.parametrize(
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
def test_a_section_that_is_used_shows_its_keys_and_what_names_templates_and_batches(
    name: str, labels: list[str]
) -> None:
    form = Form(SPEC)

    form.choose(name, USES[name])

    assert form.shown(name) == labels


@pytest.mark.parametrize(
    ("name", "demanded"),
    [
        ("extracta", ["extracta.api_key"]),
        ("docmap", ["docmap.api_key"]),
        ("sensible", ["sensible.api_key"]),
        ("atlas", ["atlas.client_id", "atlas.client_secret"]),
        ("batch_registry", ["batch_registry.url"]),
    ],
)
def test_a_section_that_is_used_demands_its_own_keys_alone(name: str, demanded: list[str]) -> None:
    form = Form(SPEC)

    form.choose(name, USES[name])

    assert form.complaints() == demanded


def test_no_default_of_a_hidden_setting_is_saved() -> None:
    form = Form(SPEC)
    for name, title in USES.items():
        form.choose(name, title)
        form.values[name].update(dict.fromkeys(("api_key", "client_id", "client_secret", "url"), "x" * 20))

    sent = form.sent()

    hidden = {"base_url", "seconds_between_requests"}
    assert not any(hidden & sent[name].keys() for name in USES)
    assert sent["extracta"]["follow_links"] is True  # one that is seen is saved


def test_a_section_that_is_no_longer_used_keeps_nothing() -> None:
    form = Form(SPEC)
    form.choose("docmap", "Use DocMap")
    form.values["docmap"]["api_key"] = "dm_live_0123456789"

    form.choose("docmap", "Not used")

    assert form.sent()["docmap"] == {"use": "no"}


@pytest.mark.parametrize(("given", "is_fine"), [("2026-01-01T00:00:00Z", True), ("", True), ("2026-01-01", False)])
def test_the_start_date_is_looked_at(given: str, is_fine: bool) -> None:
    form = Form(SPEC)

    form.values["start_date"] = given

    assert form.complaints() == ([] if is_fine else ["start_date"])


def extracta(sandbox: Sandbox, _folder: Path) -> dict[str, Any]:
    template = sandbox.extracta.create("Invoices", ["vendor"])
    sandbox.extracta.upload(template, [NewFile("a.pdf", seconds=0, result={"vendor": "Acme"})])
    return {"extraction_ids": [template]}


def docmap(sandbox: Sandbox, _folder: Path) -> dict[str, Any]:
    sandbox.docmap.run(sandbox.docmap.template("Invoices"), [NewExtraction("a.pdf", 0, {"n": 1})])
    return {}


def sensible(sandbox: Sandbox, _folder: Path) -> dict[str, Any]:
    sandbox.sensible.document_type("claims")
    sandbox.sensible.extract([SensibleDocument("a.pdf", 0, {"n": {"value": 1, "type": "number"}})], "claims")
    return {}


def atlas(sandbox: Sandbox, _folder: Path) -> dict[str, Any]:
    data: Any = {"document_type": "PAN", "name": {"value": "ASHA", "confidence_score": 0.9}}
    return {"batch_ids": [sandbox.atlas.submit([NewDocument("1", seconds=0, file_data=data)])]}


@pytest.mark.parametrize("fill", [extracta, docmap, sensible, atlas], ids=PROVIDERS)
def test_one_provider_that_is_filled_in_alone_is_checked_and_read(
    fill: Callable[[Sandbox, Path], dict[str, Any]], served: tuple[Sandbox, str], tmp_path: Path
) -> None:
    sandbox, url = served
    name = fill.__name__
    form = Form(SPEC)
    form.choose(name, USES[name])
    form.values[name].update({**sandbox.credentials[name], **fill(sandbox, tmp_path)})

    sent = form.sent()
    jsonschema.validate(sent, SPEC)
    sent[name]["base_url"] = sandbox.base_urls(url)[name]  # which the form hides
    checked = run(tmp_path, "check", sent)
    read = run(tmp_path, "read", sent)

    assert [one["connectionStatus"]["status"] for one in checked.of_type("CONNECTION_STATUS")] == ["SUCCEEDED"]
    assert read.code == 0
    assert {message["record"]["stream"] for message in read.of_type("RECORD")} >= {f"{name}_files", f"{name}_results"}
    assert not [line for line in read.logged if "Unknown settings" in line]


def test_atlas_with_a_registry_alone_is_checked_and_read(served: tuple[Sandbox, str], tmp_path: Path) -> None:
    sandbox, url = served
    [batch] = atlas(sandbox, tmp_path)["batch_ids"]
    (tmp_path / "batches.csv").write_text(as_csv([{"provider": "atlas", "batch_id": batch}]))
    form = Form(SPEC)
    form.choose("atlas", "Use Atlas")
    form.values["atlas"].update(sandbox.credentials["atlas"])
    form.choose("batch_registry", "Use a batch registry")
    form.values["batch_registry"]["url"] = str(tmp_path / "batches.csv")

    sent = form.sent()
    jsonschema.validate(sent, SPEC)
    sent["atlas"]["base_url"] = sandbox.base_urls(url)["atlas"]
    read = run(tmp_path, "read", sent)

    assert read.code == 0
    assert f"{batch}/1" in {record["id"] for record in read.records}


def test_what_the_form_sends_before_anything_is_chosen_is_refused_in_words(tmp_path: Path) -> None:
    checked = run(tmp_path, "check", Form(SPEC).sent())

    assert "No provider is set up" in checked.stdout


class TestTheFormItself:
    """The imitation does what made a choice necessary."""

    def without_choice(self, name: str) -> dict[str, Any]:
        """Return the spec with one section as an optional object, as it once was."""
        spec = deepcopy(SPEC)
        used = spec["properties"][name]["oneOf"][1]
        used["properties"].pop("use")
        spec["properties"][name] = {**used, "order": spec["properties"][name]["order"]}
        return spec

    @pytest.mark.parametrize(
        ("name", "demanded"),
        [("docmap", ["docmap.api_key"]), ("atlas", ["atlas.client_id", "atlas.client_secret"])],
    )
    def test_an_optional_object_that_is_no_choice_demands_its_keys_though_nobody_wants_it(
        self, name: str, demanded: list[str]
    ) -> None:
        form = Form(self.without_choice(name))
        form.choose("sensible", "Use Sensible")
        form.values["sensible"]["api_key"] = "key-0123456789"

        assert form.complaints() == demanded

    def test_a_choice_whose_entries_have_no_constant_in_common_cannot_be_drawn(self) -> None:
        spec = json.loads(json.dumps(SPEC))
        del spec["properties"]["docmap"]["oneOf"][1]["properties"]["use"]["const"]

        with pytest.raises(FormError):
            Form(spec)

    def test_a_hidden_default_would_be_saved(self) -> None:
        spec = json.loads(json.dumps(SPEC))
        spec["properties"]["docmap"]["oneOf"][1]["properties"]["base_url"]["default"] = "https://old.example"
        form = Form(spec)

        form.choose("docmap", "Use DocMap")

        assert form.values["docmap"]["base_url"] == "https://old.example"
