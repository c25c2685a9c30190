"""The `probe` command: compares a provider's behaviour with the assumptions.

- `client` sends a bounded number of requests.
- `probes` lists the probe of each provider, and all assumptions.
- `page` writes and parses the report.
- `command` is the command line.
- `catalogue` writes docs/assumptions.md.

`core.probing` defines assumptions, findings and shapes. The requests of a probe and the reading of its responses are in
the folder of each provider.
"""
