"""Batches named in a file: what is read, what is refused and in which words, and what a sync makes of it."""

from __future__ import annotations

import json
import logging
import traceback
import tracemalloc
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from docextract_sandbox import NewDocument, NewFile
from source_docextract.core.errors import ConfigError
from source_docextract.core.provider import Registry
from source_docextract.core.redaction import sanitize
from source_docextract.registry.opening import read_registry
from unit_tests.support.encrypted_server import serve_proxy
from unit_tests.support.harness import START, Connection, single
from unit_tests.support.registry_files import PRODUCTS, ROWS, ServedSandbox, to_csv, to_json_lines, written
from unit_tests.support.stub_server import ReceivedRequest, StubResponse, ok_response, send_endlessly, serve_stub


@pytest.mark.parametrize(
    "text", [to_csv(ROWS), to_json_lines(ROWS), "\ufeff" + to_csv(ROWS), "\n" + to_json_lines(ROWS)]
)
def test_registry_in_csv_or_json_lines_has_same_batches(tmp_path: Path, text: str) -> None:
    registry = read_registry(written(tmp_path, text), PRODUCTS)

    [first], [second] = registry.get_batches("extracta"), registry.get_batches("atlas")
    assert (first.template_id, first.batch_id, first.is_explicit) == ("t1", "b1", True)
    assert first.created_at == first.approx_created_at == datetime(2026, 11, 1, 10, tzinfo=timezone.utc)
    assert (second.template_id, second.batch_id, second.expected_files) == (None, "BATCH-1", 3)
    assert registry.get_batches("extracta_classification") == ()
    assert registry.skipped_rows == {"docmap": 1}


def test_registry_at_http_url_file_url_or_path_is_the_same(tmp_path: Path) -> None:
    path = written(tmp_path, to_csv(ROWS))
    with serve_stub(lambda _request: ok_response(to_csv(ROWS).encode())) as server:
        registries = [
            read_registry(url, PRODUCTS) for url in (path, f"file://{path}", f"{server.url}/list.csv?key=s1gned")
        ]

    assert registries[0] == registries[1] == registries[2]
    assert len(registries[0].get_batches("atlas")) == 1


@pytest.mark.parametrize("text", [to_csv([]), "\n" + to_csv([]).strip(), "\ufeff" + to_csv([])])
def test_registry_with_header_line_only_is_empty(tmp_path: Path, text: str) -> None:
    assert read_registry(written(tmp_path, text), PRODUCTS) == Registry()


@pytest.mark.parametrize("text", ["", "\n\n", "\ufeff", " \r\n"])
def test_registry_empty_file_is_an_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"registry\.csv is empty\. Check batch_registry\.url; a registry"):
        read_registry(written(tmp_path, text), PRODUCTS)


@pytest.mark.parametrize("status", [202, 204, 205, 206])
def test_registry_response_status_other_than_200_is_an_error(status: int) -> None:
    with serve_stub(lambda _request: (status, {}, b"" if status == 204 else to_csv(ROWS).encode())) as server:
        with pytest.raises(
            ConfigError, match=rf"list\.csv is not a file: the server answers with the status {status}\."
        ):
            read_registry(f"{server.url}/list.csv", PRODUCTS)
        assert len(server.received) == 1


def test_registry_empty_response_is_an_error() -> None:
    with (
        serve_stub(lambda _request: ok_response(b"")) as server,
        pytest.raises(ConfigError, match=r"list\.csv is empty\."),
    ):
        read_registry(f"{server.url}/list.csv", PRODUCTS)


