"""A page that shows what is in a warehouse: the answers to the questions in `recipes/`."""


class Trouble(Exception):
    """Why there is no page, in a sentence for whoever asked for it."""
