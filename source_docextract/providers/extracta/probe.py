"""Assumptions about Extracta.ai, and the requests that check them.

Sources: Extracta.ai's pages "Get results" of both products and "View extraction", and public clients. The table also
holds the readings of what these leave open.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import parse_qsl, urlsplit

from ...core.json_types import Json
from ...core.probing.assumptions import (
    REPORT_ADVICE,
    Assumption,
    Evidence,
    ProbeFlow,
    ProbeResponse,
    Variant,
    build_keys_assumption,
    build_rate_limit_assumption,
)
from ...core.probing.findings import Findings
from ...core.probing.shapes import describe_shape, describe_status, describe_time_format, get_type_name
from ...core.requests import Request
from .settings import ExtractaSettings

_MAX_TEMPLATES = 3

_MAX_BATCHES = 4
"""Batches to read of each product. With the templates and the unknown ids, this stays below 30 requests in all."""

_UNKNOWN_ID = "-MadeUpByTheProbe0000"
"""An id that does not exist: the response shows the form in which Extracta.ai refuses an id."""

# No page documents the form or the unit of `startTime`, and public clients read it as a number or as text. Each form
# that a time can have is therefore a variant, so that a report shows the one in use.
_START_TIME_VARIANTS = {
    "milliseconds": "ms",
    "milliseconds as text": "text",
    "ISO 8601 with a zone": "iso",
    "ISO 8601 without a zone": "iso",
    "ISO 8601 in lower case": "lower_case",
    "seconds": "seconds",
    "seconds as text": "seconds",
    "microseconds": "microseconds",
    "nanoseconds": "nanoseconds",
    "seconds and nanoseconds": "seconds_and_nanoseconds",
    "an HTTP date": "http",
    "milliseconds beyond 2100": "year_9999",
    "text of another form": "words",
    "missing": "missing",
}

ASSUMPTIONS: tuple[Assumption, ...] = (
    Assumption(
        "extracta.account",
        Evidence.DOCUMENTED,
        (
            Variant("own", "The account knows the templates that the settings name."),
            Variant("other", "It knows none of them: the key may belong to another account.", {"other_account": True}),
        ),
        "Check extracta.api_key and the ids in the settings.",
    ),
    Assumption(
        "extracta.extraction_batches",
        Evidence.THIRD_PARTY,
        (
            Variant("listed", "`viewExtraction` contains an object `batches`, keyed by batch id."),
            Variant("not_listed", "`viewExtraction` contains no `batches`.", {"extracta_batches": False}),
        ),
        "Name batches in extracta.extraction_batches or in a batch registry until this format is supported.",
    ),
    Assumption(
        "extracta.classification_batches",
        Evidence.GUESS,
        (
            Variant("not_listed", "`viewClassification` contains no `batches`."),
            Variant(
                "listed", "`viewClassification` contains an object `batches` too.", {"classification_batches": True}
            ),
        ),
        "Name batches in extracta.classification_batches or in a batch registry until this format is supported.",
    ),
    Assumption(
        "extracta.start_time",
        Evidence.GUESS,
        (
            Variant("ms", "A listed batch's `startTime` is a number of milliseconds since 1970."),
            Variant("text", "It is milliseconds written as text.", {"extracta_start_time": "text"}),
            Variant("iso", "It is ISO 8601 text.", {"extracta_start_time": "iso"}),
            Variant("lower_case", "It is ISO 8601 text in lower case.", {"extracta_start_time": "lower_case"}),
            Variant("seconds", "It is a number of seconds since 1970.", {"extracta_start_time": "seconds"}),
            Variant("microseconds", "It is in microseconds.", {"extracta_start_time": "microseconds"}),
            Variant("nanoseconds", "It is in nanoseconds.", {"extracta_start_time": "nanoseconds"}),
            Variant(
                "seconds_and_nanoseconds",
                "It is an object of seconds and nanoseconds.",
                {"extracta_start_time": "seconds_and_nanoseconds"},
            ),
            Variant("http", "It is a date as in HTTP's headers.", {"extracta_start_time": "http"}),
            Variant(
                "year_9999",
                "It is a time far in the future, which is ignored and kept in provider_data.",
                {"extracta_start_time": "year_9999"},
            ),
            Variant(
                "words",
                "It is text that is not a time, which is ignored and kept in provider_data.",
                {"extracta_start_time": "words"},
            ),
            Variant("missing", "It is missing.", {"extracta_start_time": "missing"}),
        ),
        f"Batches are read without a creation time. {REPORT_ADVICE}",
    ),
    Assumption(
        "extracta.files_no",
        Evidence.THIRD_PARTY,
        (
            Variant("number", "A listed batch's `filesNo` is a whole number."),
            Variant("missing", "It is missing; files added late are then seen within the lookback only."),
        ),
        f"Files added to a batch after the lookback are not seen. {REPORT_ADVICE}",
    ),
    Assumption(
        "extracta.batch_status",
        Evidence.THIRD_PARTY,
        (
            Variant("word", "A listed batch has a one-word `status`, which is delivered but not used."),
            Variant("missing", "It is missing."),
        ),
        REPORT_ADVICE,
    ),
    Assumption(
        "extracta.file_ids",
        Evidence.THIRD_PARTY,
        (
            Variant("present", "Each file of an extraction batch has a `fileId`."),
            Variant("absent", "Files have none; their names are used as keys.", {"extracta_file_ids": False}),
        ),
        REPORT_ADVICE,
    ),
    Assumption(
        "extracta.ready_status",
        Evidence.THIRD_PARTY,
        (
            Variant("absent", "A finished extraction batch has no `status` next to its files."),
            Variant("present", "It has one.", {"extracta_top_level_status": True}),
        ),
        REPORT_ADVICE,
    ),
    Assumption(
        "extracta.waiting",
        Evidence.ORIGINAL_PAGES,
        (
            Variant("no_files", "An unfinished batch has the status `waiting` and no `files`."),
            Variant("partial", "An unfinished batch already lists its files.", {"partial_batches": True}),
        ),
        f"Unfinished batches may be taken for finished ones. {REPORT_ADVICE}",
    ),
    Assumption(
        "extracta.file_status",
        Evidence.THIRD_PARTY,
        (
            Variant("known", "Files are `processed`, `processing`, `waiting`, `failed` or `error`."),
            Variant(
                "unknown", "There are other statuses; such files count as unfinished.", {"unknown_status": "queued"}
            ),
        ),
        REPORT_ADVICE,
    ),
    Assumption(
        "extracta.result",
        Evidence.ORIGINAL_PAGES,
        (
            Variant("object", "A processed file's `result` is an object with the template's field keys."),
            Variant("list", "It is a list, which is delivered under `value`."),
        ),
        REPORT_ADVICE,
    ),
    Assumption(
        "extracta.file_links",
        Evidence.THIRD_PARTY,
        (
            Variant("expiring", "A file's `url` contains its expiry time."),
            Variant("lasting", "A file's `url` contains no expiry time: anyone with the row can open the document."),
        ),
        "Set keep_urls to false if links to documents should not reach the warehouse.",
    ),
    Assumption(
        "extracta.unknown_batch",
        Evidence.THIRD_PARTY,
        (Variant("error", 'The response for an unknown batch is 400 with `{"error"}`.'),),
        f"A batch that does not exist fails its streams at every sync instead of being `missing`. {REPORT_ADVICE}",
    ),
    Assumption(
        "extracta.unknown_template",
        Evidence.GUESS,
        (Variant("error", 'The response for an unknown template is 400 with `{"error"}`.'),),
        f"A wrong extraction id is not reported as such. {REPORT_ADVICE}",
    ),
    Assumption(
        "extracta.unknown_classification_batch",
        Evidence.ORIGINAL_PAGES,
        (Variant("message", 'The response for an unknown batch is 400 with `{"status": "error", "message"}`.'),),
        f"A batch that does not exist fails its streams at every sync instead of being `missing`. {REPORT_ADVICE}",
    ),
    Assumption(
        "extracta.error_in_answer",
        Evidence.THIRD_PARTY,
        (
            Variant("none", "A response with status 200 contains no `error`."),
            Variant(
                "present",
                "It contains an `error` and no files; that batch fails with an error message and is requested again.",
            ),
        ),
        REPORT_ADVICE,
    ),
    Assumption(
        "extracta.empty_batch",
        Evidence.GUESS,
        (
            Variant("never", "A batch has files, or is waiting for them."),
            Variant("empty", "A batch has an empty list of files; it stays open, since files may follow."),
        ),
        REPORT_ADVICE,
    ),
    Assumption(
        "extracta.edits",
        Evidence.GUESS,
        (Variant("replaced", "A manual edit replaces `result` without any other sign."),),
        "Raise lookback_days if edits come later than that.",
        is_visible=False,
    ),
    Assumption(
        "extracta.late_links",
        Evidence.GUESS,
        (Variant("later", "A classified file may get its reference to an extraction batch later."),),
        "Raise lookback_days if references come later than that.",
        is_visible=False,
    ),
    build_rate_limit_assumption("extracta"),
    build_keys_assumption(
        "extracta", Evidence.THIRD_PARTY, "Responses have only keys that are documented or seen in public code."
    ),
)

_VIEW_KEYS = frozenset(
    {"extractionId", "classificationId", "status", "extractionDetails", "classificationDetails", "batches"}
)

_LISTED_KEYS = frozenset({"filesNo", "origin", "startTime", "status"})

_RESPONSE_KEYS = frozenset(
    {"extractionId", "classificationId", "batchId", "fileId", "status", "files", "error", "message"}
)

_FILE_KEYS = frozenset({"fileId", "fileName", "status", "result", "url", "error", "extraction"})

_KNOWN_STATUSES = frozenset({"processed", "processing", "waiting", "failed", "error"})


def probe_extracta(settings: ExtractaSettings, findings: Findings) -> ProbeFlow:
    """Read a few templates and batches of each product, and unknown ids."""
    unknown_count = 0
    extraction_ids = list(dict.fromkeys(settings.extraction_ids))[:_MAX_TEMPLATES]
    batches = _parse_batch_paths(settings.extraction_batches)
    for template_id in extraction_ids:
        response = yield Request("POST", "/viewExtraction", json={"extractionId": template_id})
        unknown_count += response.status == 400
        batches += _read_view(findings, "extraction", template_id, response)
    for template_id, batch_id in _select_batches(batches):
        response = yield Request("POST", "/getBatchResults", json={"extractionId": template_id, "batchId": batch_id})
        _read_results(findings, response, is_classification=False)
    # A template of the settings: with an unknown one as well, the response would not show which id is refused.
    template_id = next((template_id for template_id, _ in batches), extraction_ids[0] if extraction_ids else "")
    if template_id:
        body = {"extractionId": template_id, "batchId": _UNKNOWN_ID}
        response = yield Request("POST", "/getBatchResults", json=body)
        _read_unknown(findings, "extracta.unknown_batch", response, "error")
        response = yield Request("POST", "/viewExtraction", json={"extractionId": _UNKNOWN_ID})
        _read_unknown(findings, "extracta.unknown_template", response, "error")

    classification_ids = list(dict.fromkeys(settings.classification_ids))[:_MAX_TEMPLATES]
    batches = _parse_batch_paths(settings.classification_batches)
    for template_id in classification_ids:
        response = yield _build_view_request(template_id)
        unknown_count += response.status == 400
        batches += _read_view(findings, "classification", template_id, response)
    for template_id, batch_id in _select_batches(batches):
        response = yield _build_results_request(template_id, batch_id)
        _read_results(findings, response, is_classification=True)
    template_id = next((template_id for template_id, _ in batches), classification_ids[0] if classification_ids else "")
    if template_id:
        response = yield _build_results_request(template_id, _UNKNOWN_ID)
        _read_unknown(findings, "extracta.unknown_classification_batch", response, "message")
    # Extracta.ai answers 400 to an unknown id and to an id of another account alike. One template that it knows shows
    # that the key fits; one that it does not know shows nothing.
    if template_count := len(extraction_ids) + len(classification_ids):
        findings.observe("extracta.account", "other" if unknown_count == template_count else "own")


def _build_view_request(template_id: str) -> Request:
    return Request("POST", "/documentClassification/viewClassification", json={"classificationId": template_id})


def _build_results_request(template_id: str, batch_id: str) -> Request:
    body = {"classificationId": template_id, "batchId": batch_id}
    return Request("POST", "/documentClassification/getResults", json=body)


def _parse_batch_paths(paths: Iterable[str]) -> list[tuple[str, str]]:
    """Return (template id, batch id) of each batch that the settings name."""
    path_parts = [batch_path.split("/") for batch_path in paths]
    return [(template_id, batch_id) for template_id, batch_id, *_ in path_parts]


def _select_batches(batches: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return a few of the oldest and of the newest batches.

    Old batches are finished and new ones may not be, so together they show both forms of a response.
    """
    unique_batches = list(dict.fromkeys(batches))
    if len(unique_batches) <= _MAX_BATCHES:
        return unique_batches
    half_count = _MAX_BATCHES // 2
    return [*unique_batches[:half_count], *unique_batches[-half_count:]]


