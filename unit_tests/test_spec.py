"""The spec: that Airbyte's form builder can draw it, and that it says what the settings do."""

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from source_docextract.config import (
    PROVIDERS,
    AtlasSettings,
    DocmapSettings,
    ExtractaSettings,
    RegistrySettings,
    SensibleSettings,
    Settings,
)
from source_docextract.spec import connection_specification

SPEC = connection_specification()
MODELS = {
    (): Settings,
    ("extracta",): ExtractaSettings,
    ("docmap",): DocmapSettings,
    ("sensible",): SensibleSettings,
    ("atlas",): AtlasSettings,
    ("batch_registry",): RegistrySettings,
}


def nodes(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Every schema in the spec, by its path."""
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from nodes(child, (*path, name))
    if "items" in node:
        yield from nodes(node["items"], (*path, "items"))


def properties() -> list[tuple[tuple[str, ...], dict[str, Any]]]:
    return [(path, node) for path, node in nodes(SPEC) if path and path[-1] != "items"]


def named(flag: str) -> set[str]:
    """Whatever has the flag, items of a list included: there, the CDK's filter would not find a secret."""
    return {".".join(path) for path, node in nodes(SPEC) if node.get(flag)}


def keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from keys(item)
    elif isinstance(value, list):
        for item in value:
            yield from keys(item)


def test_only_built_providers_are_in_it() -> None:
    objects = [path for path, node in properties() if node["type"] == "object"]
    assert objects == [*((provider,) for provider in PROVIDERS), ("batch_registry",)]
    assert list(PROVIDERS) == ["extracta", "docmap", "sensible", "atlas"]


def test_it_has_exactly_the_settings_of_the_contract() -> None:
    assert [".".join(path) for path, _ in properties()] == [
        "extracta",
        "extracta.api_key",
        "extracta.extraction_ids",
        "extracta.extraction_batches",
        "extracta.classification_ids",
        "extracta.classification_batches",
        "extracta.follow_links",
        "extracta.seconds_between_requests",
        "extracta.base_url",
        "docmap",
        "docmap.api_key",
        "docmap.template_ids",
        "docmap.base_url",
        "sensible",
        "sensible.api_key",
        "sensible.batch_ids",
        "sensible.document_types",
        "sensible.environments",
        "sensible.base_url",
        "atlas",
        "atlas.client_id",
        "atlas.client_secret",
        "atlas.batch_ids",
        "atlas.base_url",
        "batch_registry",
        "batch_registry.url",
        "start_date",
        "lookback_days",
        "give_up_after_days",
        "max_in_flight",
        "keep_urls",
        "typed_tables",
        "table_names",
    ]


def test_nothing_in_it_confuses_the_form_builder() -> None:
    forbidden = {"$ref", "$defs", "definitions", "anyOf", "allOf", "oneOf", "not", "additionalProperties", "writeOnly"}
    assert forbidden.isdisjoint(keys(SPEC))


@pytest.mark.parametrize("node", [pytest.param(node, id=".".join(path) or "top") for path, node in nodes(SPEC)])
def test_every_part_is_made_of_words_that_the_form_builder_knows(node: dict[str, Any]) -> None:
    assert node.keys() <= {
        "$schema",
        "type",
        "title",
        "description",
        "order",
        "properties",
        "required",
        "items",
        "enum",
        "default",
        "examples",
        "minimum",
        "maximum",
        "minItems",
        "format",
        "pattern",
        "pattern_descriptor",
        "airbyte_secret",
        "airbyte_hidden",
    }


@pytest.mark.parametrize("node", [pytest.param(node, id=".".join(path) or "top") for path, node in nodes(SPEC)])
def test_every_part_has_one_plain_type(node: dict[str, Any]) -> None:
    assert node["type"] in {"object", "array", "string", "integer", "number", "boolean"}
    assert node["type"] != "object" or node["properties"]
    assert node["type"] != "array" or node["items"]["type"] == "string"


@pytest.mark.parametrize(("path", "node"), [pytest.param(*item, id=".".join(item[0])) for item in properties()])
def test_every_setting_has_a_title_and_a_description(path: tuple[str, ...], node: dict[str, Any]) -> None:
    assert node["title"].strip()
    assert node["title"] != path[-1]
    assert node["description"].strip().endswith(".")


@pytest.mark.parametrize(
    "node", [node for _, node in nodes(SPEC) if node["type"] == "object"], ids=lambda n: n["title"]
)
def test_the_settings_of_an_object_are_numbered_without_gaps(node: dict[str, Any]) -> None:
    assert [child["order"] for child in node["properties"].values()] == list(range(len(node["properties"])))


def test_each_secret_is_marked_and_nothing_else() -> None:
    assert named("airbyte_secret") == {
        "extracta.api_key",
        "docmap.api_key",
        "sensible.api_key",
        "atlas.client_id",
        "atlas.client_secret",
    }


def test_what_few_people_need_is_hidden() -> None:
    assert named("airbyte_hidden") == {
        "extracta.seconds_between_requests",
        "extracta.base_url",
        "docmap.base_url",
        "sensible.base_url",
        "atlas.base_url",
    }


def test_what_is_hidden_can_be_left_out() -> None:
    for path in named("airbyte_hidden"):
        *section, name = path.split(".")
        parent = dict(nodes(SPEC))[tuple(section)]
        assert name not in parent.get("required", [])
        assert "default" in parent["properties"][name]


def test_a_date_says_how_it_is_written() -> None:
    dates = {path: node for path, node in nodes(SPEC) if "format" in node}
    assert set(dates) == {("start_date",)}
    [date] = dates.values()
    assert date["format"] == "date-time"
    assert date["pattern_descriptor"] == "YYYY-MM-DDTHH:mm:ssZ"
    for example in (*date["examples"], "2026-01-01T00:00:00.123Z"):
        jsonschema.validate(example, date)
    for wrong in ("2026-01-01", "2026-01-01 00:00:00", "2026-01-01T00:00:00", "x2026-01-01T00:00:00Z"):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, date)


