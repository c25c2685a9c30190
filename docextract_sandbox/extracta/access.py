"""The door of Extracta's API: its key, and the two seconds between requests for results."""

from docextract_sandbox.api import ApiError, ApiRequest
from docextract_sandbox.context import SandboxContext

API_KEY = "sandbox-extracta-key"


class AccessControl:
    """Lets requests in, or refuses them."""

    def __init__(self, context: SandboxContext) -> None:
        self._context = context
        self._last_arrivals: dict[str, float] = {}

    def check_key(self, request: ApiRequest) -> None:
        """Documented: `Authorization: Bearer <api key>`. That 401 comes with a `message` is seen in public clients."""
        if request.headers.get("authorization") != f"Bearer {API_KEY}":
            raise ApiError(401, {"message": "Unauthorized: invalid API key"})

    def check_spacing(self, endpoint: str, request: ApiRequest) -> None:
        """Documented: 2 seconds between consecutive requests, for each of the two result endpoints by itself.

        That breaking it gives 429 with a `message` is seen in public clients. A grace of 5 % and 2 ms is left, as
        nothing harder is published and as requests that leave in time may arrive closer together.
        """
        last_arrival = self._last_arrivals.get(endpoint, float("-inf"))
        min_gap = self._context.spacing * 0.95 - 0.002
        # Requests side by side need not come here in the order of their arrival: without spacing that is no haste.
        if min_gap > 0 and request.arrived_at - last_arrival < min_gap:
            raise ApiError(429, {"message": "Too many requests, please slow down"})
        self._last_arrivals[endpoint] = max(last_arrival, request.arrived_at)
