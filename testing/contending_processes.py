"""Processes that fill one outbox at the same time, and one that empties it meanwhile."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event as Signal
from pathlib import Path
from typing import TYPE_CHECKING

# Nothing that brings Dagster along: eight processes import this.
from openlineage_dagster_core.delivery.outbox import APPEND_BUSY_SECONDS, Gap, Outbox, Record

if TYPE_CHECKING:
    from openlineage_dagster_core.delivery.client import Event

PADDING = "x" * 1000
"""Makes a record ten times as large as a reference to an event is."""

POLL_SECONDS = 0.1


class FirstWord:
    """Makes of each record an event of the job that its first word names."""

    is_usable = True

    def begin_anew(self) -> None:
        """Remember nothing anyway."""

    def ready(
        self,
        records: Sequence[Record],
        later_than: Callable[[Record], Sequence[Record]],  # noqa: ARG002 -- the protocol's
    ) -> Sequence[Record]:
        """Hold nothing back.

        Args:
            records: of one key.
            later_than: is of no interest.

        Returns:
            All of them.
        """
        return records

    def to_events(self, record: Record) -> list[Event]:
        """Convert a record.

        Args:
            record: of `append_as_a_run_worker_does`.

        Returns:
            One event.
        """
        from openlineage.client.event_v2 import RunState

        from small_event import event

        return [event(RunState.COMPLETE, record.payload.split()[0])]

    def forget(self, record: Record) -> None:
        """Remember nothing anyway.

        Args:
            record: any.
        """

    def stand_in(self, gap: Gap) -> Iterable[tuple[str, str]]:
        """Fail: nothing may be missing.

        Args:
            gap: unexpected.

        Raises:
            AssertionError: always.
        """
        raise AssertionError(gap)


def append_as_a_run_worker_does(
    directory: Path, name: str, count: int, begin: Signal, report: Connection
) -> None:
    """Append records one by one, each anew where the file was locked for too long.

    Args:
        directory: the outbox's.
        name: the ordering key; the payloads begin with `name.number`.
        count: how many records.
        begin: awaited first, so that all begin at once.
        report: gets how many times an append gave up.
    """
    outbox = Outbox(directory, APPEND_BUSY_SECONDS)
    outbox.depth()
    begin.wait()
    given_up = 0
    for number in range(count):
        while True:
            try:
                outbox.append([(name, f"{name}.{number} {PADDING}")])
            except sqlite3.OperationalError:
                given_up += 1
            else:
                break
    outbox.close()
    report.send(given_up)


def ship(directory: Path, events: Path, is_filled: Signal, report: Connection) -> None:
    """Send into a file until the outbox has been filled and is empty.

    Args:
        directory: the outbox's.
        events: the file.
        is_filled: set when nothing more will be appended.
        report: gets the most memory that this process has had, in bytes.
    """
    from openlineage_dagster_core.delivery.client import LineageClient
    from openlineage_dagster_core.delivery.shipper import Shipper

    os.environ["OPENLINEAGE__TRANSPORT"] = (
        f'{{"type": "file", "log_file_path": "{events}", "append": true}}'
    )
    converter = FirstWord()
    outbox = Outbox(directory)
    shipper = Shipper(outbox, lambda: LineageClient(5))
    shipper.attach(converter)
    shipper.notify()
    while not is_filled.wait(POLL_SECONDS):
        pass
    while outbox.depth():
        shipper.flush(60)
    shipper.stop(60)
    report.send(peak_memory())


def peak_memory() -> int:
    """Find the most memory that this process has had.

    Returns:
        In bytes. Not `getrusage`'s, which begins with that of the process it came from.
    """
    [kilobytes] = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(kilobytes) * 1024
