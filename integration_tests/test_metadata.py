"""The metadata for Airbyte: well-formed, true, and the same in each file."""

from __future__ import annotations

import logging
import re
import xml.etree.ElementTree as ET
from importlib.metadata import metadata, version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from airbyte_connector_models.metadata.v0.connector_metadata_definition_v0 import (
    ConnectorMetadataDefinitionV0,
    ConnectorMetadataDefinitionV0Data,
)

from integration_tests.containers.base import read_base_image
from source_docextract import SourceDocextract
from source_docextract.settings import REQUIREMENTS_BY_PROVIDER, Settings
from source_docextract.source import DOCUMENTATION_URL
from source_docextract.spec import build_connection_spec
from source_docextract.sync.checkpoints import MAX_SECONDS_BETWEEN_STATES
from source_docextract.version import VERSION

ROOT = Path(__file__).parent.parent
CONFIG = {
    "extracta": {"api_key": "made-up-key", "extraction_ids": ["a"], "classification_ids": ["b"]},
    "docmap": {"api_key": "made-up-key"},
    "sensible": {"api_key": "made-up-key"},
    "atlas": {"client_id": "made-up-client", "client_secret": "made-up-secret", "batch_ids": ["c"]},
}


@pytest.fixture(scope="module")
def connector_metadata() -> ConnectorMetadataDefinitionV0Data:
    """Of a definition that Airbyte's own model takes; a key that it does not know would be an error."""
    return ConnectorMetadataDefinitionV0.model_validate(yaml.safe_load(_read_text("metadata.yaml"))).data


def _read_text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def _find_setting(path: str) -> dict[str, Any]:
    """Return what the spec says of a setting, by its dotted path, in whichever entry of a choice it is."""
    node = build_connection_spec()
    for name in path.split("."):
        node = next(option["properties"][name] for option in node.get("oneOf", [node]) if name in option["properties"])
    return node


def test_version_is_equal_in_every_file(connector_metadata: ConnectorMetadataDefinitionV0Data) -> None:
    installed = version("source-docextract")

    assert connector_metadata.docker_image_tag == installed
    assert installed == VERSION
    assert re.findall(r"^## (.+)$", _read_text("CHANGELOG.md"), re.MULTILINE)[:2] == ["Unreleased", installed]
    assert re.findall(r'io\.airbyte\.version="(.+)"', _read_text("Dockerfile")) == [installed]
    assert re.fullmatch(r"\d+\.\d+\.\d+", installed)


def test_image_name_and_base_equal_those_of_the_dockerfile(
    connector_metadata: ConnectorMetadataDefinitionV0Data,
) -> None:
    assert re.findall(r'io\.airbyte\.name="(.+)"', _read_text("Dockerfile")) == [connector_metadata.docker_repository]
    assert connector_metadata.connector_build_options is not None
    assert connector_metadata.connector_build_options.base_image == read_base_image()
    assert re.fullmatch(r"docker\.io/airbyte/python-connector-base:[\d.]+@sha256:[0-9a-f]{64}", read_base_image())


def test_licence_is_equal_in_every_file(connector_metadata: ConnectorMetadataDefinitionV0Data) -> None:
    assert connector_metadata.license == metadata("source-docextract")["License"] == "MIT"
    assert _read_text("LICENSE").startswith("MIT License")


def test_documentation_url_equals_that_of_the_spec(connector_metadata: ConnectorMetadataDefinitionV0Data) -> None:
    assert str(connector_metadata.documentation_url) == DOCUMENTATION_URL


def test_documentation_url_is_an_existing_page() -> None:
    """Airbyte has no page of its own for a connector that it does not ship; the one it leads to is read in docs/."""
    assert "/integrations/sources/" not in DOCUMENTATION_URL
    assert f"]({DOCUMENTATION_URL})" in _read_text("docs/airbyte.md")


def test_allowed_hosts_include_every_configurable_address(
    connector_metadata: ConnectorMetadataDefinitionV0Data,
) -> None:
    assert connector_metadata.allowed_hosts is not None
    hosts = set(connector_metadata.allowed_hosts.hosts or ())

    settings = Settings.parse(CONFIG)
    for provider in REQUIREMENTS_BY_PROVIDER:
        assert urlsplit(getattr(settings, provider).base_url).hostname in hosts
        assert f"${{{provider}.base_url}}" in hosts
    assert {"${batch_registry.url}", "${batch_registry.credentials.endpoint}"} <= hosts
    assert {"*.amazonaws.com", "storage.googleapis.com", "oauth2.googleapis.com", "*.blob.core.windows.net"} <= hosts
    for host in hosts:
        assert host[0] != "$" or _find_setting(host[2:-1])["type"] == "string"


def test_suggested_streams_exist_and_include_all_results(connector_metadata: ConnectorMetadataDefinitionV0Data) -> None:
    assert connector_metadata.suggested_streams is not None
    discovered = SourceDocextract().discover(logging.getLogger("airbyte.test"), CONFIG)

    suggested = connector_metadata.suggested_streams.streams or []
    streams = {stream.name for stream in discovered.streams}
    assert set(suggested) <= streams
    assert {name for name in streams if name.endswith("_results")} <= set(suggested)


def test_message_timeout_exceeds_twice_the_state_interval(
    connector_metadata: ConnectorMetadataDefinitionV0Data,
) -> None:
    assert connector_metadata.max_seconds_between_messages is not None
    assert connector_metadata.max_seconds_between_messages > 2 * MAX_SECONDS_BETWEEN_STATES


def test_tags_and_test_suites_match_the_repository(
    connector_metadata: ConnectorMetadataDefinitionV0Data,
) -> None:
    assert set(connector_metadata.tags or ()) == {"language:python", "cdk:python"}
    suites = {option.suite.value for option in connector_metadata.connector_test_suites_options or ()}
    assert suites == {"unitTests", "integrationTests"}
    assert all((ROOT / folder).is_dir() for folder in ("unit_tests", "integration_tests"))


def test_description_names_every_provider(connector_metadata: ConnectorMetadataDefinitionV0Data) -> None:
    summary = metadata("source-docextract")["Summary"]
    documented = {url.title for url in connector_metadata.external_documentation_urls or ()}

    for provider in REQUIREMENTS_BY_PROVIDER:
        name = _find_setting(provider)["title"]
        assert name in summary
        assert name in documented


def test_icon_is_square_and_self_contained(connector_metadata: ConnectorMetadataDefinitionV0Data) -> None:
    assert connector_metadata.icon == "icon.svg"
    icon = ET.fromstring(_read_text("icon.svg"))

    assert icon.get("width") == icon.get("height")
    assert icon.get("viewBox") == f"0 0 {icon.get('width')} {icon.get('height')}"
    assert len(_read_text("icon.svg")) < 4096
    names = {name.rpartition("}")[2] for node in icon.iter() for name in (node.tag, *node.attrib)}
    assert not names & {"script", "style", "image", "foreignObject", "use", "href"}


def test_readme_installation_names_the_required_python_versions() -> None:
    needed = metadata("source-docextract")["Requires-Python"]
    path = _read_text("README.md").partition("## Try it on the command line")[2].partition("pip install")[0]

    assert set(needed.split(",")) == {">=3.10", "<3.14"}
    assert "**Python from 3.10 to 3.13**" in path
