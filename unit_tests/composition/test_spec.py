"""Tests of the spec: supported by Airbyte's form, in line with the models."""

import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from airbyte_cdk.utils.airbyte_secrets_utils import get_secrets
from pydantic import BaseModel

from source_docextract.providers.atlas.settings import AtlasSettings
from source_docextract.providers.docmap.settings import DocmapSettings
from source_docextract.providers.extracta.settings import ExtractaSettings
from source_docextract.providers.sensible.settings import SensibleSettings
from source_docextract.registry.credentials import RegistrySettings
from source_docextract.settings import REQUIREMENTS_BY_PROVIDER, Settings
from source_docextract.spec import build_connection_spec
from unit_tests.support.cases import each_case

SPEC = build_connection_spec()
MODELS: dict[tuple[str, ...], type[BaseModel]] = {
    (): Settings,
    ("extracta",): ExtractaSettings,
    ("docmap",): DocmapSettings,
    ("sensible",): SensibleSettings,
    ("atlas",): AtlasSettings,
    ("batch_registry",): RegistrySettings,
}


def list_nodes(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Yield every schema in the spec with its path.

    An entry of a choice has its number in brackets.
    """
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from list_nodes(child, (*path, name))
    if "items" in node:
        yield from list_nodes(node["items"], (*path, "items"))
    for number, option in enumerate(node.get("oneOf", ())):
        yield from list_nodes(option, (*path, f"[{number}]"))


def list_properties() -> list[tuple[tuple[str, ...], dict[str, Any]]]:
    return [(path, node) for path, node in list_nodes(SPEC) if path and path[-1] != "items"]


def to_dotted_path(path: tuple[str, ...]) -> str:
    """Return a path as settings write it, without the numbers of entries."""
    return ".".join(part for part in path if part[0] != "[")


def find_flagged(flag: str) -> set[str]:
    """Return the settings with a flag, including items of lists.

    The CDK's filter would not find a secret in an item.
    """
    return {to_dotted_path(path) for path, node in list_nodes(SPEC) if node.get(flag)}


def get_used_option(name: str) -> dict[str, Any]:
    """Return the entry of a section's choice that stands for its use."""
    option: dict[str, Any] = SPEC["properties"][name]["oneOf"][1]
    return option


def get_schema(path: tuple[str, ...]) -> dict[str, Any]:
    return get_used_option(path[0]) if path else SPEC


def collect_keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from collect_keys(item)
    elif isinstance(value, list):
        for item in value:
            yield from collect_keys(item)


def test_spec_choices_are_the_providers_and_the_registry() -> None:
    choices = [to_dotted_path(path) for path, node in list_properties() if "oneOf" in node]
    assert choices == [*REQUIREMENTS_BY_PROVIDER, "batch_registry", "batch_registry.credentials"]
    assert list(REQUIREMENTS_BY_PROVIDER) == ["extracta", "docmap", "sensible", "atlas"]


def test_spec_settings_equal_the_documented_settings() -> None:
    constants = {to_dotted_path(path) for path, node in list_properties() if "const" in node}
    uses = {f"{name}.use" for name in (*REQUIREMENTS_BY_PROVIDER, "batch_registry")}
    assert constants == {*uses, "batch_registry.credentials.type"}
    names = [to_dotted_path(path) for path, node in list_properties() if "const" not in node and path[-1][0] != "["]
    # Entries of a choice share some of their names.
    assert list(dict.fromkeys(names)) == [
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
        "batch_registry.credentials",
        "batch_registry.credentials.access_key_id",
        "batch_registry.credentials.secret_access_key",
        "batch_registry.credentials.session_token",
        "batch_registry.credentials.region",
        "batch_registry.credentials.endpoint",
        "batch_registry.credentials.service_account",
        "batch_registry.credentials.connection_string",
        "batch_registry.credentials.account",
        "batch_registry.credentials.account_key",
        "batch_registry.credentials.sas_token",
        "batch_registry.credentials.username",
        "batch_registry.credentials.password",
        "batch_registry.credentials.host_key",
        "batch_registry.credentials.private_key",
        "batch_registry.credentials.passphrase",
        "batch_registry.credentials.name",
        "batch_registry.credentials.value",
        "start_date",
        "lookback_days",
        "lookback_checks",
        "give_up_after_days",
        "max_in_flight",
        "keep_urls",
        "typed_tables",
        "table_names",
    ]


def test_spec_has_no_unsupported_keywords() -> None:
    forbidden = {"$ref", "$defs", "definitions", "anyOf", "allOf", "not", "additionalProperties", "writeOnly"}
    assert forbidden.isdisjoint(collect_keys(SPEC))


@each_case("node", [pytest.param(node, id=".".join(path) or "top") for path, node in list_nodes(SPEC)])
def test_spec_node_has_only_keywords_of_the_form_builder(node: dict[str, Any]) -> None:
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
        "always_show",
        "multiline",
        "oneOf",
        "const",
    }


