"""Text from a provider cannot start a line of the output, nor pass for a message."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from docextract_sandbox import Fault, NewDocument, NewExtraction, NewFile, Sandbox, SensibleDocument
from unit_tests.support.command_line import run_connector
from unit_tests.support.harness import Connection
from unit_tests.support.payload_faults import FORGED_LOG_LINE

LINE_ENDS = ("\n", "\r", "\r\n", "\v", "\x1c", "\x85", "\u2028", "\u2029", "\x00")
FORGED_TEXT = "".join(f"a{end}{FORGED_LOG_LINE}{end}" for end in LINE_ENDS)
KINDS = {"LOG", "DEBUG", "TRACE", "RECORD", "STATE", "CONNECTION_STATUS"}


def fill_sandbox(sandbox: Sandbox, url: str) -> dict[str, Any]:
    """Add documents whose names and errors are forged lines; return the settings."""
    template = sandbox.extracta.create(FORGED_TEXT, ["vendor"])
    sandbox.extracta.upload(
        template, [NewFile(FORGED_TEXT, 0, error=FORGED_TEXT), NewFile("a", 0, {FORGED_TEXT: FORGED_TEXT})], FORGED_TEXT
    )
    sandbox.docmap.add_extractions(
        sandbox.docmap.put_template(FORGED_TEXT),
        [NewExtraction(FORGED_TEXT, 0, {FORGED_TEXT: 1}, error=FORGED_TEXT)],
        FORGED_TEXT,
    )
    sandbox.sensible.add_document_type("claims")
    sandbox.sensible.extract(
        [SensibleDocument(FORGED_TEXT, 0, error=FORGED_TEXT), SensibleDocument(FORGED_TEXT, 0, {"a": None})], "claims"
    )
    settings = {
        "extracta": {"extraction_ids": [template]},
        "docmap": {},
        "sensible": {},
        "atlas": {"batch_ids": [sandbox.atlas.submit([NewDocument(FORGED_TEXT, 0, error_code=FORGED_TEXT)])]},
    }
    return Connection(sandbox, url, settings).settings


FORGED_BODY = {"files": [{"fileName": FORGED_TEXT, "status": FORGED_TEXT}], "status": FORGED_TEXT}
FAULTS_BY_NAME: dict[str, Fault | None] = {
    "rows": None,
    "refusals as text": Fault("status", status=400, body=FORGED_TEXT),
    "refusals as JSON": Fault(
        "status", status=422, body={"error": FORGED_TEXT, "message": FORGED_TEXT, "error_message": FORGED_TEXT}
    ),
    "a page": Fault("status", status=503, body=f"<html>{FORGED_TEXT}</html>"),
    "a status": Fault(
        "status",
        "extracta.getBatchResults",
        status=200,
        body={"files": [{"fileName": FORGED_TEXT, "status": FORGED_TEXT}], "status": FORGED_TEXT},
    ),
}


@pytest.mark.parametrize("trouble", FAULTS_BY_NAME)
def test_output_forged_lines_in_provider_text_start_no_line(
    trouble: str, served_sandbox: tuple[Sandbox, str], tmp_path: Path
) -> None:
    sandbox, url = served_sandbox
    settings = fill_sandbox(sandbox, url)
    fault = FAULTS_BY_NAME[trouble]
    with sandbox.faults.apply_only(*([fault] if fault else [])):
        ran = run_connector(tmp_path, "read", settings, "--debug")
        assert all(entry["met"] for entry in sandbox.faults.describe())

    assert {message["type"] for message in ran.messages} <= KINDS
    log_texts = [*ran.log_texts, *(entry["message"] for entry in ran.filter_messages("DEBUG"))]
    assert all(line.isprintable() and line != "forged" for line in log_texts)
    assert all(
        "\n" not in entry["trace"]["error"]["message"]
        for entry in ran.filter_messages("TRACE")
        if "error" in entry["trace"]
    )
    assert ran.stderr == ""
    if fault is None:
        names = {row["file_name"] for row in ran.records if "file_name" in row and row["provider"] != "atlas"}
        assert FORGED_TEXT in names
    elif trouble != "a page":
        assert any("forged" in line for line in ran.log_texts)  # quoted within another line
