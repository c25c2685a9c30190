"""One sync: all providers side by side, one thread that writes."""
