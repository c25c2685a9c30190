"""The demo (`make demo`): the connector syncs a sandbox of the providers' APIs into a DuckDB file."""

from pathlib import Path

DEMO_FOLDER = Path.cwd() / ".demo"
"""Folder of all files that the demo writes; each run empties it first."""


class DemoError(Exception):
    """A failure of the demo; the message is a sentence for the user."""
