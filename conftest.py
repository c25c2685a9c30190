"""Fixtures for Airbyte's standard tests, which run against the sandbox.

The standard tests, also those that `airbyte-cdk connector test .` collects, read settings from the files that
acceptance-test-config.yml names, one for each scenario. If any are collected, a session-wide fixture serves a sandbox
and writes these files, and removes both afterwards.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import pytest

from unit_tests.support.sampling import pytest_collection_modifyitems  # noqa: F401 (a hook)

WRONG_KEY = "wrong-key-0123456789"
"""A key with digits: the standard tests look for leaks of such keys only."""


@pytest.fixture(scope="session", autouse=True)
def scenario_files(request: pytest.FixtureRequest) -> Iterator[None]:
    """Serve a sandbox and write the settings of each collected scenario."""
    scenarios = [item.callspec.params.get("scenario") for item in request.session.items if hasattr(item, "callspec")]
    files = {request.config.rootpath / scenario.config_path for scenario in scenarios if scenario}
    if not files:
        yield
        return
    try:
        from docextract_sandbox import Sandbox, serve  # noqa: PLC0415 (no other test needs its packages)
    except SystemExit as import_error:  # the message names the packages to install
        pytest.exit(f"These tests run against the sandbox. {import_error}", returncode=pytest.ExitCode.USAGE_ERROR)

    sandbox = Sandbox()
    sandbox.fill_demo()
    with serve(sandbox) as url:
        settings = build_scenario_settings(sandbox.build_settings(url), sandbox.credentials)
        try:
            for file in files:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(json.dumps(settings[file.stem]), encoding="utf-8")
            yield
        finally:
            for file in files:
                file.unlink(missing_ok=True)
            for folder in {file.parent for file in files}:
                with suppress(OSError):  # a parallel run still has files there
                    folder.rmdir()


def build_scenario_settings(
    all_settings: dict[str, Any], credentials: Mapping[str, Mapping[str, str]]
) -> dict[str, dict[str, Any]]:
    """Return the settings of all scenarios by name.

    Settings of one product have the form that Airbyte's form sends. The others leave out `use`, as a person would.
    """
    extracta = {**all_settings["extracta"], "follow_links": False}
    single_sections = {
        **{name: all_settings[name] for name in all_settings},
        "extracta": {name: value for name, value in extracta.items() if not name.startswith("classification_")},
        "extracta_classification": {name: value for name, value in extracta.items() if name != "extraction_ids"},
    }
    scenarios = {"all": all_settings, "typed": {**all_settings, "typed_tables": True}}
    for name, section in single_sections.items():
        provider = name.removesuffix("_classification")
        scenarios[name] = _single_provider_settings(provider, section, all_settings)
    for name, fields in credentials.items():
        for key in fields:
            scenarios[f"wrong_{name}_{key}"] = {**all_settings, name: {**all_settings[name], key: WRONG_KEY}}
    return scenarios


def _single_provider_settings(
    provider: str, section: Mapping[str, Any], all_settings: Mapping[str, Any]
) -> dict[str, Any]:
    return {**{name: {"use": "no"} for name in all_settings}, provider: {"use": "yes", **section}}