def _read_view(findings: Findings, product: str, template_id: str, response: ProbeResponse) -> list[tuple[str, str]]:
    """Record the findings about a template.

    Returns:
        (template id, batch id) of its listed batches, oldest first where they have a start time.
    """
    body = response.json_object
    if body is None:
        findings.add_note(f"A template could not be read ({response.describe_outcome(_RESPONSE_KEYS | _VIEW_KEYS)}).")
        return []
    findings.observe_keys("extracta.keys", body, _VIEW_KEYS)
    details = body.get(f"{product}Details")
    details = details if isinstance(details, Mapping) else {}
    # Inside the details, as public clients read it, or beside them, since no page documents the place: as in a sync.
    listed_batches = details.get("batches", body.get("batches"))
    assumption_id = f"extracta.{product}_batches"
    if listed_batches is None:
        findings.observe(assumption_id, "not_listed")
        return []
    if not isinstance(listed_batches, Mapping):
        findings.contradict(assumption_id, f"`batches` is {describe_shape(listed_batches)}")
        return []
    findings.observe(assumption_id, "listed", f"{len(listed_batches)} batches")
    for batch in listed_batches.values():
        _read_listed(findings, batch)
    # A JSON object has no order, and a batch id carries no time.
    batch_ids = sorted(listed_batches, key=lambda batch_id: _get_start_time(listed_batches[batch_id]))
    return [(template_id, str(batch_id)) for batch_id in batch_ids]