@each_case("node", [pytest.param(node, id=".".join(path) or "top") for path, node in list_nodes(SPEC)])
def test_spec_node_has_a_single_simple_type(node: dict[str, Any]) -> None:
    assert node["type"] in {"object", "array", "string", "integer", "number", "boolean"}
    assert node["type"] != "object" or node.get("properties") or node.get("oneOf")
    assert node["type"] != "array" or node["items"]["type"] == "string"


@each_case(("path", "node"), [pytest.param(*item, id=".".join(item[0])) for item in list_properties()])
def test_spec_setting_has_title_and_description(path: tuple[str, ...], node: dict[str, Any]) -> None:
    assert node["title"].strip()
    assert node["title"] != path[-1]
    assert node["description"].strip().endswith(".")


@each_case("node", [node for _, node in list_nodes(SPEC) if "properties" in node], ids=lambda n: n["title"])
def test_spec_order_of_an_object_has_no_gaps(node: dict[str, Any]) -> None:
    assert [child["order"] for child in node["properties"].values()] == list(range(len(node["properties"])))


@each_case("name", [*REQUIREMENTS_BY_PROVIDER, "batch_registry"])
def test_spec_sections_are_choices_with_a_constant(name: str) -> None:
    choice = SPEC["properties"][name]
    unused, used = choice["oneOf"]

    assert choice["type"] == unused["type"] == used["type"] == "object"
    assert "properties" not in choice
    assert "required" not in choice
    assert (unused["title"], unused["properties"]["use"]["const"], list(unused["properties"])) == (
        "Not used",
        "no",
        ["use"],
    )
    assert (used["title"][:4], used["properties"]["use"]["const"]) == ("Use ", "yes")
    assert name not in SPEC.get("required", ())


def test_spec_required_occurs_only_inside_choices() -> None:
    paths_with_required = [path for path, node in list_nodes(SPEC) if node.get("required")]

    assert all(path[-1][0] == "[" for path in paths_with_required)


@pytest.mark.parametrize(
    ("config", "is_valid"),
    [
        ({"docmap": {"api_key": "k"}}, True),
        ({"docmap": {"use": "yes", "api_key": "k"}}, True),
        ({"docmap": {"use": "no"}}, True),
        ({"docmap": {"use": "no", "api_key": "k"}}, True),
        ({"docmap": {}}, False),
        ({"docmap": {"use": "yes"}}, False),
        ({"docmap": {"use": "perhaps", "api_key": "k"}}, False),
        ({"later_setting": "every_day", "docmap": {"api_key": "k", "later": 1}}, True),
        ({"lookback_checks": "every_sync", "docmap": {"api_key": "k"}}, True),
        ({"lookback_checks": "every_day", "docmap": {"api_key": "k"}}, False),
    ],
    ids=str,
)
def test_spec_validation_agrees_with_the_connector(config: dict[str, Any], is_valid: bool) -> None:
    assert jsonschema.Draft7Validator(SPEC).is_valid(config) is is_valid


def test_spec_secrets_are_marked() -> None:
    assert find_flagged("airbyte_secret") == {
        "extracta.api_key",
        "docmap.api_key",
        "sensible.api_key",
        "atlas.client_id",
        "atlas.client_secret",
        "batch_registry.credentials.access_key_id",
        "batch_registry.credentials.secret_access_key",
        "batch_registry.credentials.session_token",
        "batch_registry.credentials.service_account",
        "batch_registry.credentials.connection_string",
        "batch_registry.credentials.account_key",
        "batch_registry.credentials.sas_token",
        "batch_registry.credentials.private_key",
        "batch_registry.credentials.passphrase",
        "batch_registry.credentials.username",
        "batch_registry.credentials.password",
        "batch_registry.credentials.value",
    }


def test_spec_rare_settings_are_hidden() -> None:
    assert find_flagged("airbyte_hidden") == {
        "extracta.seconds_between_requests",
        "extracta.base_url",
        "docmap.base_url",
        "sensible.base_url",
        "atlas.base_url",
    }


def test_spec_hidden_settings_are_optional_without_default() -> None:
    for path in find_flagged("airbyte_hidden"):
        section, name = path.split(".")
        assert name not in get_used_option(section)["required"]
        assert "default" not in get_used_option(section)["properties"][name]


def test_spec_template_and_batch_settings_are_always_shown() -> None:
    assert find_flagged("always_show") == {
        "extracta.extraction_ids",
        "extracta.extraction_batches",
        "extracta.classification_ids",
        "extracta.classification_batches",
        "docmap.template_ids",
        "sensible.batch_ids",
        "sensible.document_types",
        "atlas.batch_ids",
        "start_date",
    }


