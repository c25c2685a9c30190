"""The least cost of the same requests: a plain loop, without any state.

    python floor.py SETTINGS [--threads N] [--silent]

It prints a RECORD envelope for each document, or with --silent only their number.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import local

import orjson
import requests

_thread_local = local()


def iter_pages(base_url: str, token: str, batch_id: str) -> Iterator[list[dict[str, object]]]:
    """Yield the documents of a batch, page by page, over the thread's own connection."""
    if not hasattr(_thread_local, "session"):
        _thread_local.session = requests.Session()
    page, has_next = 1, True
    while has_next:
        response = _thread_local.session.get(
            f"{base_url}/extracts",
            params={"batch_id": batch_id, "page": page, "per_page": 50},
            headers={"Token": token},
            timeout=60,
        )
        response.raise_for_status()
        body = orjson.loads(response.content)
        yield body["data"]
        page, has_next = page + 1, body["has_next"]


def print_records(batch_id: str, documents: list[dict[str, object]]) -> None:
    """Print a RECORD envelope for each document."""
    now, write = int(time.time() * 1000), sys.stdout.buffer.write
    for document in documents:
        record = {"stream": "documents", "data": {"batch_id": batch_id, **document}, "emitted_at": now}
        write(orjson.dumps({"type": "RECORD", "record": record}) + b"\n")


def main() -> None:
    """Read all batches, one after the other or in threads."""
    parser = argparse.ArgumentParser()
    parser.add_argument("settings", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--silent", action="store_true")
    options = parser.parse_args()
    settings = json.loads(options.settings.read_bytes())["atlas"]
    base_url, count = settings["base_url"], 0
    credentials = {"Client-Id": settings["client_id"], "Client-Secret": settings["client_secret"]}
    token = requests.post(f"{base_url}/authtoken", headers=credentials, timeout=60).json()["access_token"]

    def read_batch(batch_id: str) -> list[list[dict[str, object]]]:
        return list(iter_pages(base_url, token, batch_id))

    if options.threads > 1:
        with ThreadPoolExecutor(options.threads) as pool:
            batches = zip(settings["batch_ids"], pool.map(read_batch, settings["batch_ids"]), strict=True)
            for batch_id, batch in batches:
                for documents in batch:
                    print_records(batch_id, documents)
        return
    for batch_id in settings["batch_ids"]:
        for documents in iter_pages(base_url, token, batch_id):
            count += len(documents)
            if not options.silent:
                print_records(batch_id, documents)
    if options.silent:
        print(json.dumps({"documents": count}))


if __name__ == "__main__":
    main()
