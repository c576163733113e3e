"""Journals: each process appends to a file of its own, which the outbox collects afterwards.

A run waits for an append, and one `write` is the least that survives the death of the process: a
transaction of SQLite beside a database's costs several times as much.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import sys
import threading
import time
import weakref
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from openlineage_dagster_core.delivery.writer import this_writer

SUFFIX = ".journal"

LARGEST_BYTES = 1_000_000
"""What has been collected of a file takes its room until the file is full."""

LOCKED_SECONDS = 60.0
"""After so long, a process has locked what it has made, or is dead."""

READ_BYTES = 16_384
"""How much of a file is in memory at once: of a thousand dead processes there are as many files."""

Name = str


@dataclass(frozen=True)
class Line:
    """What one append wrote of one record.

    Args:
        journal: the file's name.
        end: where the next line begins, in bytes.
        appended_at: in seconds since the epoch.
        ticks: the same on the clock that nobody sets, in seconds; of this boot of the machine or an
            earlier one.
        writer: whose journal it is; None where that cannot be read.
        record: the ordering key and the payload; None where the line cannot be read.
        is_release: whether the writer is through with the record, which is an earlier line.
    """

    journal: Name
    end: int
    appended_at: float
    ticks: float
    writer: str | None
    record: tuple[str, str] | None
    is_release: bool = False


class Journal:
    """What this process appends to; usable from any thread and after a fork.

    Its lock is held as long as it is open: that is how others tell that it has ended.

    Args:
        directory: the outbox's, which must exist when something is appended.

    Attributes:
        name: the file's; empty before the first append.
        size: the file's, in bytes.
        waiting_since: since when something may be in it that is not collected, in seconds since the
            epoch.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self._close_descriptor: weakref.finalize[..., Journal] | None = None
        self.name: Name = ""
        self.size = 0
        self.waiting_since = 0.0
        _all.add(self)

    def append(self, records: Iterable[tuple[str, str]], *, is_release: bool = False) -> None:
        """Add records, all or none.

        Args:
            records: the ordering key and the payload of each.
            is_release: whether they are in it already, and this process is through with them.

        Raises:
            OSError: the file can be neither made nor written.
        """
        with self._lock:
            if self._descriptor is None:
                self._begin(waiting_since=time.time())
            elif self.size > LARGEST_BYTES:
                # What the full one holds may wait still.
                self._close()
                self._begin(self.waiting_since)
            # Under the lock: in the order of the lines.
            rest: list[object] = [time.time(), time.monotonic()]
            if is_release:
                rest.append(True)
            added = [_line([key, payload, *rest]) for key, payload in records]
            self._write("".join(added if self.size else [_line(this_writer()), *added]).encode())

    def is_lost(self) -> bool:
        """Tell whether somebody has deleted, moved or cut off the file.

        Returns:
            Whether that has happened to the file that is open, if any.
        """
        with self._lock:
            if self._descriptor is None:
                return False
            try:
                found = (self._directory / self.name).stat()
            except OSError:
                return True
            ours = os.fstat(self._descriptor)
            return not os.path.samestat(found, ours) or ours.st_size < self.size

    def note_collected(self, end: int) -> None:
        """Learn how much of the file has been collected.

        Args:
            end: of the last line that was, in bytes.
        """
        with self._lock:
            if end >= self.size:
                self.waiting_since = time.time()

    def close(self) -> None:
        """End the file; what is appended afterwards begins another."""
        with self._lock:
            self._close()

    def _begin(self, waiting_since: float) -> None:
        name = f"{int(time.time())}-{os.getpid()}-{secrets.token_hex(4)}{SUFFIX}"
        flags = os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_WRONLY
        descriptor = os.open(self._directory / name, flags, 0o600)
        # Also where nobody closes it: it would be locked as long as the process lives.
        self._close_descriptor = weakref.finalize(self, os.close, descriptor)
        # Not while Python ends: something may be appended after that, and the number be another's.
        self._close_descriptor.atexit = False
        _lock_file(descriptor)
        self._descriptor, self.name, self.size = descriptor, name, 0
        self.waiting_since = waiting_since

    def _write(self, content: bytes) -> None:
        if self._descriptor is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF), self.name)
        written = os.write(self._descriptor, content)
        self.size += written
        if written != len(content):
            # Nothing can follow half a line.
            self._close()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._directory / self.name))

    def _close(self) -> None:
        if self._close_descriptor is not None:
            self._close_descriptor()
        self._close_descriptor = self._descriptor = None


def sizes(directory: Path) -> dict[Name, int]:
    """Find the journals of an outbox.

    Args:
        directory: the outbox's.

    Returns:
        The size of each in bytes, by name; nothing where there is no directory.
    """
    found = {}
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(directory) as files:
        for file in files:
            if file.name.endswith(SUFFIX):
                with contextlib.suppress(FileNotFoundError):
                    found[file.name] = file.stat().st_size
    return found


