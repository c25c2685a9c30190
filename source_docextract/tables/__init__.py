"""The columns of each stream, and the rows that a Snapshot becomes. Pure."""
