"""Which setting of the environment names a proxy."""

from __future__ import annotations

import os


def find_proxy_setting(proxy: str | None = None) -> str:
    """The variable of the environment that names a proxy, or the first that names one for addresses at https."""
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        value = os.environ.get(name)
        if value and proxy in {None, value}:
            return name
    return "HTTPS_PROXY"
