"""Endpoints with which other processes look into the sandbox and move it along: under /_sandbox, without a key."""

from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from .api import Answer, Api, Call, Endpoint, Refusal, Reviewed, Unbatched, World
from .clock import Clock
from .faults import KINDS, BadFault, Faults, described
from .journal import Journal
from .shared import JsonObject, Unknown
from .switches import BadSwitch, Switches, changed

PREFIX = "/_sandbox"


class Controlled(Protocol):
    """What of a sandbox is under control from outside."""

    switches: Switches
    apis: tuple[Api, ...]

    @property
    def clock(self) -> Clock: ...

    @property
    def journal(self) -> Journal: ...

    @property
    def faults(self) -> Faults: ...

    def base_urls(self, url: str) -> dict[str, str]: ...

    def fill_demo(self) -> None: ...

    def demo_settings(self, url: str, apis: Collection[str] = ...) -> JsonObject: ...


def endpoints(sandbox: Controlled) -> Sequence[Endpoint]:
    """The control endpoints, and a greeting at `/`."""
    control = _Control(sandbox)
    operations: list[tuple[str, str, Callable[[Call], JsonObject]]] = [
        ("GET", "/", control.overview),
        ("GET", "/requests", control.requests),
        ("DELETE", "/requests", control.clear_requests),
        ("GET", "/settings", control.settings),
        ("GET", "/switches", control.show_switches),
        ("PATCH", "/switches", control.change_switches),
        ("GET", "/faults", control.show_faults),
        ("POST", "/faults", control.add_fault),
        ("DELETE", "/faults", control.clear_faults),
        ("POST", "/finish", control.finish),
        ("POST", "/advance", control.advance),
        ("POST", "/edit", control.edit),
        ("POST", "/review", control.review),
        ("POST", "/demo", control.demo),
    ]
    return [
        Endpoint("sandbox.greeting", "GET", "/", control.greeting),
        *(Endpoint("sandbox", method, PREFIX + path, _told(answer)) for method, path, answer in operations),
    ]


def _told(answer: Callable[[Call], JsonObject]) -> Callable[[Call], Answer]:
    def handle(call: Call) -> Answer:
        try:
            return Answer(answer(call))
        except (Unknown, BadSwitch, BadFault) as problem:
            raise Refusal(400, {"error": str(problem)}) from None

    return handle


