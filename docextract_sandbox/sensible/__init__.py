"""Sensible.so: one list of extractions per account, batches and reviews."""

from .api import SensibleApi
from .extractions import BatchView, DocumentView, PortfolioPart, SensibleDocument, Status
from .world import SensibleWorld

__all__ = ["BatchView", "DocumentView", "PortfolioPart", "SensibleApi", "SensibleDocument", "SensibleWorld", "Status"]
