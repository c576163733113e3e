"""What a run's process adds to it shares a short row with other runs."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openlineage_dagster_core.facts.model import Definitions, KnownRun, OutsideParent
from openlineage_dagster_core.key_values import LONGEST_VALUE, parsed
from openlineage_dagster_core.snapshots.process_facts import (
    ROW_CHARACTERS,
    added,
    allowed_variables,
    found,
    run_row,
)

ANY_TEXT = st.text(st.characters(exclude_categories=[]), max_size=20)
known_runs = st.builds(KnownRun, ANY_TEXT, ANY_TEXT, ANY_TEXT)
facts = st.builds(
    Definitions,
    parent=st.none() | st.builds(OutsideParent, known_runs, st.none() | known_runs),
    environment=st.dictionaries(ANY_TEXT, ANY_TEXT, max_size=3),
    is_disabled=st.booleans(),
)


def test_parents_read_back_as_they_were_written() -> None:
    alone = OutsideParent(KnownRun("ns", "job", "id"))
    rooted = OutsideParent(alone.parent, KnownRun("ns", "root", "id2"))
    for parent in (alone, rooted):
        assert found(added(None, "run", Definitions(parent=parent)), "run").parent == parent


@given(facts=st.lists(facts, max_size=16))
def test_a_row_keeps_the_latest_runs(facts: list[Definitions]) -> None:
    row = None
    for number, each in enumerate(facts):
        row = added(row, f"run {number}", each)
        assert row.isascii()
        assert len(row) <= ROW_CHARACTERS
    kept = len(parsed(row))
    assert kept == len(facts) or kept * len(facts) > 8
    for number, each in enumerate(facts):
        is_kept = number >= len(facts) - kept
        assert found(row, f"run {number}") == (each if is_kept else Definitions())


@pytest.mark.parametrize(
    ("facts", "runs"),
    [
        (Definitions(is_disabled=True), 130),
        (Definitions(environment={"DEPLOYMENT": "production"}), 80),
        (
            Definitions(
                parent=OutsideParent(
                    KnownRun("airflow", "warehouse.nightly", str(uuid.UUID(int=1))),
                    KnownRun("airflow", "warehouse", str(uuid.UUID(int=2))),
                )
            ),
            25,
        ),
    ],
    ids=["disabled", "environment", "parent"],
)
def test_a_row_keeps_many_usual_runs(facts: Definitions, runs: int) -> None:
    ids = [str(uuid.UUID(int=number)) for number in range(runs)]
    row = None
    for run_id in ids:
        row = added(row, run_id, facts)
    assert [found(row, run_id) for run_id in ids] == [facts] * runs


def test_a_run_that_is_written_again_replaces_itself() -> None:
    row = added(None, "run", Definitions(environment={"A": "1"}))
    row = added(row, "run", Definitions(environment={"A": "2"}))
    assert found(row, "run").environment == {"A": "2"}


def test_variables_that_are_too_long_push_older_runs_out_and_then_themselves() -> None:
    parent = OutsideParent(KnownRun("ns", "job", "id"))
    long = {"A": "x" * (LONGEST_VALUE // 2)}
    row = added(None, "first", Definitions(environment=long))
    row = added(row, "second", Definitions(environment=long))
    assert found(row, "first") == Definitions()
    assert found(row, "second").environment == long
    longer = {"A": "x" * LONGEST_VALUE}
    row = added(row, "third", Definitions(parent=parent, environment=longer, is_disabled=True))
    assert len(row) <= LONGEST_VALUE
    assert found(row, "third") == Definitions(parent=parent, is_disabled=True)


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
    assert found(row, "run") == Definitions()


def test_the_rows_are_few_and_their_names_short() -> None:
    rows = {run_row(str(uuid.uuid4())) for _ in range(5000)}
    assert max(map(len, rows)) <= 10
    assert len(rows) > 3000


ENVIRON = {"B_TOKEN": "abc", "B_MODE": "fast", "A": "1", "b_x": "2", "B_URL": "x://u:p@h"}


def test_only_what_matches_is_told_in_order_and_without_secrets() -> None:
    assert list(allowed_variables(ENVIRON, ["B_*", "none"]).items()) == [
        ("B_MODE", "fast"),
        ("B_TOKEN", "***"),
        ("B_URL", "x://***@h"),
    ]


def test_without_patterns_nothing_is_told() -> None:
    assert allowed_variables(ENVIRON, []) == {}


@given(st.dictionaries(st.text(), st.text()), st.lists(st.text()))
def test_no_environment_and_no_pattern_breaks_it(
    environ: dict[str, str], allowed: list[str]
) -> None:
    assert allowed_variables(environ, allowed).keys() <= environ.keys()
