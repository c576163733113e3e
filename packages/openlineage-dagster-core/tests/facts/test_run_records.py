"""The rows of runs are read with one query, and say what Dagster's own call says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest

from log_entries import counted_queries
from openlineage_dagster_core.facts import run_records as module
from openlineage_dagster_core.facts.run_records import run_records

if TYPE_CHECKING:
    from collections.abc import Iterator


@dg.asset
def orders() -> None:
    """Made by each run."""


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as instance:
        yield instance


def runs_of(instance: dg.DagsterInstance, number: int) -> list[str]:
    return [
        dg.materialize([orders], instance=instance, tags={"number": str(each)}).run_id
        for each in range(number)
    ]


def test_it_says_what_dagster_says(instance: dg.DagsterInstance) -> None:
    wanted = runs_of(instance, 3)[:2]

    found = run_records(instance, [*wanted, "no such run"])

    theirs = instance.get_run_records(dg.RunsFilter(run_ids=wanted))
    expected = {
        each.dagster_run.run_id: each._replace(start_time=None, end_time=None) for each in theirs
    }
    assert {each.dagster_run.run_id: each for each in found} == expected
    assert len(found) == len(wanted)


def test_many_runs_are_read_in_pieces(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RUNS_A_QUERY", 2)
    wanted = runs_of(instance, 5)

    found = run_records(instance, wanted)

    assert sorted(each.dagster_run.run_id for each in found) == sorted(wanted)


def test_it_asks_once(instance: dg.DagsterInstance) -> None:
    wanted = runs_of(instance, 2)
    with counted_queries() as asked:
        run_records(instance, wanted)

    assert len(asked) == 1


def test_a_storage_without_tables_is_asked_by_its_public_call() -> None:
    class PublicOnly:
        """An instance whose run storage has no tables, such as that of Dagster+."""

        run_storage = object()

        def get_run_records(self, filters: dg.RunsFilter, limit: int) -> list[str]:
            return [f"{run_id} of {limit}" for run_id in filters.run_ids or []]

    instance: Any = PublicOnly()

    assert run_records(instance, ["b", "a"]) == ["a of 2", "b of 2"]
