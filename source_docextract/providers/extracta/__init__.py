"""Extracta.ai: extraction and classification."""
