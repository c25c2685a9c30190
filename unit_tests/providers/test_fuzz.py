"""Every reader, with answers that are spoilt or wholly made up.

For each of them: a request flow ends with its result, or with one plain sentence; every entry of a response that has
an identity is in the result, and every other one is reported; rows and state are made of it, written and read again.
"""

from __future__ import annotations

import json
import re
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from random import Random
from typing import Any

import orjson
import pytest
from airbyte_cdk.entrypoint import AirbyteEntrypoint
from hypothesis import given, settings
from hypothesis import strategies as st

from source_docextract.core.errors import BugError, ConnectorError, UnreadableResponse
from source_docextract.core.model import Document, Snapshot
from source_docextract.core.provider import ListedRows
from source_docextract.core.requests import ErrorFormat, Request
from source_docextract.core.templates import DiscoveredTemplates
from source_docextract.http.json_decoding import BadByteError, parse_json
from source_docextract.state.entries import Listing, SyncPolicy
from source_docextract.state.serialization import StreamState
from source_docextract.sync import messages
from source_docextract.sync.flow_runner import FlowRunner, Job
from source_docextract.tables.rows import TABLES, RenderOptions
from source_docextract.tables.typed import RESERVED_COLUMNS, TypedTable, assign_table_names, build_typed_stream
from unit_tests.support.harness import START
from unit_tests.support.payload_faults import corrupt_json, encode_corrupted
from unit_tests.support.reader_cases import NAMES, UNKNOWN_ID_ERROR, Reader, build_readers, count_delivered_ids
from unit_tests.support.stub_server import ACME, flatten_flow, join_parts

EXAMPLES_PER_READER = 40
"""Bodies of one example: to draw an example costs as much."""
MOST_REQUESTS = 30

KEYS = (
    *("files", "data", "extractions", "extraction_ids", "id", "fileId", "document_id", "status", "result", "error"),
    *("created", "createdAt", "documents", "output", "hasMore", "has_next", "total_items", "batches", "file_data"),
)
SAMPLE_TEXTS = ("waiting", "processed", "completed", "COMPLETE", "2026-11-20T08:00:00Z")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(SAMPLE_TEXTS),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=3), inner, max_size=5)
    ),
    max_leaves=12,
)


def get_reader(name: str) -> Reader:
    return build_readers()[name]


@pytest.mark.parametrize("name", NAMES)
def test_reader_valid_responses_are_read_completely(name: str) -> None:
    reader = get_reader(name)

    result, bodies = play_bodies(reader, list(map(orjson.loads, reader.responses)))

    assert not isinstance(result, Exception)
    assert len(bodies) == len(reader.responses)
    check_result(reader, result, bodies)


@pytest.mark.parametrize("name", NAMES)
def test_reader_corrupted_response_is_read_or_refused(name: str) -> None:
    assert count_corrupted_examples(get_reader(name), examples=5) >= 200


@pytest.mark.long
@pytest.mark.nightly
@pytest.mark.parametrize("name", NAMES)
def test_reader_many_corrupted_responses_are_read_or_refused(name: str) -> None:
    assert count_corrupted_examples(get_reader(name), examples=150) >= 6000


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=20, deadline=None)
@given(bodies=st.lists(JSON, min_size=3, max_size=3))
def test_reader_arbitrary_responses_are_read_or_refused(name: str, bodies: list[Any]) -> None:
    parsed_bodies = [parse_json(json.dumps(body).encode()) for body in bodies]

    result, given_bodies = play_bodies(get_reader(name), parsed_bodies)

    check_result(get_reader(name), result, given_bodies)


