"""What has been delivered and what is due, and its JSON between syncs. Pure."""
