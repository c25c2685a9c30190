"""The connector's command line with a clock that stands still: a process to be killed."""

import sys
from datetime import datetime

from source_docextract import SourceDocextract
from source_docextract.pacing import Patience
from source_docextract.run import main

moment = datetime.fromisoformat(sys.argv.pop(1))
main(SourceDocextract(now=lambda: moment, patience=Patience(tries=3, first_wait=0.005, longest_wait=0.01)))
