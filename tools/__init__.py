"""What maintainers run: `python -m tools.release --help`."""
