"""Benchmarks of the connector against other ways to sync.

`make bench` writes docs/performance.md.
"""
