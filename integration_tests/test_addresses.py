"""The address of a warehouse on the command line, in every form, and never with its password."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from integration_tests.pages import ROOT

pytestmark = pytest.mark.skipif(
    find_spec("duckdb_engine") is None, reason="No warehouse is installed here; `make test` has them in .venv-demo"
)

PASSWORD = "passw0rd-of-the-warehouse"
CLOSED_ADDRESS = "127.0.0.1:1"
FORMS = {
    "postgresql": f"postgresql://me:{PASSWORD}@{CLOSED_ADDRESS}/db",
    "postgres": f"postgres://me:{PASSWORD}@{CLOSED_ADDRESS}/db",
    "psycopg2": f"postgresql+psycopg2://me:{PASSWORD}@{CLOSED_ADDRESS}/db",
    "psycopg": f"postgresql+psycopg://me:{PASSWORD}@{CLOSED_ADDRESS}/db",
    "asyncpg": f"postgresql+asyncpg://me:{PASSWORD}@{CLOSED_ADDRESS}/db",
    "capitals": f"PostgreSQL://me:{PASSWORD}@{CLOSED_ADDRESS}/db",
    "query": f"postgresql://{CLOSED_ADDRESS}/db?user=me&password={PASSWORD}&connect_timeout=1",
    "odd option": f"postgresql://me:{PASSWORD}@{CLOSED_ADDRESS}/db?no_such_option={PASSWORD}",
    "mysql": f"mysql+pymysql://me:{PASSWORD}@{CLOSED_ADDRESS}/db",
    "redshift": f"redshift://me:{PASSWORD}@{CLOSED_ADDRESS}/db",
    "sign in the password": f"postgresql://me:a/{PASSWORD}@{CLOSED_ADDRESS}/db",
    "blank in the password": f"postgresql://me:a {PASSWORD}@{CLOSED_ADDRESS}/db",
    "odd port": f"postgresql://me:a@127.0.0.1:{PASSWORD}/db",
    "one slash": f"postgresql:/me:{PASSWORD}@{CLOSED_ADDRESS}/db",
    "no scheme": f"//me:{PASSWORD}@{CLOSED_ADDRESS}/db",
    "no slashes": f"me:{PASSWORD}@{CLOSED_ADDRESS}/db",
    "words": f"host=127.0.0.1 port=1 user=me password={PASSWORD} dbname=db",
    "jdbc": f"jdbc:postgresql://{CLOSED_ADDRESS}/db?user=me&password={PASSWORD}",
    "too long": f"postgresql:/me:{PASSWORD}@{CLOSED_ADDRESS}/{'d' * 5_000}",
}


def run(module: str, *arguments: str) -> int | str | None:
    """Calls a command as Python would, but for the time that its start takes."""
    command = import_module(module)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [module, *arguments])
        try:
            return command.main()  # type: ignore[no-any-return]
        except SystemExit as end:
            return end.code


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(ROOT))


@pytest.mark.parametrize("form", FORMS)
def test_report_address_in_any_form_is_printed_without_password(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    location = FORMS[form]
    for module, *arguments in (
        ("report.__main__", location),
        ("report.workbook", location, "atlas", "b1"),
        ("report.workbook", "atlas", location, "b1"),
        ("report.workbook", "no.duckdb", "atlas", "b1", location),
        ("report.__main__", "no.duckdb", "page.html", location),
        ("report.__main__", "no.duckdb", f"--{location}"),
    ):
        code = run(module, *arguments)

        output = capsys.readouterr()
        assert code in {1, 2}, arguments
        assert output.out == ""
        assert "passw0rd" not in output.err
        assert len(output.err.strip()) > 20


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg2", "postgresql+psycopg"])
def test_report_every_postgresql_url_scheme_connects(
    scheme: str, postgres: str, capsys: pytest.CaptureFixture[str]
) -> None:
    location = scheme + postgres[postgres.index("://") :]

    assert run("report.__main__", location, "--schema", "nowhere") == 1
    assert (
        capsys.readouterr().err
        == "There is no table of this connector in that schema; name another one with --schema.\n"
    )


@pytest.mark.parametrize("prefix", ["", "duckdb:///"])
def test_report_file_name_with_special_characters_is_opened(
    prefix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import duckdb

    with duckdb.connect(str(tmp_path / "a@b=c.duckdb")) as connection:
        connection.execute("CREATE TABLE other (id INTEGER)")

    assert run("report.__main__", f"{prefix}a@b=c.duckdb") == 1
    assert capsys.readouterr().err == "There is no table of this connector in that file.\n"


def test_report_unwritable_page_error_has_no_password(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("report.__main__.run_recipes", lambda *_: {})
    monkeypatch.setattr("report.__main__.write_page", lambda _answers, _name, page: page.write_text("x"))

    assert run("report.__main__", "no.duckdb", FORMS["postgresql"]) == 1
    assert "cannot be written" in capsys.readouterr().err
