"""An HTML report and a spreadsheet export of a warehouse."""


class ReportError(Exception):
    """A report or a spreadsheet that cannot be written.

    The message is a sentence for the user.
    """
