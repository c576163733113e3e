"""The example project by both mechanisms, in real processes: `dagster`, its steps, a daemon."""

import importlib.util
from collections import Counter

import pytest

import demo
import every_event_is_valid
from lineage import END_STATES, Lineage, comparable, read_events
from shop.definitions import defs

NAMESPACE = "shop"


def skip_without(mechanism: str) -> None:
    """`nox -s wheels` has one of the two in an environment of its own."""
    if importlib.util.find_spec(f"openlineage_dagster_{mechanism}") is None:
        pytest.skip(f"openlineage-dagster-{mechanism} is not installed")


@pytest.fixture(scope="module")
def by_storage(tmp_path_factory: pytest.TempPathFactory) -> demo.Demonstration:
    skip_without("storage")
    return demo.storage(tmp_path_factory.mktemp("storage"))


@pytest.fixture(scope="module")
def by_sensor(tmp_path_factory: pytest.TempPathFactory) -> demo.Demonstration:
    skip_without("sensor")
    return demo.sensor(tmp_path_factory.mktemp("sensor"))


@pytest.fixture(scope="module", params=["by_storage", "by_sensor"])
def demonstration(request: pytest.FixtureRequest) -> demo.Demonstration:
    result: demo.Demonstration = request.getfixturevalue(request.param)
    return result


def expected_edges() -> set[tuple[str, str]]:
    """Every dependency of an asset that the nightly job materializes, from the definitions."""
    graph = defs.get_repository_def().asset_graph
    return {
        (parent.to_user_string(), key.to_user_string())
        for key in graph.materializable_asset_keys
        for parent in graph.get(key).parent_keys
    }


def edges(lineage: Lineage) -> set[tuple[str, str]]:
    return {(source, target) for (_, source), (_, target) in lineage.edges}


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


def test_the_edges_are_exactly_those_of_the_definitions(
    demonstration: demo.Demonstration,
) -> None:
    assert edges(demonstration.lineage) == expected_edges()


def test_an_asset_is_one_job_that_writes_nothing_but_itself(
    demonstration: demo.Demonstration,
) -> None:
    for (_, name), job in demonstration.lineage.jobs.items():
        if job.kind == "ASSET":
            assert job.outputs == {(NAMESPACE, name)}


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


def test_what_failed_failed_and_the_rest_is_complete(demonstration: demo.Demonstration) -> None:
    jobs = demonstration.lineage.jobs
    failed = {name for (_, name), job in jobs.items() if job.ends["FAIL"]}
    assert failed == {"nightly", "nightly.marts__forecast", "marts/forecast", "marts/report"}
    assert {state for job in jobs.values() for state in job.ends} == {"FAIL", "COMPLETE"}


def test_the_facets_of_the_example_are_there(demonstration: demo.Demonstration) -> None:
    jobs = demonstration.lineage.jobs
    assert {"schema", "columnLineage", "documentation"} <= jobs[NAMESPACE, "marts/revenue"].facets
    assert "dataQualityAssertions" in jobs[NAMESPACE, "raw/customers__checks"].facets
    assert "errorMessage" in jobs[NAMESPACE, "marts/forecast"].facets
    assert "parent" in jobs[NAMESPACE, "nightly.staging"].facets


def test_the_op_job_and_the_observation_are_there(demonstration: demo.Demonstration) -> None:
    assert demonstration.lineage.observed == {(NAMESPACE, "supplier_prices")}
    jobs = {name for _, name in demonstration.lineage.jobs}
    assert {"newsletter", "newsletter.send", "watch_suppliers"} <= jobs
