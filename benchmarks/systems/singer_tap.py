"""The same sync as a tap of Meltano's Singer SDK: `python singer_tap.py --config SETTINGS [--state STATE]`.

A batch is a partition; the SDK reads one after the other. With MSGSPEC in the environment messages are written by its
other writer, which needs msgspec; with TUNED pages are read by own code instead of the SDK's as well.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import cached_property
from typing import Any, ClassVar

import msgspec
import requests
from singer_sdk import RESTStream, Tap
from singer_sdk import typing as th
from singer_sdk.authenticators import APIKeyAuthenticator
from singer_sdk.contrib.msgspec import MsgSpecWriter
from singer_sdk.pagination import BasePageNumberPaginator


class PagePaginator(BasePageNumberPaginator):
    def has_more(self, response: requests.Response) -> bool:
        return bool(response.json()["has_next"])


class Documents(RESTStream[int]):
    name = "documents"
    path = "/extracts"
    primary_keys = ("batch_id", "document_id")
    records_jsonpath = "$.data[*]"
    schema = th.PropertiesList(
        th.Property("batch_id", th.StringType),
        th.Property("document_id", th.StringType),
        th.Property("file_data", th.ObjectType(additional_properties=True)),
        th.Property("error_code", th.StringType),
    ).to_dict()

    @property
    def url_base(self) -> str:
        return str(self.config["atlas"]["base_url"])

    @property
    def partitions(self) -> list[dict[str, str]]:
        return [{"batch_id": batch_id} for batch_id in self.config["atlas"]["batch_ids"]]

    @cached_property
    def authenticator(self) -> APIKeyAuthenticator:
        atlas = self.config["atlas"]
        credentials = {"Client-Id": atlas["client_id"], "Client-Secret": atlas["client_secret"]}
        response = requests.post(f"{self.url_base}/authtoken", headers=credentials, timeout=60)
        return APIKeyAuthenticator(key="Token", value=response.json()["access_token"], location="header")

    def get_new_paginator(self) -> BasePageNumberPaginator:
        return PagePaginator(1)

    def get_url_params(self, context: Any, next_page_token: int | None) -> dict[str, Any]:
        return {"batch_id": context["batch_id"], "page": next_page_token, "per_page": 50}


class TunedPagePaginator(BasePageNumberPaginator):
    def has_more(self, response: requests.Response) -> bool:
        return bool(_parse_page(response)["has_next"])


class TunedDocuments(Documents):
    """Reads each page once, with msgspec, where the SDK reads it with decimals and paginators read it once more."""

    def get_new_paginator(self) -> BasePageNumberPaginator:
        return TunedPagePaginator(1)

    def parse_response(self, response: requests.Response) -> Iterable[dict[str, Any]]:
        yield from _parse_page(response)["data"]


def _parse_page(response: requests.Response) -> dict[str, Any]:
    if not hasattr(response, "parsed"):
        response.parsed = msgspec.json.decode(response.content)  # type: ignore[attr-defined]
    return response.parsed  # type: ignore[attr-defined, no-any-return]


class DocumentsTap(Tap):
    name = "tap-documents"
    message_writer_class = MsgSpecWriter if {"MSGSPEC", "TUNED"} & os.environ.keys() else Tap.message_writer_class
    config_jsonschema: ClassVar[dict[str, Any]] = th.PropertiesList(
        th.Property("atlas", th.ObjectType(additional_properties=True))
    ).to_dict()

    def discover_streams(self) -> list[Documents]:
        return [TunedDocuments(self) if os.environ.get("TUNED") else Documents(self)]


if __name__ == "__main__":
    DocumentsTap.cli()
