"""Atlas (helloatlas.in), the bulk service."""
