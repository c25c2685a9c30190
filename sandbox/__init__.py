"""Document-extraction APIs on localhost: for the demo, for the tests, and for anyone without a key.

Each API answers as its own documentation says, and where that is silent, as its docstring here admits to guessing.
"""

try:
    from .app import Sandbox
    from .atlas import NewDocument
    from .clock import Clock
    from .docmap import NewExtraction
    from .extracta import DocumentType, Link, NewFile
    from .faults import REFUSALS, Fault, throttled
    from .journal import Entry
    from .sensible import PortfolioPart, SensibleDocument
    from .server import serve
    from .switches import Switches
except ModuleNotFoundError as missing:
    if (missing.name or __name__).startswith(__name__):
        raise
    # No traceback: this is what docextract-sandbox ends with after a plain `pip install .`.
    raise SystemExit(
        f"docextract-sandbox needs more to be installed ({missing.name} is missing). "
        "In the folder of the repository: pip install '.[sandbox]'"
    ) from None

__all__ = [
    "REFUSALS",
    "Clock",
    "DocumentType",
    "Entry",
    "Fault",
    "Link",
    "NewDocument",
    "NewExtraction",
    "NewFile",
    "PortfolioPart",
    "Sandbox",
    "SensibleDocument",
    "Switches",
    "serve",
    "throttled",
]
