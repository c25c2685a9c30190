"""The examples on Extracta's two pages "Get results", value for value.

The pages show placeholders such as `extractionId` for ids and `fileUrl` for links; they are the real values here.
"""

from math import inf

from sandbox.shared import JsonObject, utc

from .classification import ClassificationWorld, DocumentType
from .extraction import ExtractionWorld
from .files import Link, NewFile

EXTRACTION_ID = "extractionId"
CLASSIFICATION_ID = "classificationId"
BATCH_ID = "batchId"
WAITING_CLASSIFICATION_ID = "-OPXQuIrkHuA2QZkY-44"
WAITING_BATCH_ID = "8pMpPs6SMPBpcnnznoaRz8bsj"

_CREATED = 1746482400000
"""The examples have no times, but the id of the waiting one is of that evening (5 May 2025)."""

_PERSON: JsonObject = {
    "last_job_position": "Full-Stack Developer",
    "name": "John",
    "phone_number": "000 000 000",
    "surname": "Smith",
    "years_of_experience": "6",
}


def plant(extraction: ExtractionWorld, classification: ClassificationWorld) -> None:
    created = utc(_CREATED / 1000)
    extraction.create("Resumes", list(_PERSON), EXTRACTION_ID)
    files = [
        NewFile("File 2.png", 0, dict(_PERSON), file_id="fileId2", url="fileUrl"),
        NewFile("File 1.png", 0, dict(_PERSON), file_id="fileId", url="fileUrl"),
    ]
    extraction.upload(EXTRACTION_ID, files, BATCH_ID, started_at=created)

    types = [DocumentType("Invoice"), DocumentType("Resume", extraction_id=EXTRACTION_ID)]
    classification.create("Mail", types, CLASSIFICATION_ID, created_at=_CREATED)
    # The page gives the first two files the same id. Its link leads to the extraction above.
    link = Link(EXTRACTION_ID, BATCH_ID, "fileId")
    files = [
        NewFile("File 1.pdf", 0, _classified(0.9, "invoice"), file_id="fileId1", url="fileUrl"),
        NewFile("File 2.pdf", 0, _classified(0.95, "resume"), file_id="fileId1", url="fileUrl", link=link),
        NewFile("File 3.pdf", 0, _classified(0.95, "other"), file_id="fileId2", url="fileUrl"),
    ]
    classification.upload(CLASSIFICATION_ID, files, BATCH_ID, started_at=created)

    classification.create("Waiting for ever", types[:1], WAITING_CLASSIFICATION_ID, created_at=_CREATED)
    never = NewFile("File 1.pdf", inf, _classified(0.9, "invoice"))
    classification.upload(WAITING_CLASSIFICATION_ID, [never], WAITING_BATCH_ID, started_at=created)


def _classified(confidence: float, document_type: str) -> JsonObject:
    return {"confidence": confidence, "documentType": document_type}
