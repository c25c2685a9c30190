"""The door of Sensible's API, and the links behind which files are uploaded without its key."""

import hashlib
from dataclasses import replace

from sandbox.api import Call, Refusal
from sandbox.shared import Shared

API_KEY = "sandbox-sensible-key"
UPLOAD_PATH = "/sensible/upload/EXTRACTION_UPLOAD/{account}/{upload}/EXTRACTION/{id}"
"""The documented links end like this, with the extraction's id."""
_ACCOUNT = "c024cd1c-5f33-4a82-b2ea-2c807e44988b"
_LIFE = 900
"""Seconds for which an upload's link can be used: worked out from a documented example."""


class Door:
    """Lets requests in, or refuses them with a sentence: documented, errors are plain text."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    def check(self, call: Call) -> None:
        """The sentences are documented or seen in public clients. That reads can be refused with 429 is a guess."""
        if call.headers.get("authorization") != f"Bearer {API_KEY}":
            raise Refusal(401, "Unauthorized")
        switches = self._shared.switches
        if switches.sensible_throttle:
            self._shared.switches = replace(switches, sensible_throttle=switches.sensible_throttle - 1)
            raise Refusal(429, "Attempt limit exceeded, please retry after some time.")
        if switches.sensible_quota_spent:
            self._shared.switches = replace(switches, sensible_quota_spent=switches.sensible_quota_spent - 1)
            raise Refusal(429, "Free accounts are limited to 150 API calls per month.")

    def upload_url(self, base_url: str, batch_id: str, extraction_id: str) -> str:
        path = UPLOAD_PATH.format(account=_ACCOUNT, upload=batch_id, id=extraction_id)
        expires = int(self._shared.timestamp()) + _LIFE
        return f"{base_url}{path}?Expires={expires}&Signature={_signature(extraction_id, str(expires))}"

    def check_upload(self, call: Call) -> None:
        """What the store behind the links answers is a guess."""
        expires = call.query.get("Expires", "")
        if call.query.get("Signature") != _signature(call.path["id"], expires):
            raise Refusal(403, "The request signature does not match")
        if self._shared.timestamp() > int(expires):
            raise Refusal(403, "Request has expired")


def _signature(extraction_id: str, expires: str) -> str:
    return hashlib.sha256(f"{API_KEY}/{extraction_id}/{expires}".encode()).hexdigest()
