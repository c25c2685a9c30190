"""The same sync as a Singer tap: `python singer_tap.py --config SETTINGS`.

A batch is a partition, and the SDK reads partitions one after the other. With MSGSPEC in the environment the SDK's
msgspec writer writes the messages. With TUNED this module also parses the pages, instead of the SDK.
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
    """A paginator that follows `has_next`."""

    def has_more(self, response: requests.Response) -> bool:
        """Return whether there is a next page."""
        return bool(response.json()["has_next"])


class Documents(RESTStream[int]):
    """The stream of documents."""

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
        """Return the base URL of the settings."""
        return str(self.config["atlas"]["base_url"])

    @property
    def partitions(self) -> list[dict[str, str]]:
        """Return one partition per batch."""
        return [{"batch_id": batch_id} for batch_id in self.config["atlas"]["batch_ids"]]

    @cached_property
    def authenticator(self) -> APIKeyAuthenticator:
        """Log in and return an authenticator with the token."""
        atlas = self.config["atlas"]
        credentials = {"Client-Id": atlas["client_id"], "Client-Secret": atlas["client_secret"]}
        response = requests.post(f"{self.url_base}/authtoken", headers=credentials, timeout=60)
        return APIKeyAuthenticator(key="Token", value=response.json()["access_token"], location="header")

    def get_new_paginator(self) -> BasePageNumberPaginator:
        """Return a paginator that starts at page 1."""
        return PagePaginator(1)

    def get_url_params(self, context: Any, next_page_token: int | None) -> dict[str, Any]:
        """Return the query of a page."""
        return {"batch_id": context["batch_id"], "page": next_page_token, "per_page": 50}


class TunedPagePaginator(BasePageNumberPaginator):
    """A paginator that follows `has_next` of a page that is parsed already."""

    def has_more(self, response: requests.Response) -> bool:
        """Return whether there is a next page."""
        return bool(_parse_page(response)["has_next"])


class TunedDocuments(Documents):
    """The stream of documents with each page parsed once, by msgspec.

    The SDK parses each page with decimals, and its paginator parses it again.
    """

    def get_new_paginator(self) -> BasePageNumberPaginator:
        """Return a paginator that starts at page 1."""
        return TunedPagePaginator(1)

    def parse_response(self, response: requests.Response) -> Iterable[dict[str, Any]]:
        """Yield the documents of a page."""
        yield from _parse_page(response)["data"]


def _parse_page(response: requests.Response) -> dict[str, Any]:
    if not hasattr(response, "parsed"):
        response.parsed = msgspec.json.decode(response.content)  # type: ignore[attr-defined]
    return response.parsed  # type: ignore[attr-defined, no-any-return]


class DocumentsTap(Tap):
    """The tap."""

    name = "tap-documents"
    message_writer_class = MsgSpecWriter if {"MSGSPEC", "TUNED"} & os.environ.keys() else Tap.message_writer_class
    config_jsonschema: ClassVar[dict[str, Any]] = th.PropertiesList(
        th.Property("atlas", th.ObjectType(additional_properties=True))
    ).to_dict()

    def discover_streams(self) -> list[Documents]:
        """Return the only stream."""
        return [TunedDocuments(self) if os.environ.get("TUNED") else Documents(self)]


if __name__ == "__main__":
    DocumentsTap.cli()
