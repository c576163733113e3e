"""The tables of the outbox's SQLite file."""

from __future__ import annotations

import sqlite3
import time

MARGIN_SECONDS = 60.0
"""How much earlier than its appending what a record stands for may have happened."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS record (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    ordering_key TEXT NOT NULL,
    payload TEXT NOT NULL,
    appended_at REAL NOT NULL,
    writer TEXT
);
CREATE TABLE IF NOT EXISTS journal (
    name TEXT PRIMARY KEY,
    collected INTEGER NOT NULL,
    appended_at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS parked (
    id INTEGER PRIMARY KEY,
    ordering_key TEXT NOT NULL,
    payload TEXT NOT NULL,
    reason TEXT NOT NULL,
    parked_at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS attachment (
    ordering_key TEXT PRIMARY KEY,
    content TEXT NOT NULL,
    attached_at REAL NOT NULL,
    ended_at REAL
);
CREATE TABLE IF NOT EXISTS gap (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    ordering_key TEXT,
    since REAL NOT NULL,
    reason TEXT NOT NULL,
    recorded_at REAL NOT NULL,
    healed_at REAL
);
CREATE TABLE IF NOT EXISTS delivery (
    name TEXT PRIMARY KEY,
    value TEXT,
    noted_at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS record_of_key ON record (ordering_key);
"""


def has_tables(connection: sqlite3.Connection) -> bool:
    """Tell whether a file has been made into an outbox.

    Args:
        connection: to the file.

    Returns:
        Whether it has all tables.
    """
    found = connection.execute(
        "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    ).fetchone()[0]
    return bool(found == SCHEMA.count("CREATE TABLE"))


def insert_gap(
    connection: sqlite3.Connection, ordering_key: str | None, since: float, reason: str
) -> None:
    """Record that records are missing; one gap a key is enough.

    Args:
        connection: inside a transaction.
        ordering_key: whose; None for any.
        since: when the first of them was to be appended, in seconds since the epoch.
        reason: why.
    """
    known = connection.execute(
        "UPDATE gap SET since = min(since, ?) WHERE ordering_key IS ? AND healed_at IS NULL",
        (since, ordering_key),
    )
    if known.rowcount == 0:
        connection.execute(
            "INSERT INTO gap (ordering_key, since, reason, recorded_at) VALUES (?, ?, ?, ?)",
            (ordering_key, since, reason, time.time()),
        )
