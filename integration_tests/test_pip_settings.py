"""The pip that builds the image finds packages where this machine's pip finds them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from integration_tests.containers.pip_settings import PipSettings, read_pip_settings

INDEX = "https://packages.acme.example/simple"


def read_settings(file: str = os.devnull, **environment: str) -> PipSettings:
    """On a machine with this file of settings and these variables. (No file at all, if it is the null device.)"""
    return read_pip_settings({"PATH": os.environ["PATH"], "PIP_CONFIG_FILE": file, **environment})


def setting_lines(settings: PipSettings) -> list[str]:
    return settings.text.splitlines()


@pytest.mark.long
def test_pip_settings_without_configuration_are_empty() -> None:
    assert read_settings() == PipSettings(text="[global]\n", certificates=None, folders=())


@pytest.mark.long
def test_pip_settings_include_the_package_index_of_the_environment() -> None:
    settings = read_settings(PIP_INDEX_URL=INDEX, PIP_DEFAULT_TIMEOUT="180", PIP_CACHE_DIR="/nowhere", PIP_USER="1")

    assert sorted(setting_lines(settings)) == ["[global]", "default-timeout = 180", f"index-url = {INDEX}"]


def test_pip_settings_environment_overrides_the_file(tmp_path: Path) -> None:
    file = tmp_path / "pip.conf"
    file.write_text(f"[global]\nindex-url = {INDEX}/a\nretries = 7\n[install]\nindex-url = {INDEX}/b\nretries = 8\n")

    actual_lines = setting_lines(read_settings(str(file), PIP_RETRIES="9"))

    assert {f"index-url = {INDEX}/b", "retries = 9"} <= set(actual_lines)
    assert not {"retries = 7", "retries = 8", f"index-url = {INDEX}/a"} & set(actual_lines)


@pytest.mark.long
def test_pip_settings_several_indexes_have_a_line_each() -> None:
    settings = read_settings(PIP_EXTRA_INDEX_URL=f"{INDEX}/a {INDEX}/b")

    assert setting_lines(settings) == ["[global]", f"extra-index-url = {INDEX}/a", f"    {INDEX}/b"]


@pytest.mark.long
def test_pip_settings_certificate_path_is_that_of_the_build() -> None:
    for variable in ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        settings = read_settings(**{variable: "/etc/acme.pem"})

        assert settings.certificates == Path("/etc/acme.pem")
        assert setting_lines(settings) == ["[global]", "cert = /run/secrets/ca.crt"]


@pytest.mark.long
def test_pip_settings_local_indexes_are_listed_as_folders(tmp_path: Path) -> None:
    for name in ("index/simple", "wheels"):
        (tmp_path / name).mkdir(parents=True)
    places = {"PIP_INDEX_URL": (tmp_path / "index/simple").as_uri(), "PIP_FIND_LINKS": f"{tmp_path}/wheels {INDEX}"}

    assert read_settings(**places).folders == (tmp_path / "index", tmp_path / "wheels")
