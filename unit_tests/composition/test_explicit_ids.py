"""Tests of `check` on ids in the wrong setting, against the sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from docextract_sandbox import DocumentType, NewDocument, NewFile, Sandbox, SensibleDocument
from source_docextract.explicit_ids import IdKind, build_hint, collect_mentions
from source_docextract.settings import Settings
from unit_tests.support.cases import each_case
from unit_tests.support.harness import Connection, frozen_sandbox, log

PUSH_ID = "-OPXQuIrkHuA2QZkY-44"
ServedSandbox = tuple[Sandbox, str]


@pytest.fixture
def frozen_account() -> Iterator[ServedSandbox]:
    with frozen_sandbox() as (sandbox, url):
        yield sandbox, url


def check_connection(account: ServedSandbox, settings: dict[str, Any]) -> str:
    connection = Connection(*account, settings)
    status = connection.source.check(log, connection.settings)
    assert (status.status.value == "FAILED") == bool(status.message)
    return status.message or ""


def test_check_extracta_id_among_atlas_batches_names_its_kind_and_other_settings(
    frozen_account: ServedSandbox,
) -> None:
    sandbox, _ = frozen_account
    template = sandbox.extracta.create("Invoices", ["vendor"])
    sandbox.extracta.upload(template, [NewFile("a.pdf", 0, {"vendor": "Acme"})])
    known = sandbox.atlas.submit([NewDocument("1", 0, {"document_type": "PAN"})])
    atlas = {"batch_ids": [known, template]}

    alone = check_connection(frozen_account, {"atlas": atlas})
    both = check_connection(frozen_account, {"atlas": atlas, "extracta": {"extraction_ids": [template]}})

    expected_text = f"Atlas does not know batch {template}. It looks like the id of an Extracta.ai template"
    assert alone == f"{expected_text}. Correct atlas.batch_ids."
    assert both == f"{expected_text} and is also named in extracta.extraction_ids. Correct atlas.batch_ids."


def test_check_atlas_batch_among_sensible_batches_names_its_kind(frozen_account: ServedSandbox) -> None:
    sandbox, _ = frozen_account
    documents = sandbox.atlas.submit([NewDocument("1", 0, {"document_type": "PAN"})])
    sandbox.sensible.add_document_type("claims")
    claims = sandbox.sensible.add_batch([SensibleDocument("a.pdf", 0, {})], "claims")

    expected_text = check_connection(frozen_account, {"sensible": {"batch_ids": [documents, claims]}})

    assert expected_text == (
        f"Sensible does not know batch {documents}. It looks like the id of an Atlas batch. Correct sensible.batch_ids."
    )


@pytest.mark.parametrize("is_named", [True, False])
def test_check_classification_id_among_extraction_ids_names_the_right_setting(
    frozen_account: ServedSandbox, is_named: bool
) -> None:
    sandbox, _ = frozen_account
    mail = sandbox.classification.create("Mail", [DocumentType("other")])
    settings = {"extraction_ids": [mail], **({"classification_ids": [mail]} if is_named else {})}

    expected_text = check_connection(frozen_account, {"extracta": settings})

    assert expected_text.startswith(f"Extracta.ai does not know the template {mail} of extracta.extraction_ids. (")
    assert " It is the id of a classification template: name it in extracta.classification_ids." in expected_text
    assert expected_text.endswith(" It is also named in extracta.classification_ids.") == is_named


def test_check_extraction_id_among_classification_ids_names_the_right_setting(
    frozen_account: ServedSandbox,
) -> None:
    template = frozen_account[0].extracta.create("Invoices", ["vendor"])

    expected_text = check_connection(frozen_account, {"extracta": {"classification_ids": [template]}})

    assert expected_text.endswith(" It is the id of an extraction template: name it in extracta.extraction_ids.")


def test_check_unknown_template_reports_only_the_template(frozen_account: ServedSandbox) -> None:
    expected_text = check_connection(frozen_account, {"extracta": {"extraction_ids": ["nobody"]}})

    assert expected_text.startswith("Extracta.ai does not know the template nobody of extracta.extraction_ids. (")
    assert expected_text.endswith(".)")
    # Classification answers with a server error: a message need not wait for its retries.
    endpoints = [entry.endpoint for entry in frozen_account[0].journal.entries]
    assert endpoints == ["extracta.viewExtraction", "extracta.viewClassification"]


def test_check_known_batch_with_an_id_of_another_form_succeeds(frozen_account: ServedSandbox) -> None:
    frozen_account[0].atlas.submit([NewDocument("1", 0, {"document_type": "PAN"})], batch_id=PUSH_ID)

    assert check_connection(frozen_account, {"atlas": {"batch_ids": [PUSH_ID]}}) == ""


def test_check_many_batches_fetches_at_most_ten(frozen_account: ServedSandbox) -> None:
    ids = [f"BATCH-1-NOBODY-202611190{number:05}" for number in range(500)]

    expected_text = check_connection(frozen_account, {"atlas": {"batch_ids": ids}})

    assert expected_text.startswith("Atlas knows none of the configured batches. ")
    assert frozen_account[0].journal.count_requests()["atlas.extracts"] == 10


@each_case(
    ("id_text", "product", "expected_text"),
    [
        (PUSH_ID, "atlas", "It looks like the id of an Extracta.ai template."),
        (PUSH_ID, "extracta", ""),
        ("extract_9f3b", "sensible_batches", "It looks like the id of a DocMap extraction."),
        ("tmpl_1", "docmap_runs", ""),
        ("BATCH-69469-BBRSS-20260309081408", "docmap_runs", "It looks like the id of an Atlas batch."),
        ("8pMpPs6SMPBpcnnznoaRz8bsj", "atlas", ""),
        ("batch of May", "atlas", ""),
    ],
)
def test_build_hint_names_only_unmistakable_formats(id_text: str, product: str, expected_text: str) -> None:
    assert build_hint(id_text, IdKind(product, "batch"), {}) == expected_text


def test_build_hint_id_in_other_settings_names_them() -> None:
    settings = Settings.parse(
        {
            "extracta": {"api_key": "12345678", "classification_batches": ["c1/b1"], "extraction_ids": ["c1"]},
            "sensible": {"api_key": "12345678", "batch_ids": ["b1"]},
        }
    )

    named = collect_mentions(settings)

    assert (
        build_hint("c1", IdKind("extracta", "template"), named)
        == "It is also named in extracta.classification_batches."
    )
    assert (
        build_hint("b1", IdKind("extracta_classification", "batch"), named) == "It is also named in sensible.batch_ids."
    )
    assert build_hint("b2", IdKind("atlas", "batch"), named) == ""
