"""What an API of the sandbox is made of. A further API is one new file with these, and one line in `app.py`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from .context import JsonObject


@dataclass(frozen=True)
class ApiRequest:
    """One HTTP request, as far as any of the APIs looks at it."""

    headers: Mapping[str, str]
    """Names in lower case."""
    query: Mapping[str, str]
    path_params: Mapping[str, str]
    """Values of the path's `{placeholders}`."""
    body: JsonObject | None
    """The JSON object that was sent, or a form's text fields; None for anything else."""
    upload_names: tuple[str, ...]
    """Names of a form's files."""
    arrived_at: float
    """Seconds of `time.monotonic()`."""
    base_url: str
    """The server's address as the client wrote it, without a slash at its end."""

    def get_text(self, key: str) -> str | None:
        """A non-empty text in the body, else None."""
        value = (self.body or {}).get(key)
        return value if isinstance(value, str) and value else None


@dataclass(frozen=True)
class ApiResponse:
    """A text is sent as text/plain, anything else as JSON."""

    body: object
    status: int = 200
    text_as_json: bool = False
    """Sends a text as JSON too: between quotation marks."""


class ApiError(Exception):
    """An error that an API answers with."""

    def __init__(self, status: int, body: object) -> None:
        super().__init__(f"{status}: {body}")
        self.response = ApiResponse(body, status)


@dataclass(frozen=True)
class Endpoint:
    """One operation: its name in the journal, where it is, and the function that answers it in one turn."""

    name: str
    method: str
    path: str
    handler: Callable[[ApiRequest], ApiResponse]
    opaque_keys: frozenset[str] = field(default=frozenset())
    """Keys under which lies extracted data: the switch `unknown_keys` leaves it alone."""
    base_path: str | None = None
    """Where it is, if not under its API's own base path."""
    unknown_id_response: ApiResponse | None = None
    """What it answers about an id that it does not know; None where it takes none."""


class World(Protocol):
    """What the control endpoints can do to the documents of one product."""

    def finish(self, batch_id: str | None = None, *, skip_stuck: bool = False) -> int:
        """Finishes what is pending now, in all batches or one; returns how many documents that were.

        `by_itself` leaves out what would never finish by itself.
        """

    def edit(self, batch_id: str, document: str, data: JsonObject, /) -> None:
        """A person corrects what was extracted."""

    def summarize(self) -> JsonObject:
        """What is there, in numbers and ids."""


class FlatWorld(Protocol):
    """A world whose documents have ids of their own and need no batch to be named by."""

    def finish(self, extraction_id: str | None = None, *, skip_stuck: bool = False) -> int: ...

    def edit(self, extraction_id: str, data: JsonObject, /) -> None: ...

    def summarize(self) -> JsonObject: ...


@dataclass(frozen=True)
class FlatWorldAdapter:
    """Such a world as the control endpoints know worlds: where they name a batch to edit, it is not looked at."""

    world: FlatWorld

    def finish(self, batch_id: str | None = None, *, skip_stuck: bool = False) -> int:
        return self.world.finish(batch_id, skip_stuck=skip_stuck)

    def edit(self, _: str, document: str, data: JsonObject, /) -> None:
        self.world.edit(document, data)

    def summarize(self) -> JsonObject:
        return self.world.summarize()


@runtime_checkable
class ReviewableWorld(Protocol):
    """A world in which a person approves or rejects what was extracted."""

    def review(self, document: str, status: str, data: JsonObject | None = None, /) -> None:
        """Decides on a document, and corrects it if data is given. Raises ValueError for what cannot be decided."""


class Api(Protocol):
    """One host with its key: it may serve several products, each a world."""

    @property
    def name(self) -> str:
        """Its name in settings, credentials and base urls."""

    @property
    def base_path(self) -> str: ...

    @property
    def credentials(self) -> Mapping[str, str]: ...

    @property
    def worlds(self) -> Mapping[str, World]:
        """By the name that the control endpoints use."""

    def list_endpoints(self) -> Sequence[Endpoint]: ...

    def load_seeds(self) -> None:
        """Adds the examples of the API's documentation, value for value."""

    def fill_demo(self) -> None:
        """Adds documents to play with: those of twelve weeks the first time, a few more each time after."""

    def build_settings(self) -> JsonObject:
        """What a client must be told of this world, beside address and credentials."""


ID_MAP_KEYS = frozenset({"batches"})


def add_unknown_keys(value: object, opaque_keys: frozenset[str]) -> object:
    """The same answer with an undocumented key in each object that the API itself designed."""
    if isinstance(value, list):
        return [add_unknown_keys(item, opaque_keys) for item in value]
    if not isinstance(value, dict):
        return value
    extended: JsonObject = {}
    for key, item in value.items():
        if key in opaque_keys:
            extended[key] = item
        elif key in ID_MAP_KEYS and isinstance(item, dict):
            extended[key] = {entry_id: add_unknown_keys(entry, opaque_keys) for entry_id, entry in item.items()}
        else:
            extended[key] = add_unknown_keys(item, opaque_keys)
    return {**extended, "undocumented": {"note": "added by the sandbox"}}