def begun_at(name: Name) -> float:
    """Tell when a journal was begun.

    Args:
        name: the journal's.

    Returns:
        The time, in seconds since the epoch; now, where a file has no such name.
    """
    begun = name.partition("-")[0]
    return float(begun) if begun.isdecimal() else time.time()


def is_readable(directory: Path, name: Name) -> bool:
    """Tell whether this account may read a journal.

    Args:
        directory: the outbox's.
        name: the journal's.

    Returns:
        False also where the disk gives an error.
    """
    try:
        with (directory / name).open("rb") as file:
            file.read(1)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def lines(
    directory: Path, name: Name, begin: int, *, end: int | None = None, after: float | None = None
) -> Iterator[Line]:
    """Read what a journal holds.

    Args:
        directory: the outbox's.
        name: the journal's; one that is gone or cannot be read holds nothing.
        begin: where to, in bytes: 0, or the end of a line.
        end: where to stop, in bytes.
        after: when the line before was appended, in seconds since the epoch.

    Yields:
        The lines that were written to their ends.
    """
    path = directory / name
    writer, header = _writer_of(path)
    at, ticks = begun_at(name) if after is None else after, 0.0
    position = max(begin, header)
    while True:
        chunk = []
        with contextlib.suppress(OSError), path.open("rb") as file:
            file.seek(position)
            chunk = [line for line in file.readlines(READ_BYTES) if line.endswith(b"\n")]
        if not chunk:
            return
        for content in chunk:
            position += len(content)
            if end is not None and position > end:
                return
            line = _parsed(name, position, writer, content, at, ticks)
            at, ticks = line.appended_at, line.ticks
            yield line


def drop(directory: Path, name: Name, collected: int) -> bool | None:
    """Delete a journal that has ended, once all its lines are collected.

    Args:
        directory: the outbox's.
        name: the journal's.
        collected: the end of the last line that was, in bytes.

    Returns:
        Whether its last line was not written to its end; None where it is not deleted.
    """
    path = directory / name
    try:
        descriptor = os.open(path, os.O_RDWR)
        try:
            size = os.fstat(descriptor).st_size
            # Between its making and its first line a process has not locked it.
            has_ended = size or time.time() - begun_at(name) > LOCKED_SECONDS
            if not has_ended or not _lock_file(descriptor):
                return None
        finally:
            os.close(descriptor)
        if any(_first(lines(directory, name, collected))):
            return None
        is_cut_off = size > max(collected, _writer_of(path)[1])
        path.unlink()
    except OSError:
        # On Windows also where its process has it open.
        return None
    return is_cut_off


def _line(content: object) -> str:
    return json.dumps(content, ensure_ascii=False) + "\n"


def _first(found: Iterator[Line]) -> Iterator[Line]:
    for line in found:
        yield line
        return


def _writer_of(path: Path) -> tuple[str | None, int]:
    """Read a journal's first line: whose it is, and where the others begin."""
    try:
        with path.open("rb") as file:
            content = file.readline(READ_BYTES)
    except OSError:
        return None, 0
    try:
        writer = json.loads(content)
    except ValueError:
        writer = None
    return writer if isinstance(writer, str) else None, len(content)


def _parsed(
    name: Name, end: int, writer: str | None, content: bytes, before: float, ticks_before: float
) -> Line:
    try:
        key, payload, at, ticks, *rest = json.loads(content)
    except (ValueError, TypeError):
        return Line(name, end, before, ticks_before, writer, None)
    are_texts = isinstance(key, str) and isinstance(payload, str)
    if not (are_texts and isinstance(at, float) and isinstance(ticks, float)):
        return Line(name, end, before, ticks_before, writer, None)
    return Line(name, end, at, ticks, writer, (key, payload), is_release=bool(rest))


def _lock_file(descriptor: int) -> bool:
    """Lock a journal until its descriptor is closed, in this process and in those forked from it.

    Returns:
        Whether it is locked; False where another process has it, or the disk knows no locks.
    """
    if sys.platform == "win32":
        # There nobody can delete what is open.
        return True
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


_all: weakref.WeakSet[Journal] = weakref.WeakSet()
_forking: list[Journal] = []


def _before_fork() -> None:
    """Take the locks: one that another thread holds would stay locked in the child for ever."""
    for journal in list(_all):
        journal._lock.acquire()  # noqa: SLF001 -- this module's own
        _forking.append(journal)


def _after_fork() -> None:
    while _forking:
        _forking.pop()._lock.release()  # noqa: SLF001


def _in_child() -> None:
    for journal in _forking:
        # It is the parent's; the child begins its own.
        journal._close()  # noqa: SLF001
    _after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_in_child)
