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
from openlineage_dagster_storage import delivery_process
from openlineage_dagster_storage.recording import Recorder

if TYPE_CHECKING:
    from collections.abc import Callable

    from dagster import DagsterInstance

    from openlineage_dagster_core.delivery.client import LineageClient
    from openlineage_dagster_core.settings import Settings

WAIT_SECONDS = 2.0
"""How long the end of a run waits where no process could go on after it."""

BRIEF_SECONDS = 0.25
"""How long it waits otherwise, where this process is sending already: a new one is not for free."""

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
        flush_timeout: how long the process's end waits, in seconds; None where another process is
            to go on instead.
        instance: for that process; the one that used it last, kept weakly.
        pid: of the process.
        is_over: whether the last storage has let go of it.
    """

    outbox: Outbox
    recorder: Recorder
    shipper: Shipper
    flush_timeout: float | None
    instance: Callable[[], DagsterInstance | None]
    pid: int = field(default_factory=os.getpid)
    is_over: bool = False

    @property
    def is_of_use(self) -> bool:
        """Whether it may be used: neither let go of, nor another process's after a fork."""
        return not self.is_over and self.pid == os.getpid()

    def finish(self) -> bool:
        """Send what waits, or see that it is sent, where a run has ended; a step leaves it.

        Returns:
            Whether nothing of it is left.
        """
        if not self.recorder.has_ended_something:
            return False
        if self.flush_timeout is not None:
            return self.shipper.flush(self.flush_timeout)
        instance = self.instance()
        # What is in the memory of this process cannot be opened by another.
        ref = instance.get_ref() if instance is not None and instance.is_persistent else None
        if ref is None or not delivery_process.can_outlive():
            return self.shipper.flush(WAIT_SECONDS)
        if not self.outbox.has_work() or (
            self.shipper.is_sending and self.shipper.flush(BRIEF_SECONDS)
        ):
            return True
        if self.shipper.is_of_no_use:
            # Another process sends, or the backend takes nothing.
            return False
        is_seen_to = delivery_process.start(ref, self.outbox.directory)
        return not is_seen_to and self.shipper.flush(WAIT_SECONDS)

    def flush_at_exit(self) -> None:
        """Send what waits when the process ends without a `dispose`."""
        # A forked child inherits the handler, but not the thread.
        if self.pid == os.getpid():
            with contextlib.suppress(OSError, sqlite3.Error):
                self.recorder.close()
                self.finish()


def delivery_of(
    directory: Path,
    settings: Settings,
    flush_timeout: float | None,
    instance: Callable[[], DagsterInstance | None],
) -> Delivery:
    """Get the outbox of a directory, and what fills and empties it.

    Args:
        directory: the outbox's.
        settings: the first caller's hold for the process.
        flush_timeout: see `Delivery`; the first caller's as well.
        instance: see there.

    Returns:
        The same for every call in this process.
    """
    key = (os.getpid(), directory)
    delivery = _deliveries.get(key)
    if delivery is not None:
        delivery.instance = instance
        return delivery
    with _lock:
        # Two spellings of one directory are one outbox.
        resolved = (os.getpid(), directory.resolve())
        if resolved not in _deliveries:
            # Two connections: an append never waits for what the sender does with its own.
            outbox = Outbox(directory, APPEND_BUSY_SECONDS)
            shipper = Shipper(Outbox(directory), lambda: _make_client(settings))
            delivery = Delivery(outbox, Recorder(outbox), shipper, flush_timeout, instance)
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
