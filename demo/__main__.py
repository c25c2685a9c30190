"""Starts the demo, and sees to it that nothing of it goes on afterwards. `make demo`, from the repository's root."""

from __future__ import annotations

import os
import sys

from report.terminal import printable

from . import FOLDER, Trouble
from .interrupts import Interrupts


def main() -> int:
    interrupts = Interrupts()
    interrupts.listen()
    try:
        # Not at the top: on a slow machine this takes seconds, in which a signal is heard already.
        from .run import run  # noqa: PLC0415

        run(interrupts)
    except Trouble as trouble:
        if interrupts.number is None:
            print(f"\n{printable(str(trouble))}\nMore about it: {os.path.relpath(FOLDER / 'logs')}", file=sys.stderr)
            return 1
    except BrokenPipeError:  # nobody reads any more, as after `make demo | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except BaseException:
        if interrupts.number is None:
            raise
    if interrupts.number is not None:
        print("\nStopped, and the sandbox with it.", file=sys.stderr)
        return 128 + interrupts.number
    return 0


if __name__ == "__main__":
    sys.exit(main())
