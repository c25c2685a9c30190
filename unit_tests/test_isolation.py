"""What one trouble costs: itself. All else is delivered, and the next sync asks for exactly what was missing."""

from __future__ import annotations

import logging
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airbyte_cdk.models import FailureType
from harness import START, Connection, Synced, log, only, world
from weather import PRODUCTS, Weather, host, weather

from sandbox import DocumentType, Fault, NewDocument, NewExtraction, NewFile, Sandbox, SensibleDocument

HOSTS = ("extracta", "docmap", "sensible", "atlas")


@pytest.fixture(scope="module")
def skies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Weather]:
    """Nothing that is settled is looked back at, so that requests are for what is open or missing alone."""
    with weather(tmp_path_factory.mktemp("weather"), lookback_days=0) as here:
        yield here


def incomplete(synced: Synced) -> set[str]:
    return {stream for stream, end in synced.ends.items() if end == "INCOMPLETE"}


def of(provider: str, requests: dict[str, int]) -> dict[str, int]:
    return {endpoint: count for endpoint, count in requests.items() if endpoint.startswith(f"{provider}.")}


def let_arrive(skies: Weather) -> None:
    """What was on its way when a provider was given up is not to be counted in the next sync."""
    before: dict[str, int] = {}
    while before != (before := dict(skies.sandbox.journal.counts())):
        time.sleep(0.1)


@pytest.mark.parametrize("down", HOSTS)
def test_a_provider_that_is_down_is_left_for_the_next_sync_and_asked_for_what_was_missing(
    skies: Weather, down: str
) -> None:
    connection = skies.connection()
    with skies.sandbox.faults.during(Fault("status", f"{down}.*", status=503)):
        synced = connection.sync()
        let_arrive(skies)

    concerned = {stream for stream in synced.ends if host(stream) == down}
    assert incomplete(synced) == concerned
    skies.has_all(connection, synced.ends.keys() - concerned)
    assert synced.error is not None
    assert synced.error.failure_type is FailureType.transient_error
    assert not concerned & synced.counts.keys()
    for other in HOSTS:
        assert other == down or of(other, synced.requests) == of(other, skies.second.requests)
    healed = connection.sync()
    assert healed.requests == {**skies.quiet.requests, **of(down, skies.second.requests)}
    assert {host(stream) for stream in healed.counts} == {down}
    skies.is_whole(connection)


@dataclass(frozen=True)
class Broken:
    """One batch, run or document that always fails.

    Attributes:
        endpoint, about: how it is asked for.
        products: whose streams it concerns, or `only` their batches.
        lost: the batches and documents whose rows are missing for as long as it fails.
        more: what the sync that reads it asks for beside what a quiet one does.
    """

    endpoint: str
    about: str
    products: tuple[str, ...]
    lost: tuple[str, ...]
    more: dict[str, int]
    only: str = ""

    def concerns(self, stream: str) -> bool:
        product, kind = stream.rsplit("_", 1)
        return product in self.products and self.only in {"", kind}


