"""The parts that all wings share: the data model, the contract of a provider, errors and pure helpers. No I/O."""
