from __future__ import annotations

import sys
import threading
from collections.abc import Iterator

import pytest

from openlineage_dagster_core.cli.doctor.boundary import bounded, findings_of
from openlineage_dagster_core.cli.doctor.finding import Finding, Status, fine
from openlineage_dagster_core.cli.failure import CommandError


def test_an_unexpected_exception_becomes_a_problem_and_what_was_found_before_stays() -> None:
    def look() -> Iterator[Finding]:
        yield fine("area", "first")
        raise RuntimeError("postgresql://me:geheim@host/db is odd")

    first, last = findings_of("area", look)

    assert first == fine("area", "first")
    assert last.status is Status.PROBLEM
    assert "RuntimeError" in last.message
    assert "geheim" not in last.message
    assert last.remedy


def test_what_cannot_be_done_says_its_own_next_step() -> None:
    def look() -> Iterator[Finding]:
        raise CommandError("There is nothing.", "Make something.")
        yield  # pragma: no cover

    (found,) = findings_of("area", look)

    assert (found.message, found.remedy) == ("There is nothing", "Make something.")


def test_a_check_that_hangs_is_given_up() -> None:
    release = threading.Event()

    def look() -> Iterator[Finding]:
        yield fine("area", "first")
        release.wait(60)

    found = findings_of("area", look, seconds=0.1)
    release.set()

    assert [each.status for each in found] == [Status.OK, Status.PROBLEM]
    assert "has not ended after 0.1 s" in found[1].message


def test_what_the_work_gives_or_raises_is_passed_on() -> None:
    assert bounded("Doing", lambda: 3) == 3
    with pytest.raises(SystemExit):
        bounded("Doing", lambda: sys.exit(3))
