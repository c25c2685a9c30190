"""The examples on Extracta's two pages "Get results", value for value.

The pages show placeholders such as `extractionId` for ids and `fileUrl` for URLs; here these are the values.
"""

from math import inf

from docextract_sandbox.context import JsonObject, to_datetime

from .classification import ClassificationWorld, DocumentType
from .extraction import ExtractionWorld
from .files import ExtractionReference, NewFile

EXTRACTION_ID = "extractionId"
CLASSIFICATION_ID = "classificationId"
BATCH_ID = "batchId"
WAITING_CLASSIFICATION_ID = "-OPXQuIrkHuA2QZkY-44"
WAITING_BATCH_ID = "8pMpPs6SMPBpcnnznoaRz8bsj"

_CREATED_MS = 1746482400000
"""Time of the examples, 5 May 2025: they show no times, but this one is encoded in the waiting example's push id."""

_RESUME_RESULT: JsonObject = {
    "last_job_position": "Full-Stack Developer",
    "name": "John",
    "phone_number": "000 000 000",
    "surname": "Smith",
    "years_of_experience": "6",
}


def load_seeds(extraction_world: ExtractionWorld, classification_world: ClassificationWorld) -> None:
    """Add the examples to both worlds."""
    created_at = to_datetime(_CREATED_MS / 1000)
    extraction_world.create("Resumes", list(_RESUME_RESULT), EXTRACTION_ID)
    files = [
        NewFile("File 2.png", 0, dict(_RESUME_RESULT), file_id="fileId2", url="fileUrl"),
        NewFile("File 1.png", 0, dict(_RESUME_RESULT), file_id="fileId", url="fileUrl"),
    ]
    extraction_world.upload(EXTRACTION_ID, files, BATCH_ID, started_at=created_at)

    document_types = [DocumentType("Invoice"), DocumentType("Resume", extraction_id=EXTRACTION_ID)]
    classification_world.create("Mail", document_types, CLASSIFICATION_ID, created_ms=_CREATED_MS)
    # The page gives the first two files the same id; the connector must lose neither. The second refers to the
    # extraction batch above.
    reference = ExtractionReference(EXTRACTION_ID, BATCH_ID, "fileId")
    files = [
        NewFile("File 1.pdf", 0, _make_classification(0.9, "invoice"), file_id="fileId1", url="fileUrl"),
        NewFile(
            "File 2.pdf", 0, _make_classification(0.95, "resume"), file_id="fileId1", url="fileUrl", reference=reference
        ),
        NewFile("File 3.pdf", 0, _make_classification(0.95, "other"), file_id="fileId2", url="fileUrl"),
    ]
    classification_world.upload(CLASSIFICATION_ID, files, BATCH_ID, started_at=created_at)

    classification_world.create(
        "Waiting for ever", document_types[:1], WAITING_CLASSIFICATION_ID, created_ms=_CREATED_MS
    )
    unfinished_file = NewFile("File 1.pdf", inf, _make_classification(0.9, "invoice"))
    classification_world.upload(WAITING_CLASSIFICATION_ID, [unfinished_file], WAITING_BATCH_ID, started_at=created_at)


def _make_classification(confidence: float, document_type: str) -> JsonObject:
    return {"confidence": confidence, "documentType": document_type}
