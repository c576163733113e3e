"""One shipper for each outbox in a process, however many instances use it."""

from __future__ import annotations

import atexit
import contextlib
import os
import sqlite3
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from openlineage_dagster_core.delivery.outbox import APPEND_BUSY_SECONDS, Outbox
from openlineage_dagster_core.delivery.shipper import Shipper
from openlineage_dagster_storage.recording import Recorder

if TYPE_CHECKING:
    from openlineage_dagster_core.delivery.client import LineageClient
    from openlineage_dagster_core.settings import Settings

_lock = threading.Lock()
_deliveries: dict[tuple[int, Path], Delivery] = {}
"""By process too: threads and connections do not survive a fork."""


@dataclass(eq=False)
class Delivery:
    """What the storages of a process share that use one outbox.

    Args:
        outbox: for the threads that store events.
        recorder: appends to it.
        shipper: sends from it, in a thread of its own.
        flush_timeout: how long the process's exit may wait, in seconds.
        pid: of the process.
        is_over: whether the last storage has let go of it.
    """

    outbox: Outbox
    recorder: Recorder
    shipper: Shipper
    flush_timeout: float
    pid: int = field(default_factory=os.getpid)
    is_over: bool = False

    @property
    def is_of_use(self) -> bool:
        """Whether it may be used: neither let go of, nor another process's after a fork."""
        return not self.is_over and self.pid == os.getpid()

    def flush(self, timeout: float) -> bool:
        """Send what waits, unless that is for the process of the run to do: a step's leaves it.

        Args:
            timeout: how long at most, in seconds.

        Returns:
            Whether nothing of it is left.
        """
        return self.recorder.has_ended_something and self.shipper.flush(timeout)

    def flush_at_exit(self) -> None:
        """Send what waits when the process ends without a `dispose`."""
        # A forked child inherits the handler, but not the thread.
        if self.pid == os.getpid():
            with contextlib.suppress(OSError, sqlite3.Error):
                self.recorder.close()
                self.flush(self.flush_timeout)


def delivery_of(directory: Path, settings: Settings, flush_timeout: float) -> Delivery:
    """Get the outbox of a directory, and what fills and empties it.

    Args:
        directory: the outbox's.
        settings: the first caller's hold for the process.
        flush_timeout: how long the process's exit may wait, in seconds.

    Returns:
        The same for every call in this process.
    """
    key = (os.getpid(), directory)
    delivery = _deliveries.get(key)
    if delivery is not None:
        return delivery
    with _lock:
        # Two spellings of one directory are one outbox.
        resolved = (os.getpid(), directory.resolve())
        if resolved not in _deliveries:
            # Two connections: an append never waits for what the sender does with its own.
            outbox = Outbox(directory, APPEND_BUSY_SECONDS)
            shipper = Shipper(Outbox(directory), lambda: _make_client(settings))
            delivery = Delivery(outbox, Recorder(outbox), shipper, flush_timeout)
            atexit.register(delivery.flush_at_exit)
            _deliveries[resolved] = delivery
        return _deliveries.setdefault(key, _deliveries[resolved])


def let_go_of(delivery: Delivery) -> None:
    """Forget a delivery that no storage uses any more.

    Args:
        delivery: from `delivery_of`; who asks again gets another one.
    """
    delivery.is_over = True
    with _lock:
        for key in [key for key, known in _deliveries.items() if known is delivery]:
            del _deliveries[key]
    atexit.unregister(delivery.flush_at_exit)


def _make_client(settings: Settings) -> LineageClient:
    from openlineage_dagster_core.delivery.client import LineageClient

    return LineageClient(settings.timeout, max_event_size=settings.max_event_bytes)
