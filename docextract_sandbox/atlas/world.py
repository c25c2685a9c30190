"""The world of Atlas's Bulk service: batches of documents, and the tokens that open them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from math import inf

from docextract_sandbox.context import JsonObject, SandboxContext, UnknownId, to_datetime
from docextract_sandbox.ids import make_atlas_batch_id, make_file_uuid

from .identities import FakeIdentities

TOKEN_SECONDS = 3600
"""Documented: `expires_in` of a token."""


@dataclass(frozen=True)
class NewDocument:
    """A document to submit. What is None is drawn from the sandbox's generator, an error aside."""

    document_id: str
    duration_seconds: float | None = None
    """From the submission until it is extracted, on the sandbox's clock: 0 is at once, infinity never by itself."""
    file_data: JsonObject | None = None
    """`redact_url` in its `aadhaar_number` is replaced by a link that differs in every answer."""
    error_code: str | None = None


@dataclass
class Document:
    """A document as the world keeps it."""

    document_id: str
    file_uuid: str
    ready_at: float
    file_data: JsonObject
    error_code: str | None


@dataclass
class Batch:
    batch_id: str
    product_type: str
    submitted_at: float
    documents: list[Document] = field(default_factory=list)


@dataclass(frozen=True)
class DocumentView:
    """A document at one moment: until it is extracted there is neither data nor an error code."""

    document_id: str
    file_uuid: str
    is_extracted: bool
    file_data: JsonObject
    error_code: str | None


@dataclass(frozen=True)
class BatchView:
    batch_id: str
    product_type: str
    submitted_at: datetime
    documents: tuple[DocumentView, ...]


class AtlasWorld:
    """Batches by id; documents stay in the order of their submission, so a late one moves those behind it."""

    def __init__(self, context: SandboxContext, fake_identities: FakeIdentities) -> None:
        self.context = context
        self.login_count = 0
        """How many tokens have been issued."""
        self._fake_identities = fake_identities
        self._batches: dict[str, Batch] = {}
        self._token_expiries: dict[str, float] = {}

    @property
    def batch_ids(self) -> list[str]:
        with self.context.hold_lock():
            return list(self._batches)

    def submit(
        self,
        documents: Sequence[str | NewDocument],
        product_type: str = "POC_CDL",
        batch_id: str | None = None,
        *,
        submitted_at: datetime | None = None,
    ) -> str:
        """A new batch as of `submitted_at` (None: now); returns its id, which ends in that time (UTC, a guess)."""
        with self.context.hold_lock():
            batch_time = submitted_at or self.context.clock.now()
            new_id = batch_id or make_atlas_batch_id(batch_time, self.context.random)
            if new_id in self._batches:
                raise ValueError(f"there is a batch {new_id} already")
            self._batches[new_id] = Batch(new_id, product_type, batch_time.timestamp())
            self._append_documents(self._batches[new_id], documents, batch_time.timestamp())
            return new_id

    def add_documents(self, batch_id: str, documents: Sequence[str | NewDocument]) -> None:
        """A batch grows. No documented operation does so, but a client should survive it."""
        with self.context.hold_lock():
            self._append_documents(self._find_batch(batch_id), documents, self.context.timestamp())

    def finish(self, batch_id: str | None = None, document_id: str | None = None, *, skip_stuck: bool = False) -> int:
        """Extracts what is pending now: all, one batch's, or one document. Returns how many that were.

        `by_itself` leaves out what would never finish by itself.
        """
        with self.context.hold_lock():
            now, finished_count = self.context.timestamp(), 0
            for batch in [self._find_batch(batch_id)] if batch_id else self._batches.values():
                for document in batch.documents:
                    is_chosen = document_id in (None, document.document_id)
                    if document.ready_at > now and is_chosen and not (skip_stuck and document.ready_at == inf):
                        document.ready_at = now
                        finished_count += 1
            return finished_count

    def edit(self, batch_id: str, document_id: str, file_data: JsonObject, /) -> None:
        """Replaces what was extracted. Nothing documented does so for bulk."""
        with self.context.hold_lock():
            document = next(
                (
                    candidate
                    for candidate in self._find_batch(batch_id).documents
                    if candidate.document_id == document_id
                ),
                None,
            )
            if document is None:
                raise UnknownId(f"batch {batch_id} has no document {document_id}")
            document.file_data, document.error_code = file_data, None
            document.ready_at = min(document.ready_at, self.context.timestamp())

    def get_batch(self, batch_id: str) -> BatchView:
        with self.context.hold_lock():
            now, batch = self.context.timestamp(), self._find_batch(batch_id)
            views = tuple(_view_document(document, now) for document in batch.documents)
            return BatchView(batch_id, batch.product_type, to_datetime(batch.submitted_at), views)

    def issue_token(self) -> str:
        with self.context.hold_lock():
            self.login_count += 1
            token = f"eyJzYW5kYm94.{self.context.random.getrandbits(128):032x}"
            token += "0" * (self.context.switches.atlas_token_size - len(token))
            self._token_expiries[token] = self.context.timestamp() + TOKEN_SECONDS
            return token

    def is_valid_token(self, token: str) -> bool:
        with self.context.hold_lock():
            return self.context.timestamp() < self._token_expiries.get(token, 0)

    def expire_tokens(self) -> None:
        """All tokens that were issued so far are worthless from now on."""
        with self.context.hold_lock():
            self._token_expiries.clear()

    def summarize(self) -> JsonObject:
        with self.context.hold_lock():
            now = self.context.timestamp()
            documents = [document for batch in self._batches.values() for document in batch.documents]
            return {
                "batches": list(self._batches),
                "documents": len(documents),
                "pending_documents": sum(document.ready_at > now for document in documents),
                "logins": self.login_count,
            }

    def _append_documents(self, batch: Batch, documents: Sequence[str | NewDocument], submitted_seconds: float) -> None:
        for document in documents:
            new_document = NewDocument(document) if isinstance(document, str) else document
            duration_seconds = (
                self._fake_identities.draw_seconds()
                if new_document.duration_seconds is None
                else new_document.duration_seconds
            )
            data = self._fake_identities.make_file_data() if new_document.file_data is None else new_document.file_data
            uuid = make_file_uuid(self.context.random)
            batch.documents.append(
                Document(
                    new_document.document_id, uuid, submitted_seconds + duration_seconds, data, new_document.error_code
                )
            )

    def _find_batch(self, batch_id: str) -> Batch:
        try:
            return self._batches[batch_id]
        except KeyError:
            raise UnknownId(f"there is no batch {batch_id}") from None


def _view_document(document: Document, now: float) -> DocumentView:
    if now < document.ready_at:
        return DocumentView(document.document_id, document.file_uuid, False, {}, None)
    data = {} if document.error_code is not None else document.file_data
    return DocumentView(document.document_id, document.file_uuid, True, data, document.error_code)
