"""Requests to one provider: spaced, retried, logged in, and their answers made safe to read."""
