"""Atlas's Bulk service as an API of the sandbox, with example and demo."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone

from docextract_sandbox.api import Endpoint, World
from docextract_sandbox.context import JsonObject, SandboxContext

from .demo import submit_weekly_batches
from .identities import FakeIdentities
from .routes import CLIENT_ID, CLIENT_SECRET, AtlasRoutes
from .world import AtlasWorld, NewDocument

SEED_BATCH_ID = "BATCH-69469-BBRSS-20260309081408"
_SEED_FILE_DATA: JsonObject = {
    "document_type": "AADHAAR",
    "name": {"value": "D MANIKANDAN DURAISAMY", "confidence_score": 0.95},
    "date_of_birth": {"value": "16/07/1986", "confidence_score": 0.98},
    "address": {
        "value": "4-CH-64, NEAR COMMUNITY HALL, BHILWARA, BHILWARA, Bhilwara, Rajasthan, 311001",
        "confidence_score": 0.95,
    },
    "aadhaar_number": {"value": "1234 5678 9012", "confidence_score": 0.99},
}
_PENDING_SECONDS = 3600.0


class AtlasApi:
    """Atlas's host: one pair of credentials and one world."""

    name = "atlas"
    base_path = "/atlas/v1/bulk"

    def __init__(self, context: SandboxContext) -> None:
        """Create an empty world."""
        self._context = context
        self._fake_identities = FakeIdentities(context.random)
        self.world = AtlasWorld(context, self._fake_identities)
        self._growing_batch_id: str | None = None

    @property
    def credentials(self) -> Mapping[str, str]:
        """Return the client id and the client secret."""
        return {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}

    @property
    def worlds(self) -> Mapping[str, World]:
        """Return the world by the name that the control endpoints use."""
        return {"atlas": self.world}

    def list_endpoints(self) -> Sequence[Endpoint]:
        """Return the endpoints of the Bulk service."""
        return AtlasRoutes(self.world, self._fake_identities).list_endpoints()

    def load_seeds(self) -> None:
        """Add the example of the page "Get extracts", value for value."""
        submitted_at = datetime(2026, 3, 9, 8, 14, 8, tzinfo=timezone.utc)
        self.world.submit([NewDocument("1", 0, _SEED_FILE_DATA)], batch_id=SEED_BATCH_ID, submitted_at=submitted_at)

    def fill_demo(self) -> None:
        """Add twelve weeks of batches; later calls extend one half-extracted batch."""
        if self._growing_batch_id is not None:
            number = len(self.world.get_batch(self._growing_batch_id).documents)
            new_documents = [self._make_document(number + step, _PENDING_SECONDS) for step in (1, 2, 3)]
            self.world.add_documents(self._growing_batch_id, new_documents)
            return
        now = self._context.clock.now()
        large_batch = [self._make_document(number) for number in range(1, 121)]
        self.world.submit(large_batch, submitted_at=now - timedelta(days=19, hours=3))
        small_batch = [self._make_document(number) for number in range(1, 13)]
        small_batch.append(NewDocument("13", error_code="UNRECOGNISED"))
        self.world.submit(small_batch, submitted_at=now - timedelta(days=2, hours=7))
        growing_batch = [self._make_document(number, 0 if number % 2 else _PENDING_SECONDS) for number in range(1, 11)]
        self._growing_batch_id = self.world.submit(growing_batch)
        submit_weekly_batches(self.world, self._fake_identities, self._context.make_random("atlas/weeks"))

    def _make_document(self, number: int, duration_seconds: float | None = None) -> NewDocument:
        return NewDocument(str(number), duration_seconds, error_code=self._fake_identities.draw_error_code())

    def build_settings(self) -> JsonObject:
        """Return settings that name each batch, since no documented operation lists them."""
        return {"batch_ids": self.world.batch_ids}
