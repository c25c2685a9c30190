"""Atlas (helloatlas.in), its Bulk service."""

from .api import AtlasApi
from .world import AtlasWorld, BatchView, DocumentView, NewDocument

__all__ = ["AtlasApi", "AtlasWorld", "BatchView", "DocumentView", "NewDocument"]
