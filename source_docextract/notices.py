"""Warnings of one provider during one sync."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict

from .plain import sentences

_WARNINGS = 5  # of one kind in one sync; beyond that they are counted
_LONGEST = 1000  # characters


class Notices:
    """Warnings, a few of each kind; a thousand broken batches must not bury the log.

    Args:
        name: the provider as a user knows it.
    """

    def __init__(self, logger: logging.Logger, name: str) -> None:
        self._logger = logger
        self._name = name
        self._counts: Counter[str] = Counter()
        self._told: defaultdict[str, set[str]] = defaultdict(set)

    def warn(self, kind: str, words: str) -> None:
        """Tells it, unless the same was told before or enough of its kind."""
        told = self._told[kind]
        if words in told:
            return
        self._counts[kind] += 1
        if len(told) < _WARNINGS:
            told.add(words)
            self._logger.warning("%s", sentences(words, _LONGEST))

    def close(self) -> None:
        for kind, count in self._counts.items():
            if count > _WARNINGS:
                self._logger.warning("%s: %d more warnings like that: %s.", self._name, count - _WARNINGS, kind)
