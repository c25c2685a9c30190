"""Where a warehouse is: the path of a DuckDB file, or the address of a database, whose password nothing repeats."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from source_docextract.plain import hide, plain

from . import Trouble

_SECRETS = ("password", "passfile", "sslpassword")


def address(place: str) -> URL | Path:
    """Return the address of a PostgreSQL database in any form that SQLAlchemy knows, or the path of a DuckDB file.

    Raises:
        Trouble: it is neither. Only a path is repeated in it: who mistypes an address has written a password as well.
    """
    url = _url(place)
    if url is None or url.get_backend_name() == "duckdb":
        return _file(place if url is None else url.database or "")
    if url.get_backend_name() not in {"postgresql", "postgres"}:
        raise Trouble("The warehouse is neither a DuckDB file nor a PostgreSQL database; no other is asked here.")
    return url.set(drivername="postgresql")  # with the driver that is installed


def named(place: str) -> str:
    """Return what a page may call the warehouse: of an address no user and no password."""
    url = _url(place)
    if url is None:
        return Path(place).name
    return f"{url.database} at {url.host}" if url.host else str(url.database)


def _url(place: str) -> URL | None:
    """Return an address, whose password is kept out of all messages from now on; None for a path."""
    if "://" not in place:
        return None
    try:
        url = make_url(place)
    except (ArgumentError, ValueError):  # their words quote it
        raise Trouble(
            "The address of the warehouse cannot be read. Write it like postgresql://host/database, the user and the "
            "password before the host, and signs within them percent-encoded."
        ) from None
    hide(url.password or "", *(str(url.query[name]) for name in _SECRETS if name in url.query))
    return url


def _file(place: str) -> Path:
    path = Path(place)
    try:
        if path.is_file():
            return path
    except OSError:  # no system has such long names
        pass
    is_like_an_address = any(sign in place for sign in "@=") or ":/" in place or place.startswith("//")
    name = "of that name, nor is it the address of a database" if is_like_an_address else place
    raise Trouble(f"There is no DuckDB file {name}.")


class Parser(argparse.ArgumentParser):
    """One that quotes no address where it complains of its arguments."""

    _given: Sequence[str] = ()

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        self._given = list(sys.argv[1:] if args is None else args)
        return super().parse_args(self._given, namespace)

    def error(self, message: str) -> NoReturn:
        for one in sorted(self._given, key=len, reverse=True):
            if any(sign in one for sign in "@=:"):
                message = message.replace(repr(one), "'…'").replace(one, "…")
        super().error(plain(message, 2_000))
