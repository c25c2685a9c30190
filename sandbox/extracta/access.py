"""The door of Extracta's API: its key, and the two seconds between requests for results."""

from sandbox.api import Call, Refusal
from sandbox.shared import Shared

API_KEY = "sandbox-extracta-key"


class Door:
    """Lets requests in, or refuses them."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._last: dict[str, float] = {}

    def check_key(self, call: Call) -> None:
        """Documented: `Authorization: Bearer <api key>`. That 401 comes with a `message` is seen in public clients."""
        if call.headers.get("authorization") != f"Bearer {API_KEY}":
            raise Refusal(401, {"message": "Unauthorized: invalid API key"})

    def check_pace(self, endpoint: str, call: Call) -> None:
        """Documented: 2 seconds between consecutive requests, for each of the two result endpoints by itself.

        That breaking it gives 429 with a `message` is seen in public clients. A grace of 5 % and 2 ms is left, as
        nothing harder is published and as requests that leave in time may arrive closer together.
        """
        last = self._last.get(endpoint, float("-inf"))
        least = self._shared.spacing * 0.95 - 0.002
        # Requests side by side need not come here in the order of their arrival: without spacing that is no haste.
        if least > 0 and call.arrived - last < least:
            raise Refusal(429, {"message": "Too many requests, please slow down"})
        self._last[endpoint] = max(last, call.arrived)
