from __future__ import annotations

import pytest

from openlineage_dagster_core.cli.doctor.finding import (
    Finding,
    exit_status,
    fine,
    note,
    problem,
    warning,
)

FINE, NOTE = fine("a", "b"), note("a", "b")
WARNING, PROBLEM = warning("a", "b", "c"), problem("a", "b", "c")


@pytest.mark.parametrize(
    ("findings", "status"),
    [
        ([], 0),
        ([FINE, NOTE], 0),
        ([FINE, WARNING, NOTE], 1),
        ([PROBLEM, WARNING], 2),
    ],
)
def test_the_worst_finding_decides_the_exit_status(findings: list[Finding], status: int) -> None:
    assert exit_status(findings) == status


def test_machines_get_the_four_parts() -> None:
    assert PROBLEM.as_json() == {
        "check": "a",
        "status": "problem",
        "message": "b",
        "remedy": "c",
    }
