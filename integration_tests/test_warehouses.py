"""The example, run as a data engineer would: twice into a DuckDB file, and twice into a PostgreSQL server."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from docextract_sandbox import Clock, Fault, NewDocument, NewExtraction, NewFile, Sandbox, Switches, serve
from integration_tests.filled import build_demo_settings

pytestmark = [
    pytest.mark.skipif(
        find_spec("airbyte") is None, reason="PyAirbyte is not installed here; `make test` installs it in .venv-demo"
    ),
    pytest.mark.filterwarnings("ignore:XDG_RUNTIME_DIR"),
]

EXAMPLE = Path(__file__).parent.parent / "examples" / "to_duckdb_or_postgres.py"
CONNECTOR = str(Path(sys.executable).with_name("source-docextract"))
KEYS = {
    "EXTRACTA_API_KEY": ("extracta", "api_key"),
    "DOCMAP_API_KEY": ("docmap", "api_key"),
    "SENSIBLE_API_KEY": ("sensible", "api_key"),
    "ATLAS_CLIENT_ID": ("atlas", "client_id"),
    "ATLAS_CLIENT_SECRET": ("atlas", "client_secret"),
}
TYPES = {
    "string": {"VARCHAR", "character varying"},
    "date-time": {"TIMESTAMP", "timestamp without time zone"},
    "integer": {"BIGINT", "bigint"},
    "number": {"DOUBLE", "numeric"},
    "boolean": {"BOOLEAN", "boolean"},
    "object": {"JSON", "json"},
    "array": {"JSON", "json"},
}
TRICKY_DATA = {
    "total": 98765.5,
    "text": 'naïve "quotes", a \\ and \\u0000, 100%, :rows\n{}',
    "digits": "00123",
    "fraction": 0.12345678901234568,
    "large": 9007199254740993,
    "nested": {"list": [1, "2", None, {}], "Ünï cödé": True},
}
"""What a warehouse, or what loads it, might take for something else."""

Row = dict[str, Any]
RowsByKey = dict[tuple[str, str], Row]
"""By stream and id."""
StreamSchemas = dict[str, dict[str, Any]]
"""The properties of each stream's schema."""


@dataclass
class Warehouse:
    """A database, what was in it after each sync, and what the example said."""

    target: str
    url: str
    schema: str
    rows: list[RowsByKey] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)

    def query(self, sql: str) -> list[Row]:
        from sqlalchemy import create_engine, text
        from sqlalchemy.pool import NullPool

        # Without a pool: an open connection to a DuckDB file locks the file.
        with create_engine(self.url, poolclass=NullPool).connect() as connection:
            return [dict(row) for row in connection.execute(text(sql)).mappings()]

    def read_all_rows(self, streams: StreamSchemas) -> RowsByKey:
        rows = [(stream, row) for stream in streams for row in self.query(f"SELECT * FROM {self.schema}.{stream}")]
        by_id = {(stream, row["id"]): row for stream, row in rows}
        assert len(by_id) == len(rows), "an id is there more than once"
        return by_id


@dataclass
class SyncedWarehouses:
    """One sandbox, two syncs of it into each warehouse, and a read from the beginning after both."""

    streams: StreamSchemas
    truth: RowsByKey
    requests: list[int]
    warehouses: dict[str, Warehouse]


