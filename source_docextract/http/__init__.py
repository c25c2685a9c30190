"""The HTTP wing: requests to one provider, and the meaning of its responses."""
