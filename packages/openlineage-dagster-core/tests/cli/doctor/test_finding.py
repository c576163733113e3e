from __future__ import annotations

import sys
import threading
from collections.abc import Iterator

import pytest

from openlineage_dagster_core.cli.doctor.finding import (
    Finding,
    Status,
    bounded,
    exit_status,
    findings_of,
    fine,
    named,
    note,
    problem,
    warning,
)
from openlineage_dagster_core.cli.terminal import CommandError
from openlineage_dagster_core.errors import ConfigurationError
from openlineage_dagster_core.validation import reject_unknown

FINE, NOTE, WARNING, PROBLEM = fine("b"), note("b"), warning("b", "c"), problem("b", "c")


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


def test_findings_get_the_name_of_their_check() -> None:
    assert list(named("a", [FINE, PROBLEM])) == [
        Finding("a", Status.OK, "b"),
        Finding("a", Status.PROBLEM, "b", "c"),
    ]


def test_an_unexpected_exception_becomes_a_problem_and_what_was_found_before_stays() -> None:
    def check() -> Iterator[Finding]:
        yield fine("first")
        raise RuntimeError("postgresql://me:geheim@host/db is odd")

    first, last = findings_of("area", check)

    assert first == Finding("area", Status.OK, "first")
    assert last.status is Status.PROBLEM
    assert "RuntimeError" in last.message
    assert "geheim" not in last.message
    assert last.remedy


def test_what_cannot_be_done_says_its_own_next_step() -> None:
    def check() -> Iterator[Finding]:
        raise CommandError("There is nothing.", "Make something.")
        yield  # pragma: no cover

    (found,) = findings_of("area", check)

    assert (found.message, found.remedy) == ("There is nothing", "Make something.")


def test_a_wrong_option_says_what_it_must_be() -> None:
    def check() -> list[Finding]:
        raise ConfigurationError("namespace", "", "a text that is not empty")

    (found,) = findings_of("area", check)

    expected = "It must be a text that is not empty."
    assert found == Finding("area", Status.PROBLEM, "namespace is ''", expected)


def test_an_option_that_does_not_exist_names_the_nearest_one() -> None:
    def check() -> Iterator[Finding]:
        reject_unknown(["namspace"], ["namespace"])
        yield FINE

    (found,) = findings_of("area", check)
    expected = "Did you mean 'namespace'? The options are namespace."
    assert found == Finding("area", Status.PROBLEM, "namspace does not exist", expected)


def test_a_check_that_hangs_is_given_up() -> None:
    release = threading.Event()

    def check() -> Iterator[Finding]:
        yield fine("first")
        release.wait(60)

    found = findings_of("area", check, seconds=0.1)
    release.set()

    assert [each.status for each in found] == [Status.OK, Status.PROBLEM]
    assert "has not ended after 0.1 s" in found[1].message


def test_what_the_work_gives_or_raises_is_passed_on() -> None:
    assert bounded("Doing", lambda: 3) == 3
    with pytest.raises(SystemExit):
        bounded("Doing", lambda: sys.exit(3))
