"""DocMap.io: extractions by template, in one list per account."""

from .api import DocMapApi
from .extractions import ExtractionView, NewExtraction, Status, Template
from .world import DocMapWorld

__all__ = ["DocMapApi", "DocMapWorld", "ExtractionView", "NewExtraction", "Status", "Template"]
