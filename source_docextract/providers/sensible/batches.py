"""Sensible's batches: what their answers tell, and what their documents do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import NoneType

from ...errors import BadAnswer
from ...model import BatchRef, BatchStatus, Document, FileKeys, FileStatus, Json, Snapshot
from ..base import each, left_out, others, text

_BATCH = frozenset({"id", "description", "extraction_ids"})
_COUNTERS = frozenset({"waiting", "processing", "complete", "completed", "failed"})

_LETTERS = {FileStatus.PENDING: "w", FileStatus.PROCESSED: "p", FileStatus.FAILED: "f"}
_UNKNOWN = "?"


def member_ids(answer: Mapping[str, Json]) -> list[str]:
    return each(_ids(answer), _id)


def _ids(answer: Mapping[str, Json]) -> list[Json]:
    ids = answer.get("extraction_ids", "none told")
    if not isinstance(ids, (list, NoneType)):
        raise BadAnswer("Sensible's answer about a batch holds no list of extraction_ids.")
    return ids or []


def _id(sent: Json) -> str:
    if not sent or type(sent) not in {str, int}:
        raise BadAnswer("An extraction of a batch of Sensible's has no id.")
    return str(sent)


def member(extraction_id: str) -> BatchRef:
    return BatchRef(None, extraction_id, named=True, linked=True)


def batch_of(ref: BatchRef, answer: Mapping[str, Json]) -> Snapshot:
    """A batch, whose answer tells no more of its documents than their ids; their order never changes.

    What they have told of themselves is written down by one letter each. What none has told so far is asked for.
    """
    ids = member_ids(answer)
    trouble = left_out(len(_ids(answer)) - len(ids), f"the extraction_ids of {ref.batch_id} in Sensible's answer")
    known = _unpacked(ref.memo)
    if len(known) != len(ids):
        known = _UNKNOWN * len(ids)
    letters = "".join(
        _LETTERS[ref.told[one]] if one in ref.told else letter for one, letter in zip(ids, known, strict=True)
    )
    statuses = {letter: status for status, letter in _LETTERS.items()}
    keys = FileKeys()
    documents = tuple(
        Document(keys.key(one, None), statuses.get(letter, FileStatus.PENDING), file_id=one)
        for one, letter in zip(ids, letters, strict=True)
    )
    is_open = not ids or trouble or any(document.status is FileStatus.PENDING for document in documents)
    return Snapshot(
        ref,
        BatchStatus.OPEN if is_open else BatchStatus.COMPLETE,
        documents=documents,
        description=text(answer.get("description")),
        error=trouble or None,
        provider_data=others(answer, _BATCH | _COUNTERS),
        counters={key: answer[key] for key in sorted(_COUNTERS & answer.keys())},
        links=tuple(member(one) for one, letter in zip(ids, letters, strict=True) if letter == _UNKNOWN),
        memo=_packed(letters),
        trouble=trouble,
    )


def _packed(letters: str) -> str:
    """`pppppw` as `p5w`."""
    return re.sub(r"(.)\1+", lambda run: f"{run[1]}{len(run[0])}", letters)


def _unpacked(memo: str) -> str:
    return "".join(letter * int(times or 1) for letter, times in re.findall(r"(\D)(\d*)", memo))