def _get_start_time(batch: Json) -> float:
    """Return the start time of a listed batch to sort by, 0 if it is no number."""
    start_time = batch.get("startTime") if isinstance(batch, Mapping) else None
    try:
        return float(start_time or 0)
    except (TypeError, ValueError):
        return 0.0


def _read_listed(findings: Findings, batch: Json) -> None:
    """Record the findings about one entry of a template's `batches`."""
    if not isinstance(batch, Mapping):
        findings.contradict("extracta.batch_status", f"a listed batch is {describe_shape(batch)}")
        return
    findings.observe_keys("extracta.keys", batch, _LISTED_KEYS)
    time_form = describe_time_format(batch.get("startTime"))
    if variant := _START_TIME_VARIANTS.get(time_form):
        findings.observe("extracta.start_time", variant)
    else:
        findings.contradict("extracta.start_time", f"`startTime` is {time_form}")
    files_total = batch.get("filesNo")
    if files_total is None or (isinstance(files_total, int) and not isinstance(files_total, bool)):
        findings.observe("extracta.files_no", "missing" if files_total is None else "number")
    else:
        findings.contradict("extracta.files_no", f"`filesNo` is {describe_shape(files_total)}")
    status = batch.get("status")
    if status is None:
        findings.observe("extracta.batch_status", "missing")
    elif isinstance(status, str):
        findings.observe("extracta.batch_status", "word", f"`{describe_status(status)}`")
    else:
        findings.contradict("extracta.batch_status", f"`status` is {describe_shape(status)}")


