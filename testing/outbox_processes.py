"""What child processes do to an outbox; apart, so that a spawned process can import it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from openlineage_dagster_core.delivery.journal import Journal
from openlineage_dagster_core.delivery.outbox import Outbox


def append_and_be_killed(directory: Path, count: int) -> None:
    """Append in one go and die at once.

    Args:
        directory: the outbox's.
        count: how many records.
    """
    Outbox(directory).append([("a", str(number)) for number in range(count)])
    os.kill(os.getpid(), signal.SIGKILL)


def append_to_journal_and_be_killed(directory: Path, count: int) -> None:
    """Append to a journal one by one and die at once.

    Args:
        directory: the outbox's.
        count: how many records.
    """
    journal = Journal(directory)
    for number in range(count):
        journal.append([("a", str(number))])
    os.kill(os.getpid(), signal.SIGKILL)


def append_one_by_one(directory: Path, name: str, count: int) -> None:
    """Append records one by one.

    Args:
        directory: the outbox's.
        name: the ordering key, and the beginning of each payload.
        count: how many records.
    """
    outbox = Outbox(directory)
    for number in range(count):
        outbox.append([(name, f"{name}{number}")])