@each_case(
    ("name", "address"),
    [
        ("extracta", "https://docs.extracta.ai/api-reference/authentication"),
        ("docmap", "https://docs.docmap.io/guides/managing-api-keys"),
        ("sensible", "https://app.sensible.so/account/"),
        ("atlas", "https://docs.helloatlas.in/authentication"),
    ],
)
def test_spec_key_description_links_to_its_page(name: str, address: str) -> None:
    [key] = [field for field in get_used_option(name)["properties"].values() if field["order"] == 1]
    assert f'<a href="{address}">' in key["description"]


@each_case(("path", "node"), [pytest.param(*item, id=".".join(item[0])) for item in list_properties()])
def test_spec_description_has_only_supported_html(path: tuple[str, ...], node: dict[str, Any]) -> None:
    """The form supports links and code.

    It takes any other `<` for a tag, and drops the text after it.
    """
    plain_text = re.sub(r'<a href="https://[^"<>]+">[^<>]+</a>|<code>[^<>]+</code>', "", node["description"])
    assert "<" not in plain_text, path


@each_case(
    "node", [pytest.param(node, id=".".join(path) or "top") for path, node in list_nodes(SPEC) if "properties" in node]
)
def test_spec_optional_setting_describes_its_default(node: dict[str, Any]) -> None:
    for name, field in node["properties"].items():
        has_default_text = re.search(
            "[Ii]f (this is )?left out|If empty|^Off: |^On: |On: .*Off: ", field["description"]
        )
        assert has_default_text or name in node.get("required", ()) or "oneOf" in field or "const" in field, name


@each_case("name", [*REQUIREMENTS_BY_PROVIDER, "batch_registry"])
@each_case("use", [{}, {"use": "yes"}, {"use": "no"}], ids=str)
def test_spec_secrets_inside_a_choice_are_found_by_the_cdk(name: str, use: dict[str, str]) -> None:
    secrets = [
        field_name for field_name, field in get_used_option(name)["properties"].items() if field.get("airbyte_secret")
    ]
    config = {name: {**use, **{field_name: f"s3cr3t-{field_name}" for field_name in secrets}}}

    assert sorted(get_secrets(SPEC, config)) == sorted(f"s3cr3t-{field_name}" for field_name in secrets)


def test_spec_date_has_a_pattern_and_valid_examples() -> None:
    dates = {path: node for path, node in list_nodes(SPEC) if "format" in node}
    assert set(dates) == {("start_date",)}
    [date] = dates.values()
    assert date["format"] == "date-time"
    assert date["pattern_descriptor"] == "YYYY-MM-DDTHH:mm:ssZ"
    for example in (*date["examples"], "2026-01-01T00:00:00.123Z"):
        jsonschema.validate(example, date)
    for invalid_date in ("2026-01-01", "2026-01-01 00:00:00", "2026-01-01T00:00:00", "x2026-01-01T00:00:00Z"):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(invalid_date, date)


@each_case("path", MODELS, ids=lambda path: ".".join(path) or "top")
def test_spec_required_and_defaults_match_the_models(path: tuple[str, ...]) -> None:
    node, model = get_schema(path), MODELS[path]
    assert list(node["properties"]) == list(model.model_fields)
    required = [name for name, field in model.model_fields.items() if field.is_required()]
    assert node.get("required", []) == required
    for name, field in model.model_fields.items():
        default_value = node["properties"][name].get("default")
        is_saved = name not in required and name != "use" and not node["properties"][name].get("airbyte_hidden")
        default = json.loads(json.dumps(field.default)) if is_saved else None
        assert default_value == default
        assert ("default" in node["properties"][name]) == (default is not None)


def test_spec_defaults_are_valid() -> None:
    jsonschema.Draft7Validator.check_schema(SPEC)
    for _, node in list_properties():
        if "default" in node:
            jsonschema.validate(node["default"], node)


@each_case(
    ("environments", "is_valid"),
    [
        (["PRODUCTION"], True),
        (["DEVELOPMENT", "PRODUCTION"], True),
        ([], False),
        (["production"], False),
        (["STAGING"], False),
    ],
)
def test_spec_environments_are_an_enum(environments: list[str], is_valid: bool) -> None:
    node = get_used_option("sensible")["properties"]["environments"]
    assert node["items"] == {"type": "string", "enum": ["PRODUCTION", "DEVELOPMENT"]}
    assert node["default"] == ["PRODUCTION"]
    assert jsonschema.Draft7Validator(node).is_valid(environments) is is_valid


@each_case(
    ("setting", "values"),
    [
        ("lookback_days", {-1: False, 0: True}),
        ("give_up_after_days", {0: False, 1: True}),
        ("max_in_flight", {0: False, 1: True, 50: True, 51: False}),
    ],
)
def test_spec_numbers_have_the_documented_bounds(setting: str, values: dict[int, bool]) -> None:
    validator = jsonschema.Draft7Validator(SPEC["properties"][setting])
    assert {value: validator.is_valid(value) for value in values} == values
