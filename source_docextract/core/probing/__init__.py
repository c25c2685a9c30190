"""The parts of a probe: assumptions about the providers, findings, and shapes of values. Pure."""
