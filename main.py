"""Where Airbyte starts the connector in its image."""

from source_docextract.cli import main

if __name__ == "__main__":
    main()
