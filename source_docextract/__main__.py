"""Entry point of `python -m source_docextract`."""

from .cli import main

if __name__ == "__main__":
    main()
