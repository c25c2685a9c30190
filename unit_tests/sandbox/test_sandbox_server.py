"""The clock, the journal, the pace of requests, and the server as such."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone

import pytest
import requests

from docextract_sandbox import Clock, NewFile, Sandbox, serve
from unit_tests.sandbox.conftest import AtlasClient, ExtractaClient


def test_clock_frozen_moves_only_when_advanced(clock: Clock) -> None:
    # given
    original = clock.now()

    # when
    clock.advance(seconds=30, days=1)

    # then
    assert clock.now() == original + timedelta(days=1, seconds=30)
    assert clock.now().tzinfo is timezone.utc


def test_clock_speed_multiplies_elapsed_time() -> None:
    # given
    start = datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    clock = Clock(start, speed=1000)

    # when
    time.sleep(0.01)

    # then
    assert clock.now() - start >= timedelta(seconds=10)


def test_clock_without_start_begins_at_the_current_time() -> None:
    assert abs(Clock().now() - datetime.now(timezone.utc)) < timedelta(seconds=5)


@pytest.mark.parametrize(
    "attempt",
    [
        lambda: Clock(datetime(2026, 1, 1)),
        lambda: Clock(speed=-1),
        lambda: Clock().advance(seconds=-1),
    ],
)
def test_clock_invalid_argument_raises_value_error(attempt: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match="clock"):
        attempt()


def test_journal_records_requests_without_secrets(
    sandbox: Sandbox, extracta: ExtractaClient, atlas: AtlasClient
) -> None:
    # given
    sandbox.extracta.create("Invoices", ("total",), "invoices")
    sandbox.atlas.submit(["1"], batch_id="batch")

    # when
    extracta.get_results("invoices", "unknown")
    extracta.upload("uploadFiles", {"extractionId": "invoices"}, "a.pdf", "b.pdf")
    atlas.get_extracts("batch", page=1)
    extracta.call("GET", "nowhere")
    entries = sandbox.journal.entries

    # then
    assert [(entry.endpoint, entry.status) for entry in entries] == [
        ("extracta.getBatchResults", 400),
        ("extracta.uploadFiles", 200),
        ("atlas.authtoken", 201),
        ("atlas.extracts", 200),
        ("extracta.unknown", 404),
    ]
    assert entries[0].body == {"extractionId": "invoices", "batchId": "unknown"}
    assert entries[1].body == {"extractionId": "invoices", "files": ["a.pdf", "b.pdf"]}
    assert (entries[3].query, entries[3].body) == ({"batch_id": "batch", "page": "1"}, None)
    assert [entry.arrived_at for entry in entries] == sorted(entry.arrived_at for entry in entries)
    written = repr(entries)
    for secret in (*sandbox.credentials["extracta"].values(), sandbox.credentials["atlas"]["client_secret"], "eyJ"):
        assert secret not in written


def test_journal_counts_requests_measures_gaps_and_clears(sandbox: Sandbox, extracta: ExtractaClient) -> None:
    # given
    extracta.call("GET", "credits")
    time.sleep(0.02)
    extracta.call("GET", "credits")
    extracta.get_results("unknown", "unknown")

    # when / then
    journal = sandbox.journal
    assert journal.count_requests() == {"extracta.credits": 2, "extracta.getBatchResults": 1}
    assert journal.count_requests(ok_only=True) == {"extracta.credits": 2}
    (gap,) = journal.measure_arrival_gaps("extracta.credits")
    assert 0.02 <= gap < 1
    assert journal.measure_arrival_gaps("atlas.extracts") == []
    assert journal.max_in_flight == 1
    journal.clear()
    assert (journal.entries, journal.count_requests(), journal.max_in_flight) == ([], {}, 0)


def test_journal_concurrent_requests_are_counted_in_max_in_flight(clock: Clock) -> None:
    # given
    sandbox = Sandbox(clock, latency=0.1)

    # when
    with serve(sandbox) as url, ThreadPoolExecutor(5) as pool:
        address = sandbox.get_base_urls(url)["extracta"] + "/credits"
        responses = list(pool.map(lambda _: requests.get(address, timeout=5), range(5)))

    # then
    assert {response.status_code for response in responses} == {401}
    assert sandbox.journal.max_in_flight == 5


def test_spacing_each_result_endpoint_is_limited_separately(sandbox: Sandbox, extracta: ExtractaClient) -> None:
    # given
    sandbox.extracta.create("Invoices", ("total",), "invoices")
    sandbox.extracta.upload("invoices", [NewFile("a.pdf", 0)], "batch")
    sandbox.classification.create("Mail", (), "mail")
    sandbox.classification.upload("mail", [NewFile("a.pdf", 0)], "batch")
    sandbox.spacing = 0.3

    # when
    first, classified = extracta.get_results("invoices", "batch"), extracta.get_classification_results("mail", "batch")
    early_response, early_classification = (
        extracta.get_results("invoices", "batch"),
        extracta.get_classification_results("mail", "batch"),
    )
    views = [extracta.call("POST", "viewExtraction", {"extractionId": "invoices"}) for _ in range(3)]
    # A refused request does not put the next one off: the first is 0.3 s ago by then.
    time.sleep(0.3)
    later = extracta.get_results("invoices", "batch")

    # then
    assert (first.status_code, classified.status_code, later.status_code) == (200, 200, 200)
    for refused in (early_response, early_classification):
        assert (refused.status_code, refused.json()) == (429, {"message": "Too many requests, please slow down"})
    assert {view.status_code for view in views} == {200}


def test_spacing_request_up_to_5_percent_early_is_accepted(sandbox: Sandbox, extracta: ExtractaClient) -> None:
    # given
    sandbox.extracta.create("Invoices", ("total",), "invoices")
    sandbox.extracta.upload("invoices", [NewFile("a.pdf", 0)], "batch")
    sandbox.spacing = 0.4
    extracta.get_results("invoices", "batch")

    # when
    time.sleep(0.39)

    # then
    assert extracta.get_results("invoices", "batch").status_code == 200


def test_serve_leaves_no_thread_and_restarts(sandbox: Sandbox) -> None:
    # given
    threads = threading.active_count()
    began = time.perf_counter()

    # when
    urls = []
    for _ in range(5):
        with serve(sandbox) as url, requests.Session() as session:
            urls.append(url)
            assert session.get(url, timeout=5).ok

    # then
    assert time.perf_counter() - began < 2
    assert threading.active_count() == threads
    with pytest.raises(requests.ConnectionError):
        requests.get(urls[-1], timeout=5)


def test_serve_open_client_connections_do_not_delay_the_stop(sandbox: Sandbox) -> None:
    # given
    with requests.Session() as session:
        with serve(sandbox) as url:
            assert session.get(url, timeout=5).ok

            # when
            began = time.perf_counter()

        # then
        assert time.perf_counter() - began < 0.5


def test_serve_concurrent_in_process_uploads_are_all_kept(sandbox: Sandbox, extracta: ExtractaClient) -> None:
    # given
    sandbox.extracta.create("Invoices", ("total",), "invoices")

    def upload() -> None:
        for _ in range(300):
            sandbox.extracta.upload("invoices", [NewFile("a.pdf", 0)])

    # when
    with ThreadPoolExecutor(1) as pool:
        uploaded = pool.submit(upload)
        responses = [extracta.call("POST", "viewExtraction", {"extractionId": "invoices"}) for _ in range(20)]
        uploaded.result()

    # then
    assert {response.status_code for response in responses} == {200}
    assert len(sandbox.extracta.list_batch_ids("invoices")) == 300


def test_upload_files_malformed_form_returns_400_invalid_request(extracta: ExtractaClient) -> None:
    # when
    response = extracta.session.post(
        f"{extracta.base_url}/uploadFiles",
        data=b"no form at all",
        headers={"Content-Type": "multipart/form-data; boundary=x"},
        timeout=5,
    )

    # then
    assert (response.status_code, response.json()) == (400, {"error": "Invalid request"})


def test_demo_same_seed_gives_equal_documents(clock: Clock) -> None:
    # given
    worlds = []

    # when
    for random_seed in (7, 7, 8):
        sandbox = Sandbox(clock, random_seed=random_seed)
        sandbox.fill_demo()
        files = [
            file
            for id_ in sandbox.extracta.template_ids
            for b in sandbox.extracta.list_batch_ids(id_)
            for file in sandbox.extracta.get_batch(b).files
        ]
        others = [
            *(sandbox.atlas.get_batch(id_) for id_ in sandbox.atlas.batch_ids),
            *(sandbox.docmap.get_extraction(id_) for id_ in sandbox.docmap.extraction_ids),
            *(sandbox.sensible.get_document(id_) for id_ in sandbox.sensible.extraction_ids),
        ]
        worlds.append((files, others))

    # then
    assert worlds[0] == worlds[1]
    assert worlds[0] != worlds[2]
