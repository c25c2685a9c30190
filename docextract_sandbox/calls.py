"""The handling of one call, whether it arrives over HTTP or from the same process: journal, faults, operation."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import TracebackType

import orjson
from starlette.responses import PlainTextResponse, Response

from .api import Api, ApiError, ApiRequest, ApiResponse, Endpoint, add_unknown_keys
from .context import JsonObject, SandboxContext
from .faults import PAYLOAD_FAULTS, Fault
from .journal import JournalEntry
from .payload_faults import corrupt_payload
from .transport_faults import apply_transport_fault


class Call:
    """A call of an endpoint; as a context manager, from its arrival to its response."""

    def __init__(
        self,
        context: SandboxContext,
        endpoint: Endpoint,
        *,
        arrived_at: float,
        query: Mapping[str, str],
        path_params: Mapping[str, str],
    ) -> None:
        """Describe a call that arrives.

        Args:
            context: The shared state of the sandbox.
            endpoint: The endpoint that is called.
            arrived_at: The arrival, in seconds of a clock that never goes back.
            query: The parameters of the query.
            path_params: Values of the path's `{placeholders}`.
        """
        self._context = context
        self._endpoint = endpoint
        self._arrived_at = arrived_at
        self._query = query
        self._path_params = path_params
        self._status = 500
        self._body: JsonObject | None = None
        self._fault: Fault | None = None

    @property
    def fault_kind(self) -> str:
        """Return the kind of the fault that applies; empty if none does."""
        return self._fault.kind if self._fault else ""

    def __enter__(self) -> "Call":
        """Count the call as in progress."""
        self._context.journal.record_arrival()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        """Write the call into the journal."""
        # Also without a response, or `max_in_flight` would count the request for ever.
        self._context.journal.record_response(
            JournalEntry(
                self._endpoint.name,
                self._status,
                self._arrived_at,
                self._query,
                self._body,
                self._path_params,
                self.fault_kind,
            )
        )

    def respond(self, request: ApiRequest, path: str) -> Response:
        """Return the response of the operation, or that of a fault.

        Args:
            request: The request.
            path: The whole path of the request, which a redirect keeps.
        """
        self._body = request.body
        if request.upload_names:
            self._body = {**(request.body or {}), "files": list(request.upload_names)}
        fault = self._fault = self._context.faults.match_call(
            self._endpoint.name, {"path": self._path_params, "query": self._query, "body": self._body}
        )
        response = self._respond_or_replace(request, fault)
        if fault:
            response = apply_transport_fault(path, fault, response, self._context.clock.now())
        self._status = response.status_code
        return response

    def _respond_or_replace(self, request: ApiRequest, fault: Fault | None) -> Response:
        """Return the response of the operation, or of the fault that replaces it."""
        if fault and fault.kind == "status":
            return to_http_response(ApiResponse(fault.body, fault.status))
        if fault and fault.kind == "unknown id" and self._endpoint.unknown_id_response:
            return to_http_response(self._endpoint.unknown_id_response)
        with self._context.hold_lock():
            api_response = run_operation(self._endpoint, request)
            if fault and fault.kind in PAYLOAD_FAULTS:
                body = corrupt_payload(
                    api_response.body, fault.kind, self._endpoint.opaque_keys, self._context.faults.random
                )
                api_response = replace(
                    api_response,
                    body=body,
                    # A JSON body that a fault has replaced with text is still sent as JSON.
                    text_as_json=api_response.text_as_json or not isinstance(api_response.body, str),
                )
            # Serialized while the lock is held: the body may share objects with the worlds.
            if self._context.switches.unknown_keys:
                api_response = replace(
                    api_response, body=add_unknown_keys(api_response.body, self._endpoint.opaque_keys)
                )
            return to_http_response(api_response)


def run_operation(endpoint: Endpoint, request: ApiRequest) -> ApiResponse:
    """Return the response of an endpoint's handler, also if it raises it as an error."""
    try:
        return endpoint.handler(request)
    except ApiError as error:
        return error.response


def parse_json_object(content: bytes) -> JsonObject | None:
    """Return the JSON object of a request body, or None for any other body."""
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


@dataclass(frozen=True)
class ServedEndpoint:
    """An endpoint with its address."""

    method: str
    """Empty for any method."""
    path: str
    """The whole path, with `{placeholders}`."""
    endpoint: Endpoint
    empty_endpoint: Endpoint
    """The same endpoint of another account without documents."""

    def select(self, context: SandboxContext) -> Endpoint:
        """Return the endpoint of the account that a key belongs to at present."""
        return self.empty_endpoint if context.switches.other_account else self.endpoint


def iterate_endpoints(apis: Sequence[Api], empty_apis: Sequence[Api]) -> Iterator[ServedEndpoint]:
    """Yield all endpoints of the APIs, and after those of each API one for all its other paths.

    Args:
        apis: The APIs to serve.
        empty_apis: The same APIs, in the same order, of another account without documents.
    """
    for api, empty_api in zip(apis, empty_apis, strict=True):
        for endpoint, empty_endpoint in zip(api.list_endpoints(), empty_api.list_endpoints(), strict=True):
            base_path = api.base_path if endpoint.base_path is None else endpoint.base_path
            yield ServedEndpoint(endpoint.method, base_path + endpoint.path, endpoint, empty_endpoint)
        unknown_endpoint = _make_unknown_endpoint(api.name)
        yield ServedEndpoint("", api.base_path + "{rest:path}", unknown_endpoint, unknown_endpoint)


def _make_unknown_endpoint(api_name: str) -> Endpoint:
    """Return the endpoint of all paths that an API does not have.

    Requests to these are recorded too, so that a test sees each request that a client should not make.
    """
    return Endpoint(f"{api_name}.unknown", "", "", lambda _: ApiResponse({"message": "Not Found"}, 404))


def to_http_response(api_response: ApiResponse) -> Response:
    """Return the HTTP response that carries an endpoint's response."""
    if isinstance(api_response.body, str) and not api_response.text_as_json:
        return PlainTextResponse(api_response.body, api_response.status)
    return Response(orjson.dumps(api_response.body), api_response.status, media_type="application/json")
