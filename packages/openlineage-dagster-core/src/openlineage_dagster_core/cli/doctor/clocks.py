"""Compares this machine's clock with the database's and the backend's."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any

from openlineage_dagster_core.cli.age import in_words
from openlineage_dagster_core.cli.doctor.backend import Answer
from openlineage_dagster_core.cli.doctor.finding import Finding, fine, warning
from openlineage_dagster_core.cli.doctor.subject import Subject

CHECK = "clocks"

MOST_SECONDS = 5.0

_NOW = {
    "postgresql": "SELECT extract(epoch FROM clock_timestamp())",
    "mysql": "SELECT unix_timestamp(now(6))",
}


def look(subject: Subject, answers: Iterable[Answer]) -> Iterator[Finding]:
    """Compare the clocks.

    Args:
        subject: what is examined.
        answers: of HTTP backends.

    Yields:
        What was found.
    """
    if subject.instance is not None:
        yield from _database(subject.instance.event_log_storage)
    for answer in answers:
        if answer.date is not None:
            # It tells whole seconds, and some time within the request.
            middle = answer.asked_at + answer.seconds / 2
            tolerance = 0.5 + answer.seconds / 2
            yield _compared("backend", answer.date + 0.5 - middle, tolerance)


def _database(storage: Any) -> Iterator[Finding]:
    # Brings all of Dagster along.
    import sqlalchemy
    from dagster._core.storage.event_log import SqlEventLogStorage

    if not isinstance(storage, SqlEventLogStorage):
        return
    with storage.index_connection() as connection:
        question = _NOW.get(connection.dialect.name)
        if question is None:
            return
        before = time.time()
        theirs = float(connection.execute(sqlalchemy.text(question)).scalar_one())
        after = time.time()
    yield _compared("database", theirs - (before + after) / 2, (after - before) / 2)


def _compared(whose: str, ahead: float, tolerance: float) -> Finding:
    if abs(ahead) - tolerance > MOST_SECONDS:
        direction = "ahead of" if ahead > 0 else "behind"
        return warning(
            CHECK,
            f"the {whose}'s clock is {in_words(abs(ahead))} {direction} this machine's",
            "Have both set by NTP: times of events, and the order of what is read, depend on them.",
        )
    return fine(CHECK, f"the {whose}'s clock agrees with this machine's")
