"""Checks what the connector assumes about each provider against the user's own account.

`assumptions` is the table, `findings` collects what an account shows, `shapes` describes values without showing them,
`asking` sends a bounded number of requests, `page` writes and reads the report, `command` is the command line. What
to ask a provider, and how its answers are read, stands beside that provider's reader.
"""
