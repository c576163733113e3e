from __future__ import annotations

import pytest

from openlineage_dagster_core.cli.doctor import clocks
from openlineage_dagster_core.cli.doctor.connectivity import Address, Answer
from openlineage_dagster_core.cli.doctor.finding import Finding, Status
from openlineage_dagster_core.cli.doctor.subject import Subject


def check(date: float | None, seconds: float = 0.1) -> list[Finding]:
    answer = Answer(Address("http://host"), 200, seconds, 1000.0, date, is_marquez=False)
    return list(clocks.check(Subject({}), [answer]))


@pytest.mark.parametrize(("date", "seconds"), [(1000.0, 0.1), (996.0, 0.1), (1010.0, 20.0)])
def test_clocks_that_may_agree_are_well(date: float, seconds: float) -> None:
    (found,) = check(date, seconds)

    assert found.status is Status.OK


@pytest.mark.parametrize(("date", "said"), [(1090.0, "90 s ahead of"), (700.0, "5 min behind")])
def test_clocks_that_differ_are_a_warning(date: float, said: str) -> None:
    (found,) = check(date)

    assert found.status is Status.WARNING
    assert said in found.message


def test_a_backend_that_does_not_tell_is_passed_over() -> None:
    assert check(None) == []
