"""Starts the demo, and sees to it that nothing of it goes on afterwards. `make demo`, from the repository's root."""

from __future__ import annotations

import os
import sys

from report.terminal import strip_control_characters

from . import DEMO_FOLDER, DemoError
from .interrupts import SignalHandler


def main() -> int:
    signal_handler = SignalHandler()
    signal_handler.install()
    try:
        # Not at the top: on a slow machine this takes seconds, in which a signal is heard already.
        from .run import run_demo  # noqa: PLC0415

        run_demo(signal_handler)
    except DemoError as error:
        if signal_handler.signal_number is None:
            print(
                f"\n{strip_control_characters(str(error))}\nMore about it: {os.path.relpath(DEMO_FOLDER / 'logs')}",
                file=sys.stderr,
            )
            return 1
    except BrokenPipeError:  # nobody reads any more, as after `make demo | head`
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
