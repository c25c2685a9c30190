"""Runs one script to its end, outside of a sync."""

from __future__ import annotations

from queue import SimpleQueue
from typing import TypeVar

from .http import Client
from .providers.base import Script
from .scripts import Arrival, Scripts

T = TypeVar("T")


def answered(script: Script[T], client: Client, *, log_in: bool = False) -> T:
    """What a script returns. The client is closed afterwards.

    Args:
        log_in: also where the script asks for nothing.

    Raises:
        ConnectorError: where it ends in one.
    """
    arrivals: SimpleQueue[Arrival] = SimpleQueue()
    scripts = Scripts(client, arrivals)
    try:
        if log_in:
            client.log_in()
        job = scripts.start(script, None)
        while job is None:
            arrival = arrivals.get()
            job = scripts.arrived(arrival)
            scripts.go_on(arrival)
        if job.error:
            raise job.error
        result: T = job.result
        return result
    finally:
        scripts.close()
