"""Airbyte's standard tests for sources, over the scenarios of acceptance-test-config.yml, without a warning.

The CDK asks for pytest 7 to run them (`airbyte-cdk[dev]`); they run with newer ones as well, and need nothing else.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest
from airbyte_cdk.test.standard_tests import ConnectorTestScenario, SourceTestSuiteBase

from source_docextract import SourceDocextract
from source_docextract.settings import REQUIREMENTS_BY_PROVIDER
from source_docextract.spec import build_connection_spec
from unit_tests.support.command_line import WITHOUT_STARLETTE

pytest_plugins = ["airbyte_cdk.test.standard_tests.pytest_hooks"]

ROOT = Path(__file__).parent.parent
CDK = Path(sys.executable).with_name("airbyte-cdk")
SHORT_SCENARIOS = {"all", "typed", "wrong_atlas_client_secret"}
WARNING = "error::airbyte_cdk.test.standard_tests.DiscoveredCatalogWarning"


@pytest.mark.filterwarnings(WARNING)
class TestStandards(SourceTestSuiteBase):
    connector = SourceDocextract

    @classmethod
    def get_scenarios(cls) -> list[ConnectorTestScenario]:
        """Return few scenarios: `test_cdk_command_passes_every_standard_test` runs all.

        Each has a file that is this process's own: other workers have sandboxes of theirs.
        """
        folder = Path(".tmp", f"settings-{os.getpid()}")
        return [
            scenario.model_copy(update={"config_path": folder / scenario.config_path.name})
            for scenario in cls.get_all_scenarios()
            if scenario.config_path and scenario.id in SHORT_SCENARIOS
        ]

    @classmethod
    def get_all_scenarios(cls) -> list[ConnectorTestScenario]:
        """Return the scenarios of acceptance-test-config.yml."""
        return super().get_scenarios()


def test_scenarios_cover_every_product_and_every_wrong_key() -> None:
    form = build_connection_spec()["properties"]
    secrets = {
        (name, key)
        for name in REQUIREMENTS_BY_PROVIDER
        for option in form[name]["oneOf"]
        for key, field in option["properties"].items()
        if field.get("airbyte_secret")
    }

    scenarios = {scenario.id: scenario.status for scenario in TestStandards.get_all_scenarios()}

    assert scenarios == {
        **dict.fromkeys(("all", "typed", *REQUIREMENTS_BY_PROVIDER, "extracta_classification"), "succeed"),
        **{f"wrong_{name}_{key}": "failed" for name, key in secrets},
    }


@pytest.mark.long
def test_cdk_command_missing_sandbox_extra_names_the_pip_command(tmp_path: Path) -> None:
    """Given an environment where starlette is missing, when the CDK runs its tests, then one line says what to do."""
    (tmp_path / "sitecustomize.py").write_text(WITHOUT_STARLETTE)

    result = subprocess.run(
        [CDK, "connector", "test", "."],
        cwd=copy_repository(tmp_path),
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode != 0
    assert (
        "These tests run against the sandbox. docextract-sandbox needs other packages (starlette is missing). "
        "In the folder of the repository: pip install '.[sandbox]'"
    ) in result.stdout
    assert "Traceback" not in result.stdout + result.stderr


def copy_repository(folder: Path) -> Path:
    """A copy of the repository: the CDK takes the connector's name from the folder's, whatever a checkout is called."""
    copy = folder / "source-docextract"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*", "*.egg-info", "__pycache__", "build", "dist"))
    return copy


@pytest.mark.long
def test_cdk_command_passes_every_standard_test(tmp_path: Path) -> None:
    folder = copy_repository(tmp_path)
    command: list[str | Path] = [CDK, "connector", "test", ".", f"--pytest-arg=-W{WARNING}"]

    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stdout
    report = ElementTree.parse(folder / "build" / "test-results" / "standard-tests-junit.xml")
    passed = [case.get("name", "") for case in report.iter("testcase") if case.find("skipped") is None]
    assert Counter(name.partition("[")[0] for name in passed) == {
        "test_spec": 1,
        "test_config_matches_spec": 12,
        "test_check": 12,
        "test_discover": 7,
        "test_basic_read": 12,
        "test_fail_read_with_bad_catalog": 12,
    }
