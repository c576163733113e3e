"""The findings of checks, and the boundary that turns time-outs and exceptions into findings.

A check yields findings; an exception ends it with a problem. CommandError and ConfigurationError
say what to do.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from dataclasses import dataclass, replace
from enum import Enum
from typing import TypeVar

from openlineage_dagster_core.cli.terminal import FAILED, INCOMPLETE, OK, CommandError, cause_of
from openlineage_dagster_core.errors import ConfigurationError

T = TypeVar("T")
CHECK_SECONDS = 20.0  # Seconds that one check may take; longer than queries wait for a database


class Status(str, Enum):
    """How bad something is; the value is the mark in front of the line."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True)
class Finding:
    """One line of doctor's output; `named` and `findings_of` set the check.

    The message has no secrets and no full stop. The remedy is a sentence that says what to do.
    """

    check: str
    status: Status
    message: str
    remedy: str | None = None


def fine(message: str) -> Finding:
    """Return a finding that all is well."""
    return Finding("", Status.OK, message)


def note(message: str, remedy: str | None = None) -> Finding:
    """Return a finding that is worth knowing, and not a fault."""
    return Finding("", Status.NOTE, message, remedy)


def warning(message: str, remedy: str) -> Finding:
    """Return a fault, although events may arrive."""
    return Finding("", Status.WARNING, message, remedy)


def problem(message: str, remedy: str) -> Finding:
    """Return a fault that keeps lineage from arriving, or makes it wrong."""
    return Finding("", Status.PROBLEM, message, remedy)


def named(check: str, findings: Iterable[Finding]) -> Iterator[Finding]:
    """Yield findings with the name of their check; an exception ends them with a problem."""
    try:
        for finding in findings:
            yield replace(finding, check=check)
    except Exception as error:
        # Any library of a broken deployment may raise anything.
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
    result: futures.Future[T] = futures.Future()

    def run() -> None:
        try:
            result.set_result(work())
        except BaseException as error:
            # Raised again below, in the thread that waits for it.
            result.set_exception(error)

    threading.Thread(target=run, name="openlineage-doctor", daemon=True).start()
    futures.wait([result], seconds)
    if not result.done():
        step = "Check that what it waits for (a database, a network or a disk) answers."
        raise CommandError(f"{doing} has not ended after {seconds:g} s.", step)
    return result.result()


def findings_of(
    name: str, check: Callable[[], Iterable[Finding]], seconds: float = CHECK_SECONDS
) -> list[Finding]:
    """Run a check; its findings end with a problem where it fails or hangs."""
    found: list[Finding] = []

    def collect() -> None:
        # Added one by one, so that a check that hangs keeps what it found.
        for finding in check():
            found.append(replace(finding, check=name))

    try:
        bounded(f"The check of {name}", collect, seconds)
    except Exception as error:
        # Any library of a broken deployment may raise anything.
        return [*found, replace(_failure(error), check=name)]
    return found


def _failure(error: Exception) -> Finding:
    if isinstance(error, ConfigurationError):
        return problem(f"{error.option} {error.problem}", error.next_step)
    if isinstance(error, CommandError):
        return problem(error.problem.rstrip("."), error.next_step)
    return problem(f"not checked: {cause_of(error)}", "Correct the cause and run doctor again.")
