"""Launcher: `python -I -S launch.py OUTPUT ERRORS LIMIT COMMAND ...`.

It imports next to nothing, since Linux counts the memory of the parent towards the peak memory of a new process.
"""

import os
import signal
import sys
import time


def main() -> None:
    """Run a command for at most LIMIT seconds, and print its cost and exit code."""
    output, errors, time_limit, *command = sys.argv[1:]
    write_flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    file_actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, output, write_flags, 0o644),
        (os.POSIX_SPAWN_OPEN, 2, errors, write_flags, 0o644),
    ]
    started = time.monotonic()
    pid = os.posix_spawnp(command[0], command, os.environ, file_actions=file_actions)
    signal.signal(signal.SIGALRM, lambda *_: os.kill(pid, signal.SIGKILL))
    signal.alarm(int(time_limit))
    _, status, usage = os.wait4(pid, 0)
    wall_seconds = time.monotonic() - started
    print(wall_seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss, os.waitstatus_to_exitcode(status))


main()
