"""How extractions of Sensible come about: from what a caller gives, or in great numbers."""

from collections.abc import Callable
from functools import partial
from math import inf
from random import Random

from sandbox.shared import JsonObject

from .extractions import DocumentType, Extraction, Part, PortfolioPart, SensibleDocument
from .papers import Papers

_SAMPLES = 61
"""So many different papers does a long history consist of; a reference of its own tells each of its rows apart."""


class Maker:
    """Fills in what is not given from the sandbox's generator."""

    def __init__(self, papers: Papers, type_named: Callable[[str], DocumentType]) -> None:
        self._papers = papers
        self._type_named = type_named

    def extraction(
        self, given: SensibleDocument, type_: DocumentType, environment: str, created_ms: int, batch_id: str | None
    ) -> Extraction:
        """A row that still waits for its file."""
        seconds = self._papers.seconds() if given.seconds is None else given.seconds
        parts = self._parts(given, type_)
        return Extraction(
            given.extraction_id or self._papers.uuid(),
            given.name,
            tuple(part.type for part in parts),
            environment,
            created_ms,
            seconds,
            inf,
            False,
            given.error,
            parts[-1].end_page + 1,
            given.portfolio is not None,
            batch_id,
            given.too_large,
            given.purged,
            lambda: parts,
        )

    def history(
        self, type_: DocumentType, count: int, first_ms: int, step_seconds: float, now: float
    ) -> list[Extraction]:
        """Rows that are complete `now`."""
        samples: list[JsonObject] = []
        types, uuid, step_ms = (type_,), self._papers.uuid, step_seconds * 1000
        rows = []
        for number in range(count):
            created_ms = first_ms + round(number * step_ms)
            seconds = 10 + number * 37 % 50
            rows.append(
                Extraction(
                    uuid(),
                    f"document-{number:07d}.pdf",
                    types,
                    "production",
                    created_ms,
                    seconds,
                    min(created_ms / 1000 + seconds, now),
                    True,
                    None,
                    1 + number % 4,
                    False,
                    None,
                    False,
                    False,
                    partial(self._sample, type_, samples, number),
                )
            )
        return rows

    def _parts(self, given: SensibleDocument, type_: DocumentType) -> list[Part]:
        """A portfolio's documents follow each other in its file; `startPage` and `endPage` are zero-based (a guess)."""
        if given.portfolio is None:
            parsed = self._papers.read(type_.name) if given.parsed is None else given.parsed
            pages = given.page_count or self._papers.page_count()
            return [Part(type_, parsed, given.review, given.coverage, 0, pages - 1)]
        if not given.portfolio:
            raise ValueError("a portfolio needs a document")
        parts: list[Part] = []
        pages = max(1, (given.page_count or 2 * len(given.portfolio)) // len(given.portfolio))
        for place, one in enumerate(given.portfolio):
            part = PortfolioPart(one, review=given.review if place == 0 else None) if isinstance(one, str) else one
            part_type = self._type_named(part.type_name)
            parsed = self._papers.read(part.type_name) if part.parsed is None else part.parsed
            last = (place + 1) * pages - 1
            parts.append(Part(part_type, parsed, part.review, given.coverage, place * pages, last))
        return parts

    def _sample(self, type_: DocumentType, samples: list[JsonObject], number: int) -> list[Part]:
        if not samples:
            # A generator of its own: when a history is first looked at must not change what is drawn elsewhere.
            papers = Papers(Random(type_.name))
            samples += [papers.read(type_.name) for _ in range(_SAMPLES)]
        reference = {"value": f"R-{number:07d}", "type": "string"}
        parsed: JsonObject = {**samples[number % _SAMPLES], "reference": reference}
        return [Part(type_, parsed, None, None, 0, number % 4)]
