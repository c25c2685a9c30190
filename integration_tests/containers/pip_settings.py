"""Where pip finds packages on this machine, for the pip that runs while the image is built. Nothing of it is kept."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

_SECTIONS = ("global", "install", ":env:")
"""Sections of pip's settings, the later one has the last word."""

_FORWARDED_KEYS = (
    "index-url",
    "extra-index-url",
    "no-index",
    "find-links",
    "trusted-host",
    "proxy",
    "retries",
    "timeout",
    "default-timeout",
)
_CERTIFICATE_VARIABLES = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
_CERTIFICATE_PATH = "/run/secrets/ca.crt"


@dataclass(frozen=True)
class PipSettings:
    """
    Attributes:
        text: of a pip.conf.
        certificates: whom to trust, if that is not what Python itself brings.
        folders: on this machine, that the settings name.
    """

    text: str
    certificates: Path | None
    folders: tuple[Path, ...]


def read_pip_settings(environment: Mapping[str, str] = os.environ) -> PipSettings:
    configured = _read_pip_config(environment)
    certificates = next(filter(None, [configured.get("cert"), *map(environment.get, _CERTIFICATE_VARIABLES)]), None)
    settings = {name: value for name, value in configured.items() if value and name in _FORWARDED_KEYS}
    if certificates:
        settings["cert"] = _CERTIFICATE_PATH
    # A value of several lines is continued by lines that are indented.
    lines = [f"{name} = " + "\n    ".join(value.split()) for name, value in settings.items()]
    return PipSettings(
        text="\n".join(["[global]", *lines, ""]),
        certificates=Path(certificates) if certificates else None,
        folders=tuple(dict.fromkeys(_find_folders(settings))),
    )


def _read_pip_config(environment: Mapping[str, str]) -> dict[str, str]:
    """What pip says that its settings are: from its files and from the environment."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, env=dict(environment))
    values_by_section: dict[str, dict[str, str]] = {section: {} for section in _SECTIONS}
    for line in result.stdout.splitlines():
        name, _, value = line.partition("=")
        section, _, key = name.rpartition(".")
        if section in values_by_section:
            values_by_section[section][key] = str(ast.literal_eval(value))
    return {key: value for section in _SECTIONS for key, value in values_by_section[section].items()}


def _find_folders(settings: Mapping[str, str]) -> Iterator[Path]:
    for name in ("index-url", "extra-index-url", "find-links"):
        for location in settings.get(name, "").split():
            parts = urlsplit(location)
            path = Path(unquote(parts.path) if parts.scheme == "file" else location)
            # An index may link to files beside it.
            path = path if name == "find-links" else path.parent
            if path.is_absolute() and path.is_dir() and path != path.parent:
                yield path
