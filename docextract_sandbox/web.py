"""A Starlette application that serves the endpoints."""

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

from .api import Api, ApiError, ApiRequest, ApiResponse, Endpoint, add_unknown_keys
from .context import JsonObject, SandboxContext
from .faults import PAYLOAD_FAULTS, Fault
from .journal import JournalEntry
from .payload_faults import corrupt_payload
from .transport_faults import apply_transport_fault

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
    for api, empty_api in zip(apis, empty_apis, strict=True):
        for endpoint, empty_endpoint in zip(api.list_endpoints(), empty_api.list_endpoints(), strict=True):
            handler = _make_api_handler(context, endpoint, latency, empty_endpoint)
            base_path = api.base_path if endpoint.base_path is None else endpoint.base_path
            routes.append(Route(base_path + endpoint.path, handler, methods=[endpoint.method]))
        unknown_endpoint = Endpoint(f"{api.name}.unknown", "", "", _respond_not_found)
        # Requests to unknown paths are recorded too, so that a test sees each request that a client should not make.
        routes.append(
            Route(
                api.base_path + "{rest:path}", _make_api_handler(context, unknown_endpoint, latency), methods=_METHODS
            )
        )
    return Starlette(routes=routes)


def _make_api_handler(
    context: SandboxContext, regular_endpoint: Endpoint, latency: float, empty_endpoint: Endpoint | None = None
) -> _Handler:
    async def handle_request(request: Request) -> Response:
        arrived_at = time.monotonic()
        context.journal.record_arrival()
        endpoint = empty_endpoint if empty_endpoint and context.switches.other_account else regular_endpoint
        status, query, body, fault = 500, dict(request.query_params), None, None
        path_params = {key: str(value) for key, value in request.path_params.items()}
        try:
            api_request = await _read_request(request, arrived_at)
            body = (
                {**(api_request.body or {}), "files": list(api_request.upload_names)}
                if api_request.upload_names
                else api_request.body
            )
            if latency:
                await asyncio.sleep(latency)
            fault = context.faults.match_call(endpoint.name, {"path": path_params, "query": query, "body": body})
            response = _respond(context, endpoint, api_request, fault)
            if fault:
                response = apply_transport_fault(request, fault, response, context.clock.now())
            status = response.status_code
            return response
        # Also without a response, or `max_in_flight` would count the request for ever.
        finally:
            fault_kind = fault.kind if fault else ""
            context.journal.record_response(
                JournalEntry(endpoint.name, status, arrived_at, query, body, path_params, fault_kind)
            )

    return handle_request


def _respond(context: SandboxContext, endpoint: Endpoint, api_request: ApiRequest, fault: Fault | None) -> Response:
    """Return the response of the operation, or of the fault that replaces it."""
    if fault and fault.kind == "status":
        return _to_http_response(ApiResponse(fault.body, fault.status))
    if fault and fault.kind == "unknown id" and endpoint.unknown_id_response:
        return _to_http_response(endpoint.unknown_id_response)
    with context.hold_lock():
        api_response = _call_endpoint(endpoint, api_request)
        if fault and fault.kind in PAYLOAD_FAULTS:
            body = corrupt_payload(api_response.body, fault.kind, endpoint.opaque_keys, context.faults.random)
            api_response = replace(
                api_response,
                body=body,
                # A JSON body that a fault has replaced with text is still sent as JSON.
                text_as_json=api_response.text_as_json or not isinstance(api_response.body, str),
            )
        # Serialized while the lock is held: the body may share objects with the worlds.
        if context.switches.unknown_keys:
            api_response = replace(api_response, body=add_unknown_keys(api_response.body, endpoint.opaque_keys))
        return _to_http_response(api_response)


def _make_control_handler(context: SandboxContext, endpoint: Endpoint) -> _Handler:
    async def handle_request(request: Request) -> Response:
        api_request = await _read_request(request, time.monotonic())
        with context.hold_lock():
            return _to_http_response(_call_endpoint(endpoint, api_request))

    return handle_request


def _call_endpoint(endpoint: Endpoint, api_request: ApiRequest) -> ApiResponse:
    try:
        return endpoint.handler(api_request)
    except ApiError as error:
        return error.response


def _to_http_response(api_response: ApiResponse) -> Response:
    if isinstance(api_response.body, str) and not api_response.text_as_json:
        return PlainTextResponse(api_response.body, api_response.status)
    return Response(orjson.dumps(api_response.body), api_response.status, media_type="application/json")


async def _read_request(request: Request, arrived_at: float) -> ApiRequest:
    body: JsonObject | None = None
    upload_names: tuple[str, ...] = ()
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        body, upload_names = await _read_form(request)
    else:
        body = _parse_json_object(await request.body())
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


def _parse_json_object(content: bytes) -> JsonObject | None:
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def _respond_not_found(_: ApiRequest) -> ApiResponse:
    return ApiResponse({"message": "Not Found"}, 404)
