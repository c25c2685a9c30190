"""What an API of the sandbox is made of. A further API is one new file with these, and one line in `app.py`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from .shared import JsonObject


@dataclass(frozen=True)
class Call:
    """One HTTP request, as far as any of the APIs looks at it."""

    headers: Mapping[str, str]
    """Names in lower case."""
    query: Mapping[str, str]
    path: Mapping[str, str]
    """Values of the path's `{placeholders}`."""
    body: JsonObject | None
    """The JSON object that was sent, or a form's text fields; None for anything else."""
    uploads: tuple[str, ...]
    """Names of a form's files."""
    arrived: float
    """Seconds of `time.monotonic()`."""
    base_url: str
    """The server's address as the client wrote it, without a slash at its end."""

    def text(self, key: str) -> str | None:
        """A non-empty text in the body, else None."""
        value = (self.body or {}).get(key)
        return value if isinstance(value, str) and value else None


@dataclass(frozen=True)
class Answer:
    """A text is sent as text/plain, anything else as JSON."""

    body: object
    status: int = 200
    text_as_json: bool = False
    """Sends a text as JSON too: between quotation marks."""


class Refusal(Exception):
    """An error that an API answers with."""

    def __init__(self, status: int, body: object) -> None:
        super().__init__(f"{status}: {body}")
        self.answer = Answer(body, status)


@dataclass(frozen=True)
class Endpoint:
    """One operation: its name in the journal, where it is, and the function that answers it in one turn."""

    name: str
    method: str
    path: str
    handle: Callable[[Call], Answer]
    opaque: frozenset[str] = field(default=frozenset())
    """Keys under which lies extracted data: the switch `unknown_keys` leaves it alone."""
    base_path: str | None = None
    """Where it is, if not under its API's own base path."""
    unknown: Answer | None = None
    """What it answers about an id that it does not know; None where it takes none."""


class World(Protocol):
    """What the control endpoints can do to the documents of one product."""

    def finish(self, batch_id: str | None = None, *, by_itself: bool = False) -> int:
        """Finishes what is pending now, in all batches or one; returns how many documents that were.

        `by_itself` leaves out what would never finish by itself.
        """

    def edit(self, batch_id: str, document: str, data: JsonObject, /) -> None:
        """A person corrects what was extracted."""

    def holds(self) -> JsonObject:
        """What is there, in numbers and ids."""


class Extractions(Protocol):
    """A world whose documents have ids of their own and need no batch to be named by."""

    def finish(self, extraction_id: str | None = None, *, by_itself: bool = False) -> int: ...

    def edit(self, extraction_id: str, data: JsonObject, /) -> None: ...

    def holds(self) -> JsonObject: ...


@dataclass(frozen=True)
class Unbatched:
    """Such a world as the control endpoints know worlds: where they name a batch to edit, it is not looked at."""

    world: Extractions

    def finish(self, batch_id: str | None = None, *, by_itself: bool = False) -> int:
        return self.world.finish(batch_id, by_itself=by_itself)

    def edit(self, _: str, document: str, data: JsonObject, /) -> None:
        self.world.edit(document, data)

    def holds(self) -> JsonObject:
        return self.world.holds()


@runtime_checkable
class Reviewed(Protocol):
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

    def endpoints(self) -> Sequence[Endpoint]: ...

    def plant_seeds(self) -> None:
        """Adds the examples of the API's documentation, value for value."""

    def fill_demo(self) -> None:
        """Adds documents to play with: those of twelve weeks the first time, a few more each time after."""

    def settings(self) -> JsonObject:
        """What a client must be told of this world, beside address and credentials."""


MAPS_BY_ID = frozenset({"batches"})


def with_unknown_keys(value: object, opaque: frozenset[str]) -> object:
    """The same answer with an undocumented key in each object that the API itself designed."""
    if isinstance(value, list):
        return [with_unknown_keys(item, opaque) for item in value]
    if not isinstance(value, dict):
        return value
    grown: JsonObject = {}
    for key, item in value.items():
        if key in opaque:
            grown[key] = item
        elif key in MAPS_BY_ID and isinstance(item, dict):
            grown[key] = {id_: with_unknown_keys(entry, opaque) for id_, entry in item.items()}
        else:
            grown[key] = with_unknown_keys(item, opaque)
    return {**grown, "undocumented": {"note": "added by the sandbox"}}
