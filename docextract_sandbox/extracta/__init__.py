"""Extracta.ai: data extraction and document classification, two products behind one host and one key."""

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
