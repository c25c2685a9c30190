"""What a probe is made of: assumptions, findings and shapes of values. Pure."""
