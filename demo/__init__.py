"""`make demo`: the connector at work, from a sandbox of the providers' APIs into a DuckDB file."""

from pathlib import Path

DEMO_FOLDER = Path.cwd() / ".demo"
"""What the demo makes lies in here."""


class DemoError(Exception):
    """Why the demo cannot go on, in a sentence for whoever started it."""
