"""Watches the files of SQLite event logs, to ask the database only where something changed.

Private parts of Dagster used: `SqliteEventLogStorage.path_for_shard`, the file of a run's log. A
storage without it is asked every time. The run id "" is that of events from outside any run.
"""

import os
import time
from collections.abc import Iterable
from typing import Any

from dagster import DagsterInstance

_Stamp = tuple[tuple[int, int], ...]
UNSURE_SECONDS = 0.1  # Within which a file may change twice with one time: file systems are coarse
_SQLITE = "sqlite:///"


class ShardFiles:
    """Keeps what the files of run logs looked like when they were read."""

    def __init__(self, instance: DagsterInstance) -> None:
        self._storage: Any = instance.event_log_storage
        self._runs_url = str(getattr(instance.run_storage, "_conn_string", "") or "")
        self._seen: dict[str, _Stamp] = {}
        self._runs_seen: _Stamp | None = None

    def has_changed(self, run_id: str) -> bool:
        """Return False only where nothing was written to a run's files since `note`."""
        stamp = self._stamp(run_id)
        return stamp is None or (bool(stamp) and self._seen.get(run_id) != stamp)

    def have_changed(self, run_ids: Iterable[str]) -> bool:
        """Return False only where nothing was written to the runs' rows and these runs' files."""
        stamp = self._runs_stamp()
        return not stamp or stamp != self._runs_seen or any(map(self.has_changed, run_ids))

    def runs_have_changed(self) -> bool:
        """Return False only where nothing was written to the runs' rows since the last call."""
        before, now = self._runs_seen, self._runs_stamp()
        self._runs_seen = now if now and _is_sure(now) else None
        return not now or before != now

    def note(self, run_id: str) -> None:
        """Note what a run's files look like, before they are read."""
        stamp = self._stamp(run_id)
        if stamp and _is_sure(stamp):
            self._seen[run_id] = stamp
        else:
            self.forget(run_id)

    def forget(self, run_id: str) -> None:
        """Forget a run's files, so that they count as changed."""
        self._seen.pop(run_id, None)

    def forget_all(self) -> None:
        """Forget the files of all runs."""
        self._seen.clear()

    def _stamp(self, run_id: str) -> _Stamp | None:
        """Return what a run's files look like: empty without files, None where none are known."""
        try:
            return _stamp_of(str(self._storage.path_for_shard(run_id)))
        except AttributeError:
            return None

    def _runs_stamp(self) -> _Stamp:
        if not self._runs_url.startswith(_SQLITE):
            return ()
        return _stamp_of(self._runs_url.removeprefix(_SQLITE))


def _is_sure(stamp: _Stamp) -> bool:
    return max(written for written, _ in stamp) < (time.time() - UNSURE_SECONDS) * 1e9


def _stamp_of(path: str) -> _Stamp:
    """Return time and size of a database's file and of its write-ahead log."""
    found = []
    for each in (path, f"{path}-wal"):
        try:
            status = os.stat(each)  # noqa: PTH116 -- asked several times a second
        except OSError:
            continue
        found.append((status.st_mtime_ns, status.st_size))
    return tuple(found)
