"""What an account of Extracta.ai shows of what is assumed. Facts: the pages "Get results" and "View extraction"."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import parse_qsl, urlsplit

from ..config import ExtractaSettings
from ..http import Request
from ..model import Json
from ..probe.asking import Answer, ProbeScript
from ..probe.assumptions import REPORT, Assumption, Evidence, Variant, known_keys, rate_limit_headers
from ..probe.findings import Findings
from ..probe.shapes import described, kind, status_word, time_format

_MOST_TEMPLATES = 3
_MOST_BATCHES = 4
_MADE_UP = "-MadeUpByTheProbe0000"
"""No id of anybody: what Extracta.ai answers about it shows the form of its answers about unknown ids."""

_START_TIMES = {
    "milliseconds": "ms",
    "milliseconds as text": "text",
    "ISO 8601 with a zone": "iso",
    "ISO 8601 without a zone": "iso",
    "ISO 8601 in small letters": "lower_case",
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
            Variant("other", "It knows none of them: the key may be of another account.", {"other_account": True}),
        ),
        "Check extracta.api_key and the ids in the settings.",
    ),
    Assumption(
        "extracta.extraction_batches",
        Evidence.THIRD_PARTY,
        (
            Variant("listed", "`viewExtraction` holds an object `batches` by batch id."),
            Variant("not_listed", "`viewExtraction` holds no `batches`.", {"extracta_batches": False}),
        ),
        "Name batches in extracta.extraction_batches or in a batch registry until the connector knows this form.",
    ),
    Assumption(
        "extracta.classification_batches",
        Evidence.GUESS,
        (
            Variant("not_listed", "`viewClassification` holds no `batches`."),
            Variant("listed", "`viewClassification` holds an object `batches` too.", {"classification_batches": True}),
        ),
        "Name batches in extracta.classification_batches or in a batch registry until the connector knows this form.",
    ),
    Assumption(
        "extracta.start_time",
        Evidence.GUESS,
        (
            Variant("ms", "A listed batch's `startTime` is a number of milliseconds since 1970."),
            Variant("text", "It is milliseconds written as text.", {"extracta_start_time": "text"}),
            Variant("iso", "It is ISO 8601 text.", {"extracta_start_time": "iso"}),
            Variant("lower_case", "It is ISO 8601 text in small letters.", {"extracta_start_time": "lower_case"}),
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
                "It is a time far in the future, which is read as none and kept in provider_data.",
                {"extracta_start_time": "year_9999"},
            ),
            Variant(
                "words",
                "It is text that is no time, which is read as none and kept in provider_data.",
                {"extracta_start_time": "words"},
            ),
            Variant("missing", "There is none.", {"extracta_start_time": "missing"}),
        ),
        f"Batches are read without a creation time. {REPORT}",
    ),
    Assumption(
        "extracta.files_no",
        Evidence.THIRD_PARTY,
        (
            Variant("number", "A listed batch's `filesNo` is a whole number."),
            Variant(
                "missing", "There is none, so that a batch that gains files late is seen within the lookback only."
            ),
        ),
        f"A batch that gains files after the lookback is not seen. {REPORT}",
    ),
    Assumption(
        "extracta.batch_status",
        Evidence.THIRD_PARTY,
        (
            Variant("word", "A listed batch has a `status` of one word, which is shown and decides nothing."),
            Variant("missing", "There is none."),
        ),
        REPORT,
    ),
    Assumption(
        "extracta.file_ids",
        Evidence.THIRD_PARTY,
        (
            Variant("present", "Each file of an extraction batch has a `fileId`."),
            Variant("absent", "Files have none; their names are their keys.", {"extracta_file_ids": False}),
        ),
        REPORT,
    ),
    Assumption(
        "extracta.ready_status",
        Evidence.THIRD_PARTY,
        (
            Variant("absent", "A finished extraction batch has no `status` beside its files."),
            Variant("present", "It has one.", {"extracta_top_level_status": True}),
        ),
        REPORT,
    ),
    Assumption(
        "extracta.waiting",
        Evidence.SEED,
        (
            Variant("no_files", "An unfinished batch has the status `waiting` and no `files`."),
            Variant("partial", "An unfinished batch lists its files already.", {"partial_batches": True}),
        ),
        f"Unfinished batches may be taken for finished ones. {REPORT}",
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
        REPORT,
    ),
    Assumption(
        "extracta.result",
        Evidence.SEED,
        (
            Variant("object", "A processed file's `result` is an object by the template's field keys."),
            Variant("list", "It is a list, which is delivered under `value`."),
        ),
        REPORT,
    ),
    Assumption(
        "extracta.file_links",
        Evidence.THIRD_PARTY,
        (
            Variant("expiring", "A file's `url` says when it expires."),
            Variant("lasting", "A file's `url` names no end: anyone who has the row can open the document."),
        ),
        "Set keep_urls to false if links to documents should not reach the warehouse.",
    ),
    Assumption(
        "extracta.unknown_batch",
        Evidence.THIRD_PARTY,
        (Variant("error", 'The answer about an unknown batch is 400 with `{"error"}`.'),),
        f"A batch that does not exist fails its streams at every sync instead of being `missing`. {REPORT}",
    ),
    Assumption(
        "extracta.unknown_template",
        Evidence.GUESS,
        (Variant("error", 'The answer about an unknown template is 400 with `{"error"}`.'),),
        f"A wrong extraction id is not explained as such. {REPORT}",
    ),
    Assumption(
        "extracta.unknown_classification_batch",
        Evidence.SEED,
        (Variant("message", 'The answer about an unknown batch is 400 with `{"status": "error", "message"}`.'),),
        f"A batch that does not exist fails its streams at every sync instead of being `missing`. {REPORT}",
    ),
    Assumption(
        "extracta.error_in_answer",
        Evidence.THIRD_PARTY,
        (
            Variant("none", "An answer with status 200 holds no `error`."),
            Variant("present", "One holds an `error` and no files; that batch fails in words and is asked for again."),
        ),
        REPORT,
    ),
    Assumption(
        "extracta.empty_batch",
        Evidence.GUESS,
        (
            Variant("never", "A batch has files, or waits for them."),
            Variant("empty", "A batch has an empty list of files; it stays open, since files may follow."),
        ),
        REPORT,
    ),
    Assumption(
        "extracta.edits",
        Evidence.GUESS,
        (Variant("replaced", "An edit by a person replaces `result`, without any other sign of it."),),
        "Raise lookback_days if edits come later than that.",
        is_visible=False,
    ),
    Assumption(
        "extracta.late_links",
        Evidence.GUESS,
        (Variant("later", "A classified file may get its link to an extraction batch later."),),
        "Raise lookback_days if links come later than that.",
        is_visible=False,
    ),
    rate_limit_headers("extracta"),
    known_keys("extracta", Evidence.THIRD_PARTY, "Answers have keys that are documented, or seen in public code."),
)

_VIEW = frozenset(
    {"extractionId", "classificationId", "status", "extractionDetails", "classificationDetails", "batches"}
)
_LISTED = frozenset({"filesNo", "origin", "startTime", "status"})
_ANSWER = frozenset({"extractionId", "classificationId", "batchId", "fileId", "status", "files", "error", "message"})
_FILE = frozenset({"fileId", "fileName", "status", "result", "url", "error", "extraction"})
_STATUSES = frozenset({"processed", "processing", "waiting", "failed", "error"})


def extracta_probe(settings: ExtractaSettings, findings: Findings) -> ProbeScript:
    """Look at a few templates and batches of each product, and at ids that nobody has."""
    unknown = 0
    extractions = list(dict.fromkeys(settings.extraction_ids))[:_MOST_TEMPLATES]
    batches = _named(settings.extraction_batches)
    for template in extractions:
        answer = yield Request("POST", "/viewExtraction", json={"extractionId": template})
        unknown += answer.status == 400
        batches += _read_view(findings, "extraction", template, answer)
    for template, batch in _chosen(batches):
        answer = yield Request("POST", "/getBatchResults", json={"extractionId": template, "batchId": batch})
        _read_results(findings, answer, is_classification=False)
    template = next((template for template, _ in batches), extractions[0] if extractions else "")
    if template:
        body = {"extractionId": template, "batchId": _MADE_UP}
        answer = yield Request("POST", "/getBatchResults", json=body)
        _read_unknown(findings, "extracta.unknown_batch", answer)
        answer = yield Request("POST", "/viewExtraction", json={"extractionId": _MADE_UP})
        _read_unknown(findings, "extracta.unknown_template", answer)

    classifications = list(dict.fromkeys(settings.classification_ids))[:_MOST_TEMPLATES]
    batches = _named(settings.classification_batches)
    for template in classifications:
        answer = yield _view_classification(template)
        unknown += answer.status == 400
        batches += _read_view(findings, "classification", template, answer)
    for template, batch in _chosen(batches):
        answer = yield _classification_results(template, batch)
        _read_results(findings, answer, is_classification=True)
    template = next((template for template, _ in batches), classifications[0] if classifications else "")
    if template:
        answer = yield _classification_results(template, _MADE_UP)
        _read_unknown_classification(findings, answer)
    if named := len(extractions) + len(classifications):
        findings.see("extracta.account", "other" if unknown == named else "own")


def _view_classification(template: str) -> Request:
    return Request("POST", "/documentClassification/viewClassification", json={"classificationId": template})


def _classification_results(template: str, batch: str) -> Request:
    body = {"classificationId": template, "batchId": batch}
    return Request("POST", "/documentClassification/getResults", json=body)


def _named(paths: Iterable[str]) -> list[tuple[str, str]]:
    """Return (template, batch) of each batch that is named in the settings."""
    parts = [path.split("/") for path in paths]
    return [(template, batch) for template, batch, *_ in parts]


def _chosen(batches: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return a few batches from both ends: old ones are finished, new ones may not be."""
    unique = list(dict.fromkeys(batches))
    half = _MOST_BATCHES // 2
    return unique if len(unique) <= _MOST_BATCHES else [*unique[:half], *unique[-half:]]


