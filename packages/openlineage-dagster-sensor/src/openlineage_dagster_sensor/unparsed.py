"""Learns which events Dagster could not read: it says so in a log, and gives nothing after them."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator

MESSAGE = "Could not parse event record id `%s`."
"""As `get_logs_for_all_runs_by_log_id` says it, to the root logger, on all supported versions."""


class _Listener(logging.Filter):
    """Lets everything pass, and keeps the ids of what this thread is told."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[int] = []
        self._thread = threading.get_ident()

    def filter(self, record: logging.LogRecord) -> bool:
        is_told = record.msg == MESSAGE and record.thread == self._thread
        if is_told and isinstance(record.args, tuple) and isinstance(record.args[0], int):
            self.ids.append(record.args[0])
        return True


@contextlib.contextmanager
def unparsed_ids() -> Iterator[list[int]]:
    """Listen while Dagster reads a page of the log.

    Yields:
        The storage ids of what it could not read; filled by the time the block is left.
    """
    root, listener = logging.getLogger(), _Listener()
    root.addFilter(listener)
    try:
        yield listener.ids
    finally:
        root.removeFilter(listener)
