"""The boundary around each check: it ends in time, and what it raises becomes a finding."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TypeVar

from openlineage_dagster_core.cli.doctor.finding import Finding, problem
from openlineage_dagster_core.cli.failure import CommandError, cause_of

T = TypeVar("T")

CHECK_SECONDS = 20.0
"""How long one check may take; databases that are asked wait for longer than that by themselves."""


def bounded(doing: str, work: Callable[[], T], seconds: float = CHECK_SECONDS) -> T:
    """Do something that may hang.

    Args:
        doing: what, such as `Opening the instance`.
        work: done in a thread, which is left alone when the time is up.
        seconds: how long to wait.

    Returns:
        What the work gave.

    Raises:
        CommandError: the time was up.
        BaseException: what the work raised.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            # Raised again below, in the thread that waits for it.
            errors.append(error)

    thread = threading.Thread(target=run, name="openlineage-doctor", daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise CommandError(
            f"{doing} has not ended after {seconds:g} s.",
            "See whether what it waits for, a database, a network or a disk, answers at all.",
        )
    return results[0]


def findings_of(
    check: str, look: Callable[[], Iterable[Finding]], seconds: float = CHECK_SECONDS
) -> list[Finding]:
    """Run a check.

    Args:
        check: its name.
        look: the check.
        seconds: how long it may take.

    Returns:
        What it found; last of all a problem, where it did not come to its end.
    """
    found: list[Finding] = []

    def collect() -> bool:
        # One by one: what was found before an error counts.
        for finding in look():
            found.append(finding)
        return True

    try:
        bounded(f"The check of {check}", collect, seconds)
    except Exception as error:
        # A broken deployment breaks libraries in ways that nobody foresees.
        return [*found, failure(check, error)]
    return list(found)


def failure(check: str, error: Exception) -> Finding:
    """Say that something could not be checked.

    Args:
        check: what was looked at.
        error: why it could not be.

    Returns:
        The problem.
    """
    if isinstance(error, CommandError):
        return problem(check, error.problem.rstrip("."), error.next_step)
    return problem(
        check, f"it cannot be checked: {cause_of(error)}", "Set that right and run doctor again."
    )
