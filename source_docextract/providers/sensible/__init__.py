"""Sensible."""
