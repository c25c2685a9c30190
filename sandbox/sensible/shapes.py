"""How Sensible writes extractions and batches: a summary in the list, all of it for one document."""

from collections.abc import Sequence

from sandbox.shared import JsonObject, Shared, iso

from .extractions import BatchView, DocumentType, DocumentView, PartView, Status

_CAMEL_CASE = {
    "parsed_document": "parsedDocument",
    "validation_summary": "validationSummary",
    "file_metadata": "fileMetadata",
    "classification_summary": "classificationSummary",
}


class Shapes:
    """Keys are documented unless a docstring says otherwise."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    def summary(self, view: DocumentView) -> JsonObject:
        """A row of the list: never what was extracted, and no `batchId` that anyone documented."""
        shown = self._head(view) | self._result(view)
        if view.is_portfolio:
            shown["documents"] = [
                {
                    "documentType": part.type.name,
                    "configuration": part.type.configuration,
                    "startPage": part.start_page,
                    "endPage": part.end_page,
                    "output": {"errors": [], "validations": _validations([part])},
                }
                for part in self._shown(view)
            ]
        if view.status is Status.COMPLETE:
            reviews = [part.review for part in self._shown(view)]
            # One example has a list; the specification calls it nullable.
            shown["reviewStatuses"] = reviews if view.is_portfolio or reviews != [None] else None
        if view.batch_id is not None and self._shared.switches.sensible_batch_id_in_list:
            shown["batchId"] = view.batch_id
        return shown

    def document(self, view: DocumentView) -> JsonObject:
        """One extraction. Which keys are absent until it is complete is a guess, `completed` aside."""
        shown = {**self._head(view), "content_type": _content_type(view.name), **self._result(view)}
        if view.status is Status.COMPLETE:
            shown |= self._portfolio(view) if view.is_portfolio else self._single(view)
        if view.status is not Status.WAITING:
            shown["download_url"] = self._shared.link(view.name)
        if view.batch_id is not None:
            shown["batchId"] = view.batch_id
        return shown

    def batch(self, view: BatchView) -> JsonObject:
        shown: JsonObject = {
            "id": view.batch_id,
            "description": view.description,
            "extraction_ids": list(view.extraction_ids),
        }
        if view.waiting or self._shared.switches.sensible_waiting_counter:
            shown["waiting"] = view.waiting
        return shown

    def document_type(self, type_: DocumentType) -> JsonObject:
        """The schema's keys are documented, its values here are guesses."""
        return {
            "id": type_.type_id,
            "name": type_.name,
            "created": self._time(type_.created_ms),
            "schema": {
                "fingerprint_mode": "fallback_to_all",
                "ocr_engine": "amazon",
                "ocr_level": 2,
                "prevent_default_merge_lines": False,
                "validations": [],
                "review_triggers": [],
            },
        }

    def _head(self, view: DocumentView) -> JsonObject:
        shown: JsonObject = {"id": view.extraction_id, "created": self._time(view.created_ms)}
        if view.completed_ms is not None:
            shown["completed"] = self._time(view.completed_ms)
        shown["status"] = view.status.value
        if view.status is Status.PROCESSING:
            shown["status"] = self._shared.switches.unknown_status or view.status.value
        if view.is_portfolio:
            shown["types"] = [type_.name for type_ in view.types]
        else:
            shown["type"] = view.types[0].name
        return {**shown, "environment": view.environment, "document_name": view.name}

    def _result(self, view: DocumentView) -> JsonObject:
        """What list and document tell alike of a finished extraction. One `charged` a document is a guess."""
        if view.status is Status.FAILED:
            return {"errors": [{"message": view.error, "type": "unexpected"}]}
        if view.status is not Status.COMPLETE:
            return {}
        shown: JsonObject = {} if view.is_portfolio else {"configuration": view.types[0].configuration}
        validations = _validations(view.parts)
        return {
            **shown,
            "page_count": view.page_count,
            "coverage": view.coverage,
            "charged": len(view.parts),
            "validation_summary": _validation_summary(view.parts, len(validations)),
            "validations": validations,
            "errors": self._errors(view),
        }

    def _shown(self, view: DocumentView) -> Sequence[PartView]:
        is_empty = view.is_portfolio and self._shared.switches.sensible_portfolios == "no_documents"
        return () if is_empty else view.parts

    def _errors(self, view: DocumentView) -> list[JsonObject]:
        """The words are a guess."""
        if not view.is_portfolio or self._shared.switches.sensible_portfolios == "whole":
            return []
        return [{"message": "No document was found in the file", "type": "unexpected"}]

    def _single(self, view: DocumentView) -> JsonObject:
        (part,) = view.parts
        shown: JsonObject = {"configuration_version": part.type.configuration_version, **self._output(part)}
        # Documented: absent when no review is needed.
        return shown if part.review is None else {"reviewStatus": part.review, **shown}

    def _portfolio(self, view: DocumentView) -> JsonObject:
        return {
            "reviewStatuses": [part.review for part in self._shown(view)],
            "documents": [
                {
                    "documentType": part.type.name,
                    "configuration": part.type.configuration,
                    "configuration_version": part.type.configuration_version,
                    "startPage": part.start_page,
                    "endPage": part.end_page,
                    "output": None
                    if self._shared.switches.sensible_portfolios == "no_output"
                    else self._cased(
                        {
                            **self._output(part),
                            "validations": _validations([part]),
                            "validation_summary": _validation_summary([part], len(_validations([part]))),
                            "errors": [],
                            "coverage": part.coverage,
                        }
                    ),
                }
                for part in self._shown(view)
            ],
        }

    def _output(self, part: PartView) -> JsonObject:
        """Documented: with `keepParsedDocument: false` the postprocessor's output is the only one."""
        output = _output(part)
        if self._shared.switches.sensible_postprocessed:
            output["postprocessorOutput"] = output.pop("parsed_document")
        return output

    def _cased(self, output: JsonObject) -> JsonObject:
        if not self._shared.switches.sensible_camel_case:
            return output
        return {_CAMEL_CASE.get(key, key): value for key, value in output.items()}

    def _time(self, milliseconds: int) -> str:
        text = iso(milliseconds)
        return text.removesuffix("Z") if self._shared.switches.sensible_naive_times else text


def _output(part: PartView) -> JsonObject:
    """The insides of `file_metadata` and `classification_summary` are plausible constants."""
    found = sum(field is not None for field in part.parsed.values())
    return {
        "parsed_document": part.parsed,
        "file_metadata": {"info": {"author": "Scanner", "producer": "Sandbox", "title": part.type.name}},
        "classification_summary": [
            {
                "configuration": part.type.configuration,
                "fingerprints": 2,
                "fingerprints_present": 2,
                "score": {"value": found, "fields_present": found, "penalties": 0},
            }
        ],
    }


def _validation_summary(parts: Sequence[PartView], warnings: int) -> JsonObject:
    """Each field that was not found has one warning."""
    fields = sum(len(part.parsed) for part in parts)
    return {
        "fields": fields,
        "fields_present": fields - warnings,
        "errors": 0,
        "warnings": warnings,
        "skipped": 0,
    }


def _validations(parts: Sequence[PartView]) -> list[JsonObject]:
    """The sandbox's one rule: a field that was not found is worth a warning."""
    return [
        {"description": f"{key} is present", "severity": "warning", "message": "The field was not found"}
        for part in parts
        for key, field in part.parsed.items()
        if field is None
    ]


def _content_type(name: str) -> str:
    if name.lower().endswith(".docx"):
        return "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
    return "application/pdf"
