"""What a check found: how bad it is, what it is, and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from openlineage_dagster_core.cli.failure import FAILED, INCOMPLETE, OK


class Status(str, Enum):
    """How bad something is; the value is the mark in front of the line."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's.

    Args:
        check: what was looked at, such as `transport`.
        status: how bad it is.
        message: what was found, without secrets and without a full stop.
        remedy: what to do, as a sentence; None where there is nothing to do.
    """

    check: str
    status: Status
    message: str
    remedy: str | None = None

    def as_json(self) -> dict[str, str | None]:
        """Give what `--json` prints.

        Returns:
            The finding by the names of its parts.
        """
        return {
            "check": self.check,
            "status": self.status.value,
            "message": self.message,
            "remedy": self.remedy,
        }


def fine(check: str, message: str) -> Finding:
    """Say that all is well.

    Args:
        check: what was looked at.
        message: what was found.

    Returns:
        The finding.
    """
    return Finding(check, Status.OK, message)


def note(check: str, message: str, remedy: str | None = None) -> Finding:
    """Say what is worth knowing and no fault.

    Args:
        check: what was looked at.
        message: what was found.
        remedy: what to do to know more, or to change it.

    Returns:
        The finding.
    """
    return Finding(check, Status.NOTE, message, remedy)


def warning(check: str, message: str, remedy: str) -> Finding:
    """Say what is not as it should be, although events may arrive.

    Args:
        check: what was looked at.
        message: what was found.
        remedy: what to do.

    Returns:
        The finding.
    """
    return Finding(check, Status.WARNING, message, remedy)


def problem(check: str, message: str, remedy: str) -> Finding:
    """Say what keeps lineage from arriving, or spoils it.

    Args:
        check: what was looked at.
        message: what was found.
        remedy: what to do.

    Returns:
        The finding.
    """
    return Finding(check, Status.PROBLEM, message, remedy)


def exit_status(findings: Iterable[Finding]) -> int:
    """Find the command's exit status.

    Args:
        findings: all of them.

    Returns:
        That of the worst.
    """
    found = {finding.status for finding in findings}
    if Status.PROBLEM in found:
        return FAILED
    return INCOMPLETE if Status.WARNING in found else OK
