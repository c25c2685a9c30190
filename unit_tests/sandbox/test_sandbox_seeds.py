"""The examples of the five documentation pages, as this file's own literals."""

from dataclasses import replace

import pytest

from docextract_sandbox import Clock, Sandbox
from unit_tests.sandbox.conftest import AtlasClient, BearerClient, ExtractaClient

PERSON_RESULT = {
    "last_job_position": "Full-Stack Developer",
    "name": "John",
    "phone_number": "000 000 000",
    "surname": "Smith",
    "years_of_experience": "6",
}
FILE_1 = {"fileName": "File 1.png", "status": "processed", "result": PERSON_RESULT, "url": "fileUrl"}
FILE_2 = {"fileName": "File 2.png", "status": "processed", "result": PERSON_RESULT, "url": "fileUrl"}


@pytest.fixture
def sandbox(clock: Clock) -> Sandbox:
    return Sandbox(clock)


def test_extraction_results_equal_the_documented_example(sandbox: Sandbox, extracta: ExtractaClient) -> None:
    # given: the page shows no fileId
    sandbox.switches = replace(sandbox.switches, extracta_file_ids=False)

    # when
    whole = extracta.get_results("extractionId", "batchId")
    single = extracta.get_results("extractionId", "batchId", fileId="fileId")

    # then
    assert whole.status_code == single.status_code == 200
    assert whole.json() == {"extractionId": "extractionId", "batchId": "batchId", "files": [FILE_2, FILE_1]}
    assert single.json() == {
        "extractionId": "extractionId",
        "batchId": "batchId",
        "fileId": "fileId",
        "files": [FILE_1],
    }


def test_extraction_waiting_and_invalid_equal_the_documented_examples(
    sandbox: Sandbox, extracta: ExtractaClient
) -> None:
    # given
    sandbox.extracta.upload("extractionId", ["later.pdf"], "batchId")

    # when
    waiting = extracta.get_results("extractionId", "batchId", fileId="fileId")
    invalid = extracta.get_results("extractionId", "no such batch")

    # then
    assert waiting.json() == {
        "extractionId": "extractionId",
        "batchId": "batchId",
        "fileId": "fileId",
        "status": "waiting",
    }
    assert (invalid.status_code, invalid.json()) == (400, {"error": "Invalid request"})


def test_classification_results_equal_the_documented_example(extracta: ExtractaClient) -> None:
    # when
    response = extracta.get_classification_results("classificationId", "batchId")

    # then
    assert response.status_code == 200
    assert response.json() == {
        "status": "success",
        "classificationId": "classificationId",
        "batchId": "batchId",
        "files": [
            {
                "fileId": "fileId1",
                "fileName": "File 1.pdf",
                "status": "processed",
                "result": {"confidence": 0.9, "documentType": "invoice"},
                "url": "fileUrl",
            },
            {
                "fileId": "fileId1",
                "fileName": "File 2.pdf",
                "status": "processed",
                "result": {"confidence": 0.95, "documentType": "resume"},
                "extraction": {"extractionId": "extractionId", "batchId": "batchId", "fileId": "fileId"},
                "url": "fileUrl",
            },
            {
                "fileId": "fileId2",
                "fileName": "File 3.pdf",
                "status": "processed",
                "result": {"confidence": 0.95, "documentType": "other"},
                "url": "fileUrl",
            },
        ],
    }


def test_classification_single_file_has_the_documented_shape(extracta: ExtractaClient) -> None:
    # when: the page's own example has an id that its list of all files does not
    response = extracta.get_classification_results("classificationId", "batchId", fileId="fileId2")

    # then
    assert response.json() == {
        "status": "success",
        "classificationId": "classificationId",
        "batchId": "batchId",
        "fileId": "fileId2",
        "files": [
            {
                "fileId": "fileId2",
                "fileName": "File 3.pdf",
                "status": "processed",
                "result": {"confidence": 0.95, "documentType": "other"},
                "url": "fileUrl",
            }
        ],
    }


def test_classification_waiting_and_error_equal_the_documented_examples(clock: Clock, extracta: ExtractaClient) -> None:
    # given: it never finishes by itself
    clock.advance(days=3650)

    # when
    waiting = extracta.get_classification_results("-OPXQuIrkHuA2QZkY-44", "8pMpPs6SMPBpcnnznoaRz8bsj")
    error = extracta.get_classification_results("-OPXQuIrkHuA2QZkY-44", "no such batch")

    # then
    assert (waiting.status_code, waiting.json()) == (
        200,
        {"status": "waiting", "classificationId": "-OPXQuIrkHuA2QZkY-44", "batchId": "8pMpPs6SMPBpcnnznoaRz8bsj"},
    )
    assert (error.status_code, error.json()) == (400, {"status": "error", "message": "Internal server error"})


