"""DocMap: `asking.py` knows its endpoints, `extractions.py` their answers."""

from .asking import docmap

__all__ = ["docmap"]
