"""Queries of the jaffle shop and of several databases, and any text, as `queries.yaml` expects."""

import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from openlineage_dagster_core import queries
from openlineage_dagster_core.queries import parsing
from openlineage_dagster_core.queries.model import Asked, Parsed, agree
from openlineage_dagster_core.queries.parsing import dialect_of, parsed

pytest.importorskip("sqlglot", reason="it parses queries: the extra `sql`")

QUERIES = yaml.safe_load(Path(__file__).with_name("queries.yaml").read_text())


def asked(given: dict[str, Any]) -> Asked:
    known = given.get("known", {})
    return Asked(
        given["query"],
        given.get("dialect"),
        tuple((tuple(name.split(".")), tuple(columns)) for name, columns in known.items()),
        tuple(given.get("wanted", ())),
    )


def columns_of(found: Parsed) -> dict[str, list[str]]:
    return {
        name.lower(): sorted(
            " ".join([".".join((*each.table, each.column.lower())), *ways])
            for each in origins
            for ways in [[way] for way in each.ways if way != "IDENTITY"] or [[]]
        )
        for name, origins in found.columns
    }


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query["name"])
def test_tables_and_columns_are_those_of_the_query(query: dict[str, Any]) -> None:
    found = parsed(asked(query))
    assert found.fault is None
    assert [".".join(table) for table in found.tables] == query["tables"]
    expected = {name: sorted(origins) for name, origins in query["columns"].items()}
    assert columns_of(found) == expected


def test_there_are_queries_of_many_dialects() -> None:
    dialects = [query.get("dialect") for query in QUERIES]
    assert len(dialects) > 60
    for dialect in ("postgres", "snowflake", "bigquery", "duckdb", "redshift", "spark", "tsql"):
        assert dialects.count(dialect) >= 3


WORDS = """
select from with as ( ) , * . a b t x.y join on using union all group by case when then end over
partition order insert into create table merge update set 'x' "q" [z] `w` 1 ; unnest lateral pivot
values exists in not $1 @s {{ }} -- /* */
"""
SQL = st.lists(st.sampled_from(WORDS.split()), max_size=40).map(" ".join)


@given(st.text() | SQL, st.sampled_from([None, *sorted(set(parsing.DIALECTS.values()))]))
@settings(max_examples=400, deadline=None)
def test_any_text_gives_something_or_a_fault(query: str, dialect: str | None) -> None:
    assert isinstance(parsed(Asked(query, dialect)), Parsed)


@pytest.mark.parametrize(
    "query",
    [
        "select " + "(" * 50_000,
        "select " + "(" * 1000 + "1" + ")" * 1000,
        "select " + "not " * 20_000 + "a from t",
        "select " + "- " * 40_000 + "a from t",
        "select " + "a + " * 20_000 + "a from t",
        "select " + "case when a then " * 3000 + "1" + " end" * 3000 + " from t",
        "select 1" + " union all select 1" * 5000,
        "select a" + "::int" * 15_000 + " from t",
        "select a" + ".b" * 40_000 + " from t",
        "with t as (select 1) " * 4000,
        "select x" + "[1]" * 20_000,
        "select x" + "[1]" * 90 + " from t",
        "x" * 200_000,
    ],
    ids=lambda query: query[:20],
)
def test_a_query_that_is_deep_or_long_does_no_harm(query: str) -> None:
    """In a process of its own: compiled code would end it instead of raising an exception."""
    code = (
        "import sys, time; from openlineage_dagster_core.queries.parsing import Asked, parsed; "
        "began = time.process_time(); parsed(Asked(sys.stdin.read(), 'duckdb')); "
        "assert time.process_time() - began < 20"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=query, text=True, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_what_cannot_be_parsed_is_a_fault_without_the_query(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    for query in ("selec t 'hunter2' from (", "call load_all('hunter2')", "grant x to hunter2 (("):
        found = parsed(Asked(query, "snowflake"))
        assert found.tables == ()
        assert "hunter2" not in str(found)
    assert "hunter2" not in caplog.text


def test_what_others_parse_is_logged_as_ever(caplog: pytest.LogCaptureFixture) -> None:
    import sqlglot

    parsed(Asked("select 1"))
    sqlglot.parse("call load_all('x')", read="duckdb")
    assert "load_all" in caplog.text


def test_without_sqlglot_the_fault_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed.cache_clear()
    monkeypatch.setitem(sys.modules, "openlineage_dagster_core.queries.resolving", None)
    monkeypatch.delattr(queries, "resolving", raising=False)
    found = parsed(Asked("select a from t"))
    assert found == Parsed(fault=parsing.MISSING)
    parsed.cache_clear()


def test_sqlglot_is_imported_with_the_first_query_only() -> None:
    code = (
        "import sys, openlineage_dagster_core.engine; "
        "from openlineage_dagster_core.queries.parsing import Asked, parsed; "
        "assert 'sqlglot' not in sys.modules; parsed(Asked('select 1')); "
        "assert 'sqlglot' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("names", "dialect"),
    [
        (["snowflake"], "snowflake"),
        ([None, "dbt", "postgresql"], "postgres"),
        (["SQLServer"], "tsql"),
        (["parquet", None], None),
    ],
)
def test_a_storage_has_a_dialect(names: list[str | None], dialect: str | None) -> None:
    assert dialect_of(names) == dialect


def test_tables_agree_as_far_as_both_are_named() -> None:
    assert agree(("orders",), ("shop", "raw", "orders"))
    assert agree(("shop", "raw", "orders"), ("raw", "orders"))
    assert not agree(("mart", "orders"), ("shop", "raw", "orders"))
    assert not agree((), ("orders",))


@pytest.mark.parametrize(
    ("query", "is_resolved"),
    [
        (  # Each column names the one before it twice.
            "select "
            + ", ".join(f"c{each} + c{each} as c{each + 1}" for each in range(30))
            + " from (select a as c0 from db.t) as t",
            True,
        ),
        (
            "select " + " + ".join(f"a{each % 10}" for each in range(5000)) + " as s from db.t",
            False,
        ),
    ],
)
def test_the_work_for_a_query_is_limited(query: str, is_resolved: bool) -> None:
    found = parsed(Asked(query))
    assert bool(found.columns) is is_resolved
    assert (found.fault is None) is is_resolved