@pytest.mark.parametrize("name", NAMES)
def test_reader_corrupted_response_causes_no_unexpected_error(name: str) -> None:
    """What runs the scripts makes an error of whatever a reader did not foresee; there is nothing of the kind."""
    reader, arrivals, random = get_reader(name), SimpleQueue(), Random(7)  # type: ignore[var-annotated]
    for _ in range(60):
        bodies = corrupt_bodies(reader, random)
        scripts = FlowRunner(FakeClient(bodies), arrivals)  # type: ignore[arg-type]
        part_documents: list[Document] = []
        job = scripts.start(reader.start(), None)
        while job is None or job.part:
            if job and job.part:
                part_documents += job.part.documents or ()
                job = scripts.resume(job)
            else:
                job = scripts.handle_completion(arrivals.get_nowait())
        scripts.close()

        assert not isinstance(job.error, BugError), bodies
        result = job.error or join_parts(part_documents, job.result)
        expected, _ = play_bodies(reader, bodies)
        # Of templates, all are asked for again where one is refused: what was given before is not given once more.
        assert isinstance(expected, DiscoveredTemplates) or repr(result) == repr(expected), bodies


def test_reader_unexpected_error_names_the_line_and_not_the_content() -> None:
    def script() -> Any:
        yield [Request("GET", "/a")]
        return int("4929 1234 5678 9012 of Asha Sharma")

    arrivals: SimpleQueue[Any] = SimpleQueue()
    scripts = FlowRunner(FakeClient([{}]), arrivals)  # type: ignore[arg-type]
    scripts.start(script(), None)

    job = scripts.handle_completion(arrivals.get())

    scripts.close()
    assert isinstance(job, Job)
    assert isinstance(job.error, UnreadableResponse)
    assert "A response from Acme led to an unexpected error (ValueError at sync/flow_runner.py:" in str(job.error)
    assert "This is a bug in the connector: please report it." in str(job.error)
    assert "Asha" not in "".join(traceback.format_exception(job.error))


@dataclass
class FakeClient:
    """A client that gives these answers, and after the last one that nobody knows anything."""

    bodies: list[Any]
    error_format: ErrorFormat = ACME
    max_in_flight: int = 4

    def __post_init__(self) -> None:
        self._remaining = list(self.bodies)

    def submit(self, _request: Request, on_done: Callable[[Any], None]) -> None:
        on_done(self._remaining.pop(0) if self._remaining else UNKNOWN_ID_ERROR)

    def close(self) -> None:
        """There is nothing to close."""


def count_corrupted_examples(reader: Reader, examples: int) -> int:
    """Return how many were tried; a failure names the seed of its example."""
    tried: Counter[str] = Counter()

    @settings(max_examples=examples, deadline=None, database=None)
    @given(seed=st.integers(0, 2**63))
    def try_example(seed: int) -> None:
        random = Random(seed)
        for _ in range(EXAMPLES_PER_READER):
            bodies = corrupt_bodies(reader, random)
            result, given_bodies = play_bodies(reader, bodies)
            tried[reader.name] += 1
            try:
                check_result(reader, result, given_bodies)
            except Exception as error:
                raise AssertionError(f"{reader.name}: {bodies!r}") from error

    try_example()
    print(f"{reader.name}: {tried[reader.name]:,} bodies")
    return tried[reader.name]


def corrupt_bodies(reader: Reader, random: Random) -> list[Any]:
    """Good answers, and one that is not; as the client would hand them on."""
    bodies = list(map(orjson.loads, reader.responses))
    number = random.randrange(len(bodies))
    try:
        bodies[number] = parse_json(encode_corrupted(corrupt_json(bodies[number], random), random))
    except ValueError as error:  # not JSON: the client reports it
        assert isinstance(error, (json.JSONDecodeError, orjson.JSONDecodeError)), error  # noqa: PT017
        return bodies[:number]
    except BadByteError:  # nor is a letter that nobody knows any reader's concern
        return bodies[:number]
    return bodies


def play_bodies(reader: Reader, bodies: list[Any]) -> tuple[Any, list[Any]]:
    """What comes of these answers, and those of them that were asked for; after them nobody knows anything."""
    script, remaining = flatten_flow(reader.start()), list(bodies)
    given_bodies: list[Any] = []
    try:
        requests = next(script)
        for _ in range(MOST_REQUESTS):
            if len(requests) > len(remaining):
                requests = script.throw(UNKNOWN_ID_ERROR)
            else:
                given_bodies += remaining[: len(requests)]
                requests = script.send([remaining.pop(0) for _ in requests])
    except StopIteration as end:
        return end.value, given_bodies
    except ConnectorError as error:
        return error, given_bodies
    raise AssertionError(f"{reader.name} goes on asking: {requests}")


