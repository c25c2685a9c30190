"""JSON of Sensible's summaries, documents and batches."""

from collections.abc import Sequence

from docextract_sandbox.context import JsonObject, SandboxContext, format_iso

from .extractions import BatchView, DocumentType, DocumentView, PartView, Status

_CAMEL_CASE_KEYS = {
    "parsed_document": "parsedDocument",
    "validation_summary": "validationSummary",
    "file_metadata": "fileMetadata",
    "classification_summary": "classificationSummary",
}


class ResponseRenderer:
    """A renderer of response bodies, with documented keys unless noted otherwise."""

    def __init__(self, context: SandboxContext) -> None:
        """Take the switches from `context`."""
        self._context = context

    def render_summary(self, view: DocumentView) -> JsonObject:
        """Return a row of the list, without data and by default without `batchId`."""
        document_json = self._render_head(view) | self._render_result(view)
        if view.is_portfolio:
            document_json["documents"] = [
                {
                    "documentType": part.document_type.name,
                    "configuration": part.document_type.configuration,
                    "startPage": part.start_page,
                    "endPage": part.end_page,
                    "output": {"errors": [], "validations": _build_validations([part])},
                }
                for part in self._get_visible_parts(view)
            ]
        if view.status is Status.COMPLETE:
            reviews = [part.review for part in self._get_visible_parts(view)]
            # One example shows a list; the specification says that it may be null.
            document_json["reviewStatuses"] = reviews if view.is_portfolio or reviews != [None] else None
        # Without it the connector learns the batch of a document from the document itself, and its late value is a
        # change.
        if view.batch_id is not None and self._context.switches.sensible_batch_id_in_list:
            document_json["batchId"] = view.batch_id
        return document_json

    def render_document(self, view: DocumentView) -> JsonObject:
        """Return one extraction.

        Which keys are absent until it is complete is a guess, except for `completed`.
        """
        document_json = {
            **self._render_head(view),
            "content_type": _guess_content_type(view.name),
            **self._render_result(view),
        }
        if view.status is Status.COMPLETE:
            document_json |= self._render_portfolio(view) if view.is_portfolio else self._render_single(view)
        if view.status is not Status.WAITING:
            document_json["download_url"] = self._context.sign_url(view.name)
        if view.batch_id is not None:
            document_json["batchId"] = view.batch_id
        return document_json

    def render_batch(self, view: BatchView) -> JsonObject:
        """Return a batch."""
        batch_json: JsonObject = {
            "id": view.batch_id,
            "description": view.description,
            "extraction_ids": list(view.extraction_ids),
        }
        if view.waiting_count or self._context.switches.sensible_waiting_counter:
            batch_json["waiting"] = view.waiting_count
        return batch_json

    def render_document_type(self, document_type: DocumentType) -> JsonObject:
        """Return a document type.

        The keys of its schema are documented, their values are guesses.
        """
        return {
            "id": document_type.type_id,
            "name": document_type.name,
            "created": self._format_time(document_type.created_ms),
            "schema": {
                "fingerprint_mode": "fallback_to_all",
                "ocr_engine": "amazon",
                "ocr_level": 2,
                "prevent_default_merge_lines": False,
                "validations": [],
                "review_triggers": [],
            },
        }

    def _render_head(self, view: DocumentView) -> JsonObject:
        document_json: JsonObject = {"id": view.extraction_id, "created": self._format_time(view.created_ms)}
        if view.completed_ms is not None:
            document_json["completed"] = self._format_time(view.completed_ms)
        document_json["status"] = view.status.value
        if view.status is Status.PROCESSING:
            document_json["status"] = self._context.switches.unknown_status or view.status.value
        if view.is_portfolio:
            document_json["types"] = [document_type.name for document_type in view.document_types]
        else:
            document_json["type"] = view.document_types[0].name
        return {**document_json, "environment": view.environment, "document_name": view.name}

    def _render_result(self, view: DocumentView) -> JsonObject:
        """Return the keys that list and document share for a finished extraction.

        `charged` is a guess.
        """
        if view.status is Status.FAILED:
            return {"errors": [{"message": view.error, "type": "unexpected"}]}
        if view.status is not Status.COMPLETE:
            return {}
        document_json: JsonObject = {} if view.is_portfolio else {"configuration": view.document_types[0].configuration}
        validations = _build_validations(view.parts)
        return {
            **document_json,
            "page_count": view.page_count,
            "coverage": view.coverage,
            "charged": len(view.parts),
            "validation_summary": _summarize_validations(view.parts, len(validations)),
            "validations": validations,
            "errors": self._render_errors(view),
        }

    def _get_visible_parts(self, view: DocumentView) -> Sequence[PartView]:
        is_empty = view.is_portfolio and self._context.switches.sensible_portfolios == "no_documents"
        return () if is_empty else view.parts

    def _render_errors(self, view: DocumentView) -> list[JsonObject]:
        """Return the errors of a portfolio without documents or output.

        Their text is a guess.
        """
        if not view.is_portfolio or self._context.switches.sensible_portfolios == "whole":
            return []
        return [{"message": "No document was found in the file", "type": "unexpected"}]

    def _render_single(self, view: DocumentView) -> JsonObject:
        (part,) = view.parts
        document_json: JsonObject = {
            "configuration_version": part.document_type.configuration_version,
            **self._render_output(part),
        }
        # As documented, the key is absent unless a review is needed.
        return document_json if part.review is None else {"reviewStatus": part.review, **document_json}

    def _render_portfolio(self, view: DocumentView) -> JsonObject:
        visible_parts = self._get_visible_parts(view)
        return {
            "reviewStatuses": [part.review for part in visible_parts],
            "documents": [self._render_portfolio_part(part) for part in visible_parts],
        }

    def _render_portfolio_part(self, part: PartView) -> JsonObject:
        output: JsonObject | None = None
        if self._context.switches.sensible_portfolios != "no_output":
            validations = _build_validations([part])
            output = self._apply_key_case(
                {
                    **self._render_output(part),
                    "validations": validations,
                    "validation_summary": _summarize_validations([part], len(validations)),
                    "errors": [],
                    "coverage": part.coverage,
                }
            )
        return {
            "documentType": part.document_type.name,
            "configuration": part.document_type.configuration,
            "configuration_version": part.document_type.configuration_version,
            "startPage": part.start_page,
            "endPage": part.end_page,
            "output": output,
        }

    def _render_output(self, part: PartView) -> JsonObject:
        """Return a part's output.

        With `keepParsedDocument: false` only the postprocessor's, as documented.
        """
        output = _build_output(part)
        if self._context.switches.sensible_postprocessed:
            output["postprocessorOutput"] = output.pop("parsed_document")
        return output

    def _apply_key_case(self, output: JsonObject) -> JsonObject:
        if not self._context.switches.sensible_camel_case:
            return output
        return {_CAMEL_CASE_KEYS.get(key, key): value for key, value in output.items()}

    def _format_time(self, milliseconds: int) -> str:
        text = format_iso(milliseconds)
        return text.removesuffix("Z") if self._context.switches.sensible_naive_times else text


