"""Extracta.ai: data extraction and document classification, two products behind one host and one key."""

from .api import ExtractaApi
from .classification import ClassificationWorld, DocumentType
from .extraction import ExtractionWorld
from .files import BatchView, FileStatus, FileView, Link, NewFile

__all__ = [
    "BatchView",
    "ClassificationWorld",
    "DocumentType",
    "ExtractaApi",
    "ExtractionWorld",
    "FileStatus",
    "FileView",
    "Link",
    "NewFile",
]