class _Control:
    """Each method answers one endpoint."""

    def __init__(self, sandbox: Controlled) -> None:
        self._sandbox = sandbox

    def greeting(self, call: Call) -> Answer:
        lines = ["This is a sandbox of document-extraction APIs. Its documents are invented.", ""]
        urls = self._sandbox.base_urls(call.base_url)
        for api in self._sandbox.apis:
            keys = ", ".join(f"{name} {value}" for name, value in api.credentials.items())
            lines.append(f"{api.name}: {urls[api.name]}   ({keys})")
            lines += [f"  {endpoint.method:<6} {endpoint.path}" for endpoint in api.endpoints()]
            lines.append("")
        lines += [
            f"Looking in and moving it along, under {PREFIX} and without a key:",
            "  GET    /            what is in here",
            "  GET    /settings    settings for a connector that reads all of it; ?apis=docmap,… for some APIs",
            "  GET    /requests    how often each endpoint was asked; DELETE forgets that",
            '  POST   /finish      {"api"?, "batch_id"?, "by_itself"?}        finish what is pending',
            '  POST   /advance     {"seconds"}                                move the clock',
            '  POST   /edit        {"api", "batch_id"?, "document", "data"}   a person corrects a document',
            '  POST   /review      {"api", "document", "status", "data"?}     a person decides on a document',
            "  POST   /demo        add some documents",
            '  PATCH  /switches    {"name": value, …}                         choose a reading; GET shows them',
            '  POST   /faults      {"kind", "endpoint"?, "times"?, …}         bad weather; GET shows, DELETE ends it',
        ]
        return Answer("\n".join(lines) + "\n")

    def overview(self, call: Call) -> JsonObject:
        return {
            "now": self._now(),
            "base_urls": self._sandbox.base_urls(call.base_url),
            "worlds": {name: world.holds() for name, world in self._worlds().items()},
            "switches": self.show_switches(call),
        }

    def requests(self, _: Call) -> JsonObject:
        journal = self._sandbox.journal
        return {
            "counts": journal.counts(),
            "ok_counts": journal.counts(ok_only=True),
            "max_in_flight": journal.max_in_flight,
        }

    def clear_requests(self, _: Call) -> JsonObject:
        self._sandbox.journal.clear()
        return {"cleared": True}

    def settings(self, call: Call) -> JsonObject:
        """Of all APIs, or of those whose names `?apis=` has, with commas between them."""
        names = call.query.get("apis", "")
        return self._sandbox.demo_settings(call.base_url, [name.strip() for name in names.split(",")] if names else ())

    def show_switches(self, _: Call) -> JsonObject:
        return vars(self._sandbox.switches).copy()

    def change_switches(self, call: Call) -> JsonObject:
        self._sandbox.switches = changed(self._sandbox.switches, _body(call))
        return self.show_switches(call)

    def show_faults(self, _: Call) -> JsonObject:
        """What is on, how often it was `met`, and what there could be."""
        return {"faults": self._sandbox.faults.told(), "kinds": KINDS}

    def add_fault(self, call: Call) -> JsonObject:
        names = [endpoint.name for api in self._sandbox.apis for endpoint in api.endpoints()]
        self._sandbox.faults.add(described(_body(call), names))
        return self.show_faults(call)

    def clear_faults(self, call: Call) -> JsonObject:
        self._sandbox.faults.clear()
        return self.show_faults(call)

    def finish(self, call: Call) -> JsonObject:
        """Without `api` the batch, or everything, of all worlds; `by_itself` only what would finish some day."""
        batch_id, worlds = call.text("batch_id"), self._worlds()
        by_itself = (call.body or {}).get("by_itself") is True
        if (call.body or {}).get("api") is not None:
            return {"finished": self._world(call).finish(batch_id, by_itself=by_itself)}
        if batch_id is None:
            return {"finished": sum(world.finish(by_itself=by_itself) for world in worlds.values())}
        finished = None
        for world in worlds.values():
            try:
                finished = (finished or 0) + world.finish(batch_id, by_itself=by_itself)
            except Unknown:
                continue
        if finished is None:
            raise Unknown(f"there is no batch {batch_id}")
        return {"finished": finished}

    def advance(self, call: Call) -> JsonObject:
        seconds = _body(call).get("seconds")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds < 0:
            raise Refusal(400, {"error": "seconds must be a number from 0"})
        self._sandbox.clock.advance(seconds=seconds)
        return {"now": self._now()}

    def edit(self, call: Call) -> JsonObject:
        """Only worlds whose documents lie in batches need a `batch_id`."""
        batch_id, document, data = call.text("batch_id"), call.text("document"), _body(call).get("data")
        world = self._world(call)
        if isinstance(world, Unbatched):
            batch_id = batch_id or ""
        if batch_id is None or document is None or not isinstance(data, dict):
            raise Refusal(400, {"error": "batch_id and document must be texts, data an object"})
        world.edit(batch_id, document, data)
        return {"edited": True}

    def review(self, call: Call) -> JsonObject:
        document, status, data = call.text("document"), call.text("status"), _body(call).get("data")
        world = self._world(call)
        if not isinstance(world, Reviewed):
            raise Refusal(400, {"error": f"nothing is reviewed in {call.text('api')}"})
        if document is None or status is None or not (data is None or isinstance(data, dict)):
            raise Refusal(400, {"error": "document and status must be texts, data an object or nothing"})
        try:
            world.review(document, status, data)
        except ValueError as problem:
            raise Refusal(400, {"error": str(problem)}) from None
        return {"reviewed": True}

    def demo(self, _: Call) -> JsonObject:
        self._sandbox.fill_demo()
        return {name: world.holds() for name, world in self._worlds().items()}

    def _worlds(self) -> dict[str, World]:
        return {name: world for api in self._sandbox.apis for name, world in api.worlds.items()}

    def _world(self, call: Call) -> World:
        worlds = self._worlds()
        name = call.text("api") or ""
        if name not in worlds:
            raise Refusal(400, {"error": f"api must be one of {', '.join(worlds)}"})
        return worlds[name]

    def _now(self) -> str:
        return self._sandbox.clock.now().isoformat()


def _body(call: Call) -> JsonObject:
    if call.body is None:
        raise Refusal(400, {"error": "a JSON object is needed"})
    return call.body