@pytest.fixture(scope="module")
def synced(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SyncedWarehouses]:
    folder = tmp_path_factory.mktemp("warehouses")
    file = str(folder / "documents.duckdb")
    warehouses = {
        "duckdb": Warehouse(file, f"duckdb:///{file}", "main"),
        "postgres": Warehouse(postgres, postgres, "docextract"),
    }
    sandbox = Sandbox(Clock(speed=0))
    sandbox.fill_demo()
    extracta, atlas = add_tricky_documents(sandbox)
    requests = []
    with serve(sandbox) as url:
        more = {"typed_tables": True, "table_names": ["docmap/0042=by_hand"], "keep_urls": False}
        settings = {**build_demo_settings(sandbox, url), **more}  # links are others in each answer
        (folder / "config.json").write_text(json.dumps(settings))
        streams = discover_streams(folder)
        environment = move_keys_to_environment(folder)
        for is_second_sync in (False, True):
            if is_second_sync:
                sandbox.fill_demo()
                sandbox.extracta.edit(extracta, "007", {**TRICKY_DATA, "digits": "000"})
                sandbox.atlas.edit(atlas, "1e5", {"document_type": "PAN", "n": {"value": "0e0"}})
                while any(world.finish() for world in (sandbox.extracta, sandbox.classification, sandbox.atlas)):
                    pass
                sandbox.switches = Switches(unknown_keys=True)
            sandbox.journal.clear()
            # Side by side, since each spends most of its time on starting programs.
            running = {
                name: start_example(folder, warehouse.target, "--config", "config.json", environment=environment)
                for name, warehouse in warehouses.items()
            }
            for name, process in running.items():
                warehouses[name].outputs.append(wait_for_output(process))
            requests.append(sum(sandbox.journal.count_requests().values()))
            for warehouse in warehouses.values():
                warehouse.rows.append(warehouse.read_all_rows(streams))
        (folder / "config.json").write_text(json.dumps(settings))
        yield SyncedWarehouses(streams, read_records(folder), requests, warehouses)


@pytest.fixture(params=["duckdb", "postgres"])
def warehouse(request: pytest.FixtureRequest, synced: SyncedWarehouses) -> Warehouse:
    return synced.warehouses[request.param]


def add_tricky_documents(sandbox: Sandbox) -> tuple[str, str]:
    """What is easily taken for something else. Returns the batches of Extracta and of Atlas that hold it."""
    template = sandbox.extracta.create("1e5", ["total"])
    names = ("007", "1e5", "NaN", "null", 'it\'s; "quoted" \\ 100%')
    extracta = sandbox.extracta.upload(template, [NewFile(name, 0, deepcopy(TRICKY_DATA)) for name in names])
    pan = {"document_type": "PAN", "n": {"value": "01"}}
    atlas = sandbox.atlas.submit([NewDocument(name, 0, deepcopy(pan)) for name in ("007", "1e5")])
    files = [NewExtraction("0", 0, deepcopy(TRICKY_DATA)), NewExtraction("a\0b", 0, {"text": "a\0b"})]
    sandbox.docmap.add_extractions(sandbox.docmap.put_template("0042"), files, run_id="0042")
    # A batch whose documents are found in several windows of a list.
    sandbox.sensible.add_document_type("old")
    sandbox.sensible.add_history("old", 3, datetime.now(timezone.utc) - timedelta(days=400), 90_000, batch_size=3)
    return extracta, atlas


def discover_streams(folder: Path) -> StreamSchemas:
    """Also writes the catalog for `read`."""
    [catalog] = [message["catalog"] for message in run_connector(folder, "discover") if message["type"] == "CATALOG"]
    configured = [
        {"stream": message, "sync_mode": "incremental", "destination_sync_mode": "append_dedup"}
        for message in catalog["streams"]
    ]
    (folder / "catalog.json").write_text(json.dumps({"streams": configured}))
    return {message["name"]: message["json_schema"]["properties"] for message in catalog["streams"]}


def read_records(folder: Path) -> RowsByKey:
    records = [
        message["record"]
        for message in run_connector(folder, "read", "--catalog", "catalog.json")
        if message["type"] == "RECORD"
    ]
    return {(record["stream"], record["data"]["id"]): record["data"] for record in records}


def run_connector(folder: Path, *arguments: str) -> list[Any]:
    command = [CONNECTOR, *arguments, "--config", "config.json"]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in result.stdout.splitlines()]