@pytest.mark.parametrize("chunked", [False, True])
def test_registry_truncated_response_is_an_error(chunked: bool) -> None:
    rows = to_csv(ROWS).encode()

    def respond(handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True
        head = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: 100000"
        body = b"%x\r\n%s\r\n" % (len(rows), rows) if chunked else rows
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n%s\r\n\r\n%s" % (head, body))

    with serve_stub(lambda _request: (0, {}, respond)) as server, pytest.raises(ConfigError, match="cannot be read"):
        read_registry(f"{server.url}/list.csv", PRODUCTS)


@pytest.mark.parametrize("beginning", [b"", b"provider,batch_id\n", to_csv(ROWS).encode()])
def test_registry_sent_byte_by_byte_is_given_up(beginning: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("source_docextract.registry.opening._READ_DEADLINE", 0.5)
    head = b"HTTP/1.1 200 OK\r\n\r\n" + beginning
    with (
        serve_stub(lambda _request: (0, {}, send_endlessly(head, filler=b" ", pause=0.05))) as server,
        pytest.raises(ConfigError, match=r"list\.csv took more than 0 s to read\. Check batch_registry"),
    ):
        read_registry(f"{server.url}/list.csv", PRODUCTS)


def test_registry_endless_file_is_refused_in_limited_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("source_docextract.registry.opening._MAX_CHARACTERS", 300_000)
    head = b"HTTP/1.1 200 OK\r\n\r\nprovider,batch_id\n"

    def take(url: str) -> tuple[str, int]:
        tracemalloc.start()
        with pytest.raises(ConfigError) as exc_info:
            read_registry(url, PRODUCTS)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return str(exc_info.value), most

    with serve_stub(lambda _request: (0, {}, send_endlessly(head, filler=b"docmap,b\n" * 10_000, pause=0))) as server:
        expected_text, most = take(f"{server.url}/list.csv")
    assert "has more than 500,000 lines or 300,000 characters; split it." in expected_text
    assert most < 10_000_000


def test_registry_redirect_with_endless_body_is_followed_in_limited_memory() -> None:
    def respond(request: ReceivedRequest) -> StubResponse:
        head = b"HTTP/1.1 302 Found\r\nLocation: /list.csv\r\n\r\n"
        return (
            ok_response(to_csv(ROWS).encode())
            if request.path == "/list.csv"
            else (0, {}, send_endlessly(head, b"x" * 65_536, 0))
        )

    with serve_stub(respond) as server:
        tracemalloc.start()
        registry = read_registry(f"{server.url}/latest", PRODUCTS)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert len(registry.get_batches("atlas")) == 1
    assert most < 10_000_000


@pytest.mark.parametrize(
    ("status", "advice"),
    [(407, "Write a valid user and password into https_proxy"), (403, "Allow the host in the proxy")],
)
def test_registry_refused_by_proxy_names_proxy_setting(
    status: int, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with serve_proxy(f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode()) as (address, heads):
        monkeypatch.setenv("https_proxy", address.replace("://", "://me:passw0rd@"))
        with pytest.raises(ConfigError) as exc_info:
            read_registry("https://lists.example/list.csv?sig=s1gned", PRODUCTS)
    assert len(heads) == 1
    assert str(exc_info.value) == (
        "The batch registry https://lists.example/list.csv cannot be reached: the proxy that https_proxy names refused "
        f"the connection ({status}). {advice}, or list the host in NO_PROXY."
    )


@pytest.mark.parametrize(
    "address",
    [
        "//user:passw0rd@lists.example/x",
        "user:passw0rd@lists.example/x",
        "/user:passw0rd@lists.example/x",
        "https:/user:passw0rd@lists.example/x",
        "https://user:passw0rd@lists.example:1/x",
        "https://user:pass/passw0rd@lists.example/x",
        "https://user:pass@passw0rd@lists.example/x",
        "https://user:p?a#passw0rd@lists.example/x",
        "https://passw0rd@lists.example/x?sig=s1gned",
        "file://user:passw0rd@lists.example/x",
        "sftp://user:passw0rd@lists.example/x",
        "az://user:pass/@passw0rd@container/x",
        "s3://AKIA0:pass/passw0rd@bucket/x",
        "s3://AKIA0:pass@passw0rd@bucket/x",
        "gs://user:passw0rd@bucket/x",
    ],
)
def test_registry_url_with_password_is_reported_without_it(
    address: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def raise_with_url(url: str, *_: Any, **__: Any) -> None:
        raise OSError(f"no such thing: {url}")

    monkeypatch.setattr("smart_open.open", raise_with_url)

    with pytest.raises(ConfigError) as exc_info:
        read_registry(address, PRODUCTS, resolve=raise_with_url)  # type: ignore[arg-type]

    logging.getLogger("smart_open").warning("cannot open %s nor %s", address, address.replace("@", " at "))
    traceback_text = "".join(traceback.format_exception(exc_info.value))
    assert str(exc_info.value).startswith("The batch registry ")
    assert "passw0rd" not in traceback_text + sanitize(caplog.text) + sanitize(f"cannot open {address!r}")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"provider": "nobody", "batch_id": "b"}, "has no known provider"),
        ({"provider": "extracta", "template_id": "t"}, "has no batch_id"),
        ({"provider": "extracta", "batch_id": "b"}, "has no template_id"),
        ({"provider": "atlas", "batch_id": "b", "created_at": "soon"}, "has a created_at that is not a time"),
        (
            {"provider": "atlas", "batch_id": "b", "expected_files": "-1"},
            "has an expected_files that is not a whole number",
        ),
    ],
)
@pytest.mark.parametrize("write", [to_csv, to_json_lines])
def test_registry_invalid_row_is_an_error_naming_its_line(
    tmp_path: Path, write: Any, row: dict[str, str], reason: str
) -> None:
    line = 3 if write is to_csv else 2
    with pytest.raises(ConfigError, match=f"rows that cannot be read: line {line} {reason}"):
        read_registry(written(tmp_path, write([ROWS[0], row])), PRODUCTS)


