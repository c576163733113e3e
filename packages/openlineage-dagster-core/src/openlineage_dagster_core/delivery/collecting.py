"""Moves what processes have appended to their journals into the outbox's tables."""

from __future__ import annotations

import heapq
import sqlite3
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from openlineage_dagster_core.delivery import journal
from openlineage_dagster_core.delivery.tables import MARGIN_SECONDS, insert_gap

LINES = 2_000
"""How many are collected in one transaction: others wait for it."""

CLOCK_SECONDS = 1.0
"""What was appended later than that from now was appended before the clock was set back."""

BROKEN = "a journal of the outbox was broken"


def is_anything_left(connection: sqlite3.Connection, directory: Path) -> bool:
    """Tell whether a journal has grown since it was taken from.

    Args:
        connection: to the outbox.
        directory: the outbox's.

    Returns:
        Whether one has.
    """
    ends = _collected(connection)
    return any(size > ends.get(name, 0) for name, size in journal.sizes(directory).items())


def collect(connection: sqlite3.Connection, directory: Path) -> bool:
    """Take what is in the journals, in the order in which it was appended.

    Args:
        connection: to the outbox, inside a transaction that may write.
        directory: the outbox's.

    Returns:
        Whether more can be taken at once.
    """
    ends = _collected(connection)
    # What is appended while this reads is left: its cause may be in a file that was read before.
    now = time.time()
    waiting = heapq.merge(
        *(
            _until(now, journal.lines(directory, name, ends.get(name, 0)))
            for name, size in journal.sizes(directory).items()
            if size > ends.get(name, 0)
        ),
        key=lambda line: line.appended_at,
    )
    taken = 0
    for line in islice(waiting, LINES):
        _take(connection, line)
        ends[line.journal] = line.end
        taken += 1
    if taken:
        connection.executemany("INSERT OR REPLACE INTO journal VALUES (?, ?)", ends.items())
    return taken == LINES


def drop_ended(connection: sqlite3.Connection, directory: Path) -> None:
    """Delete the journals of processes that have ended, of which nothing is left to take.

    Args:
        connection: to the outbox, inside a transaction that may write.
        directory: the outbox's.
    """
    ends = _collected(connection)
    there = journal.sizes(directory)
    gone = set(ends) - set(there)
    for name in there:
        is_cut_off = journal.drop(directory, name, ends.get(name, 0))
        if is_cut_off is not None:
            gone.add(name)
        if is_cut_off:
            insert_gap(connection, None, journal.begun_at(name) - MARGIN_SECONDS, BROKEN)
    connection.executemany("DELETE FROM journal WHERE name = ?", [(name,) for name in gone])


def uncollected(connection: sqlite3.Connection, directory: Path) -> Iterator[journal.Line]:
    """Look at what is still in the journals.

    Args:
        connection: to the outbox.
        directory: the outbox's.

    Yields:
        Each record that was appended, journal by journal.
    """
    ends = _collected(connection)
    for name, size in journal.sizes(directory).items():
        if size > ends.get(name, 0):
            for line in journal.lines(directory, name, ends.get(name, 0)):
                if line.record is not None and not line.is_release:
                    yield line


def first_uncollected(connection: sqlite3.Connection, directory: Path) -> list[journal.Line]:
    """Look at the oldest of what is still in the journals.

    Args:
        connection: to the outbox.
        directory: the outbox's.

    Returns:
        The first line of each journal of which not all was taken.
    """
    return list(journal.first_lines(directory, _collected(connection)))


def _collected(connection: sqlite3.Connection) -> dict[str, int]:
    return dict(connection.execute("SELECT name, collected FROM journal").fetchall())


def _until(now: float, lines: Iterator[journal.Line]) -> Iterator[journal.Line]:
    for line in lines:
        if now <= line.appended_at <= now + CLOCK_SECONDS:
            return
        yield line


def _take(connection: sqlite3.Connection, line: journal.Line) -> None:
    if line.record is None:
        insert_gap(connection, None, line.appended_at - MARGIN_SECONDS, BROKEN)
    elif line.is_release:
        connection.execute(
            "UPDATE record SET writer = NULL WHERE ordering_key = ? AND payload = ? "
            "AND writer IS ?",
            (*line.record, line.writer),
        )
    else:
        connection.execute(
            "INSERT INTO record (ordering_key, payload, appended_at, writer) VALUES (?, ?, ?, ?)",
            (*line.record, line.appended_at, line.writer),
        )
