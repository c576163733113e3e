"""The outbox: a durable queue of opaque records, written by many processes, sent by one."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

FILE_NAME = "outbox.db"
LOCK_NAME = "shipper.lock"

BUSY_SECONDS = 5.0
"""How long the sender waits for another process's write; writes take well under a millisecond."""

APPEND_BUSY_SECONDS = 0.25
"""How long an append may: a run is waiting for it."""

ATTACHMENT_SECONDS = 30 * 24 * 3600.0

_NONE: Mapping[str, str] = MappingProxyType({})

_SCHEMA = """
CREATE TABLE IF NOT EXISTS record (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    ordering_key TEXT NOT NULL,
    payload TEXT NOT NULL,
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
    attached_at REAL NOT NULL
);
"""


@dataclass(frozen=True)
class Record:
    """Something to send.

    Args:
        id: grows with each append.
        ordering_key: records with the same key are sent in the order of their ids.
        payload: what the owner of the outbox makes events of.
    """

    id: int
    ordering_key: str
    payload: str


class Outbox:
    """One SQLite file (WAL), private to the user; usable from any thread and after a fork.

    Once `append` has returned, the record survives the death of the process.

    Args:
        directory: made if need be, with mode 0700.
        busy_seconds: how long to wait for another's write.

    Raises:
        OSError: the directory cannot be made (on first use).
        sqlite3.Error: the file cannot be used (any method).
    """

    def __init__(self, directory: Path, busy_seconds: float = BUSY_SECONDS) -> None:
        self.directory = directory
        self._busy_seconds = busy_seconds
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        _open_outboxes.add(self)

    @property
    def path(self) -> Path:
        """The SQLite file."""
        return self.directory / FILE_NAME

    @property
    def lock_path(self) -> Path:
        """The file whose lock elects the process that sends."""
        return self.directory / LOCK_NAME

    def append(
        self, records: Iterable[tuple[str, str]], attachments: Mapping[str, str] = _NONE
    ) -> None:
        """Add records, all or none.

        Args:
            records: the ordering key and the payload of each.
            attachments: by ordering key, replaces what is kept beside the key's records.
        """
        now = time.time()
        with self._transaction() as connection:
            connection.executemany(
                "INSERT INTO record (ordering_key, payload, appended_at) VALUES (?, ?, ?)",
                [(ordering_key, payload, now) for ordering_key, payload in records],
            )
            connection.executemany(
                "INSERT OR REPLACE INTO attachment VALUES (?, ?, ?)",
                [(ordering_key, content, now) for ordering_key, content in attachments.items()],
            )

    def attachment(self, ordering_key: str) -> str | None:
        """Get what is kept for a key.

        Args:
            ordering_key: the key.

        Returns:
            The latest attachment.
        """
        with self._transaction() as connection:
            row = connection.execute(
                "SELECT content FROM attachment WHERE ordering_key = ?", (ordering_key,)
            ).fetchone()
        return row[0] if row else None

    def pending(self, limit: int, without: Collection[str] = ()) -> list[Record]:
        """Read the oldest records.

        Args:
            limit: how many at most.
            without: the ordering keys to leave out.

        Returns:
            The records in order.
        """
        with self._transaction() as connection:
            rows = connection.execute(
                "SELECT id, ordering_key, payload FROM record WHERE ordering_key NOT IN "
                "(SELECT value FROM json_each(?)) ORDER BY id LIMIT ?",
                (json.dumps(sorted(without)), limit),
            ).fetchall()
        return [Record(*row) for row in rows]

    def remove(self, records: Sequence[Record]) -> None:
        """Forget records that were sent.

        Args:
            records: from `pending`.
        """
        with self._transaction() as connection:
            connection.executemany(
                "DELETE FROM record WHERE id = ?", [(record.id,) for record in records]
            )

    def park(self, record: Record, reason: str) -> None:
        """Set a record aside, with what was said of it.

        Args:
            record: from `pending`.
            reason: the backend's answer, or the error of the conversion.
        """
        with self._transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO parked VALUES (?, ?, ?, ?, ?)",
                (record.id, record.ordering_key, record.payload, reason, time.time()),
            )
            connection.execute("DELETE FROM record WHERE id = ?", (record.id,))

    def depth(self) -> int:
        """Count what waits.

        Returns:
            The number of records.
        """
        with self._transaction() as connection:
            return int(connection.execute("SELECT count(*) FROM record").fetchone()[0])

    def parked(self) -> list[tuple[Record, str]]:
        """Read what was set aside.

        Returns:
            Each record with the reason.
        """
        with self._transaction() as connection:
            rows = connection.execute(
                "SELECT id, ordering_key, payload, reason FROM parked ORDER BY id"
            ).fetchall()
        return [(Record(*row[:3]), row[3]) for row in rows]

    def drop_attachment(self, ordering_key: str) -> None:
        """Forget what is kept for a key, unless something of it is parked and may be retried.

        Args:
            ordering_key: the key.
        """
        with self._transaction() as connection:
            connection.execute(
                "DELETE FROM attachment WHERE ordering_key = ? AND NOT EXISTS "
                "(SELECT 1 FROM parked WHERE parked.ordering_key = attachment.ordering_key)",
                (ordering_key,),
            )

    def drop_old_attachments(self) -> None:
        """Forget the attachments of runs that ended long ago."""
        with self._transaction() as connection:
            connection.execute(
                "DELETE FROM attachment WHERE attached_at < ?",
                (time.time() - ATTACHMENT_SECONDS,),
            )

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            if self._connection is None:
                self._connection = self._connect()
            with self._connection as connection:
                yield connection

    def _connect(self) -> sqlite3.Connection:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        # SQLite gives its -wal and -shm files the mode of the database file. Only a file that is
        # not there is opened here: closing one would drop this process's locks on it (POSIX).
        with contextlib.suppress(FileExistsError):
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        connection = sqlite3.connect(self.path, timeout=self._busy_seconds, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        # Durable against the death of the process; a power cut may cost the last records, which
        # are in the event log.
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.executescript(_SCHEMA)
        return connection


_open_outboxes: weakref.WeakSet[Outbox] = weakref.WeakSet()
_forking: list[Outbox] = []


def _before_fork() -> None:
    """Close the files: neither SQLite's locks nor a lock held by another thread survive a fork."""
    for outbox in list(_open_outboxes):
        outbox._lock.acquire()  # noqa: SLF001 -- this module's own
        outbox._close()  # noqa: SLF001
        _forking.append(outbox)


def _after_fork() -> None:
    while _forking:
        _forking.pop()._lock.release()  # noqa: SLF001


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork
    )