BROKEN = {
    "an extraction batch": Broken(
        "extracta.getBatchResults", "new batch", ("extracta",), ("new batch",), {"extracta.getBatchResults": 1}
    ),
    "a classification batch": Broken(
        "extracta.getResults",
        "new mail",
        ("extracta", "extracta_classification"),
        ("new mail", "linked batch"),
        {"extracta.getResults": 1, "extracta.getBatchResults": 1},
    ),
    "a run": Broken(
        "docmap.extractions", '"runId":"new run"', ("docmap",), ("new run",), {"docmap.extractions": 1}, "batches"
    ),
    "a watched extraction": Broken("docmap.extraction", "watched document", ("docmap",), (), {}),
    "a document": Broken(
        "sensible.document", "new document", ("sensible",), ("new document",), {"sensible.document": 1}
    ),
    "a learned batch": Broken(
        "sensible.batch", "new batch", ("sensible",), ("new batch",), {"sensible.batch": 1}, "batches"
    ),
    "a page of a batch": Broken(
        "atlas.extracts", '"batch_id":"new batch","page":"2"', ("atlas",), ("new batch",), {"atlas.extracts": 3}
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_for_good_costs_itself_at_each_sync_until_it_is_healed(skies: Weather, name: str) -> None:
    broken = BROKEN[name]
    connection = skies.connection()
    with skies.sandbox.faults.during(Fault("status", broken.endpoint, about=broken.about)):
        synced = connection.sync()
        again = connection.sync()

    concerned = set(filter(broken.concerns, synced.ends))
    assert incomplete(synced) == incomplete(again) == concerned
    assert synced.error is not None
    words = str(synced.error.message)
    assert words.startswith(f"{len(concerned)} of {len(synced.ends)} streams are incomplete; all else was synced.")
    lost = {*broken.lost, *linked_batches(skies)} if "linked batch" in broken.lost else {*broken.lost}
    missing = {
        stream: {key for key, row in rows.items() if lost & {*re.split("[/#]", key), row.get("batch_key")}}
        if stream in concerned
        else set()
        for stream, rows in skies.healthy.warehouse.items()
    }
    assert any(missing.values()) or name == "a watched extraction"
    for stream, rows in skies.healthy.warehouse.items():
        assert connection.warehouse[stream].keys() == rows.keys() - missing[stream], stream
    assert again.counts == {}
    healed = connection.sync()
    assert {stream: set(healed.ids(stream)) for stream in healed.ends} == {one: missing[one] for one in healed.ends}
    assert Counter(healed.requests) == Counter(skies.quiet.requests) + Counter(broken.more)
    skies.is_whole(connection)


def linked_batches(skies: Weather) -> set[str]:
    rows = skies.healthy.warehouse["extracta_classification_files"].values()
    links = [row["provider_data"].get("extraction", {}) for row in rows if row["batch_id"] == "new mail"]
    return {link["batchId"] for link in links if link}


def test_what_nobody_knows_is_a_row_and_costs_nothing_else(skies: Weather, tmp_path: Path) -> None:
    connection = skies.connection()
    settings = connection.settings
    extracta = settings["extracta"]
    [known] = {path.split("/")[0] for path in extracta["extraction_batches"]}
    [mail] = {path.split("/")[0] for path in extracta["classification_batches"]}
    extracta["extraction_batches"] = [*extracta["extraction_batches"], f"{known}/nobody"]
    extracta["classification_batches"] = [*extracta["classification_batches"], f"{mail}/nobody"]
    for section in ("sensible", "atlas"):
        settings[section]["batch_ids"] = [*settings[section]["batch_ids"], "nobody"]
    (tmp_path / "runs.csv").write_text("provider,batch_id\ndocmap,by hand\ndocmap,nobody\n")
    settings["batch_registry"] = {"url": str(tmp_path / "runs.csv")}

    synced = connection.sync()

    assert set(synced.ends.values()) == {"COMPLETE"}
    assert synced.error is None
    for product in PRODUCTS:
        row = only([row for row in synced.records[f"{product}_batches"] if row["batch_id"] == "nobody"])
        assert (row["status"], bool(row["error"])) == ("missing", True)
        del connection.warehouse[f"{product}_batches"][row["id"]]
    skies.has_all(connection, connection.streams)


def test_a_file_that_failed_is_a_row_with_its_reason_beside_the_others(skies: Weather) -> None:
    for product in PRODUCTS:
        rows = skies.healthy.warehouse[f"{product}_files"].values()
        failed = [row for row in rows if row["status"] == "failed"]
        assert failed, product
        assert all(row["error"] for row in failed)
        beside = {row["status"] for row in rows if row["batch_key"] in {row["batch_key"] for row in failed}}
        assert "processed" in beside
        results = {row["file_key"] for row in skies.healthy.warehouse[f"{product}_results"].values()}
        assert not results & {row["id"] for row in failed}
    assert set(skies.second.ends.values()) == {"COMPLETE"}


@pytest.mark.parametrize("provider", HOSTS)
def test_a_key_that_is_refused_is_a_wrong_setting_and_costs_its_provider_alone(skies: Weather, provider: str) -> None:
    connection = skies.connection()
    # A token of Atlas's is renewed once before its credentials are taken for wrong.
    endpoint = "atlas.extracts" if provider == "atlas" else f"{provider}.*"
    with skies.sandbox.faults.during(Fault("status", endpoint, status=401)):
        synced = connection.sync()

    assert incomplete(synced) == {stream for stream in synced.ends if host(stream) == provider}
    assert synced.error is not None
    assert synced.error.failure_type is FailureType.config_error
    assert f"Check {provider}." in str(synced.error.message)
    assert synced.counts.keys() == {stream for stream in skies.second.counts if host(stream) != provider}
    assert set(connection.sync().ends.values()) == {"COMPLETE"}
    skies.is_whole(connection)


@dataclass(frozen=True)
class Many:
    """Six batches of one product, in the order in which they are asked for.

    Attributes:
        ids: by which a request for one of them is told.
    """

    endpoint: str
    settings: dict[str, Any]
    ids: list[str]


def _extracta(sandbox: Sandbox) -> Many:
    template = sandbox.extracta.create("Invoices", ["vendor"])
    batches = [
        sandbox.extracta.upload(template, [NewFile("a.pdf", 0, {"vendor": "Acme"})], started_at=_hour(n))
        for n in range(6)
    ]
    return Many("extracta.getBatchResults", {"extracta": {"extraction_ids": [template]}}, batches)


def _classification(sandbox: Sandbox) -> Many:
    template = sandbox.classification.create("Mail", [DocumentType("other")])
    mail = NewFile("m.pdf", 0, {"documentType": "other", "confidence": 0.5})
    batches = [sandbox.classification.upload(template, [mail], f"batch {n}") for n in range(6)]
    paths = [f"{template}/{batch}" for batch in batches]
    return Many("extracta.getResults", {"extracta": {"classification_batches": paths}}, batches)


def _docmap(sandbox: Sandbox) -> Many:
    template = sandbox.docmap.template("Notes")
    for n in range(6):
        one = NewExtraction(f"{n}.pdf", 0, {"n": n})
        sandbox.docmap.run(template, [one], f"run {n}", created_at=_hour(n))
    return Many("docmap.extractions", {"docmap": {}}, [f'"runId":"run {n}"' for n in range(6)])


def _sensible(sandbox: Sandbox) -> Many:
    sandbox.sensible.document_type("claims")
    ids = []
    for n in range(6):
        ids += sandbox.sensible.extract([SensibleDocument(f"{n}.pdf", 0)], "claims", created_at=_hour(n))
    return Many("sensible.document", {"sensible": {}}, ids)


def _atlas(sandbox: Sandbox) -> Many:
    data = {"document_type": "PAN", "name": {"value": "ASHA", "confidence_score": 0.9}}
    batches = [sandbox.atlas.submit([NewDocument("1", 0, data)], submitted_at=_hour(n)) for n in range(6)]
    return Many("atlas.extracts", {"atlas": {"batch_ids": batches}}, batches)


def _hour(number: int) -> Any:
    return START - timedelta(hours=12 - number)


MANY: dict[str, Callable[[Sandbox], Many]] = {
    "extracta": _extracta,
    "extracta_classification": _classification,
    "docmap": _docmap,
    "sensible": _sensible,
    "atlas": _atlas,
}
WITNESS = {"docmap": "sensible"}
"""What is synced beside a product to see that it goes on: DocMap, for all others."""


@pytest.fixture
def six(served: tuple[Sandbox, str], request: pytest.FixtureRequest) -> tuple[Many, Connection]:
    sandbox, url = served
    many = MANY[request.param](sandbox)
    beside = MANY[WITNESS.get(request.param, "docmap")](sandbox)
    settings = {**many.settings, **beside.settings, "max_in_flight": 1, "lookback_days": 0}
    return many, Connection(sandbox, url, settings)


@pytest.mark.parametrize("status", [302, 503])
@pytest.mark.parametrize(("six", "product"), [(one, one) for one in MANY], indirect=["six"], ids=MANY)
def test_after_three_failures_in_a_row_the_rest_of_a_provider_is_not_asked(
    six: tuple[Many, Connection], product: str, status: int
) -> None:
    many, connection = six
    faults = [Fault("status", many.endpoint, about=one, status=status) for one in many.ids]
    with connection.sandbox.faults.during(*faults):
        synced = connection.sync()
        met = [one["met"] for one in connection.sandbox.faults.told()]

    tries = 3 if status == 503 else 1
    assert met == [tries, tries, tries, 0, 0, 0]
    assert {host(stream) for stream in incomplete(synced)} == {host(product)}
    assert synced.error is not None
    assert "failed 3 times in a row; the rest is left for the next sync" in str(synced.error.message)
    failures = {302: FailureType.config_error, 503: FailureType.transient_error}
    assert synced.error.failure_type is failures[status]
    healed = connection.sync()
    assert set(healed.ends.values()) == {"COMPLETE"}
    assert [asked(connection, many, one) for one in many.ids] == [1] * 6
    assert connection.sync().counts == {}


@pytest.mark.parametrize(("six", "product"), [(one, one) for one in MANY], indirect=["six"], ids=MANY)
def test_a_success_in_between_starts_the_count_anew(six: tuple[Many, Connection], product: str) -> None:
    many, connection = six
    bad = [many.ids[n] for n in (0, 1, 3, 4)]
    with connection.sandbox.faults.during(*(Fault("status", many.endpoint, about=one, status=302) for one in bad)):
        synced = connection.sync()

        assert [asked(connection, many, one) for one in many.ids] == [1] * 6
    kind = "batches" if product == "docmap" else "results"
    assert incomplete(synced) >= {f"{product}_{kind}"}
    assert synced.counts[f"{product}_{kind}"] == 2
    healed = connection.sync()
    assert healed.counts[f"{product}_{kind}"] == 4
    assert [asked(connection, many, one) for one in many.ids] == [one in bad for one in many.ids]


ANSWERS: dict[str, dict[str, Any]] = {
    "501": {"status": 501},
    "no list": {"status": 200, "body": {"data": {}, "files": 7, "extraction_ids": 7, "batchId": ["b"], "status": 7}},
    "an error inside": {"status": 200, "body": {"error": "Something went wrong"}},
}


@pytest.mark.parametrize(
    ("six", "product", "answer"),
    [
        (one, one, answer)
        for one in MANY
        for answer in ANSWERS
        # To Sensible's readers an object without a status is a document in work.
        if (one, answer) != ("sensible", "an error inside")
    ],
    indirect=["six"],
)
def test_visit_with_unreadable_answers_first_in_line_delivers_all_others(
    six: tuple[Many, Connection], product: str, answer: str
) -> None:
    many, connection = six
    bad = many.ids[:4]
    faults = [Fault("status", many.endpoint, about=one, **ANSWERS[answer]) for one in bad]
    kind = "batches" if product == "docmap" else "results"
    with connection.sandbox.faults.during(*faults):
        synced = connection.sync()
        again = connection.sync()

    assert f"{product}_{kind}" in incomplete(synced)
    assert synced.counts[f"{product}_{kind}"] == 2
    assert again.counts == {}
    assert "in a row" not in str(synced.error)
    healed = connection.sync()
    assert healed.counts[f"{product}_{kind}"] == 4
    assert set(healed.ends.values()) == {"COMPLETE"}
    assert connection.sync().counts == {}


@pytest.mark.parametrize("six", ["sensible"], indirect=True)
def test_visit_with_an_account_that_is_not_paid_asks_three_times(six: tuple[Many, Connection]) -> None:
    many, connection = six
    with connection.sandbox.faults.during(Fault("status", many.endpoint, status=402)):
        synced = connection.sync()

    assert synced.requests[many.endpoint] == 3
    assert "failed 3 times in a row" in str(synced.error)
    assert connection.sync().counts["sensible_results"] == 6


@pytest.mark.parametrize("six", ["atlas"], indirect=True)
@pytest.mark.parametrize("answer", [{"status": 501}, {"status": 200, "body": {"expires_in": 3600}}], ids=str)
def test_visit_with_a_login_that_cannot_be_read_gives_the_provider_up(
    six: tuple[Many, Connection], answer: dict[str, Any]
) -> None:
    """Unlike the answer about a batch it speaks of all that is still to be asked for."""
    _, connection = six
    with connection.sandbox.faults.during(Fault("status", "atlas.authtoken", **answer)):
        synced = connection.sync()

    assert synced.requests.get("atlas.extracts", 0) == 0
    assert synced.requests["atlas.authtoken"] == 1
    assert "failed 3 times in a row" in str(synced.error)
    assert connection.sync().counts["atlas_results"] == 6


@pytest.mark.parametrize(("six", "product"), [(one, one) for one in MANY], indirect=["six"], ids=MANY)
def test_visit_after_three_failures_in_a_row_asks_for_them_last(six: tuple[Many, Connection], product: str) -> None:
    many, connection = six
    faults = [Fault("status", many.endpoint, about=one, status=503) for one in many.ids[:3]]
    kind = "batches" if product == "docmap" else "results"
    with connection.sandbox.faults.during(*faults):
        first, second, third = connection.sync(), connection.sync(), connection.sync()

    assert first.counts.get(f"{product}_{kind}", 0) == 0
    assert second.counts[f"{product}_{kind}"] == 3
    assert third.counts == {}
    stream = f"{product}_{kind}"
    assert "failed" in str(connection.state_of(stream))
    healed = connection.sync()
    assert healed.counts[stream] == 3
    assert set(healed.ends.values()) == {"COMPLETE"}
    assert "failed" not in str(connection.state_of(stream))


@pytest.mark.parametrize("product", ["docmap", "sensible"])
def test_visit_with_failing_documents_in_the_first_window_reads_the_later_ones(product: str) -> None:
    """A window is read when all of the one before is delivered: what fails in one must not keep the others away."""
    with world() as (sandbox, url):
        template = sandbox.docmap.template("Notes")
        sandbox.sensible.document_type("claims")
        ids = []
        for n in range(6):
            when = START - timedelta(days=300 - 50 * n)
            if product == "sensible":
                ids += sandbox.sensible.extract([SensibleDocument(f"{n}.pdf", 0)], "claims", created_at=when)
            else:
                sandbox.docmap.run(template, [NewExtraction(f"{n}.pdf", 0, {"n": n})], f"run {n}", created_at=when)
        connection = Connection(sandbox, url, {product: {}, "max_in_flight": 1, "lookback_days": 0})
        about = ids[:3] if product == "sensible" else [f'"runId":"run {n}"' for n in range(3)]
        endpoint = {"sensible": "sensible.document", "docmap": "docmap.extractions"}[product]
        kind = {"sensible": "results", "docmap": "batches"}[product]
        with sandbox.faults.during(*(Fault("status", endpoint, about=one, status=503) for one in about)):
            for _ in range(3):
                connection.sync()

        assert len(connection.warehouse[f"{product}_{kind}"]) == 3
        assert set(connection.sync().ends.values()) == {"COMPLETE"}
        assert len(connection.warehouse[f"{product}_{kind}"]) == 6
        assert connection.sync().counts == {}


def test_visit_with_failing_lists_of_templates_reads_the_others() -> None:
    with world() as (sandbox, url):
        templates = [sandbox.extracta.create(f"Invoices {n}", ["vendor"]) for n in range(5)]
        for template in templates:
            sandbox.extracta.upload(template, [NewFile("a.pdf", 0, {"vendor": "Acme"})])
        connection = Connection(sandbox, url, {"extracta": {"extraction_ids": templates}, "max_in_flight": 1})
        faults = [Fault("status", "extracta.viewExtraction", about=one, status=503) for one in templates[:3]]
        with sandbox.faults.during(*faults):
            connection.sync()
            second = connection.sync()

        assert second.counts["extracta_results"] == 2
        assert incomplete(second) == set(connection.streams)
        assert connection.sync().counts["extracta_results"] == 3
        assert connection.sync().counts == {}


def test_visit_with_failing_batches_named_by_hand_reads_the_list() -> None:
    with world() as (sandbox, url):
        sandbox.sensible.document_type("claims")
        named = [sandbox.sensible.batch([SensibleDocument(f"{n}.pdf", 0)], "claims") for n in range(3)]
        for batch in named:
            sandbox.sensible.upload(batch, 0)
        single = sandbox.sensible.extract([SensibleDocument("single.pdf", 0)], "claims")
        connection = Connection(sandbox, url, {"sensible": {"batch_ids": named}, "max_in_flight": 1})
        with sandbox.faults.during(*(Fault("status", "sensible.batch", about=one, status=503) for one in named)):
            connection.sync()
            second = connection.sync()

        assert set(second.ids("sensible_results")) >= set(single)
        assert set(connection.sync().ends.values()) == {"COMPLETE"}
        assert len(connection.warehouse["sensible_batches"]) == 3
        assert connection.sync().counts == {}


def test_batch_that_fails_in_the_sync_in_which_its_documents_finish_is_complete_in_the_next() -> None:
    with world() as (sandbox, url):
        sandbox.sensible.document_type("claims")
        batch = sandbox.sensible.batch([SensibleDocument(f"{n}.pdf", 60) for n in range(2)], "claims")
        for place in range(2):
            sandbox.sensible.upload(batch, place)
        connection = Connection(sandbox, url, {"sensible": {}})
        connection.sync()
        assert only(list(connection.warehouse["sensible_batches"].values()))["files_pending"] == 2
        sandbox.clock.advance(seconds=120)
        with sandbox.faults.during(Fault("status", "sensible.batch", status=503)):
            failed = connection.sync()

        healed = connection.sync()

        assert incomplete(failed) == {"sensible_batches"}
        assert set(healed.ends.values()) == {"COMPLETE"}
        row = only(healed.records["sensible_batches"])
        assert (row["status"], row["files_processed"], row["files_pending"]) == ("complete", 2, 0)
        assert connection.sync().counts == {}


def test_batch_of_a_document_that_failed_counts_it_in_the_sync_that_reads_it() -> None:
    """What comes last in a sync still comes before the row of its batch."""
    with world() as (sandbox, url):
        sandbox.sensible.document_type("claims")
        batch = sandbox.sensible.batch([SensibleDocument(f"{n}.pdf", 0) for n in range(2)], "claims")
        for place in range(2):
            sandbox.sensible.upload(batch, place)
        [first, _] = sandbox.sensible.batch_view(batch).extraction_ids
        connection = Connection(sandbox, url, {"sensible": {}})
        with sandbox.faults.during(Fault("status", "sensible.document", about=first, status=501)):
            connection.sync()

        healed = connection.sync()

        assert set(healed.ends.values()) == {"COMPLETE"}
        row = connection.warehouse["sensible_batches"][batch]
        assert (row["status"], row["files_processed"], row["files_pending"]) == ("complete", 2, 0)
        assert connection.sync().counts == {}


def asked(connection: Connection, many: Many, one: str) -> int:
    """How often the last sync asked for it."""
    entries = [entry for entry in connection.sandbox.journal.entries if entry.endpoint == many.endpoint]
    word = one.rsplit(":", maxsplit=1)[-1].strip('"')
    return sum(word in {*entry.path.values(), *entry.query.values(), *(entry.body or {}).values()} for entry in entries)


def test_templates_that_nobody_knows_are_each_told_and_the_rest_goes_on(served: tuple[Sandbox, str]) -> None:
    sandbox, url = served
    many = _extracta(sandbox)
    named = [f"nobody {n}" for n in range(4)]
    many.settings["extracta"]["extraction_ids"] += named
    connection = Connection(sandbox, url, many.settings)

    synced = connection.sync()

    assert synced.counts["extracta_results"] == 6
    assert set(synced.ends.values()) == {"INCOMPLETE"}
    assert synced.error is not None
    assert synced.error.failure_type is FailureType.config_error


def test_the_log_of_a_sync_is_short_whatever_is_broken(caplog: pytest.LogCaptureFixture) -> None:
    with world() as (sandbox, url):
        named = [f"nobody/{n}" for n in range(60)]
        connection = Connection(sandbox, url, {"extracta": {"extraction_batches": named}})
        with caplog.at_level(logging.INFO, logger=log.name):
            connection.sync()

    assert len(connection.warehouse["extracta_batches"]) == 60
    assert len(caplog.records) < 20
    assert any("55 more" in record.getMessage() for record in caplog.records)
    assert (
        caplog.records[-1]
        .getMessage()
        .startswith("Extracta.ai: 60 requests; batches 0 open, 0 settled, 60 missing; rows:")
    )
