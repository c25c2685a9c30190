"""Addresses of warehouses: paths of DuckDB files and URLs of databases."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from source_docextract.core.redaction import register_secrets, sanitize

from . import ReportError

_SECRET_PARAMETERS = ("password", "passfile", "sslpassword")


def parse_address(location: str) -> URL | Path:
    """Return the URL of a PostgreSQL database, or the path of a DuckDB file.

    Raises:
        ReportError: It is neither. The message repeats a path only, since a mistyped URL may hold a password.
    """
    url = _parse_url(location)
    if url is None or url.get_backend_name() == "duckdb":
        return _find_file(location if url is None else url.database or "")
    if url.get_backend_name() not in {"postgresql", "postgres"}:
        raise ReportError("The warehouse is neither a DuckDB file nor a PostgreSQL database; no other is asked here.")
    return url.set(drivername="postgresql")  # with the driver that is installed


def get_display_name(location: str) -> str:
    """Return the name of a warehouse for the page, without user and password."""
    url = _parse_url(location)
    if url is None:
        return Path(location).name
    return f"{url.database} at {url.host}" if url.host else str(url.database)


def _parse_url(location: str) -> URL | None:
    """Return a URL, and register its password for redaction; return None for a path."""
    if "://" not in location:
        return None
    try:
        url = make_url(location)
    except (ArgumentError, ValueError):  # the text of these errors quotes the URL
        raise ReportError(
            "The address of the warehouse cannot be read. Write it like postgresql://host/database, the user and the "
            "password before the host, and signs within them percent-encoded."
        ) from None
    register_secrets(url.password or "", *(str(url.query[name]) for name in _SECRET_PARAMETERS if name in url.query))
    return url


def _find_file(location: str) -> Path:
    path = Path(location)
    try:
        if path.is_file():
            return path
    except OSError:  # the name is too long for the file system
        pass
    is_address_like = any(character in location for character in "@=") or ":/" in location or location.startswith("//")
    shown_name = "of that name, nor is it the address of a database" if is_address_like else location
    raise ReportError(f"There is no DuckDB file {shown_name}.")


class RedactingParser(argparse.ArgumentParser):
    """An argument parser whose error messages quote no URL."""

    _raw_arguments: Sequence[str] = ()

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """Parse the command line, and remember it for `error`."""
        self._raw_arguments = list(sys.argv[1:] if args is None else args)
        return super().parse_args(self._raw_arguments, namespace)

    def error(self, message: str) -> NoReturn:
        """Exit with the message, without arguments that may be URLs."""
        for argument in sorted(self._raw_arguments, key=len, reverse=True):
            if any(character in argument for character in "@=:"):
                message = message.replace(repr(argument), "'…'").replace(argument, "…")
        super().error(sanitize(message, 2_000))
