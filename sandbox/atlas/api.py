"""Atlas's Bulk service as one API of the sandbox, with its example and its demo documents."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone

from sandbox.api import Endpoint, World
from sandbox.shared import JsonObject, Shared

from .demo import weekly_batches
from .identities import Identities
from .routes import CLIENT_ID, CLIENT_SECRET, AtlasRoutes
from .world import AtlasWorld, NewDocument

SEED_BATCH_ID = "BATCH-69469-BBRSS-20260309081408"
_SEED: JsonObject = {
    "document_type": "AADHAAR",
    "name": {"value": "D MANIKANDAN DURAISAMY", "confidence_score": 0.95},
    "date_of_birth": {"value": "16/07/1986", "confidence_score": 0.98},
    "address": {
        "value": "4-CH-64, NEAR COMMUNITY HALL, BHILWARA, BHILWARA, Bhilwara, Rajasthan, 311001",
        "confidence_score": 0.95,
    },
    "aadhaar_number": {"value": "1234 5678 9012", "confidence_score": 0.99},
}
_A_WHILE = 3600.0


class AtlasApi:
    """One host, one pair of credentials, one world."""

    name = "atlas"
    base_path = "/atlas/v1/bulk"

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._identities = Identities(shared.random)
        self.world = AtlasWorld(shared, self._identities)
        self._growing: str | None = None

    @property
    def credentials(self) -> Mapping[str, str]:
        return {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}

    @property
    def worlds(self) -> Mapping[str, World]:
        return {"atlas": self.world}

    def endpoints(self) -> Sequence[Endpoint]:
        return AtlasRoutes(self.world, self._identities).endpoints()

    def plant_seeds(self) -> None:
        """The example of the page "Get extracts", value for value."""
        submitted = datetime(2026, 3, 9, 8, 14, 8, tzinfo=timezone.utc)
        self.world.submit([NewDocument("1", 0, _SEED)], batch_id=SEED_BATCH_ID, submitted_at=submitted)

    def fill_demo(self) -> None:
        """Two batches a week, one of several pages, and one half extracted, which further calls let grow."""
        if self._growing is not None:
            number = len(self.world.batch(self._growing).documents)
            self.world.add(self._growing, [self._document(number + step, _A_WHILE) for step in (1, 2, 3)])
            return
        now = self._shared.clock.now()
        large = [self._document(number) for number in range(1, 121)]
        self.world.submit(large, submitted_at=now - timedelta(days=19, hours=3))
        small = [self._document(number) for number in range(1, 13)]
        small.append(NewDocument("13", error_code="UNRECOGNISED"))
        self.world.submit(small, submitted_at=now - timedelta(days=2, hours=7))
        young = [self._document(number, 0 if number % 2 else _A_WHILE) for number in range(1, 11)]
        self._growing = self.world.submit(young)
        weekly_batches(self.world, self._identities, self._shared.generator("atlas/weeks"))

    def _document(self, number: int, seconds: float | None = None) -> NewDocument:
        return NewDocument(str(number), seconds, error_code=self._identities.error_code())

    def settings(self) -> JsonObject:
        """Batches are named, as no documented operation lists them."""
        return {"batch_ids": self.world.batch_ids}
