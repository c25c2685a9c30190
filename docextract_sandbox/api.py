"""Requests, responses, endpoints and worlds of a sandbox API.

Another API is one new folder that implements `Api`, and one line in `app.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from .context import JsonObject


@dataclass(frozen=True)
class ApiRequest:
    """The parts of an HTTP request that the APIs read."""

    headers: Mapping[str, str]
    """Names in lower case."""
    query: Mapping[str, str]
    path_params: Mapping[str, str]
    """Values of the path's `{placeholders}`."""
    body: JsonObject | None
    """The JSON object of the body, or the text fields of a form; None for any other body."""
    upload_names: tuple[str, ...]
    """Names of the files of a form."""
    arrived_at: float
    """Seconds of `time.monotonic()`."""
    base_url: str
    """The server's address as the client wrote it, without a trailing slash."""

    def get_text(self, key: str) -> str | None:
        """Return a non-empty text of the body, or None."""
        value = (self.body or {}).get(key)
        return value if isinstance(value, str) and value else None


@dataclass(frozen=True)
class ApiResponse:
    """A response of an endpoint: text is sent as text/plain, any other body as JSON."""

    body: object
    status: int = 200
    text_as_json: bool = False
    """Whether a text is sent as JSON too, between quotation marks."""


class ApiError(Exception):
    """An error response, raised by an endpoint's handler."""

    def __init__(self, status: int, body: object) -> None:
        """Build the response from its status and its body."""
        super().__init__(f"{status}: {body}")
        self.response = ApiResponse(body, status)


@dataclass(frozen=True)
class Endpoint:
    """An operation: its name in the journal, its path and its handler."""

    name: str
    method: str
    path: str
    handler: Callable[[ApiRequest], ApiResponse]
    opaque_keys: frozenset[str] = field(default=frozenset())
    """Keys that hold extracted data, in which the switch `unknown_keys` adds nothing."""
    base_path: str | None = None
    """Base path of this endpoint, where it differs from the base path of the API."""
    unknown_id_response: ApiResponse | None = None
    """Response to an id that does not exist; None for an endpoint without ids."""


class World(Protocol):
    """The documents of one product, as the control endpoints change them."""

    def finish(self, batch_id: str | None = None, *, skip_stuck: bool = False) -> int:
        """Finish the pending documents of one batch or of all; return their number.

        Args:
            batch_id: The batch to finish; None finishes every batch.
            skip_stuck: Leave the documents pending that would never finish by themselves.
        """

    def edit(self, batch_id: str, document: str, data: Mapping[str, object], /) -> None:
        """Replace extracted data, as a person does who corrects it."""

    def summarize(self) -> JsonObject:
        """Return the world's content as counts and ids."""


class FlatWorld(Protocol):
    """A world whose documents are addressed by their own ids, without a batch."""

    def finish(self, extraction_id: str | None = None, *, skip_stuck: bool = False) -> int:
        """Finish one pending extraction or all; return their number."""

    def edit(self, extraction_id: str, data: Mapping[str, object], /) -> None:
        """Replace extracted data, as a person does who corrects it."""

    def summarize(self) -> JsonObject:
        """Return the world's content as counts and ids."""


@dataclass(frozen=True)
class FlatWorldAdapter:
    """A `FlatWorld` behind the interface of `World`; `edit` ignores the batch."""

    world: FlatWorld

    def finish(self, batch_id: str | None = None, *, skip_stuck: bool = False) -> int:
        """Finish one pending extraction or all; return their number."""
        return self.world.finish(batch_id, skip_stuck=skip_stuck)

    def edit(self, _: str, document: str, data: Mapping[str, object], /) -> None:
        """Replace extracted data, as a person does who corrects it."""
        self.world.edit(document, data)

    def summarize(self) -> JsonObject:
        """Return the world's content as counts and ids."""
        return self.world.summarize()


@runtime_checkable
class ReviewableWorld(Protocol):
    """A world in which a person approves or rejects extracted data."""

    def review(self, document: str, status: str, data: Mapping[str, object] | None = None, /) -> None:
        """Decide on a document under review, and replace its data if any is passed.

        Raises:
            ValueError: The document is not under review, or the status is no decision.
        """


class Api(Protocol):
    """One host with one set of credentials, which serves one world per product."""

    @property
    def name(self) -> str:
        """Return the API's name in settings, credentials and base URLs."""

    @property
    def base_path(self) -> str:
        """Return the path that precedes the paths of all endpoints."""

    @property
    def credentials(self) -> Mapping[str, str]:
        """Return the credentials by the names of their settings."""

    @property
    def worlds(self) -> Mapping[str, World]:
        """Return the worlds by the names that the control endpoints use."""

    def list_endpoints(self) -> Sequence[Endpoint]:
        """Return the endpoints of all products."""

    def load_seeds(self) -> None:
        """Add the examples of the provider's documentation, value for value."""

    def fill_demo(self) -> None:
        """Add twelve weeks of documents; later calls add a few pending ones."""

    def build_settings(self) -> JsonObject:
        """Return the connector's settings for this API, without base URL and credentials."""


ID_MAP_KEYS = frozenset({"batches"})
"""Keys whose objects map ids to entries: an undocumented key among the ids would be read as an id."""


def add_unknown_keys(value: object, opaque_keys: frozenset[str]) -> object:
    """Return a copy of a response body with an undocumented key in each object.

    Args:
        value: A JSON value of the response body.
        opaque_keys: Keys whose values are extracted data and stay unchanged.
    """
    if isinstance(value, list):
        return [add_unknown_keys(item, opaque_keys) for item in value]
    if not isinstance(value, dict):
        return value
    extended: JsonObject = {}
    for key, item in value.items():
        if key in opaque_keys:
            extended[key] = item
        # The object itself is a map by id and gets no key, but each of its entries does.
        elif key in ID_MAP_KEYS and isinstance(item, dict):
            extended[key] = {entry_id: add_unknown_keys(entry, opaque_keys) for entry_id, entry in item.items()}
        else:
            extended[key] = add_unknown_keys(item, opaque_keys)
    return {**extended, "undocumented": {"note": "added by the sandbox"}}
