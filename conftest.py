"""What Airbyte's standard tests need here, also as `airbyte-cdk connector test .` collects them: a sandbox, no keys.

They read settings from the files that acceptance-test-config.yml names, one for each scenario. Where such tests are to
run, a sandbox is served and the files are written; afterwards both are gone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import pytest

WRONG_KEY = "wrong-key-0123456789"
"""With digits: the standard tests look for leaks of no other keys."""


@pytest.fixture(scope="session", autouse=True)
def scenario_files(request: pytest.FixtureRequest) -> Iterator[None]:
    scenarios = [item.callspec.params.get("scenario") for item in request.session.items if hasattr(item, "callspec")]
    files = {request.config.rootpath / scenario.config_path for scenario in scenarios if scenario}
    if not files:
        yield
        return
    try:
        from docextract_sandbox import Sandbox, serve  # noqa: PLC0415 (nobody else needs it)
    except SystemExit as import_error:  # its words say what to install
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
                with suppress(OSError):  # another run still has files there
                    folder.rmdir()


def build_scenario_settings(
    all_settings: dict[str, Any], credentials: Mapping[str, Mapping[str, str]]
) -> dict[str, dict[str, Any]]:
    """Settings by the name of their scenario: all products, each alone, typed tables, and all with one wrong key.

    Those of one product alone are as Airbyte's form sends them, the others without `use`, as they are written by hand.
    """
    extracta = {**all_settings["extracta"], "follow_links": False}
    single_sections = {
        **{name: all_settings[name] for name in all_settings},
        "extracta": {name: value for name, value in extracta.items() if not name.startswith("classification_")},
        "extracta_classification": {name: value for name, value in extracta.items() if name != "extraction_ids"},
    }
    return {
        "all": all_settings,
        "typed": {**all_settings, "typed_tables": True},
        **{
            name: _single_provider_settings(name.removesuffix("_classification"), section, all_settings)
            for name, section in single_sections.items()
        },
        **{
            f"wrong_{name}_{key}": {**all_settings, name: {**all_settings[name], key: WRONG_KEY}}
            for name, fields in credentials.items()
            for key in fields
        },
    }


def _single_provider_settings(
    provider: str, section: Mapping[str, Any], all_settings: Mapping[str, Any]
) -> dict[str, Any]:
    return {**{name: {"use": "no"} for name in all_settings}, provider: {"use": "yes", **section}}
