"""Entry point of the demo, which stops every process that the demo started."""

from __future__ import annotations

import os
import sys

from report.terminal import strip_control_characters

from . import DEMO_FOLDER, DemoError
from .interrupts import SignalHandler


def main() -> int:
    """Run the demo; return the exit code."""
    signal_handler = SignalHandler()
    signal_handler.install()
    try:
        # Imported after the signal handler is installed: on a slow machine the import takes seconds.
        from .run import run_demo  # noqa: PLC0415

        run_demo(signal_handler)
    except DemoError as error:
        if signal_handler.signal_number is None:
            logs = os.path.relpath(DEMO_FOLDER / "logs")
            print(f"\n{strip_control_characters(str(error))}\nMore about it: {logs}", file=sys.stderr)
            return 1
    except BrokenPipeError:  # the reader has closed the pipe, as in `make demo | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except BaseException:
        if signal_handler.signal_number is None:
            raise
    if signal_handler.signal_number is not None:
        print("\nStopped, and the sandbox with it.", file=sys.stderr)
        return 128 + signal_handler.signal_number
    return 0


if __name__ == "__main__":
    sys.exit(main())
