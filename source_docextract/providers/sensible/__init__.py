"""Sensible.so: `asking` knows what to ask for and when, `documents` and `batches` read what is answered."""

from .asking import sensible
from .documents import NOTATION

__all__ = ["NOTATION", "sensible"]
