"""The version of the connector.

It is defined here and not in the package metadata, because the image holds the sources without an installed package.
"""

from __future__ import annotations

VERSION = "0.1.0"
