"""Compares this machine's clock with the database's and the backend's."""

import time
from collections.abc import Iterable, Iterator
from typing import Any

import sqlalchemy
from dagster._core.storage.event_log import SqlEventLogStorage

from openlineage_dagster_core.cli.doctor.connectivity import Answer
from openlineage_dagster_core.cli.doctor.finding import Finding, fine, warning
from openlineage_dagster_core.cli.doctor.subject import Subject
from openlineage_dagster_core.cli.times import in_words

MOST_SECONDS = 5.0  # Seconds by which clocks may differ
_NOW = {
    "postgresql": "SELECT extract(epoch FROM clock_timestamp())",
    "mysql": "SELECT unix_timestamp(now(6))",
}


def check(subject: Subject, answers: Iterable[Answer]) -> Iterator[Finding]:
    """Compare the clocks of the database and of the HTTP backends that answered."""
    if subject.instance is not None:
        yield from _check_database(subject.instance.event_log_storage)
    for answer in answers:
        if answer.date is not None:
            # The date has whole seconds, and is of some time within the request.
            middle = answer.asked_at + answer.seconds / 2
            yield _compare("backend", answer.date + 0.5 - middle, 0.5 + answer.seconds / 2)


def _check_database(storage: Any) -> Iterator[Finding]:
    if not isinstance(storage, SqlEventLogStorage):
        return
    with storage.index_connection() as connection:
        query = _NOW.get(connection.dialect.name)
        if query is None:
            return
        before = time.time()
        theirs = float(connection.execute(sqlalchemy.text(query)).scalar_one())
        after = time.time()
    yield _compare("database", theirs - (before + after) / 2, (after - before) / 2)


def _compare(whose: str, ahead: float, tolerance: float) -> Finding:
    if abs(ahead) - tolerance <= MOST_SECONDS:
        return fine(f"the {whose}'s clock agrees with this machine's")
    direction = "ahead of" if ahead > 0 else "behind"
    return warning(
        f"the {whose}'s clock is {in_words(abs(ahead))} {direction} this machine's",
        "Set both by NTP: times of events, and the order in which they are read, depend on them.",
    )