def _build_output(part: PartView) -> JsonObject:
    """Return a part's output.

    The contents of `file_metadata` and `classification_summary` are invented.
    """
    found_count = sum(field is not None for field in part.parsed_document.values())
    return {
        "parsed_document": part.parsed_document,
        "file_metadata": {"info": {"author": "Scanner", "producer": "Sandbox", "title": part.document_type.name}},
        "classification_summary": [
            {
                "configuration": part.document_type.configuration,
                "fingerprints": 2,
                "fingerprints_present": 2,
                "score": {"value": found_count, "fields_present": found_count, "penalties": 0},
            }
        ],
    }


def _summarize_validations(parts: Sequence[PartView], warning_count: int) -> JsonObject:
    """Return the summary of validations, with one warning per missing field."""
    field_count = sum(len(part.parsed_document) for part in parts)
    return {
        "fields": field_count,
        "fields_present": field_count - warning_count,
        "errors": 0,
        "warnings": warning_count,
        "skipped": 0,
    }


def _build_validations(parts: Sequence[PartView]) -> list[JsonObject]:
    """Return a warning for each missing field, the sandbox's only validation."""
    validations: list[JsonObject] = []
    for part in parts:
        for key, field in part.parsed_document.items():
            if field is None:
                description = f"{key} is present"
                validations.append(
                    {"description": description, "severity": "warning", "message": "The field was not found"}
                )
    return validations


def _guess_content_type(name: str) -> str:
    if name.lower().endswith(".docx"):
        return "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
    return "application/pdf"
