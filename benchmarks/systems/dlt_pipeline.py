"""The same sync with dlt: `python dlt_pipeline.py SETTINGS FOLDER`.

The documents are a dependent resource of the batches and are read in parallel (`parallelized`), with EXTRACT__WORKERS
workers. Pages are requested by number until `has_next` is false.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import dlt
from dlt.sources.helpers import requests
from dlt.sources.rest_api import RESTAPIConfig, rest_api_source


def main() -> None:
    """Extract all documents into dlt's files."""
    settings = json.loads(Path(sys.argv[1]).read_bytes())["atlas"]
    credentials = {"Client-Id": settings["client_id"], "Client-Secret": settings["client_secret"]}
    token = requests.post(settings["base_url"] + "/authtoken", headers=credentials).json()["access_token"]

    @dlt.resource(name="batches", selected=False)
    def batches() -> Any:
        """Yield the batch ids of the settings."""
        yield [{"batch_id": batch_id} for batch_id in settings["batch_ids"]]

    config: RESTAPIConfig = {
        "client": {
            "base_url": settings["base_url"],
            "auth": {"type": "api_key", "name": "Token", "api_key": token, "location": "header"},
            "paginator": {
                "type": "page_number",
                "base_page": 1,
                "page_param": "page",
                "total_path": None,
                "has_more_path": "has_next",
            },
        },
        "resources": [
            batches(),
            {
                "name": "documents",
                "primary_key": ["_batches_batch_id", "document_id"],
                "write_disposition": "merge",
                "max_table_nesting": 0,
                "parallelized": True,
                "include_from_parent": ["batch_id"],
                "endpoint": {
                    "path": "extracts",
                    "params": {"batch_id": "{resources.batches.batch_id}", "per_page": 50},
                    "data_selector": "data",
                },
            },
        ],
    }
    pipeline = dlt.pipeline("documents", pipelines_dir=sys.argv[2], destination="filesystem")
    pipeline.extract(rest_api_source(config, name="atlas"))


if __name__ == "__main__":
    main()
