"""Identifiers in the shapes of the documented examples."""

import re
from datetime import datetime, timezone
from random import Random

from docextract_sandbox.ids import make_atlas_batch_id, make_extracta_batch_id, make_push_id


def test_push_id_starts_with_its_encoded_time() -> None:
    # given: the documented example is -OPXQuIrkHuA2QZkY-44
    created = datetime(2025, 5, 5, 21, 52, 27, 895_000, tzinfo=timezone.utc)

    # when
    made = make_push_id(round(created.timestamp() * 1000), Random(1))

    # then
    assert made.startswith("-OPXQuIr")
    assert len(made) == len("-OPXQuIrkHuA2QZkY-44")


def test_batch_ids_have_the_documented_format() -> None:
    # given
    submitted_at = datetime(2025, 11, 21, 11, 32, 28, tzinfo=timezone.utc)

    # when / then
    assert re.fullmatch(r"[0-9A-Za-z]{25}", make_extracta_batch_id(Random(1)))
    assert re.fullmatch(r"BATCH-\d{5}-[A-Z]{5}-20251121113228", make_atlas_batch_id(submitted_at, Random(1)))
