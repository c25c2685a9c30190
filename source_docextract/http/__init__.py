"""The HTTP wing: sends the requests of one provider and classifies its responses."""
