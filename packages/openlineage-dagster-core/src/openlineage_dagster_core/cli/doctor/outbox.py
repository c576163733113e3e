"""Checks the outbox of Mechanism A: what waits in it, who can read it, and whether it has room."""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from openlineage_dagster_core.cli.age import in_words
from openlineage_dagster_core.cli.doctor.finding import Finding, fine, problem, warning
from openlineage_dagster_core.cli.doctor.subject import Subject
from openlineage_dagster_core.delivery.outbox import OutboxStatus, read_status
from openlineage_dagster_core.redaction import without_secrets

CHECK = "outbox"

LATE_SECONDS = 300.0
"""What waits for less is on its way."""

LEAST_FREE_BYTES = 100_000_000

LONGEST_ERROR = 300

LOOK_AT_IT = "See it with openlineage-dagster outbox status"


def look(subject: Subject) -> Iterator[Finding]:
    """Check the outbox.

    Args:
        subject: what is examined.

    Yields:
        What was found; nothing where Mechanism A is not configured and has left nothing.
    """
    directory = subject.outbox_directory
    if directory is None or not (subject.has_storage or directory.is_dir()):
        return
    if not directory.exists():
        yield from _not_there(directory)
        return
    yield from _permissions(directory)
    status = read_status(directory)
    if not subject.has_storage:
        if status.depth or status.gaps:
            yield warning(
                CHECK,
                f"{status.depth} records wait in {directory}, and the storage is not wrapped: "
                "nothing will send them",
                "Wrap the storage again, or send what is missing with openlineage-dagster replay.",
            )
        return
    yield from _waiting(status)
    yield from _set_aside(status)
    yield from _room(directory)


def _not_there(directory: Path) -> Iterator[Finding]:
    parent = next(each for each in directory.absolute().parents if each.exists())
    if os.access(parent, os.W_OK):
        yield fine(CHECK, f"nothing has been stored yet; it will be {directory}")
        yield from _room(parent)
    else:
        yield problem(
            CHECK,
            f"{directory} cannot be made by this account",
            "Allow it to the account that Dagster runs under, or set outbox_directory.",
        )


def _waiting(status: OutboxStatus) -> Iterator[Finding]:
    sent = ""
    if status.last_sent_at is not None:
        sent = f"; the last was sent {in_words(max(0.0, time.time() - status.last_sent_at))} ago"
    oldest = status.oldest_seconds or 0.0
    waiting = f"{status.depth} records wait, the oldest for {in_words(oldest)}{sent}"
    error = without_secrets(status.last_error or "")[:LONGEST_ERROR]
    if error:
        yield warning(
            CHECK,
            f"{waiting}; sending fails: {error}" if status.depth else f"sending failed: {error}",
            "Set that right; what waits is then sent by the next process that stores events, or "
            "with openlineage-dagster outbox flush.",
        )
    elif status.depth and oldest > LATE_SECONDS:
        yield warning(
            CHECK,
            waiting,
            "No process sends: see that Dagster runs here, or send with openlineage-dagster outbox "
            "flush.",
        )
    else:
        yield fine(CHECK, waiting if status.depth else f"nothing waits{sent}")


def _set_aside(status: OutboxStatus) -> Iterator[Finding]:
    if status.parked:
        yield warning(
            CHECK,
            f"{status.parked} records are parked: the backend refused them, or they could not be "
            "converted",
            f"{LOOK_AT_IT}; then openlineage-dagster outbox retry, or drop.",
        )
    if status.gaps:
        yield warning(
            CHECK,
            f"{len(status.gaps)} gaps, the first for {without_secrets(status.gaps[0].reason)}: "
            "events were not recorded here",
            "They are filled from the event log when something is sent again; else with "
            "openlineage-dagster replay.",
        )


def _permissions(directory: Path) -> Iterator[Finding]:
    if not directory.is_dir():
        yield problem(CHECK, f"{directory} is no directory", "Move it away.")
        return
    if not os.access(directory, os.W_OK | os.X_OK):
        yield problem(
            CHECK,
            f"{directory} cannot be used by this account",
            "Run doctor as the account that Dagster runs under, or give the directory to it.",
        )
    if os.name == "nt":
        return
    for path in (directory, *sorted(directory.iterdir())):
        try:
            mode = path.stat().st_mode
        except FileNotFoundError:
            # A journal that has been collected since.
            continue
        if stat.S_IMODE(mode) & 0o077:
            wanted = "700" if stat.S_ISDIR(mode) else "600"
            yield warning(CHECK, f"{path} is open to other accounts", f"chmod {wanted} {path}")


def _room(directory: Path) -> Iterator[Finding]:
    free = shutil.disk_usage(directory).free
    shown = f"{free / 1e9:.1f} GB are free on its disk"
    if free < LEAST_FREE_BYTES:
        yield warning(CHECK, shown, "Make room: on a full disk events are only kept in memory.")
    else:
        yield fine(CHECK, shown)
