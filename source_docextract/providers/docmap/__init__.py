"""DocMap.io."""
