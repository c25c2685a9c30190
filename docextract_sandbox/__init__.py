"""Document-extraction APIs on localhost: for the demo, for the tests, and for anyone without a key.

Each API answers as its own documentation says, and where that is silent, as its docstring here admits to guessing.
"""

try:
    from .app import Sandbox
    from .atlas import NewDocument
    from .clock import Clock
    from .docmap import NewExtraction
    from .extracta import DocumentType, ExtractionReference, NewFile
    from .faults import TRANSIENT_4XX_FAULTS, Fault, make_throttle_fault
    from .journal import JournalEntry
    from .sensible import PortfolioPart, SensibleDocument
    from .server import serve
    from .switches import Switches
except ModuleNotFoundError as error:
    if (error.name or __name__).startswith(__name__):
        raise
    # No traceback: this is what docextract-sandbox ends with after a plain `pip install .`.
    raise SystemExit(
        f"docextract-sandbox needs other packages ({error.name} is missing). "
        "In the folder of the repository: pip install '.[sandbox]'"
    ) from None

__all__ = [
    "TRANSIENT_4XX_FAULTS",
    "Clock",
    "DocumentType",
    "ExtractionReference",
    "Fault",
    "JournalEntry",
    "NewDocument",
    "NewExtraction",
    "NewFile",
    "PortfolioPart",
    "Sandbox",
    "SensibleDocument",
    "Switches",
    "make_throttle_fault",
    "serve",
]
