"""Control endpoints under /_sandbox that inspect and change the sandbox.

They need no credentials and are not recorded in the journal.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from .api import Api, ApiError, ApiRequest, ApiResponse, Endpoint, FlatWorldAdapter, ReviewableWorld, World
from .clock import Clock
from .context import JsonObject, UnknownId
from .faults import FAULT_KINDS, Faults, InvalidFault, parse_fault
from .journal import Journal
from .switches import InvalidSwitch, Switches, apply_changes

PREFIX = "/_sandbox"
"""Path that precedes the paths of all control endpoints."""


class ControlledSandbox(Protocol):
    """The parts of a sandbox that the control endpoints use."""

    switches: Switches
    apis: tuple[Api, ...]

    @property
    def clock(self) -> Clock:
        """Return the clock that all APIs share."""

    @property
    def journal(self) -> Journal:
        """Return the journal of API requests."""

    @property
    def faults(self) -> Faults:
        """Return the active faults."""

    def get_base_urls(self, url: str) -> dict[str, str]:
        """Return each API's base URL, for a sandbox that is served at `url`."""

    def fill_demo(self) -> None:
        """Add demo documents to every API."""

    def build_settings(self, url: str, apis: Collection[str] = ...) -> JsonObject:
        """Return connector settings that read every document of the sandbox."""


def list_control_endpoints(sandbox: ControlledSandbox) -> Sequence[Endpoint]:
    """Return the control endpoints, and the endpoint `/` that lists all endpoints."""
    handlers = _ControlHandlers(sandbox)
    operations: list[tuple[str, str, Callable[[ApiRequest], JsonObject]]] = [
        ("GET", "/", handlers.get_overview),
        ("GET", "/requests", handlers.get_request_counts),
        ("DELETE", "/requests", handlers.clear_requests),
        ("GET", "/settings", handlers.get_settings),
        ("GET", "/switches", handlers.show_switches),
        ("PATCH", "/switches", handlers.change_switches),
        ("GET", "/faults", handlers.show_faults),
        ("POST", "/faults", handlers.add_fault),
        ("DELETE", "/faults", handlers.clear_faults),
        ("POST", "/finish", handlers.finish),
        ("POST", "/advance", handlers.advance),
        ("POST", "/edit", handlers.edit),
        ("POST", "/review", handlers.review),
        ("POST", "/demo", handlers.add_demo_documents),
    ]
    return [
        Endpoint("sandbox.greeting", "GET", "/", handlers.get_greeting),
        *(Endpoint("sandbox", method, PREFIX + path, _wrap_handler(handler)) for method, path, handler in operations),
    ]


def _wrap_handler(handler: Callable[[ApiRequest], JsonObject]) -> Callable[[ApiRequest], ApiResponse]:
    def handle_request(request: ApiRequest) -> ApiResponse:
        try:
            return ApiResponse(handler(request))
        # These three carry a message for the person who sent the request.
        except (UnknownId, InvalidSwitch, InvalidFault) as error:
            raise ApiError(400, {"error": str(error)}) from None

    return handle_request


