"""The environment variables that name a proxy."""

from __future__ import annotations

import os


def find_proxy_setting(proxy: str | None = None) -> str:
    """Return the environment variable that names a proxy for https URLs.

    Error messages name it.

    Args:
        proxy: the proxy's URL; None for the first variable that names any proxy.
    """
    # The library requests obeys the variables in this order, so a message names the one in effect.
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        value = os.environ.get(name)
        if value and proxy in {None, value}:
            return name
    return "HTTPS_PROXY"
