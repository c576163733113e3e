"""What is said where a lineage graph is not the expected one: on one screen, with its events."""

from collections import Counter
from typing import Any

import pytest

import shop_graph
from graph_of_events import graph_of_events
from lineage_graph import LineageGraph, Name, check_graph, together

Json = dict[str, Any]

ORDERS: Name = ("shop", "raw/orders")
REVENUE: Name = ("shop", "marts/revenue")


def event(kind: str, job: Name, run_id: str, *, reads: list[Name], writes: list[Name]) -> Json:
    return {
        "eventType": kind,
        "eventTime": "2026-01-05T01:02:03.000004+00:00",
        "job": {"namespace": job[0], "name": job[1]},
        "run": {"runId": run_id},
        "inputs": [{"namespace": namespace, "name": name} for namespace, name in reads],
        "outputs": [{"namespace": namespace, "name": name} for namespace, name in writes],
    }


def revenue(kind: str) -> Json:
    return event(kind, REVENUE, "run-1", reads=[ORDERS], writes=[REVENUE])


EXPECTED = LineageGraph(
    "the shop",
    reads=frozenset({(ORDERS, REVENUE)}),
    writes=frozenset({(REVENUE, REVENUE)}),
    runs={REVENUE: Counter({"COMPLETE": 1})},
    without_duration=frozenset(),
    columns=frozenset({((ORDERS, "amount"), (REVENUE, "amount"))}),
    assertions={REVENUE: {"is_positive": True, "is_complete": False}},
)


def complaint(found: LineageGraph, expected: LineageGraph, events: list[Json]) -> str:
    with pytest.raises(AssertionError) as caught:
        check_graph(found, expected, events)
    return str(caught.value)


def test_events_say_which_graph_they_make() -> None:
    complete = revenue("COMPLETE")
    complete["outputs"][0]["facets"] = {
        "columnLineage": {
            "fields": {
                "amount": {
                    "inputFields": [{"namespace": "shop", "name": "raw/orders", "field": "amount"}]
                }
            }
        }
    }
    checked = {"namespace": "shop", "name": "marts/revenue"}
    early, late = (
        {
            **event("COMPLETE", ("shop", "checks"), "run-2", reads=[], writes=[]),
            "inputs": [
                {**checked, "inputFacets": {"dataQualityAssertions": {"assertions": assertions}}}
            ],
        }
        for assertions in (
            [{"assertion": "is_positive", "success": False}],
            [
                {"assertion": "is_positive", "success": True},
                {"assertion": "is_complete", "success": False},
            ],
        )
    )
    events = [revenue("START"), complete, complete, {"dataset": checked}, early, late]
    found = graph_of_events("the events", events)
    expected = together(
        "all",
        [
            EXPECTED,
            LineageGraph(
                "the check",
                reads=frozenset({(REVENUE, ("shop", "checks"))}),
                runs={("shop", "checks"): Counter({"COMPLETE": 1})},
                without_duration=frozenset({(("shop", "checks"), "run-2")}),
            ),
        ],
    )
    check_graph(found, expected)


def test_a_run_that_has_not_ended_is_running() -> None:
    assert graph_of_events("the events", [revenue("START")]).runs == {
        REVENUE: Counter({"RUNNING": 1})
    }


def test_the_message_names_system_edges_and_events() -> None:
    other = ("shop", "raw/returns")
    found = LineageGraph(
        "Marquez",
        reads=frozenset({(other, REVENUE)}),
        writes=EXPECTED.writes,
        runs={REVENUE: Counter({"FAIL": 1})},
        without_duration=frozenset({(REVENUE, "run-1")}),
        columns=frozenset(),
        assertions={REVENUE: {"is_positive": False}},
    )
    assert complaint(found, EXPECTED, [revenue("START"), revenue("FAIL")]) == (
        """\
Marquez does not show the graph of the shop
reads: 2 wrong (expected 1, found 1)
  missing       dataset shop:raw/orders -> job shop:marts/revenue
  not expected  dataset shop:raw/returns -> job shop:marts/revenue
runs: 1 wrong (expected 1, found 1)
  different     job shop:marts/revenue: expected 1 COMPLETE, found 1 FAIL
without duration: 1 wrong (expected 0, found 1)
  not expected  job shop:marts/revenue run run-1
columns: 1 wrong (expected 1, found 0)
  missing       column shop:raw/orders amount -> shop:marts/revenue amount
assertions: 2 wrong (expected 2, found 1)
  missing       dataset shop:marts/revenue is_complete: failed
  different     dataset shop:marts/revenue is_positive: expected passed, found failed
events concerned: 2 of 2
  assertions shop:marts/revenue: there is no event of it
  columns shop:marts/revenue: there is no event of it
  FAIL      2026-01-05T01:02:03.000004+00:00  shop:marts/revenue  run run-1
  START     2026-01-05T01:02:03.000004+00:00  shop:marts/revenue  run run-1"""
    )


def test_what_a_system_cannot_tell_is_not_compared() -> None:
    check_graph(LineageGraph("a backend", writes=EXPECTED.writes), EXPECTED)
    check_graph(EXPECTED, EXPECTED)


def test_the_message_fits_on_a_screen_whatever_is_wrong() -> None:
    def very_wrong(count: int) -> LineageGraph:
        jobs = [("shop", f"{'long' * 30}{number}") for number in range(count)]
        return LineageGraph(
            "a backend",
            reads=frozenset((ORDERS, job) for job in jobs),
            writes=frozenset((job, REVENUE) for job in jobs),
            runs={job: Counter({"COMPLETE": 1}) for job in jobs},
            without_duration=frozenset((job, "run") for job in jobs),
            columns=frozenset(((job, "from"), (job, "to")) for job in jobs),
            assertions={job: {"is_positive": True} for job in jobs},
        )

    events = [
        event("COMPLETE", ("shop", f"{'long' * 30}{number}"), "run", reads=[], writes=[])
        for number in range(200)
    ]
    lines = complaint(very_wrong(200), very_wrong(0), events).splitlines()
    assert 25 < len(lines) <= 40
    assert max(map(len, lines)) == 120
    assert "  … and 198 more" in lines
    assert lines[-1].startswith("  … and ")


def test_a_whole_adds_up_the_runs_of_its_parts() -> None:
    twice = together("twice", [shop_graph.nightly(), shop_graph.demo()])
    assert twice.runs is not None
    assert twice.runs["shop", "nightly"] == Counter({"FAIL": 2})
    assert twice.reads == shop_graph.nightly().reads
