"""What a sync costs, measured against other ways to make it: `make bench` writes docs/performance.md."""
