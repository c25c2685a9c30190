"""Extracta.ai: data extraction, and document classification.

Facts are from Extracta's pages "Get results" of both products unless said otherwise. All files of a batch come in one
answer. While a batch is in work the answer is `{"status": "waiting"}` without `files`. A batch can be added to, so it
may re-open. Batches are listed by viewExtraction's `batches`, an object by batch id of `filesNo`, `origin`,
`startTime`, `status`, any of which may be absent (seen in public clients, not documented); whether viewClassification
has one is unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from ..answers import Dialect
from ..config import ExtractaSettings
from ..errors import BadAnswer, TransientError, Unavailable, UnknownTemplate
from ..http import Request, bearer
from ..model import (
    BatchRef,
    BatchStatus,
    Document,
    Extraction,
    FileKeys,
    FileStatus,
    Json,
    Snapshot,
    confidence,
    moment,
)
from ..plain import plain
from ..registry import Registry
from ..values import batch_refs
from .base import (
    Plan,
    Product,
    Script,
    as_object,
    count,
    each,
    extraction,
    identifier,
    json_object,
    left_out,
    named_by,
    odd_times,
    others,
    text,
    text_at_best,
)
from .extracta_templates import VIEW_CLASSIFICATION, VIEW_EXTRACTION, with_tables

_FILE_STATUSES = {
    "processed": FileStatus.PROCESSED,
    "failed": FileStatus.FAILED,
    "error": FileStatus.FAILED,  # a guess: no page lists the statuses
    "waiting": FileStatus.PENDING,
    "processing": FileStatus.PENDING,
}

_SERVER_ERROR = "Internal server error"


@dataclass(frozen=True, slots=True)
class _Api:
    """What differs between the two products. `parent` is the key that names a template in requests and answers."""

    product: str
    noun: str
    parent: str
    view: str
    results: str
    details: str
    read: Callable[[Mapping[str, Json]], Extraction]

    @property
    def noun_phrase(self) -> str:
        return f"{'an' if self.noun[0] in 'aeiou' else 'a'} {self.noun} template"

    @property
    def ids_setting(self) -> str:
        return f"extracta.{self.noun}_ids"

    @property
    def batches_setting(self) -> str:
        return f"extracta.{self.noun}_batches"


def _extracted(file: Mapping[str, Json]) -> Extraction:
    return extraction(file.get("result"))


def _classified(file: Mapping[str, Json]) -> Extraction:
    result = as_object(file.get("result"))
    return extraction(
        result, document_type=text(result.get("documentType")), confidence=confidence(result.get("confidence"))
    )


_EXTRACTION = _Api(
    "extracta", "extraction", "extractionId", VIEW_EXTRACTION, "/getBatchResults", "extractionDetails", _extracted
)
_CLASSIFICATION = _Api(
    "extracta_classification",
    "classification",
    "classificationId",
    VIEW_CLASSIFICATION,
    "/documentClassification/getResults",
    "classificationDetails",
    _classified,
)


def extracta(settings: ExtractaSettings, registry: Registry | None = None) -> Plan:
    """The plan for both products, with one key. A registry may name batches of either."""
    products: list[Product] = []
    registered = registry or Registry()
    if settings.has_classification or registry:
        named, more = batch_refs(settings.classification_batches), registered.of(_CLASSIFICATION.product)
        links_to = _EXTRACTION.product if settings.follow_links else None
        product = _product(_CLASSIFICATION, settings.classification_ids, named, more)
        products.append(replace(product, links_to=links_to))
    if settings.has_extraction or registry:
        named, more = batch_refs(settings.extraction_batches), registered.of(_EXTRACTION.product)
        products.append(with_tables(_product(_EXTRACTION, settings.extraction_ids, named, more), products))
    return Plan(
        dialect=Dialect("Extracta.ai", "extracta.api_key", reason=_reason, passes=_passes, is_about_id=_is_about_id),
        base_url=settings.base_url,
        products=tuple(products),
        check=lambda: _check(products),
        headers=bearer(settings.api_key.get_secret_value()),
        spacing={api.results: settings.seconds_between_requests for api in (_EXTRACTION, _CLASSIFICATION)},
    )


def _product(api: _Api, ids: tuple[str, ...], named: Sequence[BatchRef], registered: Sequence[BatchRef]) -> Product:
    return Product(
        name=api.product,
        template_ids=tuple(dict.fromkeys(ids)),
        named=(*named, *registered),
        named_by=named_by(api.batches_setting, named, registered),
        discover=lambda template_id: _discover(api, template_id),
        fetch=lambda ref: _fetch(api, ref),
        lane=api.results,
    )


def _reason(body: Json) -> str | None:
    """`{"error": ...}` on extraction, `{"message": ...}` on classification; clients have met both on either."""
    if not isinstance(body, Mapping):
        return None
    return text(body.get("error")) or text(body.get("message"))


def _passes(status: int, body: Json) -> bool:
    """Classification answers 400 to what is a trouble of the server's own, by its words."""
    return status == 400 and isinstance(body, Mapping) and body.get("message") == _SERVER_ERROR


