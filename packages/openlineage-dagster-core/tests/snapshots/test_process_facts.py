"""What a run's process adds to it shares a short row with other runs."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openlineage_dagster_core.facts.model import KnownRun, OutsideParent
from openlineage_dagster_core.key_values import LONGEST_VALUE
from openlineage_dagster_core.snapshots.process_facts import (
    RUNS_A_ROW,
    ProcessFacts,
    added,
    found,
    run_row,
)

ANY_TEXT = st.text(st.characters(exclude_categories=[]), max_size=20)
known_runs = st.builds(KnownRun, ANY_TEXT, ANY_TEXT, ANY_TEXT)
facts = st.builds(
    ProcessFacts,
    parent=st.none() | st.builds(OutsideParent, known_runs, st.none() | known_runs),
    environment=st.dictionaries(ANY_TEXT, ANY_TEXT, max_size=3),
    is_disabled=st.booleans(),
)


def test_parents_read_back_as_they_were_written() -> None:
    alone = OutsideParent(KnownRun("ns", "job", "id"))
    rooted = OutsideParent(alone.parent, KnownRun("ns", "root", "id2"))
    for parent in (alone, rooted):
        assert found(added(None, "run", ProcessFacts(parent)), "run").parent == parent


@given(facts=st.lists(facts, max_size=2 * RUNS_A_ROW))
def test_a_row_keeps_the_latest_runs(facts: list[ProcessFacts]) -> None:
    row = None
    for number, each in enumerate(facts):
        row = added(row, f"run {number}", each)
        assert row.isascii()
        assert len(row) <= LONGEST_VALUE
    for number, each in enumerate(facts):
        is_kept = number >= len(facts) - RUNS_A_ROW
        assert found(row, f"run {number}") == (each if is_kept else ProcessFacts())


def test_a_run_that_is_written_again_replaces_itself() -> None:
    row = added(None, "run", ProcessFacts(environment={"A": "1"}))
    row = added(row, "run", ProcessFacts(environment={"A": "2"}))
    assert found(row, "run").environment == {"A": "2"}


def test_variables_that_are_too_long_push_older_runs_out_and_then_themselves() -> None:
    parent = OutsideParent(KnownRun("ns", "job", "id"))
    long = {"A": "x" * (LONGEST_VALUE // 2)}
    row = added(None, "first", ProcessFacts(environment=long))
    row = added(row, "second", ProcessFacts(environment=long))
    assert found(row, "first") == ProcessFacts()
    assert found(row, "second").environment == long
    row = added(row, "third", ProcessFacts(parent, {"A": "x" * LONGEST_VALUE}, is_disabled=True))
    assert len(row) <= LONGEST_VALUE
    assert found(row, "third") == ProcessFacts(parent, {}, is_disabled=True)


@pytest.mark.parametrize(
    "row",
    [
        None,
        "nonsense",
        "{}",
        '{"run": 7}',
        '{"run": {}}',
        '{"run": {"parent": {"parent": {"invented_later": 1}}}}',
        '{"run": {"parent": "text"}}',
        '{"run": {"environment": 7}}',
    ],
)
def test_a_row_that_cannot_be_read_says_nothing(row: str | None) -> None:
    assert found(row, "run") == ProcessFacts()


def test_the_rows_are_few_and_their_names_short() -> None:
    rows = {run_row(str(uuid.uuid4())) for _ in range(5000)}
    assert max(map(len, rows)) <= 10
    assert len(rows) > 3000


def test_only_what_says_something_is_kept() -> None:
    assert ProcessFacts().is_empty
    assert not ProcessFacts(is_disabled=True).is_empty
    assert not ProcessFacts(environment={"A": ""}).is_empty