@pytest.mark.parametrize(
    ("cell", "meant"),
    [
        ("2026-03-09", "2026-03-09T00:00:00+00:00"),
        ("2026-03-09T08:14", "2026-03-09T08:14:00+00:00"),
        ("2026-03-09T08:14:08Z", "2026-03-09T08:14:08+00:00"),
        ("2026-03-09 08:14:08", "2026-03-09T08:14:08+00:00"),
        ("2026-03-09T08:14:08.5+05:30", "2026-03-09T02:44:08.500000+00:00"),
        ("2026-03-09T08:14:08.123456789Z", "2026-03-09T08:14:08.123456+00:00"),
        ("1999-03-09", "1999-03-09T00:00:00+00:00"),
        ("20260309", "2026-03-09T00:00:00+00:00"),
        ("20261128", "2026-11-28T00:00:00+00:00"),
        ("20260309081408", "2026-03-09T08:14:08+00:00"),
        ("20260309T081408Z", "2026-03-09T08:14:08+00:00"),
        ("20260309T081408+0530", "2026-03-09T02:44:08+00:00"),
        ("1773043200", "2026-03-09T08:00:00+00:00"),
        ("1773043200.25", "2026-03-09T08:00:00.250000+00:00"),
        ("1773043200123", "2026-03-09T08:00:00.123000+00:00"),
        ("946684800", "2000-01-01T00:00:00+00:00"),
        ("946684800000", "2000-01-01T00:00:00+00:00"),
        (1773043200, "2026-03-09T08:00:00+00:00"),
        (1773043200.0, "2026-03-09T08:00:00+00:00"),
        (1773043200123, "2026-03-09T08:00:00.123000+00:00"),
        (20260309, "2026-03-09T00:00:00+00:00"),
        (20260309081408, "2026-03-09T08:14:08+00:00"),
    ],
)
def test_registry_created_at_in_any_format_is_read(tmp_path: Path, cell: str | float, meant: str) -> None:
    line = json.dumps({"provider": "atlas", "batch_id": "b", "created_at": cell})

    [batch] = read_registry(written(tmp_path, line), PRODUCTS).get_batches("atlas")

    assert batch.created_at == batch.approx_created_at == datetime.fromisoformat(meant)
    assert batch.created_at is not None
    assert batch.created_at.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "cell",
    [
        "20261328", "20260230", "20261309081408", "20260309250000", "202603090814", "2026", "0", "1", "-1773043200",
        "946684799", "99999999999999", "17730432000000", "1e9", "1_773_043_200", "nan", "inf", "soon", "10/03/2026",
        "2026-02-30", "2026-13-01T00:00:00Z", "2026-03-09T25:00:00Z", "0001-01-01T00:00:00+05:00", "2026-W10-1",
        "２０２６０３０９", 0, 8, -1, 1e20,
    ],
)  # fmt: skip
def test_registry_invalid_created_at_is_an_error_naming_its_line(tmp_path: Path, cell: str | float) -> None:
    lines = to_json_lines(ROWS[1:2]) + json.dumps({"provider": "atlas", "batch_id": "b", "created_at": cell})

    with pytest.raises(ConfigError, match=r"line 2 has a created_at that is not a time; write it like 2026-01-01T"):
        read_registry(written(tmp_path, lines), PRODUCTS)


