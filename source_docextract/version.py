"""The version, in its one place. The image holds the sources, not the installed package, so it stands here."""

VERSION = "0.1.0"
