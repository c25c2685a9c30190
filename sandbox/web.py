"""Endpoints as a Starlette application: reading requests, taking turns, keeping the journal."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import orjson
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from .api import Answer, Api, Call, Endpoint, Refusal, with_unknown_keys
from .broken import with_fault
from .faults import SPOILT, Fault
from .journal import Entry
from .shared import JsonObject, Shared
from .spoilt import spoilt

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
_Handler = Callable[[Request], Awaitable[Response]]


def application(
    shared: Shared, apis: Sequence[Api], empty: Sequence[Api], control: Sequence[Endpoint], latency: float
) -> Starlette:
    """The APIs under their base paths, and the control endpoints, which neither wait nor are written down.

    `empty` are the same APIs as another account sees them, which holds nothing.
    """
    routes = [Route(endpoint.path, _control(shared, endpoint), methods=[endpoint.method]) for endpoint in control]
    for api, other in zip(apis, empty, strict=True):
        for endpoint, elsewhere in zip(api.endpoints(), other.endpoints(), strict=True):
            handler = _api(shared, endpoint, latency, elsewhere)
            base_path = api.base_path if endpoint.base_path is None else endpoint.base_path
            routes.append(Route(base_path + endpoint.path, handler, methods=[endpoint.method]))
        nothing = Endpoint(f"{api.name}.unknown", "", "", _not_found)
        routes.append(Route(api.base_path + "{rest:path}", _api(shared, nothing, latency), methods=_METHODS))
    return Starlette(routes=routes)


def _api(shared: Shared, own: Endpoint, latency: float, elsewhere: Endpoint | None = None) -> _Handler:
    async def handler(request: Request) -> Response:
        arrived = time.monotonic()
        shared.journal.arrive()
        endpoint = elsewhere if elsewhere and shared.switches.other_account else own
        status, query, body, fault = 500, dict(request.query_params), None, None
        path = {key: str(value) for key, value in request.path_params.items()}
        try:
            call = await _read(request, arrived)
            body = {**(call.body or {}), "files": list(call.uploads)} if call.uploads else call.body
            if latency:
                await asyncio.sleep(latency)
            fault = shared.faults.meet(endpoint.name, {"path": path, "query": query, "body": body})
            response = _answered(shared, endpoint, call, fault)
            if fault:
                response = with_fault(request, fault, response, shared.clock.now())
            status = response.status_code
            return response
        finally:
            met = fault.kind if fault else ""
            shared.journal.leave(Entry(endpoint.name, status, arrived, query, body, path, met))

    return handler


def _answered(shared: Shared, endpoint: Endpoint, call: Call, fault: Fault | None) -> Response:
    """What the operation answers, or the fault in its stead."""
    if fault and fault.kind == "status":
        return _response(Answer(fault.body, fault.status))
    if fault and fault.kind == "unknown id" and endpoint.unknown:
        return _response(endpoint.unknown)
    with shared.turn():
        answer = _answer(endpoint, call)
        if fault and fault.kind in SPOILT:
            body = spoilt(answer.body, fault.kind, endpoint.opaque, shared.faults.random)
            answer = replace(answer, body=body, text_as_json=answer.text_as_json or not isinstance(answer.body, str))
        # Written out inside the turn: an answer may share objects with the worlds.
        if shared.switches.unknown_keys:
            answer = replace(answer, body=with_unknown_keys(answer.body, endpoint.opaque))
        return _response(answer)


def _control(shared: Shared, endpoint: Endpoint) -> _Handler:
    async def handler(request: Request) -> Response:
        call = await _read(request, time.monotonic())
        with shared.turn():
            return _response(_answer(endpoint, call))

    return handler


def _answer(endpoint: Endpoint, call: Call) -> Answer:
    try:
        return endpoint.handle(call)
    except Refusal as refusal:
        return refusal.answer


def _response(answer: Answer) -> Response:
    if isinstance(answer.body, str) and not answer.text_as_json:
        return PlainTextResponse(answer.body, answer.status)
    return Response(orjson.dumps(answer.body), answer.status, media_type="application/json")


async def _read(request: Request, arrived: float) -> Call:
    body: JsonObject | None = None
    uploads: tuple[str, ...] = ()
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        body, uploads = await _form(request)
    else:
        body = _json_object(await request.body())
    return Call(
        headers=dict(request.headers),
        query=dict(request.query_params),
        path={key: str(value) for key, value in request.path_params.items()},
        body=body,
        uploads=uploads,
        arrived=arrived,
        base_url=str(request.base_url).rstrip("/"),
    )


async def _form(request: Request) -> tuple[JsonObject | None, tuple[str, ...]]:
    try:
        async with request.form(max_files=10_000) as form:
            items = form.multi_items()
            fields: JsonObject = {key: value for key, value in items if isinstance(value, str)}
            return fields, tuple(value.filename or "unnamed" for _, value in items if isinstance(value, UploadFile))
    except HTTPException:
        return None, ()


def _json_object(raw: bytes) -> JsonObject | None:
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def _not_found(_: Call) -> Answer:
    return Answer({"message": "Not Found"}, 404)