def move_keys_to_environment(folder: Path) -> dict[str, str]:
    """Moves the keys from the settings into an environment."""
    settings = json.loads((folder / "config.json").read_text())
    environment = {name: settings[provider].pop(key) for name, (provider, key) in KEYS.items()}
    (folder / "config.json").write_text(json.dumps(settings))
    return environment


def start_example(
    folder: Path,
    *arguments: str,
    script: tuple[str, ...] = (str(EXAMPLE),),
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[str]:
    quiet_sync = {
        "DO_NOT_TRACK": "1",
        "NO_LIVE_PROGRESS": "1",
        "AIRBYTE_LOGGING_ROOT": str(folder / "logs"),
        "TZ": "Asia/Kolkata",
    }
    return subprocess.Popen(
        [sys.executable, *script, *arguments],
        cwd=folder,
        env={**os.environ, **quiet_sync, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_output(process: subprocess.Popen[str], code: int = 0) -> str:
    """What it said, once it has ended."""
    with process:
        output, complaints = process.communicate()
    assert process.returncode == code, complaints
    return output


def normalize_stored_row(row: Row, schema: Mapping[str, Mapping[str, Any]]) -> Row:
    """What a row of a table says: without what is null, and without what PyAirbyte adds."""
    values = {name: row[name] for name in schema if row[name] is not None}
    return {
        name: json.loads(value) if isinstance(value, str) and {"object", "array"} & {*schema[name]["type"]} else value
        for name, value in values.items()
    }


def normalize_record(record: Row, schema: Mapping[str, Mapping[str, Any]]) -> Row:
    """What the row of a record has to say: times as times in UTC, numbers as decimals."""
    normalized: Row = {}
    for name, value in record.items():
        if schema[name].get("format") == "date-time":
            normalized[name] = datetime.fromisoformat(value.replace("Z", "+00:00")).replace(tzinfo=None)
        elif "number" in schema[name]["type"]:
            normalized[name] = Decimal(str(value))
        else:
            normalized[name] = value
    return normalized


def remove_keys(value: Any, *, keys: set[str], character: str) -> Any:
    """The same without some keys, wherever they are, and without a character."""
    if isinstance(value, dict):
        remaining = {name: item for name, item in value.items() if name not in keys}
        return {name: remove_keys(item, keys=keys, character=character) for name, item in remaining.items()}
    if isinstance(value, list):
        return [remove_keys(item, keys=keys, character=character) for item in value]
    return value.replace(character, "") if character and isinstance(value, str) else value


@pytest.mark.long
def test_warehouse_tables_have_the_schema_types_and_unquoted_names(
    warehouse: Warehouse, synced: SyncedWarehouses
) -> None:
    for stream, schema in synced.streams.items():
        columns = warehouse.query(
            "SELECT column_name, data_type FROM information_schema.columns "
            f"WHERE table_schema = '{warehouse.schema}' AND table_name = '{stream}'"
        )
        types = {column["column_name"]: column["data_type"] for column in columns}
        for name, described in schema.items():
            kinds = {described["type"]} if isinstance(described["type"], str) else {*described["type"]}
            [kind] = kinds - {"null"}
            assert types[name] in TYPES[described.get("format", kind)], (stream, name)
        # Without quotation marks: no name is a word that SQL keeps for itself.
        assert warehouse.query(f"SELECT {', '.join(schema)} FROM {warehouse.schema}.{stream} LIMIT 1"), stream


@pytest.mark.long
def test_warehouse_after_two_syncs_equals_the_sandbox(warehouse: Warehouse, synced: SyncedWarehouses) -> None:
    # What was settled before that key appeared does not have it, and a counter alone is no news. A text in PostgreSQL
    # cannot hold NUL.
    aside: dict[str, Any] = {
        "keys": {"undocumented", "waiting"},
        "character": "\0" if warehouse.schema == "docextract" else "",
    }
    rows = warehouse.rows[-1]

    assert rows.keys() >= synced.truth.keys()
    for stream, row_id in rows.keys() - synced.truth.keys():
        # The row of a value that an edit removed stays; its digest shows that it is of the old content.
        kind, row = stream.rpartition("_")[2], rows[stream, row_id]
        assert kind == "fields"
        assert row["digest"] != synced.truth[stream.replace(kind, "results"), row["result_key"]]["digest"]
    for key, record in synced.truth.items():
        schema = {name: column for name, column in synced.streams[key[0]].items() if name != "observed_at"}
        expected = normalize_record({name: value for name, value in record.items() if name in schema}, schema)
        stored_row = normalize_stored_row(rows[key], schema)
        for name, value in stored_row.items():
            if isinstance(value, float):  # a DOUBLE has the first 15 digits of a whole number; `value` has all
                assert "number" in schema[name]["type"]
                assert value == float(expected[name])
                expected[name] = value
        assert remove_keys(stored_row, **aside) == remove_keys(expected, **aside), key


@pytest.mark.long
def test_second_sync_writes_only_new_and_changed_rows(warehouse: Warehouse, synced: SyncedWarehouses) -> None:
    first, second = warehouse.rows
    new = second.keys() - first.keys()
    unchanged_keys = {key for key in first if first[key]["_airbyte_raw_id"] == second[key]["_airbyte_raw_id"]}
    updated = first.keys() - unchanged_keys

    assert {stream for stream, _ in new} >= {stream for stream in synced.streams if stream.endswith("_files")}
    assert len(unchanged_keys) > len(first) / 4
    for key in unchanged_keys:
        assert first[key] == second[key]
    for key in updated:
        assert first[key]["observed_at"] < second[key]["observed_at"]
    assert [key for key in updated if key[0] == "extracta_results" and second[key]["file_name"] == "007"]
    assert synced.requests[1] < synced.requests[0]


@pytest.mark.long
def test_provider_data_key_added_later_is_queryable(warehouse: Warehouse, synced: SyncedWarehouses) -> None:
    streams = {stream for (stream, _), row in synced.truth.items() if "undocumented" in row.get("provider_data", {})}
    assert {stream.split("_")[0] for stream in streams} == {"extracta", "docmap", "sensible", "atlas"}
    for stream in streams:
        [response] = warehouse.query(
            f"SELECT max(provider_data -> 'undocumented' ->> 'note') AS note FROM {warehouse.schema}.{stream}"
        )
        assert response["note"] == "added by the sandbox", stream


@pytest.mark.long
def test_json_values_and_times_are_queryable(warehouse: Warehouse) -> None:
    [row] = warehouse.query(
        "SELECT data ->> 'digits' AS digits, CAST(data ->> 'total' AS DECIMAL(18, 2)) AS total, "
        "data -> 'nested' -> 'list' ->> 1 AS second, CAST(data ->> 'large' AS BIGINT) AS large, "
        "data ->> 'text' AS text, observed_at - created_at AS age "
        f"FROM {warehouse.schema}.docmap_results WHERE file_name = '0' AND batch_id = '0042'"
    )
    assert (row["digits"], row["total"], row["second"]) == ("00123", Decimal("98765.50"), "2")
    assert (row["large"], row["text"]) == (TRICKY_DATA["large"], TRICKY_DATA["text"])
    assert timedelta() < row["age"] < timedelta(days=1)


@pytest.mark.long
def test_example_queries_give_equal_results_in_both_warehouses(synced: SyncedWarehouses) -> None:
    for number in (0, 1):
        [response] = {
            warehouse.outputs[number].partition("Documents by status")[2] for warehouse in synced.warehouses.values()
        }
        by_status, _, failure_section = response.partition("Failure reasons")
        by_reason, _, failure_section = failure_section.partition("Documents by day")
        status_counts = {
            (name, status): int(n) for name, status, n in re.findall(r"^  (\w+)  (\w+)  (\d+)", by_status, re.M)
        }
        rows = synced.warehouses["duckdb"].rows[number]
        files = [row for (stream, _), row in rows.items() if stream.endswith("_files")]
        assert status_counts == Counter((row["provider"], row["status"]) for row in files)
        reasons = re.findall(r"^  (\w+)  (\d+)  (.+)", by_reason, re.M)
        failed = Counter((row["provider"], row["error"]) for row in files if row["status"] == "failed")
        assert {(name, reason): int(n) for name, n, reason in reasons} == dict(failed.most_common(10))
        assert len({reason for name, _, reason in reasons if name == "docmap"}) > 1
        days, _, totals = failure_section.partition("The largest totals")
        assert len(days.splitlines()) > 3
        assert "  98765.50\n" in totals


LONG_TEXT = "x" * 40_000_000


@dataclass
class HardLoad:
    """What was in a warehouse, and said, after each of three syncs of what is hard to load."""

    warehouse: Warehouse
    codes: list[int]
    outputs: list[str]
    payments: list[RowsByKey]


@pytest.fixture(scope="module")
def hard_loads(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, HardLoad]:
    """Three syncs of a column that becomes text, of very large values, and of a provider that cannot be loaded."""
    from sqlalchemy import make_url

    folder = tmp_path_factory.mktemp("hard")
    file, schema = str(folder / "documents.duckdb"), "docextract"
    database = make_url(postgres).set(database="hard").render_as_string(hide_password=False)
    execute(postgres, "CREATE DATABASE hard")
    warehouses = {
        "duckdb": Warehouse(file, f"duckdb:///{file}", "main"),
        "postgres": Warehouse(database, database, schema),
    }
    loads = {name: HardLoad(warehouse, [], [], []) for name, warehouse in warehouses.items()}
    sandbox = Sandbox(Clock(speed=0))
    template = sandbox.docmap.put_template("Payments")
    unusual_data: list[dict[str, Any]] = [
        {"amount": 12.5, "big": 1e30, "text": "a\0\0b \\u0000", "order": {"a\0": ["\0"]}},
        {"amount": 7, "big": 1.23e35, "text": LONG_TEXT},
        {"amount": 0.1, "big": -1e308},
    ]
    numbers = [{"amount": 12.5}] * 57
    ids = add_payments(sandbox, template, "numbers", [*unusual_data, *numbers])
    atlas = sandbox.atlas.submit([NewDocument("1", 0, {"document_type": "PAN", "n": {"value": "01"}})])
    execute(database, f"CREATE SCHEMA {schema}")
    for warehouse in warehouses.values():
        execute(warehouse.url, f"CREATE VIEW {warehouse.schema}.atlas_files AS SELECT 1 AS id")
        # As PyAirbyte's own caches make it.
        execute(
            warehouse.url, f"CREATE TABLE {warehouse.schema}.docmap_fields (id VARCHAR, number_value DECIMAL(38, 9))"
        )
    with serve(sandbox) as url:
        demo = sandbox.build_settings(url)
        settings = {
            "docmap": demo["docmap"],
            "atlas": {**demo["atlas"], "batch_ids": [atlas]},
            "typed_tables": True,
        }
        (folder / "config.json").write_text(json.dumps(settings))
        for number in range(3):
            if number == 1:
                sandbox.docmap.delete(ids[1])  # rows stay, and 40 MB need not be sent again and again
                add_payments(
                    sandbox, template, "texts", [{"amount": "12,50 EUR", "key": n, "select": n} for n in range(90)]
                )
                for warehouse in warehouses.values():
                    execute(warehouse.url, f"DROP VIEW {warehouse.schema}.atlas_files")
            if number == 2:
                add_payments(sandbox, template, "more", [{"amount": 99.5, "key": "k"}])
            running = {
                name: start_example(folder, load_target.target, "--config", "config.json")
                for name, load_target in warehouses.items()
            }
            for name, process in running.items():
                with process:
                    output, complaints = process.communicate()
                hard_loads = loads[name]
                hard_loads.codes.append(process.returncode)
                hard_loads.outputs.append(f"{output}\n{complaints[-3000:]}")
                rows = hard_loads.warehouse.query(f"SELECT * FROM {hard_loads.warehouse.schema}.docmap_payments")
                hard_loads.payments.append({("docmap_payments", row["file_name"]): row for row in rows})
    return loads


def add_payments(sandbox: Sandbox, template: str, run_id: str, data: list[dict[str, Any]]) -> list[str]:
    sandbox.clock.advance(seconds=60)
    files = [NewExtraction(f"{run_id}-{number}", 0, payment) for number, payment in enumerate(data)]
    ids = sandbox.docmap.add_extractions(template, files, run_id=run_id)
    sandbox.clock.advance(seconds=60)
    return ids


def execute(url: str, sql: str) -> None:
    from sqlalchemy import create_engine, text
    from sqlalchemy.pool import NullPool

    # CREATE DATABASE may not stand in a transaction; DuckDB knows no isolation levels.
    more = {"isolation_level": "AUTOCOMMIT"} if url.startswith("postgresql") else {}
    with create_engine(url, poolclass=NullPool, **more).begin() as connection:
        connection.execute(text(sql))


@pytest.fixture(params=["duckdb", "postgres"])
def loaded(request: pytest.FixtureRequest, hard_loads: dict[str, HardLoad]) -> HardLoad:
    return hard_loads[request.param]


@pytest.mark.long
def test_failed_load_of_a_provider_leaves_the_others_loaded(loaded: HardLoad) -> None:
    assert loaded.codes == [1, 0, 0], loaded.outputs
    assert re.search(r"^Not synced: atlas \(.*atlas_files.*\)\.", loaded.outputs[0], re.M), loaded.outputs[0]
    assert "Not synced: docmap" not in loaded.outputs[0]
    assert len(loaded.payments[0]) == 60
    schema = loaded.warehouse.schema
    assert [row["id"] for row in loaded.warehouse.query(f"SELECT id FROM {schema}.atlas_results")]
    # Nothing is left of what could not be loaded.
    tables = loaded.warehouse.query(f"SELECT table_name FROM information_schema.tables WHERE table_schema = '{schema}'")
    names = {row["table_name"] for row in tables}
    assert {name for name in names if re.search(r"_0\w{8}$", name)} == set()


@pytest.mark.long
def test_column_of_changed_type_is_widened_to_text(loaded: HardLoad) -> None:
    amounts = [Counter(str(row["amount"]) for row in rows.values()) for rows in loaded.payments]
    assert {Decimal(amount): count for amount, count in amounts[0].items()} == {
        Decimal("12.5"): 58,
        Decimal("7"): 1,
        Decimal("0.1"): 1,
    }
    texts = amounts[1].pop("12,50 EUR")
    assert texts == 90
    assert {float(amount): count for amount, count in amounts[1].items()} == {12.5: 58, 7: 1, 0.1: 1}
    # A number among texts does not fit the column's type: the table says so, and the results have it.
    [last] = [row for (_, name), row in loaded.payments[2].items() if name.startswith("more")]
    assert (
        last["amount"],
        json.loads(last["type_errors"]) if isinstance(last["type_errors"], str) else last["type_errors"],
    ) == (None, ["amount", "key"])
    assert len(loaded.payments[2]) == 151


@pytest.mark.long
def test_column_named_by_a_reserved_word_is_added_later(loaded: HardLoad) -> None:
    assert {row["select"] for row in loaded.payments[1].values()} == {None, *range(90)}


@pytest.mark.long
def test_number_of_any_size_is_loaded(loaded: HardLoad) -> None:
    rows = {name: row for (_, name), row in loaded.payments[0].items()}
    assert [float(rows[f"numbers-{number}"]["big"]) for number in range(3)] == [1e30, 1.23e35, -1e308]
    [fields] = loaded.warehouse.query(
        f"SELECT count(*) AS n FROM {loaded.warehouse.schema}.docmap_fields WHERE abs(number_value) > 1e29"
    )
    assert fields["n"] == 3


@pytest.mark.long
def test_text_of_40_mb_is_loaded(loaded: HardLoad) -> None:
    rows = {name: row for (_, name), row in loaded.payments[0].items()}
    assert rows["numbers-1"]["text"] == LONG_TEXT


@pytest.mark.long
def test_nul_character_is_removed_only_in_postgresql(loaded: HardLoad) -> None:
    row = loaded.payments[0]["docmap_payments", "numbers-0"]
    nul = "" if loaded.warehouse.schema == "docextract" else "\0"
    order = json.loads(row["order"]) if isinstance(row["order"], str) else row["order"]
    assert row["text"] == f"a{nul}{nul}b \\u0000"
    assert order == {f"a{nul}": [nul]}


DUPLICATE_SCRIPT = """\
import json, sys
schema = {"type": "object", "properties": {"id": {"type": "string"}, "status": {"type": "string"}}}
stream = {"name": "documents", "json_schema": schema, "supported_sync_modes": ["full_refresh", "incremental"]}
stream |= {"source_defined_primary_key": [["id"]], "source_defined_cursor": True, "default_cursor_field": ["status"]}
if "discover" in sys.argv:
    print(json.dumps({"type": "CATALOG", "catalog": {"streams": [stream]}}))
if "read" in sys.argv:
    for key, status in (("1", "open"), ("2", "open"), ("1", "complete")):
        record = {"stream": "documents", "data": {"id": key, "status": status}, "emitted_at": 0}
        print(json.dumps({"type": "RECORD", "record": record}))
"""


@pytest.mark.long
def test_duplicate_row_in_a_sync_keeps_the_last(postgres: str, tmp_path: Path) -> None:
    (tmp_path / "source-twice").write_text(f"#!{sys.executable}\n{DUPLICATE_SCRIPT}")
    (tmp_path / "source-twice").chmod(0o700)
    load = f"""
import sys
sys.path.insert(0, {str(EXAMPLE.parent)!r})
from to_duckdb_or_postgres import airbyte, open_warehouse
source = airbyte.get_source("source-twice", local_executable="./source-twice", config={{}}, streams="*")
for target in sys.argv[1:]:
    for _ in range(2):
        with open_warehouse(target) as cache:
            source.read(cache, skip_validation=True)
            rows = cache.run_sql_query(f"SELECT id, status FROM {{cache.schema_name}}.documents ORDER BY id")
            print([tuple(row.values()) for row in rows])
"""
    output = wait_for_output(start_example(tmp_path, "twice.duckdb", postgres, script=("-c", load)))

    assert [line for line in output.splitlines() if line.startswith("[(")] == ["[('1', 'complete'), ('2', 'open')]"] * 4


@pytest.mark.long
def test_failed_provider_is_reported_and_the_others_are_synced(tmp_path: Path) -> None:
    warehouse = Warehouse("documents.duckdb", f"duckdb:///{tmp_path / 'documents.duckdb'}", "main")
    sandbox = Sandbox()
    sandbox.fill_demo()
    with serve(sandbox) as url:
        with sandbox.faults.apply_only(Fault("status", "docmap.*", status=401)):
            output = wait_for_output(start_example(tmp_path, warehouse.target, "--sandbox", url), code=1)
        assert output.splitlines()[-1].startswith("Not synced: docmap (Connector failed")
        files = "SELECT count(*) AS n FROM {}_files"
        assert all(warehouse.query(files.format(name))[0]["n"] for name in ("extracta", "sensible", "atlas"))

        wait_for_output(start_example(tmp_path, warehouse.target, "--sandbox", url))

    assert warehouse.query(files.format("docmap"))[0]["n"]