def _read_view(findings: Findings, product: str, template: str, answer: Answer) -> list[tuple[str, str]]:
    """Return (template, batch) of the batches that are listed, oldest first where they tell a time."""
    if not answer.is_ok or not isinstance(answer.body, Mapping):
        findings.note(f"A template could not be looked at ({answer.outcome(_ANSWER | _VIEW)}).")
        return []
    findings.see_keys("extracta.keys", answer.body, _VIEW)
    details = answer.body.get(f"{product}Details")
    details = details if isinstance(details, Mapping) else {}
    listed = details.get("batches", answer.body.get("batches"))
    name = f"extracta.{product}_batches"
    if listed is None:
        findings.see(name, "not_listed")
        return []
    if not isinstance(listed, Mapping):
        findings.contradict(name, f"`batches` is {described(listed)}")
        return []
    findings.see(name, "listed", f"{len(listed)} batches")
    for batch in listed.values():
        _read_listed(findings, batch)
    return [(template, str(batch)) for batch in sorted(listed, key=lambda one: _order(listed[one]))]


def _order(batch: Json) -> float:
    started = batch.get("startTime") if isinstance(batch, Mapping) else None
    try:
        return float(started or 0)
    except (TypeError, ValueError):
        return 0.0


def _read_listed(findings: Findings, batch: Json) -> None:
    if not isinstance(batch, Mapping):
        findings.contradict("extracta.batch_status", f"a listed batch is {described(batch)}")
        return
    findings.see_keys("extracta.keys", batch, _LISTED)
    form = time_format(batch.get("startTime"))
    if variant := _START_TIMES.get(form):
        findings.see("extracta.start_time", variant)
    else:
        findings.contradict("extracta.start_time", f"`startTime` is {form}")
    files = batch.get("filesNo")
    if files is None or (isinstance(files, int) and not isinstance(files, bool)):
        findings.see("extracta.files_no", "missing" if files is None else "number")
    else:
        findings.contradict("extracta.files_no", f"`filesNo` is {described(files)}")
    status = batch.get("status")
    if status is None:
        findings.see("extracta.batch_status", "missing")
    elif isinstance(status, str):
        findings.see("extracta.batch_status", "word", f"`{status_word(status)}`")
    else:
        findings.contradict("extracta.batch_status", f"`status` is {described(status)}")


