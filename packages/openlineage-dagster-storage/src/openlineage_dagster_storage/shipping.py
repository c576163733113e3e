"""One shipper for each outbox in a process, however many instances use it."""

from __future__ import annotations

import atexit
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from openlineage_dagster_core.delivery.outbox import APPEND_BUSY_SECONDS, Outbox
from openlineage_dagster_core.delivery.shipper import Shipper

if TYPE_CHECKING:
    from openlineage_dagster_core.delivery.client import LineageClient
    from openlineage_dagster_core.settings import Settings

_lock = threading.Lock()
_shippers: dict[tuple[int, Path], tuple[Outbox, Shipper]] = {}
"""By process too: threads and connections do not survive a fork."""


def outbox_and_shipper(
    directory: Path, settings: Settings, flush_timeout: float
) -> tuple[Outbox, Shipper]:
    """Get the outbox of a directory and the shipper that sends it.

    Args:
        directory: the outbox's.
        settings: the first caller's hold for the process.
        flush_timeout: how long the process's exit may wait, in seconds.

    Returns:
        The same pair for every call in this process.
    """
    key = (os.getpid(), directory.resolve())
    with _lock:
        if key not in _shippers:
            # Two connections: an append never waits for what the sender does with its own.
            outbox = Outbox(directory, APPEND_BUSY_SECONDS)
            shipper = Shipper(Outbox(directory), lambda: _make_client(settings))
            atexit.register(_flush_at_exit, os.getpid(), shipper, flush_timeout)
            _shippers[key] = (outbox, shipper)
        return _shippers[key]


def _flush_at_exit(pid: int, shipper: Shipper, timeout: float) -> None:
    # A forked child inherits the handler, but not the thread.
    if pid == os.getpid():
        shipper.flush(timeout)


def _make_client(settings: Settings) -> LineageClient:
    from openlineage_dagster_core.delivery.client import LineageClient

    return LineageClient(settings.timeout, max_event_size=settings.max_event_bytes)