@pytest.mark.parametrize("path", MODELS, ids=lambda path: ".".join(path) or "top")
def test_what_is_required_and_what_is_the_default_is_as_in_the_models(path: tuple[str, ...]) -> None:
    node, model = dict(nodes(SPEC))[path], MODELS[path]
    assert list(node["properties"]) == list(model.model_fields)
    required = [name for name, field in model.model_fields.items() if field.is_required()]
    assert node.get("required", []) == required
    for name, field in model.model_fields.items():
        told = node["properties"][name].get("default")
        default = None if name in required else json.loads(json.dumps(field.default))
        assert told == default
        assert ("default" in node["properties"][name]) == (default is not None)


def test_defaults_alone_are_accepted_by_what_draws_them() -> None:
    jsonschema.Draft7Validator.check_schema(SPEC)
    for _, node in properties():
        if "default" in node:
            jsonschema.validate(node["default"], node)


@pytest.mark.parametrize(
    ("environments", "is_valid"),
    [
        (["PRODUCTION"], True),
        (["DEVELOPMENT", "PRODUCTION"], True),
        ([], False),
        (["production"], False),
        (["STAGING"], False),
    ],
)
def test_the_form_knows_the_environments(environments: list[str], is_valid: bool) -> None:
    node = SPEC["properties"]["sensible"]["properties"]["environments"]
    assert node["items"] == {"type": "string", "enum": ["PRODUCTION", "DEVELOPMENT"]}
    assert node["default"] == ["PRODUCTION"]
    assert jsonschema.Draft7Validator(node).is_valid(environments) is is_valid


@pytest.mark.parametrize(
    ("setting", "values"),
    [
        ("lookback_days", {-1: False, 0: True}),
        ("give_up_after_days", {0: False, 1: True}),
        ("max_in_flight", {0: False, 1: True, 50: True, 51: False}),
    ],
)
def test_the_form_knows_the_bounds_of_the_contract(setting: str, values: dict[int, bool]) -> None:
    validator = jsonschema.Draft7Validator(SPEC["properties"][setting])
    assert {value: validator.is_valid(value) for value in values} == values
