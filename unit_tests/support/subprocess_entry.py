"""The connector's command line with a frozen clock: a process that tests may kill."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from unit_tests.support.connector_process import run_command_line

run_command_line(sys.argv.pop(1))
