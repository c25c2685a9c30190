"""The world of Atlas's Bulk service: batches of documents, and the tokens that open them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from math import inf

from sandbox.ids import atlas_batch_id, file_uuid
from sandbox.shared import JsonObject, Shared, Unknown, utc

from .identities import Identities

TOKEN_SECONDS = 3600
"""Documented: `expires_in` of a token."""


@dataclass(frozen=True)
class NewDocument:
    """A document to submit. What is None is drawn from the sandbox's generator, an error aside."""

    document_id: str
    seconds: float | None = None
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
    extracted: bool
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

    def __init__(self, shared: Shared, identities: Identities) -> None:
        self.shared = shared
        self.logins = 0
        """How many tokens have been issued."""
        self._identities = identities
        self._batches: dict[str, Batch] = {}
        self._tokens: dict[str, float] = {}

    @property
    def batch_ids(self) -> list[str]:
        with self.shared.turn():
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
        with self.shared.turn():
            when = submitted_at or self.shared.clock.now()
            new_id = batch_id or atlas_batch_id(when, self.shared.random)
            if new_id in self._batches:
                raise ValueError(f"there is a batch {new_id} already")
            self._batches[new_id] = Batch(new_id, product_type, when.timestamp())
            self._append(self._batches[new_id], documents, when.timestamp())
            return new_id

    def add(self, batch_id: str, documents: Sequence[str | NewDocument]) -> None:
        """A batch grows. No documented operation does so, but a client should survive it."""
        with self.shared.turn():
            self._append(self._known(batch_id), documents, self.shared.timestamp())

    def finish(self, batch_id: str | None = None, document_id: str | None = None, *, by_itself: bool = False) -> int:
        """Extracts what is pending now: all, one batch's, or one document. Returns how many that were.

        `by_itself` leaves out what would never finish by itself.
        """
        with self.shared.turn():
            now, finished = self.shared.timestamp(), 0
            for batch in [self._known(batch_id)] if batch_id else self._batches.values():
                for document in batch.documents:
                    is_chosen = document_id in (None, document.document_id)
                    if document.ready_at > now and is_chosen and not (by_itself and document.ready_at == inf):
                        document.ready_at = now
                        finished += 1
            return finished

    def edit(self, batch_id: str, document_id: str, file_data: JsonObject, /) -> None:
        """Replaces what was extracted. Nothing documented does so for bulk."""
        with self.shared.turn():
            document = next((one for one in self._known(batch_id).documents if one.document_id == document_id), None)
            if document is None:
                raise Unknown(f"batch {batch_id} has no document {document_id}")
            document.file_data, document.error_code = file_data, None
            document.ready_at = min(document.ready_at, self.shared.timestamp())

    def batch(self, batch_id: str) -> BatchView:
        with self.shared.turn():
            now, batch = self.shared.timestamp(), self._known(batch_id)
            views = tuple(_seen(document, now) for document in batch.documents)
            return BatchView(batch_id, batch.product_type, utc(batch.submitted_at), views)

    def issue_token(self) -> str:
        with self.shared.turn():
            self.logins += 1
            token = f"eyJzYW5kYm94.{self.shared.random.getrandbits(128):032x}"
            token += "0" * (self.shared.switches.atlas_token_size - len(token))
            self._tokens[token] = self.shared.timestamp() + TOKEN_SECONDS
            return token

    def is_valid(self, token: str) -> bool:
        with self.shared.turn():
            return self.shared.timestamp() < self._tokens.get(token, 0)

    def expire_tokens(self) -> None:
        """All tokens that were issued so far are worthless from now on."""
        with self.shared.turn():
            self._tokens.clear()

    def holds(self) -> JsonObject:
        with self.shared.turn():
            now = self.shared.timestamp()
            documents = [document for batch in self._batches.values() for document in batch.documents]
            return {
                "batches": list(self._batches),
                "documents": len(documents),
                "pending_documents": sum(document.ready_at > now for document in documents),
                "logins": self.logins,
            }

    def _append(self, batch: Batch, documents: Sequence[str | NewDocument], start: float) -> None:
        for one in documents:
            given = NewDocument(one) if isinstance(one, str) else one
            seconds = self._identities.seconds() if given.seconds is None else given.seconds
            data = self._identities.file_data() if given.file_data is None else given.file_data
            uuid = file_uuid(self.shared.random)
            batch.documents.append(Document(given.document_id, uuid, start + seconds, data, given.error_code))

    def _known(self, batch_id: str) -> Batch:
        try:
            return self._batches[batch_id]
        except KeyError:
            raise Unknown(f"there is no batch {batch_id}") from None


def _seen(document: Document, now: float) -> DocumentView:
    if now < document.ready_at:
        return DocumentView(document.document_id, document.file_uuid, False, {}, None)
    data = {} if document.error_code is not None else document.file_data
    return DocumentView(document.document_id, document.file_uuid, True, data, document.error_code)
