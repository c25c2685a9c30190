"""Document-extraction APIs on localhost for demo, tests and users without a key.

Each API answers as its provider documents it. Where the documentation is silent, the docstring of the
endpoint or the switch says that its behaviour is a guess.
"""

try:
    from .app import Sandbox
    from .atlas import NewDocument
    from .clock import Clock
    from .docmap import NewExtraction
    from .extracta import DocumentType, ExtractionReference, NewFile
    from .faults import TRANSIENT_4XX_FAULTS, Fault, make_throttle_fault
    from .in_process import BrokenConnection
    from .journal import JournalEntry
    from .sensible import PortfolioPart, SensibleDocument
    from .server import serve
    from .switches import Switches
except ModuleNotFoundError as error:
    if (error.name or __name__).startswith(__name__):
        raise
    # After a plain `pip install .` the command docextract-sandbox exists without its web framework: exit with the
    # command that installs it, without a traceback.
    raise SystemExit(
        f"docextract-sandbox needs other packages ({error.name} is missing). "
        "In the folder of the repository: pip install '.[sandbox]'"
    ) from None

__all__ = [
    "TRANSIENT_4XX_FAULTS",
    "BrokenConnection",
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
