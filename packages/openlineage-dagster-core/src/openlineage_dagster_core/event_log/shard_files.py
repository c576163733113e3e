"""Looks at the files of SQLite event logs, to ask the database only where something changed.

Private parts of Dagster used: `SqliteEventLogStorage.path_for_shard`, the file of a run's log. A
storage without it is asked every time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dagster import DagsterInstance

_Stamp = tuple[tuple[int, int], ...]

UNSURE_SECONDS = 0.1
"""File systems note times coarsely: what was written so recently may be written to once more
without a trace."""


class ShardFiles:
    """Remembers what the files of run logs looked like when they were read.

    Args:
        instance: holds the event logs.
    """

    def __init__(self, instance: DagsterInstance) -> None:
        self._storage: Any = instance.event_log_storage
        self._runs_url = str(getattr(instance.run_storage, "_conn_string", "") or "")
        self._seen: dict[str, _Stamp] = {}
        self._runs_seen: _Stamp | None = None

    def has_changed(self, run_id: str) -> bool:
        """Compare a run's files with what `note` saw.

        Args:
            run_id: the Dagster run id; empty for events reported from outside any run.

        Returns:
            False only where nothing was written since.
        """
        stamp = self._stamp(run_id)
        return stamp is None or (bool(stamp) and self._seen.get(run_id) != stamp)

    def have_changed(self, run_ids: Iterable[str]) -> bool:
        """Compare the files of the runs' rows and of several runs.

        Args:
            run_ids: the Dagster run ids.

        Returns:
            False only where nothing was written since.
        """
        stamp = self._runs_stamp()
        return not stamp or stamp != self._runs_seen or any(map(self.has_changed, run_ids))

    def runs_have_changed(self) -> bool:
        """Compare the file of the runs' rows with the last time, and note it.

        Returns:
            False only where nothing was written since.
        """
        before, now = self._runs_seen, self._runs_stamp()
        self._runs_seen = now if now and _is_sure(now) else None
        return not now or before != now

    def note(self, run_id: str) -> None:
        """Note what a run's files look like, before they are read.

        Args:
            run_id: the Dagster run id.
        """
        stamp = self._stamp(run_id)
        if stamp and _is_sure(stamp):
            self._seen[run_id] = stamp
        else:
            self._seen.pop(run_id, None)

    def forget(self, run_id: str) -> None:
        """Forget a run's files, so that they count as changed.

        Args:
            run_id: the Dagster run id.
        """
        self._seen.pop(run_id, None)

    def forget_all(self) -> None:
        """Forget all files: what was noted was not read to its end."""
        self._seen.clear()

    def _stamp(self, run_id: str) -> _Stamp | None:
        """Give what a run's files look like: nothing without files, None where none are known."""
        try:
            path = str(self._storage.path_for_shard(run_id))
        except AttributeError:
            return None
        return _stamp_of(path)

    def _runs_stamp(self) -> _Stamp:
        prefix = "sqlite:///"
        if not self._runs_url.startswith(prefix):
            return ()
        path = Path(self._runs_url[len(prefix) :])
        return _stamp_of(str(path))


def _is_sure(stamp: _Stamp) -> bool:
    return max(written for written, _ in stamp) < (time.time() - UNSURE_SECONDS) * 1e9


def _stamp_of(path: str) -> _Stamp:
    """Give time and size of a database's file and of its write-ahead log."""
    found = []
    for each in (path, f"{path}-wal"):
        try:
            status = os.stat(each)  # noqa: PTH116 -- asked several times a second
        except OSError:
            continue
        found.append((status.st_mtime_ns, status.st_size))
    return tuple(found)