def _is_about_id(status: int, body: Json) -> bool:
    """`{"error"}` on extraction, `{"status": "error", "message"}` on classification: each page documents one 400."""
    if status != 400 or not isinstance(body, Mapping) or _passes(status, body):
        return False
    return isinstance(body.get("error"), str) or (
        body.get("status") == "error" and isinstance(body.get("message"), str)
    )


def _is_doubtful(trouble: TransientError) -> bool:
    """Whether what classification calls a server error may as well be an id that it does not know."""
    return trouble.status is not None and _passes(trouble.status, trouble.body)


def _check(products: Sequence[Product]) -> Script[None]:
    """Looks at each template, which proves the key as well; without templates, asks for the credits left."""
    templates = [
        (api, template_id)
        for product in products
        for api in (_EXTRACTION, _CLASSIFICATION)
        for template_id in product.template_ids
        if api.product == product.name
    ]
    if not templates:
        yield [Request("GET", "/credits")]
    for api, template_id in templates:
        try:
            yield from _discover(api, template_id)
        except UnknownTemplate as trouble:
            other = _CLASSIFICATION if api is _EXTRACTION else _EXTRACTION
            if not (yield from _has_template(other, template_id)):
                raise
            words = f"{trouble} It is the id of {other.noun_phrase}: name it in {other.ids_setting}."
            raise UnknownTemplate(words, api.product, template_id) from None


def _has_template(api: _Api, template_id: str) -> Script[bool]:
    """Return whether the other product knows a template. The ids of both have the same form."""
    try:
        [body] = yield [_view(api, template_id)]
    except (Unavailable, TransientError):
        return False
    return isinstance(body, Mapping) and api.details in body


def _discover(api: _Api, template_id: str) -> Script[list[BatchRef]]:
    try:
        [body] = yield [_view(api, template_id)]
    except (Unavailable, TransientError) as trouble:
        if isinstance(trouble, Unavailable) or _is_doubtful(trouble):
            raise _unknown(api, template_id, trouble) from None
        raise
    answer = json_object(body, f"Extracta.ai's answer about {template_id}")
    told = answer.get(api.details)
    details = answer if told is None else json_object(told, f"What Extracta.ai tells of {template_id}")
    batches = details.get("batches", answer.get("batches"))
    if batches is None:
        return []
    if not isinstance(batches, Mapping):
        raise BadAnswer(f"Extracta.ai's list of the batches of {template_id} is not a JSON object.")
    name = text_at_best(details.get("name"))
    return [_listed(template_id, name, str(batch_id), told) for batch_id, told in batches.items()]


def _view(api: _Api, template_id: str) -> Request:
    return Request("POST", api.view, json={api.parent: template_id})


def _unknown(api: _Api, template_id: str, trouble: Exception) -> UnknownTemplate:
    words = f"Extracta.ai does not know the template {template_id} of {api.ids_setting}. ({trouble})"
    return UnknownTemplate(words, api.product, template_id)


_LISTED = frozenset({"filesNo", "startTime", "status"})
_TIMES = frozenset({"startTime"})


def _listed(template_id: str, template_name: str | None, batch_id: str, told: Json) -> BatchRef:
    told = told if isinstance(told, Mapping) else {"status": told}
    created = moment(told.get("startTime"))
    files = count(told.get("filesNo"))
    return BatchRef(
        template_id,
        batch_id,
        created_at=created,
        clock=created,
        template_name=template_name,
        files_total=files,
        provider_status=text_at_best(told.get("status")),
        provider_data=others(told, _LISTED - odd_times(told, startTime=created)),
        fingerprint="" if files is None else str(files),
    )


def _fetch(api: _Api, ref: BatchRef) -> Script[Snapshot]:
    """Ask once for a whole batch, or once for each file that is named alone."""
    answers: list[Mapping[str, Json]] = []
    refusals: list[Unavailable | TransientError] = []
    for file_id in ref.file_ids or (None,):
        try:
            [body] = yield [_ask(api, ref, file_id)]
            answers.append(json_object(body, f"Extracta.ai's answer about {ref.key}"))
        except (Unavailable, TransientError) as refusal:
            if isinstance(refusal, TransientError) and not (ref.named and _is_doubtful(refusal)):
                raise
            refusals.append(refusal)
            answers.append({"files": [{"fileId": file_id, "status": "failed", "error": str(refusal)}]})
    if any(isinstance(refusal, TransientError) for refusal in refusals):
        yield [_view(api, ref.template_id or "")]  # where its template answers, it is the batch that is not there
    if len(refusals) == len(answers):
        return Snapshot(ref, BatchStatus.MISSING, error=str(refusals[0]))
    return replace(_snapshot(api, ref, answers), is_lacking=bool(refusals))


