"""One shipper for each outbox in a process, however many instances use it."""

from __future__ import annotations

import atexit
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from openlineage_dagster_core.delivery.outbox import Outbox
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
    key = (os.getpid(), directory)
    with _lock:
        if key not in _shippers:
            outbox = Outbox(directory)
            shipper = Shipper(outbox, lambda: _make_client(settings))
            atexit.register(shipper.flush, flush_timeout)
            _shippers[key] = (outbox, shipper)
        return _shippers[key]


def _make_client(settings: Settings) -> LineageClient:
    from openlineage_dagster_core.delivery.client import LineageClient

    return LineageClient(settings.timeout)
