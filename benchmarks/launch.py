"""Launcher: `python -I -S launch.py OUTPUT ERRORS LIMIT COMMAND ...`.

It imports next to nothing, since Linux counts the memory of the parent towards the peak memory of a new process.
"""

import os
import signal
import sys
import time

_SAMPLE_SECONDS = 0.1
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_MAXRSS_UNIT_BYTES = 1 if sys.platform == "darwin" else 1024


def main() -> None:
    """Run a command for at most LIMIT seconds, and print its cost and exit code.

    CPU is that of the process and of all that it waited for. Peak memory is the larger of the largest process and the
    largest sum of all processes at one time, which is sampled, where the system has /proc.
    """
    output, errors, time_limit, *command = sys.argv[1:]
    write_flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    file_actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, output, write_flags, 0o644),
        (os.POSIX_SPAWN_OPEN, 2, errors, write_flags, 0o644),
    ]
    started = time.monotonic()
    pid = os.posix_spawnp(command[0], command, os.environ, file_actions=file_actions)
    peak_bytes, known_pids = 0, {pid}

    def sample_memory(*_: object) -> None:
        nonlocal peak_bytes, known_pids
        if time.monotonic() - started > int(time_limit):
            os.kill(pid, signal.SIGKILL)
        # One process alone has its exact peak from the system.
        tree = list_tree(pid)
        if len(tree) > 1:
            # A new process shares its parent's memory until it runs a program: it counts from the next sample on.
            peak_bytes = max(peak_bytes, sum(map(read_resident_bytes, known_pids.intersection(tree))))
        known_pids = set(tree)

    signal.signal(signal.SIGALRM, sample_memory)
    signal.setitimer(signal.ITIMER_REAL, _SAMPLE_SECONDS, _SAMPLE_SECONDS)
    _, status, usage = os.wait4(pid, 0)
    signal.setitimer(signal.ITIMER_REAL, 0)
    wall_seconds = time.monotonic() - started
    peak_bytes = max(peak_bytes, usage.ru_maxrss * _MAXRSS_UNIT_BYTES)
    print(wall_seconds, usage.ru_utime + usage.ru_stime, peak_bytes, os.waitstatus_to_exitcode(status))


def list_tree(pid: int) -> list[int]:
    """Return the ids of a process and its descendants."""
    tree = [pid]
    for parent in tree:  # which grows meanwhile
        try:
            for task in os.listdir(f"/proc/{parent}/task"):  # noqa: PTH208 - pathlib would add to the memory
                with open(f"/proc/{parent}/task/{task}/children", encoding="ascii") as children:  # noqa: PTH123
                    tree += map(int, children.read().split())
        except OSError:  # it has ended, or there is no /proc
            continue
    return tree


def read_resident_bytes(pid: int) -> int:
    """Return the resident memory of a process; 0 if it has ended."""
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as sizes:  # noqa: PTH123
            return int(sizes.read().split()[1]) * _PAGE_BYTES
    except OSError:
        return 0


main()
