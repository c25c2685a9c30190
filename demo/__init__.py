"""The demo (`make demo`): syncs from the sandbox into a DuckDB file."""

from pathlib import Path

DEMO_FOLDER = Path.cwd() / ".demo"
"""Folder of all files that the demo writes; each run empties it first."""


class DemoError(Exception):
    """A failure of the demo; the message is a sentence for the user."""