def _ask(api: _Api, ref: BatchRef, file_id: str | None) -> Request:
    body = {api.parent: ref.template_id, "batchId": ref.batch_id}
    return Request("POST", api.results, json={**body, "fileId": file_id} if file_id else body, lane=api.results)


def _snapshot(api: _Api, ref: BatchRef, answers: list[Mapping[str, Json]]) -> Snapshot:
    told = [_files(ref, answer) for answer in answers]
    asked = [(file, one) for some, one in zip(told, ref.file_ids or (None,), strict=True) for file in some or ()]
    files = each(asked, _file)
    trouble = left_out(len(asked) - len(files), f"the files of {ref.key} in Extracta.ai's answer")
    statuses = [text(answer.get("status")) for answer in answers]
    waiting = None in told or any(_FILE_STATUSES.get(status or "") is FileStatus.PENDING for status in statuses)
    keys = FileKeys()
    documents = tuple(_document(api, file, keys) for file in files)
    is_done = all(one.status is not FileStatus.PENDING for one in documents)
    finished = bool(documents) and is_done and not waiting and not trouble
    # Where there are files, they tell; where there are none, the answer's own status has to say that it is waiting.
    sent = [one.provider_status or "" for one in documents] or [status for status in statuses if status]
    last = answers[-1]
    return Snapshot(
        ref,
        BatchStatus.COMPLETE if finished else BatchStatus.OPEN,
        documents=None if None in told and not documents else documents,
        provider_status=statuses[-1],
        error=text(last.get("error")) or trouble or None,
        provider_data=others(last, _ANSWER | {api.parent}),
        links=tuple({link.key: link for link in map(_link, files) if link}.values()),
        odd_times=frozenset(ref.provider_data.keys() & _TIMES),
        odd_statuses=frozenset(sent) - _FILE_STATUSES.keys(),
        trouble=trouble,
    )


_ANSWER = frozenset({"batchId", "fileId", "files", "status", "error"})


def _files(ref: BatchRef, answer: Mapping[str, Json]) -> list[Json] | None:
    """The files of one answer, None while it says to wait."""
    files = answer.get("files")
    if files is None:
        if error := text(answer.get("error")):
            raise BadAnswer(f"Extracta.ai told of a trouble with {ref.key}: {plain(error).rstrip('.')}.")
        return None
    if not isinstance(files, list):
        raise BadAnswer(f"Extracta.ai's files of {ref.key} are not a list.")
    return files


def _file(sent: tuple[Json, str | None]) -> Mapping[str, Json]:
    """A file; one that was asked for alone has the id that it was asked by."""
    file, asked = json_object(sent[0], "A file"), sent[1]
    _link(file)  # a link that cannot be read may not be passed over
    return file if identifier(file.get("fileId"), "A fileId") or not asked else {**file, "fileId": asked}


_FILE = frozenset({"fileId", "fileName", "status", "result", "url", "error"})


def _document(api: _Api, file: Mapping[str, Json], keys: FileKeys) -> Document:
    file_id, file_name, status_sent = text(file.get("fileId")), text(file.get("fileName")), text(file.get("status"))
    status = _FILE_STATUSES.get(status_sent or "", FileStatus.PENDING)
    read = api.read(file) if status is FileStatus.PROCESSED else None
    return Document(
        key=keys.key(file_id, file_name),
        status=status,
        file_id=file_id,
        file_name=file_name,
        provider_status=status_sent,
        error=text(file.get("error")),
        document_type=read.document_type if read else None,
        url=text(file.get("url")),
        provider_data=others(file, _FILE),
        extractions=(read,) if read else (),
    )


def _link(file: Mapping[str, Json]) -> BatchRef | None:
    """`extraction: {extractionId, batchId, fileId}` of a file whose type is linked to an extraction template."""
    told = file.get("extraction")
    link = json_object(told or {}, "A link")  # whatever is empty leads nowhere
    template_id, batch_id = (identifier(link.get(key), f"The {key} of a link") for key in ("extractionId", "batchId"))
    return BatchRef(template_id, batch_id, named=True, linked=True) if template_id and batch_id else None
