"""Type aliases of parsed JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Json = Any
"""A parsed JSON value: None, bool, int, float, str, list or dict."""

JsonObject = Mapping[str, Json]
"""A parsed JSON object."""
