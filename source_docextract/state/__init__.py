"""The state of streams: delivered and due partitions, and their JSON between syncs. Pure."""
