"""The wing of one sync: the providers run side by side, and one thread emits all messages."""
