"""Where gaps are written down while the outbox itself cannot be written: a file of its own."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

Note = tuple[str | None, float, str]
"""Whose records are missing, since when, and why."""


def write(directory: Path, ordering_key: str | None, since: float, reason: str) -> bool:
    """Write a gap down; called when something has failed already, so it does not raise.

    Args:
        directory: the outbox's.
        ordering_key: whose records are missing; None for any.
        since: when the first of them was to be appended, in seconds since the epoch.
        reason: why.

    Returns:
        Whether it is written.
    """
    line = json.dumps([ordering_key, since, reason]) + "\n"
    try:
        path = _path(directory)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        if not _is_ours(path.parent):
            return False
        flags = os.O_APPEND | os.O_CREAT | os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0)
        descriptor = os.open(path, flags, 0o600)
        try:
            return os.write(descriptor, line.encode()) == len(line.encode())
        finally:
            os.close(descriptor)
    except OSError:
        return False


def read(directory: Path) -> Iterator[Note]:
    """Look at what is written down.

    Args:
        directory: the outbox's.

    Yields:
        What was given to `write`; a line that was not written to its end is passed over.
    """
    path = _path(directory)
    for notes in path.parent.glob(f"{path.name}*") if path.parent.is_dir() else ():
        with contextlib.suppress(OSError):
            yield from _notes_in(notes)


def take(directory: Path) -> Iterator[Note]:
    """Read what was written down, and remove it once all of it has been taken.

    Args:
        directory: the outbox's.

    Yields:
        What was given to `write`; a line that was not written to its end is passed over.

    Raises:
        OSError: it can be neither read nor removed.
    """
    path = _path(directory)
    if not path.parent.is_dir() or not _is_ours(path.parent):
        return
    with contextlib.suppress(FileNotFoundError):
        # Under another name nobody adds to it while it is read.
        # What was taken before and could not be recorded is still there.
        path.rename(path.with_name(f"{path.name}.{time.time_ns()}"))
    for taken in path.parent.glob(f"{path.name}.*"):
        yield from _notes_in(taken)
        taken.unlink()


def _notes_in(path: Path) -> Iterator[Note]:
    for line in path.read_text().splitlines():
        try:
            ordering_key, since, reason = json.loads(line)
        except ValueError:
            continue
        yield ordering_key, since, reason


def _path(directory: Path) -> Path:
    name = hashlib.sha256(str(directory.absolute()).encode()).hexdigest()[:16]
    user = os.getuid() if hasattr(os, "getuid") else "user"
    return Path(tempfile.gettempdir(), f"openlineage-dagster-{user}", f"{name}.gaps")


def _is_ours(folder: Path) -> bool:
    """Tell whether nobody else can have made the folder: others write in there too."""
    if not hasattr(os, "getuid"):
        return True
    status = folder.lstat()
    return (
        stat.S_ISDIR(status.st_mode)
        and status.st_uid == os.getuid()
        and stat.S_IMODE(status.st_mode) & 0o077 == 0
    )
