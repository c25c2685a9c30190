"""A page of charts and a spreadsheet out of a warehouse that this connector fills."""


class ReportError(Exception):
    """The reason why there is no page or no spreadsheet, in a sentence for the user."""
