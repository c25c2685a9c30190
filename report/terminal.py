"""Text for a terminal: names, ids and reasons come from elsewhere, and may hold what a terminal takes for a command."""


def printable(text: str) -> str:
    """Return text without characters that are not to be seen, escape sequences among them; its line ends stay."""
    return "".join(letter for letter in text if letter.isprintable() or letter == "\n")