def _read_results(findings: Findings, response: ProbeResponse, *, is_classification: bool) -> None:
    """Record the findings about the response for one batch."""
    body = response.json_object
    if body is None:
        findings.add_note(f"A batch could not be read ({response.describe_outcome(_RESPONSE_KEYS | _VIEW_KEYS)}).")
        return
    findings.observe_keys("extracta.keys", body, _RESPONSE_KEYS)
    files = body.get("files")
    has_error = bool(body.get("error"))
    findings.observe("extracta.error_in_answer", "present" if has_error else "none")
    # A response with an error shows nothing about the form of an unfinished batch.
    if files is None and has_error:
        return
    if isinstance(files, list):
        findings.observe("extracta.empty_batch", "never" if files else "empty")
    if files is None:
        if body.get("status") == "waiting":
            findings.observe("extracta.waiting", "no_files")
        else:
            findings.contradict("extracta.waiting", f"an answer without files has {_describe_batch_status(body)}")
        return
    if not isinstance(files, list):
        findings.contradict("extracta.waiting", f"`files` is {describe_shape(files)}")
        return
    rows = [file for file in files if isinstance(file, Mapping)]
    statuses = [file.get("status") for file in rows]
    is_finished = all(status in {"processed", "failed", "error"} for status in statuses)
    if not is_finished:
        findings.observe("extracta.waiting", "partial")
    elif not is_classification and rows:
        # "Get results" shows a `status` in a finished batch of classification, and none in one of extraction.
        findings.observe("extracta.ready_status", "present" if "status" in body else "absent")
    for file in rows:
        _read_file(findings, file, is_classification=is_classification)


