"""Document-extraction APIs, one folder each, and the parsing that they share.

Each folder holds the same modules: `settings` (the section of the connector's settings), `provider` (which requests to
send), `reading` (how responses become snapshots), `templates` (fields and types for typed tables), `probe` (checks
of the assumptions) and, where the API has a list ordered by time, `listing` (its pages). No other module knows the
JSON of an API.

A provider does no I/O. Its request flows are generators: they yield requests and receive the parsed responses. The
sync engine can therefore run them side by side, space them and retry them, and a test can take the place of the API.
"""
