"""The world of Atlas's Bulk service: batches of documents, and access tokens."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from math import inf

from docextract_sandbox.context import JsonObject, SandboxContext, UnknownId, to_datetime
from docextract_sandbox.ids import make_atlas_batch_id, make_file_uuid

from .identities import FakeIdentities

TOKEN_SECONDS = 3600
"""Lifetime of a token, as documented for `expires_in`."""


@dataclass(frozen=True)
class NewDocument:
    """A document to submit.

    A duration or data of None is drawn from the sandbox's generator.
    """

    document_id: str
    duration_seconds: float | None = None
    """Seconds of the sandbox's clock until it is extracted: 0 is at once, infinity never by itself."""
    file_data: Mapping[str, object] | None = None
    """Extracted data; a `redact_url` in its `aadhaar_number` is replaced by a URL that differs in every response."""
    error_code: str | None = None


@dataclass
class Document:
    """A document as the world stores it."""

    document_id: str
    file_uuid: str
    ready_at: float
    file_data: Mapping[str, object]
    error_code: str | None


@dataclass
class Batch:
    """A batch as the world stores it; `submitted_at` is in seconds since 1970."""

    batch_id: str
    product_type: str
    submitted_at: float
    documents: list[Document] = field(default_factory=list)


@dataclass(frozen=True)
class DocumentView:
    """A document at one moment.

    It has neither data nor an error code until it is extracted.
    """

    document_id: str
    file_uuid: str
    is_extracted: bool
    file_data: Mapping[str, object]
    error_code: str | None


@dataclass(frozen=True)
class BatchView:
    """A batch at one moment."""

    batch_id: str
    product_type: str
    submitted_at: datetime
    documents: tuple[DocumentView, ...]


class AtlasWorld:
    """Batches by id, with documents in the order of their submission.

    A document that is extracted late therefore moves the rows behind it to later positions, over page edges too.

    Attributes:
        context: The shared state of the sandbox.
        login_count: Number of tokens issued so far.
    """

    def __init__(self, context: SandboxContext, fake_identities: FakeIdentities) -> None:
        """Start without batches and tokens."""
        self.context = context
        self.login_count = 0
        self._fake_identities = fake_identities
        self._batches: dict[str, Batch] = {}
        self._token_expiries: dict[str, float] = {}

    @property
    def batch_ids(self) -> list[str]:
        """Return the ids of all batches, in the order of their submission."""
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
        """Submit a new batch as of `submitted_at` (None: now) and return its id.

        The id ends in that time; that it is UTC is a guess.

        Raises:
            ValueError: A batch with that id exists.
        """
        with self.context.hold_lock():
            batch_time = submitted_at or self.context.clock.now()
            new_id = batch_id or make_atlas_batch_id(batch_time, self.context.random)
            if new_id in self._batches:
                raise ValueError(f"there is a batch {new_id} already")
            self._batches[new_id] = Batch(new_id, product_type, batch_time.timestamp())
            self._append_documents(self._batches[new_id], documents, batch_time.timestamp())
            return new_id

    def add_documents(self, batch_id: str, documents: Sequence[str | NewDocument]) -> None:
        """Add documents to a batch.

        No documented operation does so, but a client should survive it.
        """
        with self.context.hold_lock():
            self._append_documents(self._find_batch(batch_id), documents, self.context.timestamp())

    def finish(self, batch_id: str | None = None, document_id: str | None = None, *, skip_stuck: bool = False) -> int:
        """Finish pending documents: all, those of one batch, or one document.

        Return their number.

        Args:
            batch_id: The batch to finish; None finishes every batch.
            document_id: The document to finish; None finishes every document.
            skip_stuck: Leave the documents pending that would never finish by themselves.

        Raises:
            UnknownId: The batch does not exist.
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

    def edit(self, batch_id: str, document_id: str, file_data: Mapping[str, object], /) -> None:
        """Replace extracted data; no documented operation of the Bulk service does so."""
        with self.context.hold_lock():
            documents = self._find_batch(batch_id).documents
            document = next((document for document in documents if document.document_id == document_id), None)
            if document is None:
                raise UnknownId(f"batch {batch_id} has no document {document_id}")
            document.file_data, document.error_code = file_data, None
            document.ready_at = min(document.ready_at, self.context.timestamp())

    def get_batch(self, batch_id: str) -> BatchView:
        """Return a batch as it is now."""
        with self.context.hold_lock():
            now, batch = self.context.timestamp(), self._find_batch(batch_id)
            views = tuple(_view_document(document, now) for document in batch.documents)
            return BatchView(batch_id, batch.product_type, to_datetime(batch.submitted_at), views)

    def get_page(
        self, batch_id: str, first_index: int, count: int, *, extracted_only: bool
    ) -> tuple[list[DocumentView], int]:
        """Return some documents of a batch as they are now, and the number of all that count.

        A batch may have 100,000 documents, so those of other pages are not viewed.
        """
        with self.context.hold_lock():
            now, documents = self.context.timestamp(), self._find_batch(batch_id).documents
            if extracted_only:
                documents = [document for document in documents if document.ready_at <= now]
            shown_documents = documents[first_index : first_index + count]
            return [_view_document(document, now) for document in shown_documents], len(documents)

    def issue_token(self) -> str:
        """Issue a token that is valid for `TOKEN_SECONDS` of the sandbox's clock."""
        with self.context.hold_lock():
            self.login_count += 1
            token = f"eyJzYW5kYm94.{self.context.random.getrandbits(128):032x}"
            token += "0" * (self.context.switches.atlas_token_size - len(token))
            self._token_expiries[token] = self.context.timestamp() + TOKEN_SECONDS
            return token

    def is_valid_token(self, token: str) -> bool:
        """Return whether a token was issued here and has not expired."""
        with self.context.hold_lock():
            return self.context.timestamp() < self._token_expiries.get(token, 0)

    def expire_tokens(self) -> None:
        """Expire every token that was issued so far."""
        with self.context.hold_lock():
            self._token_expiries.clear()

    def summarize(self) -> JsonObject:
        """Return the batch ids, and the numbers of documents and logins."""
        with self.context.hold_lock():
            now = self.context.timestamp()
            documents: list[Document] = []
            for batch in self._batches.values():
                documents += batch.documents
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
