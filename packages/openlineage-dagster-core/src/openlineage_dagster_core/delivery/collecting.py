"""Moves what processes have appended to their journals into the outbox's tables."""

from __future__ import annotations

import heapq
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from openlineage_dagster_core.delivery import journal
from openlineage_dagster_core.delivery.tables import MARGIN_SECONDS, insert_gap

LINES = 2_000
"""How many are collected in one transaction: others wait for it."""

BROKEN = "a journal of the outbox was broken"
UNREADABLE = "a journal of the outbox cannot be read"


@dataclass(frozen=True)
class _Collected:
    """How far a journal has been collected.

    Args:
        end: of the last line that was, in bytes.
        appended_at: when that was appended, in seconds since the epoch.
    """

    end: int
    appended_at: float


def is_anything_left(connection: sqlite3.Connection, directory: Path) -> bool:
    """Tell whether a journal has grown since it was taken from.

    Args:
        connection: to the outbox.
        directory: the outbox's.

    Returns:
        Whether one has.
    """
    return bool(_grown(directory, _collected(connection)))


def collect(connection: sqlite3.Connection, directory: Path) -> bool:
    """Take what is in the journals, in the order in which it was appended.

    Args:
        connection: to the outbox, inside a transaction that may write.
        directory: the outbox's.

    Returns:
        Whether more can be taken at once.
    """
    collected = _collected(connection)
    # What is appended while this looks is left: its cause may be in a file that was looked at
    # before. What is appended after that is not read.
    began = time.monotonic()
    grown = _grown(directory, collected)
    looked = time.monotonic()
    taken = 0
    changed: dict[str, _Collected] = {}
    for name, size in grown.items():
        if not journal.is_readable(directory, name):
            since = _appended_at(name, collected)
            insert_gap(connection, None, since - MARGIN_SECONDS, UNREADABLE)
            changed[name] = _Collected(size, since)
    waiting = heapq.merge(
        *(_until(began, looked, _lines(directory, name, collected, grown)) for name in grown),
        # What was appended later than now is of an earlier boot of the machine.
        key=lambda line: (line.ticks <= looked, line.ticks),
    )
    for line in islice(waiting, LINES):
        _take(connection, line)
        changed[line.journal] = _Collected(line.end, line.appended_at)
        taken += 1
    connection.executemany(
        "INSERT OR REPLACE INTO journal VALUES (?, ?, ?)",
        [(name, each.end, each.appended_at) for name, each in changed.items()],
    )
    return taken == LINES


def drop_ended(connection: sqlite3.Connection, directory: Path) -> Callable[[], None]:
    """Delete the journals of processes that have ended, of which nothing is left to take.

    Args:
        connection: to the outbox.
        directory: the outbox's.

    Returns:
        What notes that, in a transaction that may write: nobody should wait for the deleting.
    """
    collected = _collected(connection)
    there = journal.sizes(directory)
    gone = set(collected) - set(there)
    cut_off = []
    for name in there:
        end = collected[name].end if name in collected else 0
        is_cut_off = journal.drop(directory, name, end)
        if is_cut_off is not None:
            gone.add(name)
        if is_cut_off:
            cut_off.append(_appended_at(name, collected))

    def note() -> None:
        for since in cut_off:
            insert_gap(connection, None, since - MARGIN_SECONDS, BROKEN)
        connection.executemany("DELETE FROM journal WHERE name = ?", [(name,) for name in gone])

    return note


def uncollected(connection: sqlite3.Connection, directory: Path) -> Iterator[journal.Line]:
    """Look at what is still in the journals.

    Args:
        connection: to the outbox.
        directory: the outbox's.

    Yields:
        Each record that was appended, journal by journal.
    """
    for lines in _waiting(connection, directory):
        for line in lines:
            if line.record is not None and not line.is_release:
                yield line


def first_uncollected(connection: sqlite3.Connection, directory: Path) -> Iterator[journal.Line]:
    """Look at the oldest of what is still in the journals.

    Args:
        connection: to the outbox.
        directory: the outbox's.

    Yields:
        The first line of each journal of which not all was taken.
    """
    for lines in _waiting(connection, directory):
        yield from islice(lines, 1)


def _waiting(connection: sqlite3.Connection, directory: Path) -> Iterator[Iterator[journal.Line]]:
    collected = _collected(connection)
    grown = _grown(directory, collected)
    for name in grown:
        yield _lines(directory, name, collected, grown)


def _collected(connection: sqlite3.Connection) -> dict[str, _Collected]:
    rows = connection.execute("SELECT name, collected, appended_at FROM journal").fetchall()
    return {name: _Collected(end, appended_at) for name, end, appended_at in rows}


def _grown(directory: Path, collected: Mapping[str, _Collected]) -> dict[str, int]:
    return {
        name: size
        for name, size in journal.sizes(directory).items()
        if name not in collected or size > collected[name].end
    }


def _appended_at(name: str, collected: Mapping[str, _Collected]) -> float:
    return collected[name].appended_at if name in collected else journal.begun_at(name)


def _lines(
    directory: Path, name: str, collected: Mapping[str, _Collected], sizes: Mapping[str, int]
) -> Iterator[journal.Line]:
    begin = collected[name].end if name in collected else 0
    after = _appended_at(name, collected)
    return journal.lines(directory, name, begin, end=sizes[name], after=after)


def _until(began: float, looked: float, lines: Iterator[journal.Line]) -> Iterator[journal.Line]:
    for line in lines:
        if began <= line.ticks <= looked:
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
