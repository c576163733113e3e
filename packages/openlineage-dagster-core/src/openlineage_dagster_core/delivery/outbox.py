"""The outbox: a durable queue of opaque records, written by many processes, sent by one."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType

from openlineage_dagster_core.delivery import collecting, gap_notes, journal
from openlineage_dagster_core.delivery.outbox_file import FILE_NAME, OutboxFile
from openlineage_dagster_core.delivery.tables import MARGIN_SECONDS, has_tables, insert_gap
from openlineage_dagster_core.delivery.writer import this_writer

LOCK_NAME = "shipper.lock"

BUSY_SECONDS = 5.0
"""How long the sender waits for another process's write; writes take well under a millisecond."""

APPEND_BUSY_SECONDS = 0.25
"""How long an append may: a run is waiting for it."""

LET_OTHERS_SECONDS = 0.03
"""Between two transactions that collect: who waits for the file's lock asks from time to time."""

CHECK_SECONDS = 1.0
"""How often an append makes sure that what it appends to is still there."""

ENDED_ATTACHMENT_SECONDS = 24 * 3600.0
"""How long the attachment of an ended run is kept, for what is sent once more."""

ENDED_ATTACHMENT_CHARACTERS = 100_000_000
"""How much all of those may be together."""

ATTACHMENT_SECONDS = 30 * 24 * 3600.0
"""How long that of a run that does not end."""

_NONE: Mapping[str, str] = MappingProxyType({})
_NO_GAPS: Mapping[str | None, float] = MappingProxyType({})


@dataclass(frozen=True)
class Record:
    """Something to send.

    Args:
        id: grows with each append.
        ordering_key: records with the same key are sent in the order of their ids.
        payload: what the owner of the outbox makes events of.
        appended_at: in seconds since the epoch.
        writer: who appended it and may not be through with what it stands for; None if nobody.
    """

    id: int
    ordering_key: str
    payload: str
    appended_at: float = 0.0
    writer: str | None = None


@dataclass(frozen=True)
class Gap:
    """Records that could not be appended, or were lost.

    Args:
        id: grows with each gap; 0 of one that is not in the outbox yet.
        ordering_key: whose they are; None for any.
        since: when the first of them was to be appended, in seconds since the epoch.
        reason: why they are missing.
    """

    id: int
    ordering_key: str | None
    since: float
    reason: str


@dataclass(frozen=True)
class OutboxStatus:
    """How an outbox is.

    Args:
        depth: records that wait.
        oldest_seconds: how long the oldest has waited; None if none waits.
        parked: records that were set aside.
        gaps: what is missing and has not been read from the event log again.
        last_sent_at: when a record was sent, in seconds since the epoch; None if never.
        last_error: what the backend said last, or why nothing can be sent; None while all is well.
        last_error_at: when that was, in seconds since the epoch.
    """

    depth: int = 0
    oldest_seconds: float | None = None
    parked: int = 0
    gaps: tuple[Gap, ...] = ()
    last_sent_at: float | None = None
    last_error: str | None = None
    last_error_at: float | None = None

    @property
    def is_drained(self) -> bool:
        """Whether nothing waits and nothing is missing: all has been sent or set aside."""
        return not self.depth and not self.gaps


