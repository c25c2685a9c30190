"""Delivered and due partitions, and their JSON between syncs. Pure."""
