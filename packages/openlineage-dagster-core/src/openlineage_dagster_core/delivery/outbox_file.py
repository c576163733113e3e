"""The outbox's SQLite file: private, safe across forks, replaced when it is broken or gone."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from filelock import FileLock

from openlineage_dagster_core.delivery import gap_notes
from openlineage_dagster_core.delivery.collecting import first_uncollected
from openlineage_dagster_core.delivery.tables import (
    MARGIN_SECONDS,
    SCHEMA,
    has_tables,
    insert_gap,
)

FILE_NAME = "outbox.db"
REPAIR_LOCK_NAME = "repair.lock"

REPAIR_SECONDS = 2.0
"""How long to wait for another process that is replacing the file."""

OLDEST_CHECKED_SECONDS = 60.0
"""How old what is known of the oldest record may be."""

UNSENT_SECONDS = 24 * 3600.0
"""How long records may have waited in a file that was broken before this process could read it."""

logger = logging.getLogger(__name__)

T = TypeVar("T")


class OutboxFile:
    """One SQLite file (WAL); usable from any thread and after a fork.

    A file that SQLite cannot read is set aside; one that was deleted is made anew. What was lost
    with it is unknown, so a gap is recorded in the new one: all runs, since the oldest record that
    this process knew of.

    Args:
        directory: made if need be, with mode 0700.
        busy_seconds: how long to wait for another's write.
    """

    def __init__(self, directory: Path, busy_seconds: float) -> None:
        self.path = directory / FILE_NAME
        self._directory = directory
        self._busy_seconds = busy_seconds
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._oldest = 0.0
        self._oldest_checked = 0.0
        _open_files.add(self)

    def run(self, work: Callable[[sqlite3.Connection], T], *, is_reading_first: bool = False) -> T:
        """Do something in one transaction.

        Args:
            work: gets the connection; done a second time where the file turns out to be broken.
            is_reading_first: whether it writes what it makes of what it has read.

        Returns:
            What `work` returns.

        Raises:
            OSError: the directory cannot be made.
            sqlite3.Error: the file cannot be used.
        """
        # SQLite does not let a transaction write that has begun by reading what others write.
        begin = "BEGIN IMMEDIATE" if is_reading_first else "BEGIN"
        with self._lock:
            try:
                return self._attempt(work, begin)
            except sqlite3.DatabaseError as error:
                if not (_is_broken(error) or _may_be_broken(error)):
                    raise
                if _is_broken(error):
                    self._set_aside(error)
                else:
                    # It may be this connection only.
                    self._close()
            try:
                return self._attempt(work, begin)
            except sqlite3.DatabaseError as error:
                if not (_is_broken(error) or _may_be_broken(error)):
                    raise
                self._set_aside(error)
            return self._attempt(work, begin)

    def tidy(self) -> None:
        """Move what is written into the file itself, and give back what it does not need.

        Raises:
            sqlite3.Error: the file cannot be used.
        """
        self.run(
            lambda connection: connection.execute("PRAGMA incremental_vacuum(1000)").fetchall()
        )
        with self._lock:
            if self._connection is not None:
                self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with self._lock:
            # What cannot be recorded now is noted beside it.
            with contextlib.suppress(OSError, sqlite3.Error):
                self._replace_if_gone()
            self._close()

    def _attempt(self, work: Callable[[sqlite3.Connection], T], begin: str) -> T:
        self._replace_if_gone()
        connection = self._connection or self._open()
        if time.monotonic() - self._oldest_checked > OLDEST_CHECKED_SECONDS:
            self._look_for_oldest(connection)
        connection.execute(begin)
        with connection:
            return work(connection)

    def _replace_if_gone(self) -> None:
        if self._connection is not None and self._identity != _identity_of(self.path):
            self._close()
            self._reopen("the outbox was deleted or replaced")

    def _look_for_oldest(self, connection: sqlite3.Connection) -> None:
        row = connection.execute("SELECT appended_at FROM record ORDER BY id LIMIT 1").fetchone()
        waiting = [line.appended_at for line in first_uncollected(connection, self._directory)]
        self._oldest = min([*(row or ()), *waiting], default=time.time()) - MARGIN_SECONDS
        self._oldest_checked = time.monotonic()

    def _open(self) -> sqlite3.Connection:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        # SQLite gives its -wal and -shm files the mode of the database file. Only a file that is
        # not there is opened here: closing one would drop this process's locks on it (POSIX).
        with contextlib.suppress(FileExistsError):
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        connection = sqlite3.connect(
            self.path, timeout=self._busy_seconds, check_same_thread=False, isolation_level=None
        )
        try:
            if not has_tables(connection):
                # Only before there is a table; and it would wait for whoever writes.
                connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("PRAGMA journal_mode = WAL")
            # Durable against the death of the process; a power cut may cost the last records,
            # which are in the event log.
            connection.execute("PRAGMA synchronous = NORMAL")
            if not has_tables(connection):
                # In one go: whoever looks from outside finds all of them or none.
                connection.executescript(f"BEGIN IMMEDIATE; {SCHEMA} COMMIT;")
            self._look_for_oldest(connection)
        except BaseException:
            connection.close()
            raise
        self._connection, self._identity = connection, _identity_of(self.path)
        return connection

    def _reopen(self, reason: str) -> None:
        since = self._oldest
        try:
            connection = self._open()
            connection.execute("BEGIN")
            with connection:
                insert_gap(connection, None, since, reason)
        except (sqlite3.Error, OSError):
            # It cannot be made anew now; whoever makes it will find this.
            gap_notes.write(self._directory, None, since, reason)
            raise
        logger.error(
            "OpenLineage: %s: %s; no impact on your runs, what was not sent is read from the event "
            "log again",
            reason,
            self.path,
        )

    def _set_aside(self, error: sqlite3.DatabaseError) -> None:
        identity = self._identity or _identity_of(self.path)
        self._close()
        self._oldest = self._oldest or _oldest_in(self.path)
        lock = FileLock(self._directory / REPAIR_LOCK_NAME, mode=0o600, timeout=REPAIR_SECONDS)
        with lock:
            if identity == _identity_of(self.path):
                suffix = f".broken-{time.time_ns()}"
                # The log of changes first: it would be taken for the new file's.
                for name in (f"{FILE_NAME}-wal", f"{FILE_NAME}-shm", FILE_NAME):
                    with contextlib.suppress(FileNotFoundError):
                        (self._directory / name).rename(self._directory / f"{name}{suffix}")
        self._reopen(f"the outbox was broken ({error}) and is set aside")

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
            self._identity = None


def _is_broken(error: sqlite3.DatabaseError) -> bool:
    # A full disk, a lock or missing permission is a subclass, OperationalError.
    return type(error) is sqlite3.DatabaseError


def _may_be_broken(error: sqlite3.DatabaseError) -> bool:
    return "disk I/O error" in str(error)


def _identity_of(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _oldest_in(path: Path) -> float:
    """Guess when the oldest record of a file was appended that cannot be read any more."""
    try:
        return path.stat().st_mtime - UNSENT_SECONDS
    except OSError:
        return time.time() - UNSENT_SECONDS


_open_files: weakref.WeakSet[OutboxFile] = weakref.WeakSet()
_forking: list[OutboxFile] = []


def _before_fork() -> None:
    """Close the files: neither SQLite's locks nor a lock held by another thread survive a fork."""
    for file in list(_open_files):
        file._lock.acquire()  # noqa: SLF001 -- this module's own
        file._close()  # noqa: SLF001
        _forking.append(file)


def _after_fork() -> None:
    while _forking:
        _forking.pop()._lock.release()  # noqa: SLF001


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork
    )
