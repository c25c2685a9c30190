"""Every reader, with answers that are spoilt or wholly made up.

What holds for each: a script ends with what it has read, or with one plain sentence; what can be told apart in an
answer is in the result, and what cannot is told; rows can be made of it, and state, and both can be written and read
again.
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
from harness import START
from hypothesis import given, settings
from hypothesis import strategies as st
from readers import NAMES, NOTHING, Reader, delivered, readers
from scripted import ACME
from spoiling import spoilt, written

from source_docextract import messages
from source_docextract.answers import Dialect
from source_docextract.body import BadByteError, parsed
from source_docextract.entries import Listing, Rules
from source_docextract.errors import BadAnswer, BugError, ConnectorError
from source_docextract.http import Request
from source_docextract.model import Snapshot
from source_docextract.providers.base import Listed
from source_docextract.scripts import Job, Scripts
from source_docextract.state import Ledger
from source_docextract.tables import TABLES, View
from source_docextract.templates import Templates
from source_docextract.typed import COLUMNS, Typed, stream_of, table_names

EACH = 40
"""Bodies of one example: to draw an example costs as much."""
MOST_REQUESTS = 30

KEYS = (
    *("files", "data", "extractions", "extraction_ids", "id", "fileId", "document_id", "status", "result", "error"),
    *("created", "createdAt", "documents", "output", "hasMore", "has_next", "total_items", "batches", "file_data"),
)
WORDS = ("waiting", "processed", "completed", "COMPLETE", "2026-11-20T08:00:00Z")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(WORDS),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=3), inner, max_size=5)
    ),
    max_leaves=12,
)


def reader_of(name: str) -> Reader:
    return readers()[name]


@pytest.mark.parametrize("name", NAMES)
def test_a_good_answer_is_read_whole(name: str) -> None:
    reader = reader_of(name)

    result, bodies = played(reader, list(map(orjson.loads, reader.answers)))

    assert not isinstance(result, Exception)
    assert len(bodies) == len(reader.answers)
    check(reader, result, bodies)


@pytest.mark.parametrize("name", NAMES)
def test_a_spoilt_answer_is_read_as_far_as_can_be_or_refused(name: str) -> None:
    assert spoilt_answers(reader_of(name), examples=50) >= 2_000


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_so_are_ten_times_as_many(name: str) -> None:
    assert spoilt_answers(reader_of(name), examples=500) >= 20_000


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=60, deadline=None)
@given(bodies=st.lists(JSON, min_size=3, max_size=3))
def test_an_answer_that_is_wholly_made_up_is_read_as_far_as_can_be_or_refused(name: str, bodies: list[Any]) -> None:
    sent = [parsed(json.dumps(body).encode()) for body in bodies]

    result, given_bodies = played(reader_of(name), sent)

    check(reader_of(name), result, given_bodies)


@pytest.mark.parametrize("name", NAMES)
def test_the_net_under_the_readers_has_nothing_to_catch(name: str) -> None:
    """What runs the scripts makes an error of whatever a reader did not foresee; there is nothing of the kind."""
    reader, arrivals, random = reader_of(name), SimpleQueue(), Random(7)  # type: ignore[var-annotated]
    for _ in range(60):
        bodies = spoilt_bodies(reader, random)
        scripts = Scripts(Answering(bodies), arrivals)  # type: ignore[arg-type]
        job = scripts.start(reader.start(), None)
        while job is None:
            job = scripts.arrived(arrivals.get())
        scripts.close()

        assert not isinstance(job.error, BugError), bodies
        expected, _ = played(reader, bodies)
        # Of templates, all are asked for again where one is refused: what was given before is not given once more.
        assert isinstance(expected, Templates) or repr(job.error or job.result) == repr(expected), bodies


def test_what_a_reader_does_not_foresee_is_told_by_its_place_and_not_by_its_words() -> None:
    def script() -> Any:
        yield [Request("GET", "/a")]
        return int("4929 1234 5678 9012 of Asha Sharma")

    arrivals: SimpleQueue[Any] = SimpleQueue()
    scripts = Scripts(Answering([{}]), arrivals)  # type: ignore[arg-type]
    scripts.start(script(), None)

    job = scripts.arrived(arrivals.get())

    scripts.close()
    assert isinstance(job, Job)
    assert isinstance(job.error, BadAnswer)
    assert "An answer of Acme's led to an unexpected error (ValueError at scripts.py:" in str(job.error)
    assert "This is a bug in the connector: please report it." in str(job.error)
    assert "Asha" not in "".join(traceback.format_exception(job.error))


@dataclass
class Answering:
    """A client that gives these answers, and after the last one that nobody knows anything."""

    bodies: list[Any]
    dialect: Dialect = ACME
    max_in_flight: int = 4

    def __post_init__(self) -> None:
        self._left = list(self.bodies)

    def ask(self, _request: Request, tell: Callable[[Any], None]) -> None:
        tell(self._left.pop(0) if self._left else NOTHING)

    def close(self) -> None:
        """There is nothing to close."""


def spoilt_answers(reader: Reader, examples: int) -> int:
    """How many have been tried; the seed of one that is not read as it should be is told."""
    tried: Counter[str] = Counter()

    @settings(max_examples=examples, deadline=None, database=None)
    @given(seed=st.integers(0, 2**63))
    def try_some(seed: int) -> None:
        random = Random(seed)
        for _ in range(EACH):
            bodies = spoilt_bodies(reader, random)
            result, given_bodies = played(reader, bodies)
            tried[reader.name] += 1
            try:
                check(reader, result, given_bodies)
            except Exception as error:
                raise AssertionError(f"{reader.name}: {bodies!r}") from error

    try_some()
    print(f"{reader.name}: {tried[reader.name]:,} bodies")
    return tried[reader.name]


def spoilt_bodies(reader: Reader, random: Random) -> list[Any]:
    """Good answers, and one that is not; as the client would hand them on."""
    bodies = list(map(orjson.loads, reader.answers))
    number = random.randrange(len(bodies))
    try:
        bodies[number] = parsed(written(spoilt(bodies[number], random), random))
    except ValueError as error:  # no JSON: that is the client's to tell
        assert isinstance(error, (json.JSONDecodeError, orjson.JSONDecodeError)), error  # noqa: PT017
        return bodies[:number]
    except BadByteError:  # nor is a letter that nobody knows any reader's concern
        return bodies[:number]
    return bodies


def played(reader: Reader, bodies: list[Any]) -> tuple[Any, list[Any]]:
    """What comes of these answers, and those of them that were asked for; after them nobody knows anything."""
    script, left = reader.start(), list(bodies)
    given_bodies: list[Any] = []
    try:
        requests = next(script)
        for _ in range(MOST_REQUESTS):
            if len(requests) > len(left):
                requests = script.throw(NOTHING)
            else:
                given_bodies += left[: len(requests)]
                requests = script.send([left.pop(0) for _ in requests])
    except StopIteration as end:
        return end.value, given_bodies
    except ConnectorError as error:
        return error, given_bodies
    raise AssertionError(f"{reader.name} goes on asking: {requests}")


def check(reader: Reader, result: Any, bodies: list[Any]) -> None:
    if isinstance(result, ConnectorError):
        assert str(result).isprintable()
        assert len(str(result)) <= 4000
        assert str(result).endswith((".", ".)")) or result is NOTHING
        return
    if isinstance(result, (Snapshot, Listed)):
        check_nothing_is_lost(reader, result, bodies)
    if isinstance(result, Snapshot):
        check_rows(result)
        check_state(reader, result)
    if isinstance(result, Templates):
        check_tables(result)


def check_nothing_is_lost(reader: Reader, result: Snapshot | Listed, bodies: list[Any]) -> None:
    wanted, found = reader.ids(bodies), delivered(result)
    assert bool(result.trouble) == bool(reader.lost(bodies))
    assert set(found) == set(wanted) or reader.is_one
    assert found[""] == wanted[""] or reader.is_one
    if reader.has_all:
        assert found == wanted


def check_rows(snapshot: Snapshot) -> None:
    for table in TABLES:
        rows = list(table.rows(snapshot, View("acme"))) if table.tells(snapshot) else []
        records = [record for row in rows for record in row.records]
        assert len({record["id"] for record in records}) == len(records)
        printed = b"".join(lines.text for lines in messages.record_lines(table.kind, records, 1_763_629_200_000))
        made = messages.records(table.kind, records, 1_763_629_200_000)
        by_the_cdk = "".join(f"{AirbyteEntrypoint.airbyte_message_to_string(message)}\n" for message in made)
        assert printed == messages.plain_ends(by_the_cdk.encode())
        lines = printed.decode().splitlines()
        assert len(lines) == len(records)
        for line, record in zip(lines, records, strict=True):
            told = {name: value for name, value in record.items() if value is not None}
            assert orjson.loads(line)["record"]["data"] == told


def check_tables(result: Templates) -> None:
    """Names that every warehouse takes, none of them twice, and schemas that are understood when they come back."""
    assert all(trouble.isprintable() and len(trouble) < 1000 for trouble in result.troubles)
    names = table_names({"acme": result.known}, ())
    assert len(set(names.values())) == len(names) == len(result.known)
    for template in result.known:
        stream = stream_of("acme", template, names["acme", template.of])
        schema = orjson.loads(orjson.dumps(stream.json_schema))
        columns = schema["properties"]
        assert all(re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", name) for name in (stream.name, *columns))
        assert len(columns) == len(COLUMNS) + sum(1 + len(field.told) for field in template.fields)
        read = Typed.read(schema)
        assert read
        assert (read.of, {*read.reads}) == (template.of, {field.name for field in template.fields})


def check_state(reader: Reader, snapshot: Snapshot) -> None:
    ledger = Ledger(Rules(), watch=reader.product.watch)
    listing = Listing()
    listing.add([snapshot.ref])
    ledger.batches.plan(listing, START)
    for link in snapshot.links:
        ledger.links.expect(link, START)
    ledger.batches.settle(snapshot, [], START)
    document = orjson.loads(orjson.dumps(ledger.as_json()))
    assert Ledger(Rules()).load(document, "acme").as_json() == document
