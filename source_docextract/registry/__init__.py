"""The registry wing: batches that a user names in a CSV or JSON Lines file."""