class Outbox:
    """Records in files that are private to the user; usable from any thread and after a fork.

    Appended records are in the journal of their process until somebody reads what waits; from then
    on they are in one SQLite file. Once `append` has returned, they survive the death of the
    process.

    Args:
        directory: made if need be, with mode 0700.
        busy_seconds: how long to wait for another's write.

    Raises:
        OSError: the directory cannot be made (on first use).
        sqlite3.Error: the file cannot be used (any method).
    """

    def __init__(self, directory: Path, busy_seconds: float = BUSY_SECONDS) -> None:
        self.directory = directory
        self._file = OutboxFile(directory, busy_seconds)
        self._journal = journal.Journal(directory)
        self._checked_at = 0.0

    @property
    def path(self) -> Path:
        """The SQLite file."""
        return self._file.path

    @property
    def lock_path(self) -> Path:
        """The file whose lock elects the process that sends."""
        return self.directory / LOCK_NAME

    def append(
        self,
        records: Iterable[tuple[str, str]],
        attachments: Mapping[str, str] = _NONE,
        gaps: Mapping[str | None, float] = _NO_GAPS,
        *,
        reason: str = "",
    ) -> None:
        """Add records, all or none.

        Args:
            records: the ordering key and the payload of each.
            attachments: by ordering key, replaces what is kept beside the key's records.
            gaps: by ordering key, None for any, since when records are missing, in seconds since
                the epoch.
            reason: why they are.
        """
        added = list(records)
        if attachments or gaps:
            self._file.run(partial(_keep, attachments=attachments, gaps=gaps, reason=reason))
        if added:
            if time.monotonic() - self._checked_at > CHECK_SECONDS:
                self._check()
            self._journal.append(added)

    def release(self, records: Iterable[tuple[str, str]]) -> None:
        """Say that this process, which appended records, is through with what they stand for.

        Args:
            records: as they were appended.
        """
        self._journal.append(records, is_release=True)

    def _check(self) -> None:
        """Make sure that there is a file, and that what was appended to the journal is not lost."""
        collected = self._file.run(
            lambda connection: connection.execute(
                "SELECT collected FROM journal WHERE name = ?", (self._journal.name,)
            ).fetchone()
        )
        if collected:
            self._journal.note_collected(collected[0])
        self._notice_loss()
        self._checked_at = time.monotonic()

    def _notice_loss(self) -> None:
        if self._journal.is_lost():
            since = self._journal.waiting_since - MARGIN_SECONDS
            reason = "a journal of the outbox was deleted"
            self._journal.close()
            try:
                self._record_gap(None, since, reason)
            except (sqlite3.Error, OSError):
                gap_notes.write(self.directory, None, since, reason)
                raise

    def _collect(self, within: float | None = None) -> None:
        """Take what processes have appended since the last time, before anything is read.

        Args:
            within: how long, in seconds; the rest is left then.
        """
        began = time.monotonic()
        # To look takes no lock.
        is_left = self._file.run(partial(collecting.is_anything_left, directory=self.directory))
        while is_left:
            is_left = self._file.run(
                partial(collecting.collect, directory=self.directory), is_reading_first=True
            )
            if within is not None and time.monotonic() - began > within:
                return
            if is_left:
                time.sleep(LET_OTHERS_SECONDS)

    def pending(self, limit: int, without: Collection[str] = ()) -> list[Record]:
        """Read the oldest records.

        Args:
            limit: how many at most.
            without: the ordering keys to leave out.

        Returns:
            The records in order.
        """
        self._collect()
        left_out = json.dumps(sorted(without))
        rows = self._file.run(
            lambda connection: connection.execute(
                "SELECT id, ordering_key, payload, appended_at, writer FROM record WHERE "
                "ordering_key NOT IN (SELECT value FROM json_each(?)) ORDER BY id LIMIT ?",
                (left_out, limit),
            ).fetchall()
        )
        return [Record(*row) for row in rows]

    def later_than(self, record: Record, limit: int) -> list[Record]:
        """Read what was appended after a record with the same ordering key.

        Args:
            record: from `pending`.
            limit: how many at most.

        Returns:
            The oldest of them, in order; all that was appended before this was asked is seen.
        """
        self._collect()
        rows = self._file.run(
            lambda connection: connection.execute(
                "SELECT id, ordering_key, payload, appended_at, writer FROM record WHERE "
                "ordering_key = ? AND id > ? ORDER BY id LIMIT ?",
                (record.ordering_key, record.id, limit),
            ).fetchall()
        )
        return [Record(*row) for row in rows]

    def remove(self, records: Sequence[Record]) -> None:
        """Forget records that were sent.

        Args:
            records: from `pending`.
        """
        rows = [(record.id,) for record in records]

        def forget(connection: sqlite3.Connection) -> None:
            connection.executemany("DELETE FROM record WHERE id = ?", rows)
            connection.execute(
                "INSERT OR REPLACE INTO delivery VALUES ('sent', NULL, ?)", (time.time(),)
            )

        self._file.run(forget)

    def park(self, record: Record, reason: str) -> None:
        """Set a record aside, with what was said of it.

        Args:
            record: from `pending`.
            reason: the backend's answer, or the error of the conversion.
        """

        def set_aside(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT OR REPLACE INTO parked VALUES (?, ?, ?, ?, ?)",
                (record.id, record.ordering_key, record.payload, reason, time.time()),
            )
            connection.execute("DELETE FROM record WHERE id = ?", (record.id,))

        self._file.run(set_aside)

    def depth(self) -> int:
        """Count what waits.

        Returns:
            The number of records.
        """

        def count(connection: sqlite3.Connection) -> int:
            collected = int(connection.execute("SELECT count(*) FROM record").fetchone()[0])
            return collected + sum(1 for _ in collecting.uncollected(connection, self.directory))

        return self._file.run(count)

    def newest(self, within: float) -> int:
        """Find the end of what waits.

        Args:
            within: how long to take what is still in the journals, in seconds.

        Returns:
            The id of the newest record; 0 where none waits.
        """
        self._collect(within)
        return self._file.run(
            lambda connection: int(
                connection.execute("SELECT max(id) FROM record").fetchone()[0] or 0
            )
        )

    def has_older(self, newest: int) -> bool:
        """Tell whether anything is left of what waited at some time.

        Args:
            newest: the end of it, from `newest`.

        Returns:
            Whether a record with that id or a lower one waits.
        """
        return self._file.run(
            lambda connection: bool(
                connection.execute(
                    "SELECT EXISTS (SELECT 1 FROM record WHERE id <= ?)", (newest,)
                ).fetchone()[0]
            )
        )

    def has_waiting_of_others(self, appended_before: float) -> bool:
        """Tell whether anything has waited for long that this process did not append.

        Args:
            appended_before: in seconds since the epoch.

        Returns:
            Whether it has.
        """
        writer = this_writer()

        def look(connection: sqlite3.Connection) -> bool:
            collected = connection.execute(
                "SELECT EXISTS (SELECT 1 FROM record WHERE appended_at < ? AND writer IS NOT ?)",
                (appended_before, writer),
            ).fetchone()[0]
            return bool(collected) or any(
                line.appended_at < appended_before and line.writer != writer
                for line in collecting.first_uncollected(connection, self.directory)
            )

        return self._file.run(look)

    def has_work(self) -> bool:
        """Tell whether earlier processes left something to do.

        Returns:
            Whether records wait or gaps are to be filled; an outbox that is not there has none.
        """
        if any(gap_notes.read(self.directory)):
            return True
        is_there = self.path.exists() or journal.sizes(self.directory)
        return bool(is_there) and self._file.run(self._has_work)

    def _has_work(self, connection: sqlite3.Connection) -> bool:
        found = connection.execute(
            "SELECT EXISTS (SELECT 1 FROM record) OR "
            "EXISTS (SELECT 1 FROM gap WHERE healed_at IS NULL)"
        ).fetchone()[0]
        return bool(found) or collecting.is_anything_left(connection, self.directory)

    def parked(self) -> list[tuple[Record, str]]:
        """Read what was set aside.

        Returns:
            Each record with the reason.
        """
        rows = self._file.run(
            lambda connection: connection.execute(
                "SELECT id, ordering_key, payload, reason FROM parked ORDER BY id"
            ).fetchall()
        )
        return [(Record(*row[:3]), row[3]) for row in rows]

    def retry(self, records: Sequence[Record]) -> None:
        """Let records wait again that were set aside, in their old places.

        Args:
            records: from `parked`.
        """
        rows = [(record.id,) for record in records]
        now = time.time()

        def put_back(connection: sqlite3.Connection) -> None:
            connection.executemany(
                "INSERT OR IGNORE INTO record (id, ordering_key, payload, appended_at) "
                "SELECT id, ordering_key, payload, ? FROM parked WHERE id = ?",
                [(now, *row) for row in rows],
            )
            connection.executemany("DELETE FROM parked WHERE id = ?", rows)

        self._file.run(put_back)

    def drop_parked(self, records: Sequence[Record]) -> None:
        """Forget records that were set aside.

        Args:
            records: from `parked`.
        """
        rows = [(record.id,) for record in records]
        self._file.run(
            lambda connection: connection.executemany("DELETE FROM parked WHERE id = ?", rows)
        )

    def attachment(self, ordering_key: str) -> str | None:
        """Get what is kept for a key.

        Args:
            ordering_key: the key.

        Returns:
            The latest attachment.
        """
        row = self._file.run(
            lambda connection: connection.execute(
                "SELECT content FROM attachment WHERE ordering_key = ?", (ordering_key,)
            ).fetchone()
        )
        return row[0] if row else None

    def end_attachment(self, ordering_key: str) -> None:
        """Say that nothing new will need what is kept for a key; it is kept for a while.

        Args:
            ordering_key: the key.
        """
        self._file.run(
            lambda connection: connection.execute(
                "UPDATE attachment SET ended_at = ? WHERE ordering_key = ? AND ended_at IS NULL",
                (time.time(), ordering_key),
            )
        )

    def drop_old_attachments(self) -> None:
        """Forget what is kept for too long or is too much, unless something of it is parked."""
        now = time.time()

        def drop(connection: sqlite3.Connection) -> None:
            connection.execute(
                "DELETE FROM attachment WHERE (ended_at < ? OR attached_at < ?) "
                "AND ordering_key NOT IN (SELECT ordering_key FROM parked)",
                (now - ENDED_ATTACHMENT_SECONDS, now - ATTACHMENT_SECONDS),
            )
            kept = 0
            for ordering_key, size in connection.execute(
                "SELECT ordering_key, length(content) FROM attachment WHERE ended_at IS NOT NULL "
                "ORDER BY ended_at DESC"
            ).fetchall():
                kept += size
                if kept > ENDED_ATTACHMENT_CHARACTERS:
                    connection.execute(
                        "DELETE FROM attachment WHERE ordering_key = ?", (ordering_key,)
                    )

        self._file.run(drop)

    def gaps(self) -> list[Gap]:
        """Read what is missing, also what was written down beside the outbox.

        Returns:
            The gaps that are not healed.
        """
        for ordering_key, since, reason in gap_notes.take(self.directory):
            self._record_gap(ordering_key, since, reason)
        rows = self._file.run(
            lambda connection: connection.execute(
                "SELECT id, ordering_key, since, reason FROM gap WHERE healed_at IS NULL "
                "ORDER BY id"
            ).fetchall()
        )
        return [Gap(*row) for row in rows]

    def misses_any(self, ordering_key: str) -> bool:
        """Tell whether records of a key may be missing.

        Args:
            ordering_key: the key.

        Returns:
            Whether a gap is recorded that is not healed, of this key or of any.
        """
        return self._file.run(
            lambda connection: bool(
                connection.execute(
                    "SELECT EXISTS (SELECT 1 FROM gap WHERE healed_at IS NULL "
                    "AND (ordering_key IS NULL OR ordering_key = ?))",
                    (ordering_key,),
                ).fetchone()[0]
            )
        )

    def _record_gap(self, ordering_key: str | None, since: float, reason: str) -> None:
        self._file.run(lambda connection: insert_gap(connection, ordering_key, since, reason))

    def heal(self, gap: Gap, records: Iterable[tuple[str, str]]) -> None:
        """Put in place of a gap what stands for all that is missing.

        Args:
            gap: from `gaps`.
            records: the ordering key and the payload of each.
        """
        now = time.time()
        rows = [(ordering_key, payload, now) for ordering_key, payload in records]

        def fill(connection: sqlite3.Connection) -> None:
            healed = connection.execute(
                "UPDATE gap SET healed_at = ? WHERE id = ? AND healed_at IS NULL AND since >= ?",
                (now, gap.id, gap.since),
            )
            # Otherwise it has grown meanwhile.
            if healed.rowcount:
                connection.executemany(
                    "INSERT INTO record (ordering_key, payload, appended_at) VALUES (?, ?, ?)",
                    rows,
                )

        self._file.run(fill)

    def tidy(self) -> None:
        """Keep the files small, also while nothing can be sent."""
        self.drop_ended_journals()
        self._file.tidy()

    def drop_ended_journals(self) -> None:
        """Delete the journals of processes that have ended, of which everything is collected."""
        note = self._file.run(lambda connection: collecting.drop_ended(connection, self.directory))
        self._file.run(lambda _: note())

    def note_error(self, error: str | None) -> None:
        """Note how the sending goes, for whoever asks from outside.

        Args:
            error: why nothing can be sent; None when it goes well again.
        """
        self._file.run(
            lambda connection: connection.execute(
                "INSERT OR REPLACE INTO delivery VALUES ('error', ?, ?)", (error, time.time())
            )
        )

    def close(self) -> None:
        """Close the files; the next use opens them again."""
        # What cannot be recorded now is noted beside it.
        with contextlib.suppress(OSError, sqlite3.Error):
            self._notice_loss()
        self._journal.close()
        self._checked_at = 0.0
        self._file.close()