def _read_results(findings: Findings, answer: Answer, *, is_classification: bool) -> None:
    if not answer.is_ok or not isinstance(answer.body, Mapping):
        findings.note(f"A batch could not be read ({answer.outcome(_ANSWER | _VIEW)}).")
        return
    body = answer.body
    findings.see_keys("extracta.keys", body, _ANSWER)
    files = body.get("files")
    has_error = bool(body.get("error"))
    findings.see("extracta.error_in_answer", "present" if has_error else "none")
    if files is None and has_error:
        return
    if isinstance(files, list):
        findings.see("extracta.empty_batch", "never" if files else "empty")
    if files is None:
        if body.get("status") == "waiting":
            findings.see("extracta.waiting", "no_files")
        else:
            findings.contradict("extracta.waiting", f"an answer without files has {_status_text(body)}")
        return
    if not isinstance(files, list):
        findings.contradict("extracta.waiting", f"`files` is {described(files)}")
        return
    rows = [file for file in files if isinstance(file, Mapping)]
    statuses = [file.get("status") for file in rows]
    is_finished = all(status in {"processed", "failed", "error"} for status in statuses)
    if not is_finished:
        findings.see("extracta.waiting", "partial")
    elif not is_classification and rows:
        findings.see("extracta.ready_status", "present" if "status" in body else "absent")
    for file in rows:
        _read_file(findings, file, is_classification=is_classification)


