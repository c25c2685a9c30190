"""Extracta.ai: data extraction and document classification, with one key."""

from .api import ExtractaApi
from .classification import ClassificationWorld, DocumentType
from .extraction import ExtractionWorld
from .files import BatchView, ExtractionReference, FileStatus, FileView, NewFile

__all__ = [
    "BatchView",
    "ClassificationWorld",
    "DocumentType",
    "ExtractaApi",
    "ExtractionReference",
    "ExtractionWorld",
    "FileStatus",
    "FileView",
    "NewFile",
]
