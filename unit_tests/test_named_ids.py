"""Ids that stand in the wrong setting: what `check` says of them, against the sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from harness import Connection, log, world

from sandbox import DocumentType, NewDocument, NewFile, Sandbox, SensibleDocument
from source_docextract.config import Settings
from source_docextract.named_ids import Kind, hint, mentions

PUSH_ID = "-OPXQuIrkHuA2QZkY-44"
Served = tuple[Sandbox, str]


@pytest.fixture
def served() -> Iterator[Served]:
    with world() as (sandbox, url):
        yield sandbox, url


def check(served: Served, settings: dict[str, Any]) -> str:
    connection = Connection(*served, settings)
    status = connection.source.check(log, connection.settings)
    assert (status.status.value == "FAILED") == bool(status.message)
    return status.message or ""


def test_check_of_an_id_of_extracta_among_atlas_batches_says_what_it_looks_like_and_where_it_belongs(
    served: Served,
) -> None:
    sandbox, _ = served
    template = sandbox.extracta.create("Invoices", ["vendor"])
    sandbox.extracta.upload(template, [NewFile("a.pdf", 0, {"vendor": "Acme"})])
    known = sandbox.atlas.submit([NewDocument("1", 0, {"document_type": "PAN"})])
    atlas = {"batch_ids": [known, template]}

    alone = check(served, {"atlas": atlas})
    both = check(served, {"atlas": atlas, "extracta": {"extraction_ids": [template]}})

    words = f"Atlas does not know batch {template}. It looks like the id of a template of Extracta.ai"
    assert alone == f"{words}. Correct atlas.batch_ids."
    assert both == f"{words} and is named in extracta.extraction_ids, too. Correct atlas.batch_ids."


def test_check_of_a_batch_id_of_atlas_among_those_of_sensible_says_so(served: Served) -> None:
    sandbox, _ = served
    papers = sandbox.atlas.submit([NewDocument("1", 0, {"document_type": "PAN"})])
    sandbox.sensible.document_type("claims")
    claims = sandbox.sensible.batch([SensibleDocument("a.pdf", 0, {})], "claims")

    words = check(served, {"sensible": {"batch_ids": [papers, claims]}})

    assert words == (
        f"Sensible does not know batch {papers}. It looks like the id of a batch of Atlas. Correct sensible.batch_ids."
    )


@pytest.mark.parametrize("is_named", [True, False])
def test_check_of_a_classification_id_among_extraction_ids_says_where_it_belongs(
    served: Served, is_named: bool
) -> None:
    sandbox, _ = served
    mail = sandbox.classification.create("Mail", [DocumentType("other")])
    settings = {"extraction_ids": [mail], **({"classification_ids": [mail]} if is_named else {})}

    words = check(served, {"extracta": settings})

    assert words.startswith(f"Extracta.ai does not know the template {mail} of extracta.extraction_ids. (")
    assert " It is the id of a classification template: name it in extracta.classification_ids." in words
    assert words.endswith(" It is named in extracta.classification_ids, too.") == is_named


def test_check_of_an_extraction_id_among_classification_ids_says_where_it_belongs(served: Served) -> None:
    template = served[0].extracta.create("Invoices", ["vendor"])

    words = check(served, {"extracta": {"classification_ids": [template]}})

    assert words.endswith(" It is the id of an extraction template: name it in extracta.extraction_ids.")


def test_check_of_a_template_that_nobody_knows_says_no_more_than_that(served: Served) -> None:
    words = check(served, {"extracta": {"extraction_ids": ["nobody"]}})

    assert words.startswith("Extracta.ai does not know the template nobody of extracta.extraction_ids. (")
    assert words.endswith(".)")


def test_check_of_a_known_batch_whose_id_looks_like_another_one_says_nothing(served: Served) -> None:
    served[0].atlas.submit([NewDocument("1", 0, {"document_type": "PAN"})], batch_id=PUSH_ID)

    assert check(served, {"atlas": {"batch_ids": [PUSH_ID]}}) == ""


def test_check_of_many_batches_asks_for_ten_at_most(served: Served) -> None:
    ids = [f"BATCH-1-NOBODY-202611190{n:05}" for n in range(500)]

    words = check(served, {"atlas": {"batch_ids": ids}})

    assert words.startswith("Atlas knows none of the batches that are named. ")
    assert served[0].journal.counts()["atlas.extracts"] == 10


@pytest.mark.parametrize(
    ("one", "product", "words"),
    [
        (PUSH_ID, "atlas", "It looks like the id of a template of Extracta.ai."),
        (PUSH_ID, "extracta", ""),
        ("extract_9f3b", "sensible_batches", "It looks like the id of an extraction of DocMap."),
        ("tmpl_1", "docmap_runs", ""),
        ("BATCH-69469-BBRSS-20260309081408", "docmap_runs", "It looks like the id of a batch of Atlas."),
        ("8pMpPs6SMPBpcnnznoaRz8bsj", "atlas", ""),
        ("batch of May", "atlas", ""),
    ],
)
def test_a_hint_names_only_what_has_a_form_of_its_own(one: str, product: str, words: str) -> None:
    assert hint(one, Kind(product, "batch"), {}) == words


def test_a_hint_names_every_other_setting_that_has_the_id() -> None:
    settings = Settings.parse(
        {
            "extracta": {"api_key": "12345678", "classification_batches": ["c1/b1"], "extraction_ids": ["c1"]},
            "sensible": {"api_key": "12345678", "batch_ids": ["b1"]},
        }
    )

    named = mentions(settings)

    assert hint("c1", Kind("extracta", "template"), named) == "It is named in extracta.classification_batches, too."
    assert hint("b1", Kind("extracta_classification", "batch"), named) == "It is named in sensible.batch_ids, too."
    assert hint("b2", Kind("atlas", "batch"), named) == ""
