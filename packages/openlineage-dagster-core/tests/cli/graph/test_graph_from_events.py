"""What events say, put together."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any

import pytest

from openlineage_dagster_core.cli.graph.from_events import Gathering
from openlineage_dagster_core.cli.graph.model import Column, Dataset, Job, Lineage, Run, State

Json = dict[str, Any]


def dataset(name: str, **facets: Json) -> Json:
    return {"namespace": "shop", "name": name, "facets": facets}


def event(
    job: str = "orders",
    state: str = "COMPLETE",
    time: str = "2026-01-01T10:00:00Z",
    run_id: str = "r1",
    inputs: tuple[Json, ...] = (),
    outputs: tuple[Json, ...] = (),
    job_facets: Json | None = None,
    run_facets: Json | None = None,
) -> Json:
    return {
        "eventType": state,
        "eventTime": time,
        "run": {"runId": run_id, "facets": run_facets or {}},
        "job": {"namespace": "shop", "name": job, "facets": job_facets or {}},
        "inputs": list(inputs),
        "outputs": list(outputs),
    }


def lineage_of_events(events: Iterable[object]) -> Lineage:
    gathering = Gathering()
    for each in events:
        gathering.add(each)
    return gathering.lineage()


def job_of(*events: Json) -> Job:
    return lineage_of_events(events).jobs["shop", "orders"]


def schema(*fields: Json) -> Json:
    return {"fields": list(fields)}


def test_one_node_stands_for_all_events_of_a_name() -> None:
    lineage = lineage_of_events(
        [
            event("sales", inputs=(dataset("orders"),), outputs=(dataset("sales"),)),
            event("report", inputs=(dataset("sales"),), outputs=(dataset("report"),)),
            event("sales", inputs=(dataset("orders"),), outputs=(dataset("sales"),), run_id="r2"),
        ]
    )
    assert lineage.datasets.keys() == {("shop", each) for each in ("orders", "sales", "report")}
    assert lineage.reads == {
        (("shop", "orders"), ("shop", "sales")),
        (("shop", "sales"), ("shop", "report")),
    }
    assert lineage.writes == {
        (("shop", "sales"), ("shop", "sales")),
        (("shop", "report"), ("shop", "report")),
    }


def test_the_latest_event_of_a_run_is_its_state_in_any_order() -> None:
    events = [
        event(state="START", time="2026-01-01T10:00:00Z"),
        event(state="RUNNING", time="2026-01-01T10:01:00Z"),
        event(state="FAIL", time="2026-01-01T10:02:00+00:00"),
    ]
    for order in itertools.permutations(events):
        ended = datetime(2026, 1, 1, 10, 2, tzinfo=timezone.utc)
        assert job_of(*order).run == Run("r1", State.FAIL, ended)


def test_of_two_events_at_the_same_time_the_end_is_the_state() -> None:
    both = [event(state="COMPLETE"), event(state="START")]
    assert job_of(*both).run == job_of(*reversed(both)).run
    assert job_of(*both).run == Run(
        "r1", State.COMPLETE, datetime(2026, 1, 1, 10, tzinfo=timezone.utc)
    )


def test_the_latest_run_is_the_jobs_state_though_an_earlier_one_ends_after_it() -> None:
    job = job_of(
        event(state="START", time="2026-01-01T10:00:00Z", run_id="first"),
        event(state="START", time="2026-01-01T11:00:00Z", run_id="second"),
        event(state="FAIL", time="2026-01-01T12:00:00Z", run_id="first"),
    )
    assert job.run is not None
    assert (job.run.id, job.run.state) == ("second", State.RUNNING)


def test_times_of_several_zones_are_compared() -> None:
    job = job_of(
        event(state="START", time="2026-01-01T12:00:00+02:00"),
        event(state="ABORT", time="2026-01-01T10:30:00.123456789Z"),
    )
    assert job.run is not None
    assert job.run.state == State.ABORT


def test_other_events_change_no_state() -> None:
    later = event(state="OTHER", time="2026-01-01T11:00:00Z")
    job = job_of(event(), later)
    assert job.run is not None
    assert job.run.state == State.COMPLETE
    assert job_of(later).run is None


def test_a_job_reads_what_its_latest_run_names() -> None:
    lineage = lineage_of_events(
        [
            event(inputs=(dataset("old"),), outputs=(dataset("orders"),), run_id="first"),
            event(
                inputs=(dataset("new"),),
                outputs=(dataset("orders"),),
                run_id="second",
                time="2026-01-02T10:00:00Z",
            ),
            event(state="FAIL", run_id="third", time="2026-01-03T10:00:00Z"),
        ]
    )
    assert lineage.reads == {(("shop", "new"), ("shop", "orders"))}
    run = lineage.jobs["shop", "orders"].run
    assert run is not None
    assert run.state == State.FAIL


def test_the_newest_facets_describe_a_dataset() -> None:
    earlier = dataset(
        "orders",
        schema=schema({"name": "id", "type": "int"}),
        documentation={"description": "Orders."},
    )
    later = dataset(
        "orders",
        schema=schema(
            {"name": "id", "type": "bigint", "description": "Unique."},
            {"name": "address", "type": "struct", "fields": [{"name": "city", "type": "text"}]},
        ),
        datasetType={"datasetType": "TABLE"},
    )
    events = [
        event(outputs=(earlier,)),
        event(outputs=(later,), time="2026-01-02T10:00:00Z"),
    ]
    expected = Dataset(
        "TABLE",
        "Orders.",
        (
            Column("id", "bigint", "Unique."),
            Column("address", "struct"),
            Column("address.city", "text"),
        ),
    )
    for order in (events, events[::-1]):
        assert lineage_of_events(order).datasets["shop", "orders"] == expected


def test_columns_come_from_columns_of_datasets_that_are_there() -> None:
    made = {
        "fields": {
            "amount": {
                "inputFields": [
                    {"namespace": "shop", "name": "orders", "field": "price"},
                    {"namespace": "elsewhere", "name": "unknown", "field": "x"},
                    {"name": "no namespace", "field": "x"},
                ]
            },
            "broken": "text",
        }
    }
    lineage = lineage_of_events(
        [event(inputs=(dataset("orders"),), outputs=(dataset("sales", columnLineage=made),))]
    )
    assert lineage.columns == {((("shop", "orders"), "price"), (("shop", "sales"), "amount"))}


def test_a_job_says_its_type_and_what_it_is_part_of() -> None:
    job = job_of(
        event(
            job_facets={
                "jobType": {"jobType": "STEP"},
                "documentation": {"description": "Loads."},
            },
            run_facets={"parent": {"job": {"namespace": "shop", "name": "nightly"}}},
        )
    )
    assert (job.kind, job.description, job.parent) == ("STEP", "Loads.", ("shop", "nightly"))


def test_events_without_a_run_are_told_too() -> None:
    gathering = Gathering()
    assert gathering.add({"dataset": dataset("prices", schema=schema({"name": "sku"}))})
    assert gathering.add(
        {
            "job": {"namespace": "shop", "name": "orders"},
            "inputs": [dataset("prices")],
            "outputs": [dataset("orders")],
        }
    )
    lineage = gathering.lineage()
    assert lineage.datasets["shop", "prices"].columns == (Column("sku"),)
    assert lineage.reads == {(("shop", "prices"), ("shop", "orders"))}
    assert lineage.jobs["shop", "orders"].run is None


@pytest.mark.parametrize(
    "nonsense",
    [
        None,
        7,
        "text",
        [],
        {},
        {"job": "text"},
        {"job": {"namespace": "shop"}},
        {"job": {"namespace": "shop", "name": 7}},
        {"dataset": {"namespace": "", "name": "orders"}},
        {"eventType": "COMPLETE", "inputs": [{"namespace": "shop", "name": "orders"}]},
    ],
)
def test_what_is_no_event_changes_nothing(nonsense: object) -> None:
    gathering = Gathering()
    assert not gathering.add(nonsense)
    assert gathering.lineage() == lineage_of_events([])


@pytest.mark.parametrize("nonsense", [None, 7, "text", [], [None], {"a": 1}])
def test_an_event_may_be_wrong_in_every_part(nonsense: object) -> None:
    whole = event(inputs=(dataset("in"),), outputs=(dataset("out"),))
    for key in ("eventType", "eventTime", "run", "inputs", "outputs"):
        assert ("shop", "orders") in lineage_of_events([{**whole, key: nonsense}]).jobs
    for facet in ("schema", "columnLineage", "documentation", "datasetType"):
        broken = {**dataset("out"), "facets": {facet: nonsense}}
        lineage = lineage_of_events([{**whole, "outputs": [broken]}])
        assert lineage.datasets["shop", "out"] == Dataset()