def test_registry_many_invalid_rows_are_counted(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="line 6 has no batch_id, and 35 more lines"):
        read_registry(written(tmp_path, to_csv([{"provider": "atlas"}] * 40)), PRODUCTS)


def test_registry_invalid_json_line_is_an_error_naming_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="line 2 is not a JSON object"):
        read_registry(written(tmp_path, to_json_lines(ROWS[:1]) + "oops\n"), PRODUCTS)


@pytest.mark.parametrize("text", ["root:x:0:0:root:/root:/bin/bash\nbin:x:1:1\n", "provider;batch_id\natlas;b\n"])
def test_registry_file_of_other_kind_is_refused_without_showing_content(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="has no column") as exc_info:
        read_registry(written(tmp_path, text), PRODUCTS)

    assert "root" not in str(exc_info.value).replace(str(tmp_path), "")
    assert ";" not in str(exc_info.value).replace(str(tmp_path), "")


def test_registry_unreadable_is_reported_without_credentials(tmp_path: Path) -> None:
    with serve_stub(lambda _request: (403, {}, b"no")) as server:
        address = server.url.replace("://", "://user:passw0rd@") + "/list.csv?X-Signature=s1gned"
        for url in (str(tmp_path / "nowhere.csv"), address):
            with pytest.raises(ConfigError, match=r"cannot be read .* Check batch_registry.url") as exc_info:
                read_registry(url, PRODUCTS)
            assert "passw0rd" not in str(exc_info.value)
            assert "s1gned" not in str(exc_info.value)


