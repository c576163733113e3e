"""Makes one deliverer the leader: a lock held in the database, which a death frees.

Private parts of Dagster used: `index_connection` of its SQL event log storages, for a database
session of our own with the storage's address and credentials.
"""

import contextlib
import select
import socket
import threading
import time
from pathlib import Path
from typing import Any

from dagster import DagsterInstance
from filelock import FileLock, Timeout
from sqlalchemy import text

POSTGRES_CLASS = 0x0D46  # The first half of the advisory lock's number; the second is the schema's
CHANNEL = "run_events"  # The channel on which dagster-postgres announces each stored event
MYSQL_NAME = "openlineage_dagster"
LOCK_FILE = "openlineage-deliverer.lock"
MYSQL_CHECK_SECONDS = 1.0  # Seconds for which a MySQL session that answered is trusted


class Leadership:
    """Held by the one process that delivers: a lock of a database session, or of a file."""

    announces = False  # Whether `wait` returns as soon as something is stored
    trusted_seconds = 0.0  # Seconds after its session ended in which a process may still send

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack = stack
        self._is_held = True

    def is_held(self) -> bool:
        """Return False if the lock is lost; asked before each request."""
        return self._is_held

    def wait(self, seconds: float) -> bool:
        """Wait for news for `seconds` at most; return True if there is some or the lock is lost."""
        time.sleep(seconds)
        return False

    def release(self) -> None:
        """Give the lock up."""
        self._is_held = False
        with contextlib.suppress(Exception):
            self._stack.close()


SHARED = frozenset({"postgresql", "mysql", "mariadb"})  # Databases that several machines use


def is_vacant(instance: DagsterInstance) -> bool:
    """Return True if a shared database says that no process leads.

    False says nothing for SQLite: only processes of one machine deliver its log, and they see each
    other.
    """
    leadership = acquire(instance, only_shared=True)
    if leadership is not None:
        leadership.release()
    return leadership is not None


def acquire(instance: DagsterInstance, *, only_shared: bool = False) -> Leadership | None:
    """Try to become the leader; return None where another process is.

    `only_shared` leaves alone what a single machine uses, such as SQLite.
    """
    storage: Any = instance.event_log_storage
    with contextlib.ExitStack() as opening:
        connect = getattr(storage, "index_connection", None)
        connection: Any = opening.enter_context(connect()) if connect is not None else None
        dialect = connection.dialect.name if connection is not None else ""
        if dialect in SHARED:
            kind = _PostgresLeadership if dialect == "postgresql" else _MySQLLeadership
            leadership: Leadership = kind(connection, opening.pop_all())
            if leadership.is_held():
                if not only_shared:
                    # Let the process that led before notice that it has lost the lock.
                    time.sleep(leadership.trusted_seconds)
                return leadership
            leadership.release()
            return None
        database = connection.engine.url.database if dialect == "sqlite" else None
    if only_shared:
        return None
    folder = Path(database).parent if database else Path(instance.root_directory)
    # Every thread that sends asks for it.
    lock = FileLock(folder / LOCK_FILE, mode=0o600, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return None
    return _FileLeadership(lock)


class _PostgresLeadership(Leadership):
    """An advisory lock of a session, which also listens to what Dagster announces."""

    announces = True

    def __init__(self, connection: Any, stack: contextlib.ExitStack) -> None:
        super().__init__(stack)
        self._session: Any = connection.connection.dbapi_connection
        self._looking = threading.Lock()
        self._is_announced = False
        lock = text("SELECT pg_try_advisory_lock(:class, hashtext(current_schema()))")
        self._is_held = bool(connection.execute(lock, {"class": POSTGRES_CLASS}).scalar())
        if self._is_held:
            connection.execute(text(f"LISTEN {CHANNEL}"))
            _notice_dead_peer(self._session.fileno())

    def is_held(self) -> bool:
        self._look(0.0)
        return self._is_held

    def wait(self, seconds: float) -> bool:
        if not self._is_announced:
            self._look(seconds)
        is_announced, self._is_announced = self._is_announced, False
        return is_announced or not self._is_held

    def _look(self, seconds: float) -> None:
        """Take what the server says; it says, too, that a session has ended."""
        if not self._is_held:
            return
        try:
            if not select.select([self._session], [], [], seconds)[0]:
                return
            with self._looking:
                # Its last words come before the end of a session, which a further look finds.
                # Another thread may have taken it all.
                while not self._session.closed and select.select([self._session], [], [], 0.0)[0]:
                    self._session.poll()
                if self._session.notifies:
                    self._session.notifies.clear()
                    self._is_announced = True
                self._is_held = not self._session.closed
        except Exception:
            # Whatever the driver raises, the session has ended.
            self._is_held = False


def _notice_dead_peer(descriptor: int) -> None:
    """Have the system notice within half a minute that the server is unreachable."""
    options = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
    with (
        contextlib.suppress(OSError),
        socket.fromfd(descriptor, socket.AF_INET, socket.SOCK_STREAM) as peer,
    ):
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in options.items():
            if hasattr(socket, name):
                peer.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


class _MySQLLeadership(Leadership):
    """A named lock of a session."""

    trusted_seconds = MYSQL_CHECK_SECONDS

    def __init__(self, connection: Any, stack: contextlib.ExitStack) -> None:
        super().__init__(stack)
        self._connection = connection
        # Names are the server's, not the database's.
        self._name = {"name": f"{MYSQL_NAME}.{connection.engine.url.database}"[:64]}
        lock = text("SELECT GET_LOCK(:name, 0)")
        self._is_held = connection.execute(lock, self._name).scalar() == 1
        self._checked_at = time.monotonic()

    def is_held(self) -> bool:
        if self._is_held and time.monotonic() - self._checked_at > MYSQL_CHECK_SECONDS:
            try:
                check = text("SELECT IS_USED_LOCK(:name) = CONNECTION_ID()")
                self._is_held = self._connection.execute(check, self._name).scalar() == 1
            except Exception:
                self._is_held = False
            self._checked_at = time.monotonic()
        return self._is_held


class _FileLeadership(Leadership):
    """A lock on a file next to an SQLite database, which one machine's processes share."""

    def __init__(self, lock: FileLock) -> None:
        self._lock = lock
        self._file = _file_of(lock)

    def is_held(self) -> bool:
        # A home that was deleted and made anew has another file.
        return self._lock.is_locked and _file_of(self._lock) == self._file is not None

    def release(self) -> None:
        self._lock.release()


def _file_of(lock: FileLock) -> tuple[int, int] | None:
    try:
        status = Path(lock.lock_file).stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
