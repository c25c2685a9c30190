"""Access control of Sensible's API: key, rate limits and upload URLs."""

import hashlib
from dataclasses import replace

from docextract_sandbox.api import ApiError, ApiRequest
from docextract_sandbox.context import SandboxContext

API_KEY = "sandbox-sensible-key"
UPLOAD_PATH = "/sensible/upload/EXTRACTION_UPLOAD/{account}/{upload}/EXTRACTION/{id}"
"""Path of a signed upload URL, which ends in the extraction's id as documented."""
_ACCOUNT_ID = "c024cd1c-5f33-4a82-b2ea-2c807e44988b"
_UPLOAD_URL_SECONDS = 900
"""Lifetime of an upload URL, computed from a documented example."""


class AccessControl:
    """The checks that a request passes.

    As documented, errors are sentences in plain text.
    """

    def __init__(self, context: SandboxContext) -> None:
        """Take clock and switches from `context`."""
        self._context = context

    def check_access(self, request: ApiRequest) -> None:
        """Reject a request without the key, or beyond a limit that a switch sets.

        The sentences are documented or seen in public clients. That reads can get 429 is a guess.

        Raises:
            ApiError: Status 401 or 429.
        """
        if request.headers.get("authorization") != f"Bearer {API_KEY}":
            raise ApiError(401, "Unauthorized")
        switches = self._context.switches
        if switches.sensible_throttle:
            self._context.switches = replace(switches, sensible_throttle=switches.sensible_throttle - 1)
            raise ApiError(429, "Attempt limit exceeded, please retry after some time.")
        if switches.sensible_quota_spent:
            self._context.switches = replace(switches, sensible_quota_spent=switches.sensible_quota_spent - 1)
            raise ApiError(429, "Free accounts are limited to 150 API calls per month.")

    def make_upload_url(self, base_url: str, batch_id: str, extraction_id: str) -> str:
        """Return a signed URL to which a client uploads a file without the key."""
        path = UPLOAD_PATH.format(account=_ACCOUNT_ID, upload=batch_id, id=extraction_id)
        expires_at = int(self._context.timestamp()) + _UPLOAD_URL_SECONDS
        return f"{base_url}{path}?Expires={expires_at}&Signature={_sign(extraction_id, str(expires_at))}"

    def check_upload(self, request: ApiRequest) -> None:
        """Reject an upload whose signature is wrong or has expired.

        The form of this response is a guess.

        Raises:
            ApiError: Status 403.
        """
        expires_at = request.query.get("Expires", "")
        if request.query.get("Signature") != _sign(request.path_params["id"], expires_at):
            raise ApiError(403, "The request signature does not match")
        if self._context.timestamp() > int(expires_at):
            raise ApiError(403, "Request has expired")


def _sign(extraction_id: str, expires_at: str) -> str:
    return hashlib.sha256(f"{API_KEY}/{extraction_id}/{expires_at}".encode()).hexdigest()
