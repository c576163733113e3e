"""The findings of checks, and the boundary that turns time-outs and exceptions into findings.

A check yields findings; an exception ends it with a problem. `CommandError` says what to do.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from typing import TypeVar

from openlineage_dagster_core.cli.terminal import FAILED, INCOMPLETE, OK, CommandError, cause_of
from openlineage_dagster_core.errors import ConfigurationError

T = TypeVar("T")
# Seconds that one check may take; longer than queries wait for a database by themselves
CHECK_SECONDS = 20.0


class Status(str, Enum):
    """How bad something is; the value is the mark in front of the line."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True)
class Finding:
    """One line of doctor's output; `named` sets the check.

    The message has no secrets and no full stop. The remedy is a sentence that says what to do.
    """

    check: str
    status: Status
    message: str
    remedy: str | None = None


fine = partial(Finding, "", Status.OK)  # All is well
note = partial(Finding, "", Status.NOTE)  # Worth knowing, and not a fault
warning = partial(Finding, "", Status.WARNING)  # A fault, although events may arrive
problem = partial(Finding, "", Status.PROBLEM)  # Lineage does not arrive, or is wrong


def named(check: str, findings: Iterable[Finding]) -> Iterator[Finding]:
    """Yield findings with the name of their check; an exception ends them with a problem."""
    try:
        for finding in findings:
            yield replace(finding, check=check)
    except Exception as error:
        # As in `findings_of`.
        yield replace(_failure(error), check=check)


def exit_status(findings: Iterable[Finding]) -> int:
    """Return the exit status of the worst finding."""
    found = {finding.status for finding in findings}
    if Status.PROBLEM in found:
        return FAILED
    return INCOMPLETE if Status.WARNING in found else OK


def bounded(doing: str, work: Callable[[], T], seconds: float = CHECK_SECONDS) -> T:
    """Run work that may hang in a thread; return its result, or raise its exception.

    When the time is up, the thread is abandoned, and a CommandError says what it was doing.
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
            "Check that what it waits for (a database, a network or a disk) answers.",
        )
    return results[0]


def findings_of(
    name: str, check: Callable[[], Iterable[Finding]], seconds: float = CHECK_SECONDS
) -> list[Finding]:
    """Run a check; its findings end with a problem where it fails or hangs."""
    found: list[Finding] = []

    def collect() -> bool:
        # One by one: findings before the time is up count.
        for finding in check():
            found.append(replace(finding, check=name))
        return True

    try:
        bounded(f"The check of {name}", collect, seconds)
    except Exception as error:
        # A broken deployment breaks libraries in unforeseen ways.
        return [*found, replace(_failure(error), check=name)]
    return found


def _failure(error: Exception) -> Finding:
    if isinstance(error, ConfigurationError):
        return problem(f"{error.option} is {error.value!r}", f"It must be {error.allowed}.")
    if isinstance(error, CommandError):
        return problem(error.problem.rstrip("."), error.next_step)
    return problem(f"not checked: {cause_of(error)}", "Correct the cause and run doctor again.")