def check_result(reader: Reader, result: Any, bodies: list[Any]) -> None:
    if isinstance(result, ConnectorError):
        assert str(result).isprintable()
        assert len(str(result)) <= 4000
        assert str(result).endswith((".", ".)")) or result is UNKNOWN_ID_ERROR
        return
    if isinstance(result, (Snapshot, ListedRows)):
        check_all_delivered(reader, result, bodies)
    if isinstance(result, Snapshot):
        check_rows(result)
        check_state(reader, result)
    if isinstance(result, DiscoveredTemplates):
        check_tables(result)


def check_all_delivered(reader: Reader, result: Snapshot | ListedRows, bodies: list[Any]) -> None:
    expected_ids, delivered_ids = reader.count_expected_ids(bodies), count_delivered_ids(result)
    read_error = result.read_error if isinstance(result, Snapshot) else result.error
    assert bool(read_error) == bool(reader.count_unusable(bodies))
    assert set(delivered_ids) == set(expected_ids) or reader.is_single
    assert delivered_ids[""] == expected_ids[""] or reader.is_single
    if reader.keeps_duplicates:
        assert delivered_ids == expected_ids


def check_rows(snapshot: Snapshot) -> None:
    for table in TABLES:
        rows = list(table.build_rows(snapshot, RenderOptions("acme"))) if table.is_reported(snapshot) else []
        records = [record for row in rows for record in row.records]
        assert len({record["id"] for record in records}) == len(records)
        printed = b"".join(
            lines.payload for lines in messages.make_record_lines(table.kind, records, 1_763_629_200_000)
        )
        made = messages.make_record_messages(table.kind, records, 1_763_629_200_000)
        by_the_cdk = "".join(f"{AirbyteEntrypoint.airbyte_message_to_string(message)}\n" for message in made)
        assert printed == messages.escape_line_separators(by_the_cdk.encode())
        lines = printed.decode().splitlines()
        assert len(lines) == len(records)
        for line, record in zip(lines, records, strict=True):
            values = {name: value for name, value in record.items() if value is not None}
            assert orjson.loads(line)["record"]["data"] == values


def check_tables(result: DiscoveredTemplates) -> None:
    """Names that every warehouse takes, none of them twice, and schemas that are understood when they come back."""
    assert all(trouble.isprintable() and len(trouble) < 1000 for trouble in result.errors)
    names = assign_table_names({"acme": result.templates}, ())
    assert len(set(names.values())) == len(names) == len(result.templates)
    for template in result.templates:
        stream = build_typed_stream("acme", template, names["acme", template.key])
        schema = orjson.loads(orjson.dumps(stream.json_schema))
        columns = schema["properties"]
        assert all(re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", name) for name in (stream.name, *columns))
        assert len(columns) == len(RESERVED_COLUMNS) + sum(1 + len(field.meta_parts) for field in template.fields)
        read = TypedTable.parse(schema)
        assert read
        assert (read.key, {*read.sources_by_field}) == (template.key, {field.name for field in template.fields})


def check_state(reader: Reader, snapshot: Snapshot) -> None:
    stream_state = StreamState(SyncPolicy(), change_detection=reader.product.change_detection)
    listing = Listing()
    listing.add([snapshot.ref])
    stream_state.ledger_pass.plan(listing, START)
    for reference in snapshot.references:
        stream_state.reference_pass.register_reference(reference, START)
    decision = stream_state.ledger_pass.decide(snapshot, START)
    stream_state.ledger_pass.record(snapshot.ref, decision, [], START)
    document = orjson.loads(orjson.dumps(stream_state.as_json()))
    assert StreamState(SyncPolicy()).load(document, "acme").as_json() == document
