"""Warnings of one provider during one sync."""

from __future__ import annotations

import logging
from collections import Counter

_WARNINGS = 5  # of one kind in one sync; beyond that they are counted


class Notices:
    """Warnings, a few of each kind; a thousand broken batches must not bury the log."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._counts: Counter[str] = Counter()

    def once(self, words: str) -> None:
        if not self._counts[words]:
            self._logger.warning(words)
        self._counts[words] += 1

    def warn(self, kind: str, words: str) -> None:
        self._counts[kind] += 1
        if self._counts[kind] <= _WARNINGS:
            self._logger.warning(words)

    def close(self) -> None:
        for kind, count in self._counts.items():
            if " " not in kind and count > _WARNINGS:
                self._logger.warning("%d more batches: %s.", count - _WARNINGS, kind)