def test_atlas_extracts_equal_the_documented_example(atlas: AtlasClient) -> None:
    # when
    response = atlas.get_extracts("BATCH-69469-BBRSS-20260309081408", page=1, per_page=50)

    # then
    assert response.status_code == 200
    assert response.json() == {
        "data": [
            {
                "document_id": "1",
                "file_data": {
                    "document_type": "AADHAAR",
                    "name": {"value": "D MANIKANDAN DURAISAMY", "confidence_score": 0.95},
                    "date_of_birth": {"value": "16/07/1986", "confidence_score": 0.98},
                    "address": {
                        "value": "4-CH-64, NEAR COMMUNITY HALL, BHILWARA, BHILWARA, Bhilwara, Rajasthan, 311001",
                        "confidence_score": 0.95,
                    },
                    "aadhaar_number": {"value": "1234 5678 9012", "confidence_score": 0.99},
                },
            }
        ],
        "page": 1,
        "per_page": 50,
        "total_pages": 1,
        "total_items": 1,
        "has_next": False,
        "has_prev": False,
    }


def test_docmap_extraction_equals_the_documented_example(docmap: BearerClient) -> None:
    # when
    response = docmap.get("extractions/extract_9k2m4n6p8q0r1s3t")

    # then
    assert response.status_code == 200
    assert response.json() == {
        "data": {
            "id": "extract_9k2m4n6p8q0r1s3t",
            "userId": "uid_a1b2c3d4e5f6",
            "templateId": "tmpl_8f3a2b1c4d5e6f7g",
            "templateName": "Invoice Template",
            "fileName": "invoice-2024-001.pdf",
            "status": "completed",
            "extractedData": {"vendor_name": "Acme Corp", "invoice_number": "INV-2024-001", "total_amount": 1250.0},
            "error": None,
            "variables": [{"name": "vendor_name", "type": "string", "description": "Name of the vendor or supplier"}],
            "source": "api",
            "runId": None,
            "processingTimeMs": 3842,
            "createdAt": "2024-11-20T14:30:00.000Z",
        }
    }


def test_sensible_batch_equals_the_documented_example(clock: Clock, sensible: BearerClient) -> None:
    # given: its second document is never uploaded
    clock.advance(days=3650)

    # when
    batch = sensible.get("extract/batch/c73c7932-82c0-438c-a339-175d7d0771bd")
    finished = sensible.get("documents/0b34ce99-bf15-4e0d-a391-b03e4c830414").json()
    waiting = sensible.get("documents/a122f739-3f4a-443d-bb70-718fd2828af1").json()

    # then
    assert batch.json() == {
        "id": "c73c7932-82c0-438c-a339-175d7d0771bd",
        "description": "test batch",
        "extraction_ids": ["0b34ce99-bf15-4e0d-a391-b03e4c830414", "a122f739-3f4a-443d-bb70-718fd2828af1"],
        "waiting": 1,
    }
    documented = {
        "id": "0b34ce99-bf15-4e0d-a391-b03e4c830414",
        "created": "2024-01-23T19:30:41.356Z",
        "completed": "2024-01-23T19:42:21.584Z",
        "status": "COMPLETE",
        "type": "contracts",
        "document_name": "doc1.pdf",
        "batchId": "c73c7932-82c0-438c-a339-175d7d0771bd",
    }
    assert finished.items() >= documented.items()
    assert isinstance(finished["parsed_document"], dict)
    assert (waiting["status"], waiting["document_name"]) == ("WAITING", "doc2.pdf")
    assert "completed" not in waiting


def test_sandbox_without_seeds_is_empty(clock: Clock) -> None:
    # given / when
    empty = Sandbox(clock, seeds=False)

    # then
    assert empty.extracta.template_ids == []
    assert empty.classification.template_ids == []
    assert empty.atlas.batch_ids == []
    assert (empty.docmap.template_ids, empty.docmap.extraction_ids) == ([], [])
    assert (empty.sensible.document_types, empty.sensible.extraction_ids, empty.sensible.batch_ids) == ([], [], [])
