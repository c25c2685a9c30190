"""Whole syncs where something in an answer cannot be read: it is told, costs nothing else, and is not forgotten."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import requests
from airbyte_cdk.models import AirbyteMessage
from harness import Connection, Synced, only, world
from scripted import Answer, Seen, scripted

from sandbox import Fault, NewDocument, NewExtraction, NewFile, Sandbox, SensibleDocument
from source_docextract.messages import record_lines, records

Change = Callable[[Any], Any]
BAD = (None, "text", [1])


@dataclass
class Between:
    """A connection, and what becomes of the answers that have something to do with a word."""

    connection: Connection
    sandbox: Sandbox
    word: str = ""
    change: Change | None = None
    write: Callable[[Any], bytes] = lambda body: json.dumps(body).encode()

    def spoil(self, word: str, change: Change) -> None:
        self.word, self.change = word, change

    def heal(self) -> None:
        self.change = None


@contextmanager
def between(fill: Callable[[Sandbox], dict[str, Any]]) -> Iterator[Between]:
    """`fill` gives the settings."""
    with world() as (sandbox, url):

        def answer(seen: Seen) -> Answer:
            headers = {name: value for name, value in seen.headers.items() if name.lower() != "host"}
            sent = requests.request(seen.method, url + seen.path, headers=headers, data=seen.body, timeout=60)
            about = here.word in seen.path or here.word.encode() in seen.body
            if here.change is None or not about or sent.status_code >= 300:
                return sent.status_code, {}, sent.content
            return sent.status_code, {}, here.write(here.change(sent.json()))

        with scripted(answer) as server:
            connection = Connection(sandbox, url, fill(sandbox))
            for section in connection.settings.values():
                if isinstance(section, dict) and "base_url" in section:
                    section["base_url"] = section["base_url"].replace(url, server.url)
            here = Between(connection, sandbox)
            yield here


def with_bad(key: str, bad: Any) -> Change:
    """Puts something into a list of an answer."""
    return lambda body: {**body, key: [*body[key][:1], bad, *body[key][1:]]}


def without(key: str, lost: Callable[[Any], bool], bad: Any) -> Change:
    """Puts something into the place of an entry."""
    return changed(key, lambda entry: bad if lost(entry) else entry)


def changed(key: str, change: Change) -> Change:
    return lambda body: {**body, key: list(map(change, body[key]))}


def extracta(sandbox: Sandbox) -> dict[str, Any]:
    template = sandbox.extracta.create("Invoices", ["vendor"])
    sandbox.extracta.upload(template, [NewFile(f"{n}.pdf", 0, {"vendor": f"{n}"}) for n in range(3)])
    return {"extracta": {"extraction_ids": [template]}}


def atlas(sandbox: Sandbox) -> dict[str, Any]:
    data = {"document_type": "PAN", "name": {"value": "ASHA", "confidence_score": 0.9}}
    return {"atlas": {"batch_ids": [sandbox.atlas.submit([NewDocument(f"{n}", 0, data) for n in range(60)])]}}


def docmap(sandbox: Sandbox) -> dict[str, Any]:
    """Three a day, in each of the last forty days."""
    template = sandbox.docmap.template("Invoices")
    for _ in range(40):
        for _ in range(3):
            sandbox.docmap.run(template, [NewExtraction("a.pdf", 0, {"n": 1})], "run 1")
            sandbox.clock.advance(seconds=60)
        sandbox.clock.advance(days=1, seconds=-180)
    return {"docmap": {}}


def sensible(sandbox: Sandbox) -> dict[str, Any]:
    sandbox.sensible.document_type("claims")
    for _ in range(5):
        sandbox.sensible.extract([SensibleDocument(f"{n}.pdf", 0, {"n": None}) for n in range(2)], "claims")
        sandbox.clock.advance(days=9)
    batch = sandbox.sensible.batch([SensibleDocument(f"b{n}.pdf", 0, {"n": None}) for n in range(3)], "claims")
    for n in range(3):
        sandbox.sensible.upload(batch, n)
    return {"sensible": {}}


def rows(synced: Synced) -> dict[str, int]:
    """How many of each kind, but for the values of results."""
    return {stream: count for stream, count in synced.counts.items() if not stream.endswith("_fields")}


def incomplete(synced: Synced) -> set[str]:
    return {stream for stream, end in synced.ends.items() if end == "INCOMPLETE"}


@pytest.mark.parametrize("bad", BAD, ids=repr)
def test_a_malformed_file_costs_no_other_of_its_batch(bad: Any) -> None:
    with between(extracta) as here:
        here.spoil("getBatchResults", without("files", lambda file: file["fileName"] == "1.pdf", bad))

        first, second = here.connection.sync(), here.connection.sync()

        assert rows(first) == {"extracta_batches": 1, "extracta_files": 2, "extracta_results": 2}
        assert incomplete(first) == incomplete(second) == set(here.connection.streams)
        row = only(first.records["extracta_batches"])
        assert row["status"] == "open"
        assert row["error"].startswith("1 of the files of ")
        assert second.counts == {}
        assert first.error is not None
        assert row["error"] in str(first.error.message)

        here.heal()
        third = here.connection.sync()
        assert rows(third) == {"extracta_batches": 1, "extracta_files": 1, "extracta_results": 1}
        assert (incomplete(third), only(third.records["extracta_batches"])["status"]) == (set(), "complete")
        assert here.connection.sync().counts == {}


@pytest.mark.parametrize("page", ["page=1", "page=2"])
def test_a_malformed_document_costs_no_other_of_its_batch(page: str) -> None:
    with between(atlas) as here:
        here.spoil(page, without("data", lambda document: document["document_id"] in {"7", "57"}, None))

        first = here.connection.sync()

        assert rows(first) == {"atlas_batches": 1, "atlas_files": 59, "atlas_results": 59}
        assert incomplete(first) == set(here.connection.streams)
        here.heal()
        assert rows(here.connection.sync()) == {"atlas_batches": 1, "atlas_files": 1, "atlas_results": 1}
        assert here.connection.sync().counts == {}


LISTS: dict[str, tuple[Callable[[Sandbox], dict[str, Any]], str, str]] = {
    "docmap": (docmap, "data", "createdAt"),
    "sensible": (sensible, "extractions", "created"),
}
"""What fills the account, where its list has its rows, and they their time."""


@pytest.mark.parametrize("bad", [None, 7, {}, {"id": None}], ids=repr)
@pytest.mark.parametrize("product", LISTS)
def test_a_malformed_row_keeps_no_other_from_being_delivered_and_is_not_passed_over(product: str, bad: Any) -> None:
    fill, key, _ = LISTS[product]
    with between(fill) as here:
        ids = getattr(here.sandbox, product).ids
        here.spoil("/extractions?", without(key, lambda row: row["id"] == ids[0], bad))

        first, again = here.connection.sync(), here.connection.sync()

        files = here.connection.warehouse[f"{product}_files"]
        assert files.keys() == set(ids[1:])
        assert f"{product}_files" in incomplete(first)
        assert f"{product}_files" in incomplete(again)
        assert f"{product}_files" not in again.counts
        assert first.error is not None
        assert "cannot be read; the rest was delivered." in str(first.error.message)

        here.sandbox.clock.advance(days=20)
        here.heal()
        healed = here.connection.sync()
        assert healed.ids(f"{product}_files") == ids[:1]
        assert incomplete(healed) == set()
        assert not here.connection.repeated[f"{product}_files"]
        assert here.connection.sync().counts == {}


@pytest.mark.parametrize("product", LISTS)
@pytest.mark.parametrize("sent", [None, "soon", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z", 1e300])
def test_a_row_whose_time_cannot_be_read_is_delivered_once(product: str, sent: Any) -> None:
    fill, key, created = LISTS[product]
    with between(fill) as here:
        ids = getattr(here.sandbox, product).ids
        odd = ids[len(ids) // 2]
        told = {created: sent}
        here.spoil("/extractions?", changed(key, lambda row: row | told if row["id"] == odd else row))

        first, second = here.connection.sync(), here.connection.sync()

        assert set(first.ends.values()) == {"COMPLETE"}
        assert set(first.ids(f"{product}_files")) == set(ids)
        assert second.counts == {}
        here.sandbox.clock.advance(days=1)
        assert here.connection.sync().counts == {}


@pytest.mark.parametrize("bad", [None, "", 0, True, [], [1], {"id": "e1"}], ids=repr)
def test_a_batch_that_names_one_without_an_id_is_told_and_stays_open(bad: Any) -> None:
    with between(sensible) as here:
        here.spoil("/extract/batch/", with_bad("extraction_ids", bad))

        first = here.connection.sync()

        assert incomplete(first) >= {"sensible_batches"}
        row = only(first.records["sensible_batches"])
        assert (row["status"], row["files_total"]) == ("open", 3)
        assert row["error"].startswith("1 of the extraction_ids of ")
        assert len(here.connection.warehouse["sensible_files"]) == 13


ODD_JSON: dict[str, Callable[[Any], bytes]] = {
    "a lone surrogate": lambda body: json.dumps(body).replace("Acme", r"Ac\ud83d").encode(),
    "NaN": lambda body: json.dumps(body).replace('"Acme"', "NaN").encode(),
    "a number of many digits": lambda body: json.dumps(body).replace('"Acme"', str(2**70)).encode(),
    "a byte order mark": lambda body: b"\xef\xbb\xbf" + json.dumps(body).encode(),
    "UTF-16": lambda body: json.dumps(body).encode("utf-16"),
    "line ends": lambda body: json.dumps(body).encode().replace(b"Acme", b"A\n\r\xe2\x80\xa8me"),
    "the same key twice": lambda body: json.dumps(body).encode().replace(b'{"', b'{"status":"x","', 1),
}
READ = {
    "a lone surrogate": "Ac\ufffd",
    "NaN": "NaN",
    "a number of many digits": "1180591620717411303424",
    "line ends": "A\n\r\u2028me",
}


def named_acme(sandbox: Sandbox) -> dict[str, Any]:
    template = sandbox.extracta.create("Invoices", ["vendor"])
    sandbox.extracta.upload(template, [NewFile("a.pdf", 0, {"vendor": "Acme"})])
    return {"extracta": {"extraction_ids": [template]}}


def test_sync_answer_with_a_byte_that_is_no_letter_fails_its_batch_until_it_is_mended() -> None:
    with between(named_acme) as here:
        here.write = lambda body: json.dumps(body).encode().replace(b"Acme", b"Acm\xe9")
        here.spoil("", lambda body: body)

        synced = here.connection.sync()

        assert set(synced.ends.values()) == {"INCOMPLETE"}
        assert "is not utf-8). Nothing of this answer is delivered" in str(synced.error)
        assert "extracta_results" not in synced.records
        here.heal()
        assert only(here.connection.sync().records["extracta_results"])["data"] == {"vendor": "Acme"}


@pytest.mark.parametrize("id_", ["secret" * 1_400, "b" * 100_000])
def test_sync_failing_batch_with_a_long_id_is_said_in_a_sentence(id_: str) -> None:
    with world() as (sandbox, url):
        template = sandbox.extracta.create("Invoices", ["vendor"])
        sandbox.extracta.upload(template, [NewFile("a.pdf", 0, {"vendor": "Acme"})], id_)
        connection = Connection(sandbox, url, {"extracta": {"extraction_ids": [template]}})
        body = {"error": "password=s3cr3t " * 50_000}
        with sandbox.faults.during(Fault("status", "extracta.getBatchResults", status=500, body=body)):
            synced = connection.sync()

        assert set(synced.ends.values()) == {"INCOMPLETE"}
        assert "had a trouble of its own (500: password=****" in str(synced.error)
        assert id_ not in str(synced.error)
        assert set(connection.sync().ends.values()) == {"COMPLETE"}


@pytest.mark.parametrize("odd", ODD_JSON)
def test_json_that_is_not_strict_is_read_as_it_is_meant(odd: str) -> None:
    with between(named_acme) as here:
        here.write = ODD_JSON[odd]
        here.spoil("", lambda body: body)

        synced = here.connection.sync()

        assert set(synced.ends.values()) == {"COMPLETE"}
        assert only(synced.records["extracta_results"])["data"] == {"vendor": READ.get(odd, "Acme")}
        assert here.connection.sync().counts == {}


def printed(stream: str, rows: Iterable[dict[str, Any]], emitted_at: int) -> Iterator[AirbyteMessage]:
    """Records as messages, each of which can be printed as the command line prints it."""
    for row in rows:
        list(record_lines(stream, [row], emitted_at))
        yield from records(stream, [row], emitted_at)


@pytest.mark.parametrize("depth", [200, 250, 251, 252, 253, 254, 260, 700, 1_000, 5_000])
@pytest.mark.parametrize("beside", [b'"result": {', b'"files": [{'])
def test_what_is_nested_deeply_is_a_row_or_an_error(depth: int, beside: bytes) -> None:
    deep = b'"deep": ' + b"[" * depth + b"]" * depth + b", "
    with between(extracta) as here:
        here.spoil("getBatchResults", lambda body: body)
        here.write = lambda body: json.dumps(body).encode().replace(beside, beside + deep, 1)
        here.connection.source.tell = printed

        synced = here.connection.sync()

        is_read = "COMPLETE" in synced.ends.values()
        assert set(synced.ends.values()) == {"COMPLETE" if is_read else "INCOMPLETE"}
        assert depth in {252, 253} or is_read == (depth < 252)
        assert synced.counts.get("extracta_results", 0) == (3 if is_read else 0)
        assert is_read or "nested too deeply" in str(synced.error) or "is not JSON" in str(synced.error)
        here.heal()
        assert set(here.connection.sync().ends.values()) == {"COMPLETE"}
        assert len(here.connection.warehouse["extracta_results"]) == 3


def test_a_time_that_is_missing_does_not_spoil_the_state() -> None:
    """The year 1, as some write that there is none."""
    with between(sensible) as here:
        here.spoil("/documents/", lambda body: {**body, "completed": "0001-01-01T00:00:00Z"})

        assert set(here.connection.sync().ends.values()) == {"COMPLETE"}
        assert here.connection.sync().counts == {}