class _ControlHandlers:
    """The handlers of the control endpoints, one method each."""

    def __init__(self, sandbox: ControlledSandbox) -> None:
        self._sandbox = sandbox

    def get_greeting(self, request: ApiRequest) -> ApiResponse:
        lines = ["This is a sandbox of document-extraction APIs. Its documents are invented.", ""]
        urls = self._sandbox.get_base_urls(request.base_url)
        for api in self._sandbox.apis:
            credentials_text = ", ".join(f"{name} {value}" for name, value in api.credentials.items())
            lines.append(f"{api.name}: {urls[api.name]}   ({credentials_text})")
            lines += [f"  {endpoint.method:<6} {endpoint.path}" for endpoint in api.list_endpoints()]
            lines.append("")
        lines += [
            f"Control endpoints, under {PREFIX} and without a key:",
            "  GET    /            overview of documents and switches",
            "  GET    /settings    connector settings that read every document; ?apis=docmap,… for some APIs",
            "  GET    /requests    number of requests by endpoint; DELETE clears it",
            '  POST   /finish      {"api"?, "batch_id"?, "by_itself"?}        finish pending documents',
            '  POST   /advance     {"seconds"}                                move the clock',
            '  POST   /edit        {"api", "batch_id"?, "document", "data"}   a person corrects a document',
            '  POST   /review      {"api", "document", "status", "data"?}     a person decides on a document',
            "  POST   /demo        add some documents",
            '  PATCH  /switches    {"name": value, …}                         change switches; GET shows them',
            '  POST   /faults      {"kind", "endpoint"?, "times"?, …}         inject faults; GET lists, DELETE clears',
        ]
        return ApiResponse("\n".join(lines) + "\n")

    def get_overview(self, request: ApiRequest) -> JsonObject:
        return {
            "now": self._format_now(),
            "base_urls": self._sandbox.get_base_urls(request.base_url),
            "worlds": {name: world.summarize() for name, world in self._collect_worlds().items()},
            "switches": self.show_switches(request),
        }

    def get_request_counts(self, _: ApiRequest) -> JsonObject:
        journal = self._sandbox.journal
        return {
            "counts": journal.count_requests(),
            "ok_counts": journal.count_requests(ok_only=True),
            "max_in_flight": journal.max_in_flight,
        }

    def clear_requests(self, _: ApiRequest) -> JsonObject:
        self._sandbox.journal.clear()
        return {"cleared": True}

    def get_settings(self, request: ApiRequest) -> JsonObject:
        """Return settings for all APIs, or for those in the comma-separated `?apis=`."""
        names = request.query.get("apis", "")
        return self._sandbox.build_settings(
            request.base_url, [name.strip() for name in names.split(",")] if names else ()
        )

    def show_switches(self, _: ApiRequest) -> JsonObject:
        return vars(self._sandbox.switches).copy()

    def change_switches(self, request: ApiRequest) -> JsonObject:
        self._sandbox.switches = apply_changes(self._sandbox.switches, _require_body(request))
        return self.show_switches(request)

    def show_faults(self, _: ApiRequest) -> JsonObject:
        """Return the active faults, how many calls each has `met`, and all kinds."""
        return {"faults": self._sandbox.faults.describe(), "kinds": FAULT_KINDS}

    def add_fault(self, request: ApiRequest) -> JsonObject:
        names: list[str] = []
        for api in self._sandbox.apis:
            names += [endpoint.name for endpoint in api.list_endpoints()]
        self._sandbox.faults.add(parse_fault(_require_body(request), names))
        return self.show_faults(request)

    def clear_faults(self, request: ApiRequest) -> JsonObject:
        self._sandbox.faults.clear()
        return self.show_faults(request)

    def finish(self, request: ApiRequest) -> JsonObject:
        """Finish pending documents, of one world or all and of one batch or all.

        The key `by_itself` leaves the documents pending that would never finish by themselves.
        """
        batch_id, worlds = request.get_text("batch_id"), self._collect_worlds()
        skip_stuck = (request.body or {}).get("by_itself") is True
        if (request.body or {}).get("api") is not None:
            return {"finished": self._find_world(request).finish(batch_id, skip_stuck=skip_stuck)}
        if batch_id is None:
            return {"finished": sum(world.finish(skip_stuck=skip_stuck) for world in worlds.values())}
        finished = None
        for world in worlds.values():
            # Without `api` the batch may lie in any world, so a world that does not hold it is skipped.
            try:
                finished = (finished or 0) + world.finish(batch_id, skip_stuck=skip_stuck)
            except UnknownId:
                continue
        if finished is None:
            raise UnknownId(f"there is no batch {batch_id}")
        return {"finished": finished}

    def advance(self, request: ApiRequest) -> JsonObject:
        seconds = _require_body(request).get("seconds")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds < 0:
            raise ApiError(400, {"error": "seconds must be a number from 0"})
        self._sandbox.clock.advance(seconds=seconds)
        return {"now": self._format_now()}

    def edit(self, request: ApiRequest) -> JsonObject:
        """Replace extracted data.

        `batch_id` is needed only where documents belong to batches.
        """
        batch_id, document, data = (
            request.get_text("batch_id"),
            request.get_text("document"),
            _require_body(request).get("data"),
        )
        world = self._find_world(request)
        if isinstance(world, FlatWorldAdapter):
            batch_id = batch_id or ""
        if batch_id is None or document is None or not isinstance(data, dict):
            raise ApiError(400, {"error": "batch_id and document must be texts, data an object"})
        world.edit(batch_id, document, data)
        return {"edited": True}

    def review(self, request: ApiRequest) -> JsonObject:
        document, status, data = (
            request.get_text("document"),
            request.get_text("status"),
            _require_body(request).get("data"),
        )
        world = self._find_world(request)
        if not isinstance(world, ReviewableWorld):
            raise ApiError(400, {"error": f"nothing is reviewed in {request.get_text('api')}"})
        if document is None or status is None or not (data is None or isinstance(data, dict)):
            raise ApiError(400, {"error": "document and status must be texts, data an object or nothing"})
        try:
            world.review(document, status, data)
        except ValueError as error:
            raise ApiError(400, {"error": str(error)}) from None
        return {"reviewed": True}

    def add_demo_documents(self, _: ApiRequest) -> JsonObject:
        self._sandbox.fill_demo()
        return {name: world.summarize() for name, world in self._collect_worlds().items()}

    def _collect_worlds(self) -> dict[str, World]:
        worlds: dict[str, World] = {}
        for api in self._sandbox.apis:
            worlds |= api.worlds
        return worlds

    def _find_world(self, request: ApiRequest) -> World:
        worlds = self._collect_worlds()
        name = request.get_text("api") or ""
        if name not in worlds:
            raise ApiError(400, {"error": f"api must be one of {', '.join(worlds)}"})
        return worlds[name]

    def _format_now(self) -> str:
        return self._sandbox.clock.now().isoformat()


def _require_body(request: ApiRequest) -> JsonObject:
    if request.body is None:
        raise ApiError(400, {"error": "a JSON object is needed"})
    return request.body
