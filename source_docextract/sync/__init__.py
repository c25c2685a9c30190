"""One sync: all providers run side by side, and one thread emits all messages."""
