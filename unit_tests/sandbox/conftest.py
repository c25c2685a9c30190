"""A served, empty sandbox with a frozen clock, and clients that know its keys."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Protocol

import pytest
import requests

from docextract_sandbox import Clock, Sandbox, serve

START = datetime(2026, 11, 20, 9, 0, tzinfo=timezone.utc)


class ExtractaClient:
    """A client of Extracta's API that sends requests as its pages show."""

    def __init__(self, base_url: str, api_key: str) -> None:
        self.base_url = base_url
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {api_key}"

    def call(self, method: str, path: str, body: object = None) -> requests.Response:
        return self.session.request(method, f"{self.base_url}/{path}", json=body, timeout=5)

    def upload(self, path: str, fields: Mapping[str, str], *names: str) -> requests.Response:
        files = [("files", (name, b"%PDF-1.4", "application/pdf")) for name in names]
        return self.session.post(f"{self.base_url}/{path}", data=fields, files=files, timeout=5)

    def get_results(self, extraction_id: str, batch_id: str, **options: str) -> requests.Response:
        return self.call("POST", "getBatchResults", {"extractionId": extraction_id, "batchId": batch_id, **options})

    def get_classification_results(self, classification_id: str, batch_id: str, **options: str) -> requests.Response:
        body = {"classificationId": classification_id, "batchId": batch_id, **options}
        return self.call("POST", "documentClassification/getResults", body)


class AtlasClient:
    """A client of Atlas's Bulk API that logs in at the first request."""

    def __init__(self, base_url: str, client_id: str, client_secret: str) -> None:
        self.base_url = base_url
        self.credentials = {"Client-Id": client_id, "Client-Secret": client_secret}
        self.session = requests.Session()

    def login(self, headers: Mapping[str, str] | None = None) -> requests.Response:
        login_headers = self.credentials if headers is None else headers
        return self.session.post(f"{self.base_url}/authtoken", headers=login_headers, timeout=5)

    def use_new_token(self) -> None:
        self.session.headers["Token"] = self.login().json()["access_token"]

    def get_extracts(self, batch_id: str, **query: str | int) -> requests.Response:
        if "Token" not in self.session.headers:
            self.use_new_token()
        return self.session.get(f"{self.base_url}/extracts", params={"batch_id": batch_id, **query}, timeout=5)

    def upload(self, body: object) -> requests.Response:
        if "Token" not in self.session.headers:
            self.use_new_token()
        return self.session.post(f"{self.base_url}/multiupload", json=body, timeout=5)


class BearerClient:
    """A client of an API with a bearer token: DocMap's or Sensible's."""

    def __init__(self, base_url: str, api_key: str) -> None:
        self.base_url = base_url
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {api_key}"

    def get(self, path: str, **query: str | int | float | None) -> requests.Response:
        return self.session.get(f"{self.base_url}/{path}", params=query, timeout=5)

    def send(self, method: str, path: str, body: object = None) -> requests.Response:
        return self.session.request(method, f"{self.base_url}/{path}", json=body, timeout=5)


class Control(Protocol):
    """Asks an endpoint that controls the sandbox."""

    def __call__(self, method: str, path: str, body: object = None) -> requests.Response: ...


@pytest.fixture
def clock() -> Clock:
    return Clock(START, speed=0)


@pytest.fixture
def sandbox(clock: Clock) -> Sandbox:
    return Sandbox(clock, seeds=False)


@pytest.fixture
def url(sandbox: Sandbox) -> Iterator[str]:
    with serve(sandbox) as address:
        yield address


@pytest.fixture
def extracta(sandbox: Sandbox, url: str) -> Iterator[ExtractaClient]:
    client = ExtractaClient(sandbox.get_base_urls(url)["extracta"], **sandbox.credentials["extracta"])
    with client.session:
        yield client


@pytest.fixture
def atlas(sandbox: Sandbox, url: str) -> Iterator[AtlasClient]:
    client = AtlasClient(sandbox.get_base_urls(url)["atlas"], **sandbox.credentials["atlas"])
    with client.session:
        yield client


@pytest.fixture
def docmap(sandbox: Sandbox, url: str) -> Iterator[BearerClient]:
    client = BearerClient(sandbox.get_base_urls(url)["docmap"], **sandbox.credentials["docmap"])
    with client.session:
        yield client


@pytest.fixture
def sensible(sandbox: Sandbox, url: str) -> Iterator[BearerClient]:
    client = BearerClient(sandbox.get_base_urls(url)["sensible"], **sandbox.credentials["sensible"])
    with client.session:
        yield client
