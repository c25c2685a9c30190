"""Batches named in a file that the user keeps: CSV or JSON Lines."""
