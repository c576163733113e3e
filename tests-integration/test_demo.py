"""The example project by both mechanisms, in real processes: `dagster`, its steps, a daemon."""

from collections import Counter

import pytest

import demo
import every_event_is_valid
import shop_graph
from graph_of_events import graph_of_events
from lineage import END_STATES, comparable, read_events
from lineage_graph import check_graph

NAMESPACE = "shop"


@pytest.fixture(scope="module")
def by_storage(tmp_path_factory: pytest.TempPathFactory) -> demo.Demonstration:
    # `nox -s wheels` has one of the two in an environment of its own.
    pytest.importorskip("openlineage_dagster_storage", reason="the storage is not installed")
    return demo.storage(tmp_path_factory.mktemp("storage"))


@pytest.fixture(scope="module")
def by_sensor(tmp_path_factory: pytest.TempPathFactory) -> demo.Demonstration:
    pytest.importorskip("openlineage_dagster_sensor", reason="the sensor is not installed")
    return demo.sensor(tmp_path_factory.mktemp("sensor"))


@pytest.fixture(scope="module", params=["by_storage", "by_sensor"])
def demonstration(request: pytest.FixtureRequest) -> demo.Demonstration:
    result: demo.Demonstration = request.getfixturevalue(request.param)
    return result


def test_both_mechanisms_give_the_same_events(
    by_storage: demo.Demonstration, by_sensor: demo.Demonstration
) -> None:
    storage = comparable(read_events(by_storage.events))
    sensor = comparable(read_events(by_sensor.events))
    assert storage.keys() == sensor.keys()
    for job in storage:
        assert storage[job] == sensor[job], job


def test_every_event_is_valid(demonstration: demo.Demonstration) -> None:
    for event in read_events(demonstration.events):
        every_event_is_valid.check(event)


def test_the_graph_is_the_one_that_is_written_down(demonstration: demo.Demonstration) -> None:
    events = read_events(demonstration.events)
    check_graph(graph_of_events("the demo's file", events), shop_graph.demo(), events)


def test_every_run_starts_once_and_ends_once(demonstration: demo.Demonstration) -> None:
    for job in demonstration.lineage.jobs.values():
        for states in job.runs.values():
            assert states[0] == "START"
            assert states.count("START") == 1
            assert sum(state in END_STATES for state in states) == 1
            assert states[-1] in END_STATES


def test_no_run_id_serves_two_jobs(demonstration: demo.Demonstration) -> None:
    jobs_by_run = Counter(
        run_id for job in demonstration.lineage.jobs.values() for run_id in job.runs
    )
    assert set(jobs_by_run.values()) == {1}


def test_the_facets_of_the_example_are_there(demonstration: demo.Demonstration) -> None:
    jobs = demonstration.lineage.jobs
    assert {"schema", "columnLineage", "documentation"} <= jobs[NAMESPACE, "marts/revenue"].facets
    assert "dataQualityAssertions" in jobs[NAMESPACE, "raw/customers__checks"].facets
    assert "errorMessage" in jobs[NAMESPACE, "marts/forecast"].facets
    assert "parent" in jobs[NAMESPACE, "nightly.staging"].facets


def test_the_observation_is_there(demonstration: demo.Demonstration) -> None:
    assert demonstration.lineage.observed == {(NAMESPACE, "supplier_prices")}
