"""A Starlette application that serves the endpoints."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .api import Api, ApiRequest, Endpoint
from .calls import Call, ServedEndpoint, iterate_endpoints, parse_json_object, run_operation, to_http_response
from .context import JsonObject, SandboxContext

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
_Handler = Callable[[Request], Awaitable[Response]]


def build_application(
    context: SandboxContext,
    apis: Sequence[Api],
    empty_apis: Sequence[Api],
    control_endpoints: Sequence[Endpoint],
    latency: float,
) -> Starlette:
    """Return an application with all APIs and the control endpoints.

    Control endpoints respond without latency and are not recorded in the journal.

    Args:
        context: The shared state of the sandbox.
        apis: The APIs to serve.
        empty_apis: The same APIs, in the same order, of another account without documents.
        control_endpoints: Endpoints with full paths.
        latency: Real seconds that each API response is delayed.
    """
    routes = [
        Route(endpoint.path, _make_control_handler(context, endpoint), methods=[endpoint.method])
        for endpoint in control_endpoints
    ]
    for served in iterate_endpoints(apis, empty_apis):
        handler = _make_api_handler(context, served, latency)
        routes.append(Route(served.path, handler, methods=[served.method] if served.method else _METHODS))
    return Starlette(routes=routes)


def _make_api_handler(context: SandboxContext, served: ServedEndpoint, latency: float) -> _Handler:
    async def handle_request(request: Request) -> Response:
        arrived_at = time.monotonic()
        endpoint = served.select(context)
        query = dict(request.query_params)
        path_params = {key: str(value) for key, value in request.path_params.items()}
        with Call(context, endpoint, arrived_at=arrived_at, query=query, path_params=path_params) as call:
            api_request = await _read_request(request, arrived_at)
            if latency:
                await asyncio.sleep(latency)
            return call.respond(api_request, request.url.path)

    return handle_request


def _make_control_handler(context: SandboxContext, endpoint: Endpoint) -> _Handler:
    async def handle_request(request: Request) -> Response:
        api_request = await _read_request(request, time.monotonic())
        with context.hold_lock():
            return to_http_response(run_operation(endpoint, api_request))

    return handle_request


async def _read_request(request: Request, arrived_at: float) -> ApiRequest:
    body: JsonObject | None = None
    upload_names: tuple[str, ...] = ()
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        body, upload_names = await _read_form(request)
    else:
        body = parse_json_object(await request.body())
    return ApiRequest(
        headers=dict(request.headers),
        query=dict(request.query_params),
        path_params={key: str(value) for key, value in request.path_params.items()},
        body=body,
        upload_names=upload_names,
        arrived_at=arrived_at,
        base_url=str(request.base_url).rstrip("/"),
    )


async def _read_form(request: Request) -> tuple[JsonObject | None, tuple[str, ...]]:
    try:
        async with request.form(max_files=10_000) as form:
            form_items = form.multi_items()
            fields: JsonObject = {key: value for key, value in form_items if isinstance(value, str)}
            return fields, tuple(
                value.filename or "unnamed" for _, value in form_items if isinstance(value, UploadFile)
            )
    except HTTPException:
        return None, ()
