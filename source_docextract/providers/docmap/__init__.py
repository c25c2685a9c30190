"""DocMap."""
