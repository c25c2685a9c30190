"""The parts of a probe: assumptions, findings and shapes of values. Pure."""
