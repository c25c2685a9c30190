"""The version, which the image cannot read anywhere else: it holds the sources, not the installed package."""

VERSION = "0.1.0"
