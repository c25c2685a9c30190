"""Access control of Extracta's API: the key and the spacing of requests."""

from docextract_sandbox.api import ApiError, ApiRequest
from docextract_sandbox.context import SandboxContext

API_KEY = "sandbox-extracta-key"


class AccessControl:
    """The checks that a request passes before its operation runs."""

    def __init__(self, context: SandboxContext) -> None:
        """Take the spacing from `context`."""
        self._context = context
        self._last_arrivals: dict[str, float] = {}

    def check_key(self, request: ApiRequest) -> None:
        """Reject a request without `Authorization: Bearer <api key>`, which is documented.

        Raises:
            ApiError: Status 401 with a `message`, as seen in public clients.
        """
        if request.headers.get("authorization") != f"Bearer {API_KEY}":
            raise ApiError(401, {"message": "Unauthorized: invalid API key"})

    def check_spacing(self, endpoint: str, request: ApiRequest) -> None:
        """Reject a request that follows the previous one to the same endpoint too soon.

        Extracta documents 2 seconds between consecutive requests, for each of its two result endpoints separately.

        Raises:
            ApiError: Status 429 with a `message`, as seen in public clients.
        """
        last_arrival = self._last_arrivals.get(endpoint, float("-inf"))
        # Requests that leave on time may arrive closer together, and no exact limit is published: allow 5 % and 2 ms.
        min_gap = self._context.spacing * 0.95 - 0.002
        # Parallel requests may reach this line out of order: without spacing a negative gap is no violation.
        if min_gap > 0 and request.arrived_at - last_arrival < min_gap:
            raise ApiError(429, {"message": "Too many requests, please slow down"})
        self._last_arrivals[endpoint] = max(last_arrival, request.arrived_at)