def _read_file(findings: Findings, file: Mapping[str, Json], *, is_classification: bool) -> None:
    """Record the findings about one file of a batch."""
    findings.observe_keys("extracta.keys", file, _FILE_KEYS)
    # "Get results" shows a `fileId` on classification and none on extraction, while public clients read one there.
    if not is_classification:
        findings.observe("extracta.file_ids", "present" if file.get("fileId") else "absent")
    status = file.get("status")
    findings.observe_status("extracta.file_status", status, _KNOWN_STATUSES)
    result = file.get("result")
    if status == "processed" and not is_classification:
        if isinstance(result, Mapping):
            findings.observe("extracta.result", "object")
        elif isinstance(result, list):
            findings.observe("extracta.result", "list")
        else:
            findings.contradict("extracta.result", f"`result` is {get_type_name(result)}")
    url = file.get("url")
    if isinstance(url, str) and url:
        # The names of the parameters alone: their values open the document, and a report holds no values.
        parameter_names = {parameter.lower() for parameter, _ in parse_qsl(urlsplit(url).query)}
        has_expiry = any("expires" in parameter for parameter in parameter_names)
        findings.observe("extracta.file_links", "expiring" if has_expiry else "lasting")


def _read_unknown(findings: Findings, assumption_id: str, response: ProbeResponse, error_key: str) -> None:
    """Record how a product refuses an unknown id.

    "Get results" documents status 400 with `{"error": "…"}` for extraction, and with `{"status": "error", "message":
    "…"}` for classification. Each variant has the name of the key that holds the reason.
    """
    body = response.body if isinstance(response.body, Mapping) else {}
    if response.status == 400 and isinstance(body.get(error_key), str):
        findings.observe(assumption_id, error_key)
    elif response.is_about_request:
        findings.contradict(assumption_id, response.describe_outcome(_RESPONSE_KEYS | _VIEW_KEYS))


def _describe_batch_status(body: Mapping[str, Json]) -> str:
    status = body.get("status")
    return "no status" if status is None else f"the status `{describe_status(status)}`"
