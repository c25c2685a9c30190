"""The same sync with dlt's rest_api source: `python dlt_pipeline.py SETTINGS FOLDER`. Extracts, and loads nowhere.

The documents are a dependent resource of the batches, read side by side (`parallelized`); how many at once is set by
EXTRACT__WORKERS. A page is asked for by its number while `has_next` says so.
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
    settings = json.loads(Path(sys.argv[1]).read_bytes())["atlas"]
    credentials = {"Client-Id": settings["client_id"], "Client-Secret": settings["client_secret"]}
    token = requests.post(settings["base_url"] + "/authtoken", headers=credentials).json()["access_token"]

    @dlt.resource(name="batches", selected=False)
    def batches() -> Any:
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
