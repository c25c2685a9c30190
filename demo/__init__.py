"""`make demo`: the connector at work, from a sandbox of the providers' APIs into a DuckDB file."""


class Trouble(Exception):
    """Why the demo cannot go on, in a sentence for whoever started it."""