@pytest.mark.parametrize("scheme", ["s3", "gs"])
def test_registry_storage_without_library_names_extra_to_install(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def raise_import_error(*_: Any, **__: Any) -> None:
        raise ImportError("You are trying to use a function that is not installed")

    monkeypatch.setattr("smart_open.open", raise_import_error)

    with pytest.raises(ConfigError, match=rf"pip install 'source-docextract\[{scheme}\]'"):
        read_registry(f"{scheme}://bucket/list.csv", PRODUCTS)


class TestSync:
    """What a sync makes of a registry."""

    def connect(self, served_sandbox: ServedSandbox, folder: Path, **row: str) -> tuple[Connection, str, str]:
        sandbox, url = served_sandbox
        template = sandbox.extracta.create("Invoices", ["vendor"])
        batch = sandbox.extracta.upload(template, [NewFile("a.pdf", duration_seconds=0, result={"vendor": "Acme"})])
        rows = [{"provider": "extracta", "template_id": template, "batch_id": batch, **row}]
        registry = {"url": written(folder, to_csv(rows))}
        return Connection(sandbox, url, {"extracta": {}, "batch_registry": registry}), template, batch

    def test_registry_batches_are_synced_and_both_products_have_streams(
        self, served_sandbox: ServedSandbox, tmp_path: Path
    ) -> None:
        connection, template, batch = self.connect(served_sandbox, tmp_path)

        synced = connection.sync()

        assert synced.ids("extracta_batches") == [f"{template}/{batch}"]
        assert "extracta_classification_results" in connection.streams
        assert set(synced.final_statuses.values()) == {"COMPLETE"}
        assert connection.sync().counts == {}

    def test_changed_registry_is_read_at_next_sync(self, served_sandbox: ServedSandbox, tmp_path: Path) -> None:
        sandbox, _ = served_sandbox
        connection, template, first = self.connect(served_sandbox, tmp_path)
        connection.sync()
        second = sandbox.extracta.upload(template, [NewFile("b.pdf", duration_seconds=0, result={"vendor": "Bcme"})])
        rows = [{"provider": "extracta", "template_id": template, "batch_id": batch_id} for batch_id in (first, second)]

        written(tmp_path, to_csv(rows))

        assert connection.sync().ids("extracta_batches") == [f"{template}/{second}"]

    def test_created_at_fills_column_and_old_batch_is_not_requested_again(
        self, served_sandbox: ServedSandbox, tmp_path: Path
    ) -> None:
        created = START - timedelta(days=30)
        connection, _, _ = self.connect(served_sandbox, tmp_path, created_at=created.isoformat())

        synced = connection.sync()

        assert single(synced.records["extracta_batches"])["created_at"] == "2026-10-21T09:00:00.000Z"
        assert "settled" not in connection.get_state_json("extracta_files")
        assert connection.sync().requests == {}

    @pytest.mark.parametrize("created", ["20261120", "20261120090000"])
    def test_created_at_without_dashes_keeps_batch_within_lookback(
        self, served_sandbox: ServedSandbox, tmp_path: Path, created: str
    ) -> None:
        sandbox, _ = served_sandbox
        connection, template, batch = self.connect(served_sandbox, tmp_path, created_at=created)
        first = connection.sync()

        sandbox.clock.advance(8 * 3600)  # a look is due at the ages of 1, 2, 4, 8 and 16 hours
        sandbox.extracta.upload(template, [NewFile("late.pdf", duration_seconds=0, result={"vendor": "Bcme"})], batch)
        second = connection.sync()

        assert single(first.records["extracta_batches"])["created_at"][:10] == "2026-11-20"
        assert [row["file_name"] for row in second.records["extracta_results"]] == ["late.pdf"]

    def test_created_at_of_provider_takes_precedence(self, served_sandbox: ServedSandbox, tmp_path: Path) -> None:
        connection, template, _ = self.connect(served_sandbox, tmp_path, created_at="2020-01-01")
        connection.settings["extracta"]["extraction_ids"] = [template]

        synced = connection.sync()

        row = single(synced.records["extracta_batches"])
        assert (row["created_at"], row["template_name"]) == ("2026-11-20T09:00:00.000Z", "Invoices")

    def test_batch_with_fewer_files_than_expected_is_open(self, served_sandbox: ServedSandbox, tmp_path: Path) -> None:
        sandbox, _ = served_sandbox
        connection, template, batch = self.connect(served_sandbox, tmp_path, expected_files="2")
        first = connection.sync()
        assert single(first.records["extracta_batches"])["status"] == "open"
        assert first.counts["extracta_results"] == 1

        sandbox.clock.advance(days=9)
        sandbox.extracta.upload(template, [NewFile("b.pdf", duration_seconds=0, result={"vendor": "Bcme"})], batch)
        second = connection.sync()

        assert single(second.records["extracta_batches"])["status"] == "complete"
        assert second.counts["extracta_results"] == 1

    def test_atlas_batch_without_created_at_keeps_time_of_its_id(
        self, served_sandbox: ServedSandbox, tmp_path: Path
    ) -> None:
        sandbox, url = served_sandbox
        data = {"document_type": "PAN", "name": {"value": "ASHA", "confidence_score": 0.9}}
        old = START - timedelta(days=30)
        batch = sandbox.atlas.submit([NewDocument("1", duration_seconds=0, file_data=data)], submitted_at=old)
        registry = {"url": written(tmp_path, to_json_lines([{"provider": "atlas", "batch_id": batch}]))}
        connection = Connection(sandbox, url, {"atlas": {"batch_ids": [batch]}, "batch_registry": registry})

        assert connection.sync().counts["atlas_batches"] == 1
        assert connection.sync().requests == {}

    def test_unreadable_registry_fails_every_stream_and_check(
        self, served_sandbox: ServedSandbox, tmp_path: Path
    ) -> None:
        connection, _, _ = self.connect(served_sandbox, tmp_path)
        (tmp_path / "registry.csv").unlink()

        synced = connection.sync()

        assert set(synced.final_statuses.values()) == {"INCOMPLETE"}
        assert synced.error is not None
        assert "Check batch_registry.url." in str(synced.error.message)
        status = connection.source.check(None, connection.settings)  # type: ignore[arg-type]
        assert "Check batch_registry.url." in str(status.message)