def _read_file(findings: Findings, file: Mapping[str, Json], *, is_classification: bool) -> None:
    findings.see_keys("extracta.keys", file, _FILE)
    if not is_classification:
        findings.see("extracta.file_ids", "present" if file.get("fileId") else "absent")
    status = file.get("status")
    findings.see_status("extracta.file_status", status, _STATUSES)
    result = file.get("result")
    if status == "processed" and not is_classification:
        if isinstance(result, Mapping):
            findings.see("extracta.result", "object")
        elif isinstance(result, list):
            findings.see("extracta.result", "list")
        else:
            findings.contradict("extracta.result", f"`result` is {kind(result)}")
    url = file.get("url")
    if isinstance(url, str) and url:
        names = {name.lower() for name, _ in parse_qsl(urlsplit(url).query)}
        has_end = any("expires" in name for name in names)
        findings.see("extracta.file_links", "expiring" if has_end else "lasting")


def _read_unknown(findings: Findings, assumption: str, answer: Answer) -> None:
    """Extraction: documented is 400 with `{"error": "…"}`."""
    if answer.status == 400 and isinstance(answer.body, Mapping) and isinstance(answer.body.get("error"), str):
        findings.see(assumption, "error")
    elif answer.is_about_the_request:
        findings.contradict(assumption, answer.outcome(_ANSWER | _VIEW))


def _read_unknown_classification(findings: Findings, answer: Answer) -> None:
    """Classification: documented is 400 with `{"status": "error", "message": "…"}`."""
    name = "extracta.unknown_classification_batch"
    if answer.status == 400 and isinstance(answer.body, Mapping) and isinstance(answer.body.get("message"), str):
        findings.see(name, "message")
    elif answer.is_about_the_request:
        findings.contradict(name, answer.outcome(_ANSWER | _VIEW))


def _status_text(body: Mapping[str, Json]) -> str:
    status = body.get("status")
    return "no status" if status is None else f"the status `{status_word(status)}`"