def _keep(
    connection: sqlite3.Connection,
    attachments: Mapping[str, str],
    gaps: Mapping[str | None, float],
    reason: str,
) -> None:
    now = time.time()
    connection.executemany(
        "INSERT OR REPLACE INTO attachment VALUES (?, ?, ?, NULL)",
        [(ordering_key, content, now) for ordering_key, content in attachments.items()],
    )
    for ordering_key, since in gaps.items():
        insert_gap(connection, ordering_key, since, reason)


def read_status(directory: Path) -> OutboxStatus:
    """Look at an outbox from outside, while others write it and send from it.

    Args:
        directory: the outbox's.

    Returns:
        How it is; empty where there is none.

    Raises:
        sqlite3.Error: it cannot be read.
    """
    path = directory / FILE_NAME
    noted_gaps = tuple(Gap(0, *note) for note in gap_notes.read(directory))
    if not path.exists():
        return OutboxStatus(gaps=noted_gaps)
    now = time.time()
    address = f"{path.absolute().as_uri()}?mode=ro"
    with contextlib.closing(sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS)) as connection:
        connection.execute("BEGIN")
        if not has_tables(connection):
            # It is being made.
            return OutboxStatus(gaps=noted_gaps)
        depth, oldest = connection.execute(
            "SELECT count(*), min(appended_at) FROM record"
        ).fetchone()
        for line in collecting.uncollected(connection, directory):
            depth += 1
            oldest = line.appended_at if oldest is None else min(oldest, line.appended_at)
        parked = connection.execute("SELECT count(*) FROM parked").fetchone()[0]
        gaps = connection.execute(
            "SELECT id, ordering_key, since, reason FROM gap WHERE healed_at IS NULL ORDER BY id"
        ).fetchall()
        noted = {
            name: (value, noted_at)
            for name, value, noted_at in connection.execute("SELECT * FROM delivery")
        }
    error, error_at = noted.get("error", (None, None))
    return OutboxStatus(
        depth=depth,
        oldest_seconds=None if oldest is None else max(0.0, now - oldest),
        parked=parked,
        gaps=tuple(Gap(*row) for row in gaps) + noted_gaps,
        last_sent_at=noted.get("sent", (None, None))[1],
        last_error=error,
        last_error_at=error_at if error else None,
    )
