"""The connector's command line with a frozen clock: a process that tests may kill."""

import sys
from datetime import datetime

from source_docextract import SourceDocextract
from source_docextract.cli import main
from source_docextract.http.rate_limit import RetryPolicy

frozen_now = datetime.fromisoformat(sys.argv.pop(1))
main(SourceDocextract(now=lambda: frozen_now, retry_policy=RetryPolicy(max_tries=3, first_wait=0.005, max_wait=0.01)))
