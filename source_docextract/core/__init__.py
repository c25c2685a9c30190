"""What every part shares: the data model, the contract of a provider, errors and pure helpers. Does no I/O."""
