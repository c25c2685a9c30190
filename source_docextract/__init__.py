"""Document-extraction APIs as an Airbyte source."""

from .source import SourceDocextract

__all__ = ["SourceDocextract"]
