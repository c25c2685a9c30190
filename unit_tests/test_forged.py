"""What a provider writes cannot begin a line of its own in what is printed, nor stand for what the connector says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from commandline import run
from harness import Connection
from spoiling import FORGED

from sandbox import Fault, NewDocument, NewExtraction, NewFile, Sandbox, SensibleDocument

ENDS = ("\n", "\r", "\r\n", "\v", "\x1c", "\x85", "\u2028", "\u2029", "\x00")
WORDS = "".join(f"a{end}{FORGED}{end}" for end in ENDS)
KINDS = {"LOG", "DEBUG", "TRACE", "RECORD", "STATE", "CONNECTION_STATUS"}


def settings_of(sandbox: Sandbox, url: str) -> dict[str, Any]:
    """Documents whose names and reasons are such words."""
    template = sandbox.extracta.create(WORDS, ["vendor"])
    sandbox.extracta.upload(template, [NewFile(WORDS, 0, error=WORDS), NewFile("a", 0, {WORDS: WORDS})], WORDS)
    sandbox.docmap.run(sandbox.docmap.template(WORDS), [NewExtraction(WORDS, 0, {WORDS: 1}, error=WORDS)], WORDS)
    sandbox.sensible.document_type("claims")
    sandbox.sensible.extract(
        [SensibleDocument(WORDS, 0, error=WORDS), SensibleDocument(WORDS, 0, {"a": None})], "claims"
    )
    named = {
        "extracta": {"extraction_ids": [template]},
        "docmap": {},
        "sensible": {},
        "atlas": {"batch_ids": [sandbox.atlas.submit([NewDocument(WORDS, 0, error_code=WORDS)])]},
    }
    return Connection(sandbox, url, named).settings


ODD = {"files": [{"fileName": WORDS, "status": WORDS}], "status": WORDS}
TROUBLES: dict[str, Fault | None] = {
    "rows": None,
    "refusals as text": Fault("status", status=400, body=WORDS),
    "refusals as JSON": Fault("status", status=422, body={"error": WORDS, "message": WORDS, "error_message": WORDS}),
    "a page": Fault("status", status=503, body=f"<html>{WORDS}</html>"),
    "a status": Fault(
        "status",
        "extracta.getBatchResults",
        status=200,
        body={"files": [{"fileName": WORDS, "status": WORDS}], "status": WORDS},
    ),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_no_line_is_printed_that_the_connector_did_not_write(
    trouble: str, served: tuple[Sandbox, str], tmp_path: Path
) -> None:
    sandbox, url = served
    settings = settings_of(sandbox, url)
    fault = TROUBLES[trouble]
    with sandbox.faults.during(*([fault] if fault else [])):
        ran = run(tmp_path, "read", settings, "--debug")
        assert all(one["met"] for one in sandbox.faults.told())

    assert {message["type"] for message in ran.messages} <= KINDS
    said = [*ran.logged, *(one["message"] for one in ran.of_type("DEBUG"))]
    assert all(line.isprintable() and line != "forged" for line in said)
    assert all("\n" not in one["trace"]["error"]["message"] for one in ran.of_type("TRACE") if "error" in one["trace"])
    assert ran.stderr == ""
    if fault is None:
        names = {row["file_name"] for row in ran.records if "file_name" in row and row["provider"] != "atlas"}
        assert WORDS in names
    elif trouble != "a page":
        assert any("forged" in line for line in ran.logged)  # it is quoted, in a line of somebody else
