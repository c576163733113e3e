"""The findings of checks, and the boundary that turns time-outs and exceptions into findings."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import TypeVar

from openlineage_dagster_core.cli.terminal import FAILED, INCOMPLETE, OK, CommandError, cause_of

T = TypeVar("T")

CHECK_SECONDS = 20.0
"""Seconds that one check may take; longer than queries wait for a database by themselves."""


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


def fine(message: str) -> Finding:
    """Return a finding that all is well."""
    return Finding("", Status.OK, message)


def note(message: str, remedy: str | None = None) -> Finding:
    """Return a finding that is worth knowing and not a fault."""
    return Finding("", Status.NOTE, message, remedy)


def warning(message: str, remedy: str) -> Finding:
    """Return a finding that is a fault, although events may arrive."""
    return Finding("", Status.WARNING, message, remedy)


def problem(message: str, remedy: str) -> Finding:
    """Return a finding that keeps lineage from arriving, or makes it wrong."""
    return Finding("", Status.PROBLEM, message, remedy)


def named(check: str, findings: Iterable[Finding]) -> Iterator[Finding]:
    """Give findings the name of their check, one by one."""
    return (replace(finding, check=check) for finding in findings)


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
        # One by one: findings before an error count.
        for finding in named(name, check()):
            found.append(finding)
        return True

    try:
        bounded(f"The check of {name}", collect, seconds)
    except Exception as error:
        # A broken deployment breaks libraries in unforeseen ways.
        return [*found, *named(name, [failure(error)])]
    return list(found)


def failure(error: Exception) -> Finding:
    """Return the problem that something cannot be checked."""
    if isinstance(error, CommandError):
        return problem(error.problem.rstrip("."), error.next_step)
    return problem(f"not checked: {cause_of(error)}", "Correct the cause and run doctor again.")
