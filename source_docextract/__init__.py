"""Document-extraction APIs as an Airbyte source."""

from .source import SourceDocextract

__all__ = ["SourceDocextract", "__version__"]

__version__ = "0.1.0"
