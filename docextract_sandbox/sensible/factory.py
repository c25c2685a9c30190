"""A factory of Sensible extractions, single ones and long histories."""

from collections.abc import Callable
from functools import partial
from math import inf
from random import Random

from docextract_sandbox.context import JsonObject

from .extractions import DocumentType, Extraction, Part, PortfolioPart, SensibleDocument
from .fake_documents import FakeDocuments

_SAMPLE_COUNT = 61
"""Number of different documents in a long history, whose rows differ by their field `reference`."""


class ExtractionFactory:
    """A factory that draws the values that the caller leaves out."""

    def __init__(self, fake_documents: FakeDocuments, find_type: Callable[[str], DocumentType]) -> None:
        """Draw values from `fake_documents`.

        `find_type` returns a document type by its name.
        """
        self._fake_documents = fake_documents
        self._find_type = find_type

    def make_extraction(
        self,
        new_document: SensibleDocument,
        document_type: DocumentType,
        environment: str,
        created_ms: int,
        batch_id: str | None,
    ) -> Extraction:
        """Return an extraction whose file has not been uploaded yet."""
        duration_seconds = (
            self._fake_documents.draw_seconds()
            if new_document.duration_seconds is None
            else new_document.duration_seconds
        )
        parts = self._make_parts(new_document, document_type)
        return Extraction(
            new_document.extraction_id or self._fake_documents.draw_uuid(),
            new_document.name,
            tuple(part.document_type for part in parts),
            environment,
            created_ms,
            duration_seconds,
            inf,
            False,
            new_document.error,
            parts[-1].end_page + 1,
            new_document.portfolio is not None,
            batch_id,
            new_document.is_too_large,
            new_document.is_purged,
            lambda: parts,
        )

    def make_history(
        self, document_type: DocumentType, count: int, first_ms: int, step_seconds: float, now: float
    ) -> list[Extraction]:
        """Return a long history of extractions that are complete `now`.

        Args:
            document_type: The type of all documents.
            count: Number of extractions.
            first_ms: Creation time of the first extraction, in milliseconds since 1970.
            step_seconds: Seconds between two extractions.
            now: The sandbox's time in seconds since 1970; no extraction completes after it.
        """
        samples: list[JsonObject] = []
        document_types, draw_uuid, step_ms = (document_type,), self._fake_documents.draw_uuid, step_seconds * 1000
        rows = []
        for number in range(count):
            created_ms = first_ms + round(number * step_ms)
            duration_seconds = 10 + number * 37 % 50
            rows.append(
                Extraction(
                    draw_uuid(),
                    f"document-{number:07d}.pdf",
                    document_types,
                    "production",
                    created_ms,
                    duration_seconds,
                    min(created_ms / 1000 + duration_seconds, now),
                    True,
                    None,
                    1 + number % 4,
                    False,
                    None,
                    False,
                    False,
                    partial(self._make_sample_parts, document_type, samples, number),
                )
            )
        return rows

    def _make_parts(self, new_document: SensibleDocument, document_type: DocumentType) -> list[Part]:
        """Return the parts of an extraction, one for each document of a portfolio.

        The documents of a portfolio follow each other in its file; that pages count from zero is a guess.
        """
        if new_document.portfolio is None:
            parsed_document = (
                self._fake_documents.make_parsed_document(document_type.name)
                if new_document.parsed_document is None
                else new_document.parsed_document
            )
            page_count = new_document.page_count or self._fake_documents.draw_page_count()
            return [Part(document_type, parsed_document, new_document.review, new_document.coverage, 0, page_count - 1)]
        if not new_document.portfolio:
            raise ValueError("a portfolio needs a document")
        parts: list[Part] = []
        page_count = max(1, (new_document.page_count or 2 * len(new_document.portfolio)) // len(new_document.portfolio))
        for index, portfolio_item in enumerate(new_document.portfolio):
            portfolio_part = portfolio_item
            if isinstance(portfolio_part, str):
                portfolio_part = PortfolioPart(portfolio_part, review=new_document.review if index == 0 else None)
            part_type = self._find_type(portfolio_part.type_name)
            parsed_document = (
                self._fake_documents.make_parsed_document(portfolio_part.type_name)
                if portfolio_part.parsed_document is None
                else portfolio_part.parsed_document
            )
            last_page = (index + 1) * page_count - 1
            parts.append(
                Part(
                    part_type,
                    parsed_document,
                    portfolio_part.review,
                    new_document.coverage,
                    index * page_count,
                    last_page,
                )
            )
        return parts

    def _make_sample_parts(self, document_type: DocumentType, samples: list[JsonObject], number: int) -> list[Part]:
        if not samples:
            # A separate generator: the time of the first read must not change the draws of other documents.
            fake_documents = FakeDocuments(Random(document_type.name))
            samples += [fake_documents.make_parsed_document(document_type.name) for _ in range(_SAMPLE_COUNT)]
        reference = {"value": f"R-{number:07d}", "type": "string"}
        parsed_document: JsonObject = {**samples[number % _SAMPLE_COUNT], "reference": reference}
        return [Part(document_type, parsed_document, None, None, 0, number % 4)]
