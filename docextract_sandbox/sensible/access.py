"""The door of Sensible's API, and the links behind which files are uploaded without its key."""

import hashlib
from dataclasses import replace

from docextract_sandbox.api import ApiError, ApiRequest
from docextract_sandbox.context import SandboxContext

API_KEY = "sandbox-sensible-key"
UPLOAD_PATH = "/sensible/upload/EXTRACTION_UPLOAD/{account}/{upload}/EXTRACTION/{id}"
"""The documented links end like this, with the extraction's id."""
_ACCOUNT_ID = "c024cd1c-5f33-4a82-b2ea-2c807e44988b"
_UPLOAD_URL_SECONDS = 900
"""Seconds for which an upload's link can be used: worked out from a documented example."""


class AccessControl:
    """Lets requests in, or refuses them with a sentence: documented, errors are plain text."""

    def __init__(self, context: SandboxContext) -> None:
        self._context = context

    def check_access(self, request: ApiRequest) -> None:
        """The sentences are documented or seen in public clients. That reads can be refused with 429 is a guess."""
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
        path = UPLOAD_PATH.format(account=_ACCOUNT_ID, upload=batch_id, id=extraction_id)
        expires_at = int(self._context.timestamp()) + _UPLOAD_URL_SECONDS
        return f"{base_url}{path}?Expires={expires_at}&Signature={_sign(extraction_id, str(expires_at))}"

    def check_upload(self, request: ApiRequest) -> None:
        """What the store behind the links answers is a guess."""
        expires_at = request.query.get("Expires", "")
        if request.query.get("Signature") != _sign(request.path_params["id"], expires_at):
            raise ApiError(403, "The request signature does not match")
        if self._context.timestamp() > int(expires_at):
            raise ApiError(403, "Request has expired")


def _sign(extraction_id: str, expires_at: str) -> str:
    return hashlib.sha256(f"{API_KEY}/{extraction_id}/{expires_at}".encode()).hexdigest()
