"""An Airbyte source for document-extraction APIs."""

from .source import SourceDocextract
from .version import VERSION

__all__ = ["SourceDocextract", "__version__"]

__version__ = VERSION
