"""The shop through Kafka into Data.Rentgen: a real backend shows the lineage as it is."""

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

import demo
from dagster_home import TESTING, DagsterHome
from data_rentgen_server import DataRentgen, can_read
from delivery import wait_until_delivered
from graph_of_data_rentgen import graph_of_data_rentgen, without_jobs
from lineage_graph import LineageGraph, Name, check_graph, together
from recorded_run import execute
from shop.definitions import defs
from shop_graph import newsletter, nightly, watch_suppliers

SECONDS = 300.0


def expected(namespace: str) -> LineageGraph:
    made = [nightly(namespace), newsletter(namespace), watch_suppliers(namespace)]
    return together("the shop", made)


def of_jobs_and_steps(namespace: str) -> set[Name]:
    """Their run ids are Dagster's, or name one as their parent's: random ones, without a time."""
    jobs = {job for job, _, _ in demo.RUNS}
    return {name for name in expected(namespace).runs or () if name[1].split(".")[0] in jobs}


def events_of(events: list[dict[str, Any]], namespace: str) -> list[dict[str, Any]]:
    return [
        event
        for event in events
        if event.get("job", event.get("dataset"))["namespace"] == namespace
    ]


def wait_until_all_is_shown(instance: dg.DagsterInstance, data_rentgen: DataRentgen) -> None:
    wait_until_delivered(instance, SECONDS)
    data_rentgen.wait_until_all_is_read()


def home_of(
    path: Path, data_rentgen: DataRentgen, monkeypatch: pytest.MonkeyPatch, **options: Any
) -> DagsterHome:
    """Make a home whose events go to Data.Rentgen, from this process too."""
    transport = data_rentgen.topic.environment()
    for name, value in transport.items():
        monkeypatch.setenv(name, value)
    places = os.pathsep.join([str(TESTING), str(demo.EXAMPLES)])
    return DagsterHome(path, None, options=options, environ={**transport, "PYTHONPATH": places})


def test_it_shows_the_graph_of_all_that_it_can_read_and_refuses_the_runs_of_jobs_and_steps(
    tmp_path: Path, data_rentgen: DataRentgen, monkeypatch: pytest.MonkeyPatch
) -> None:
    namespace = "shop"
    home = home_of(tmp_path / "home", data_rentgen, monkeypatch, namespace=namespace)
    for job, tags, succeeds in demo.RUNS:
        command = ["-m", "dagster", "job", "execute", "-m", "shop.definitions", "-j", job]
        process = home.start(*command, "--tags", json.dumps(tags))
        assert (process.wait(SECONDS) == 0) is succeeds, (home.path / "process.log").read_text()
    with home.instance() as instance:
        wait_until_all_is_shown(instance, data_rentgen)
    events = events_of(data_rentgen.topic.events(), namespace)
    refused = events_of(data_rentgen.refused.events(), namespace)
    assert refused == [event for event in events if not can_read(event)]
    jobs = {
        (event["job"]["namespace"], event["job"]["name"]) for event in refused if "job" in event
    }
    assert jobs == of_jobs_and_steps(namespace)
    [observation] = [event for event in refused if "job" not in event]
    assert observation["dataset"]["name"] == "supplier_prices"
    check_graph(
        graph_of_data_rentgen(data_rentgen, namespace),
        without_jobs(expected(namespace), jobs),
        events,
    )


def test_with_its_preset_it_shows_everything_job_and_step_runs_included(
    tmp_path: Path, data_rentgen: DataRentgen, monkeypatch: pytest.MonkeyPatch
) -> None:
    namespace = "shop_without_refusals"
    home = home_of(
        tmp_path / "home", data_rentgen, monkeypatch, namespace=namespace, backend="data-rentgen"
    )
    with home.instance() as instance:
        for job, tags, succeeds in demo.RUNS:
            assert execute(defs, job, instance, tags=tags).success is succeeds, job
        wait_until_all_is_shown(instance, data_rentgen)
    assert not events_of(data_rentgen.refused.events(), namespace)
    observed = LineageGraph(
        "an observation",
        reads=frozenset(
            [((namespace, "supplier_prices"), (namespace, "supplier_prices__observations"))]
        ),
        runs={(namespace, "supplier_prices__observations"): Counter(["COMPLETE"])},
    )
    events = events_of(data_rentgen.topic.events(), namespace)
    check_graph(
        graph_of_data_rentgen(data_rentgen, namespace),
        together("the shop", [expected(namespace), observed]),
        events,
    )
    ids = {(job.namespace, job.name): job.id for job in data_rentgen.jobs()}
    runs = {each.id: each for each in data_rentgen.runs()}
    [nightly_run] = [each for each in runs.values() if each.job_id == ids[namespace, "nightly"]]
    steps = [ids[namespace, f"nightly.{name}"] for name in ("raw__orders", "staging")]
    children = {each.job_id: each.parent_id for each in runs.values() if each.job_id in steps}
    assert children == dict.fromkeys(steps, nightly_run.id)


def test_it_shows_schemas_and_from_which_datasets_one_is_made(
    tmp_path: Path, data_rentgen: DataRentgen, monkeypatch: pytest.MonkeyPatch
) -> None:
    namespace = "shop_of_datasets"
    home = home_of(tmp_path / "home", data_rentgen, monkeypatch, namespace=namespace)
    with home.instance() as instance:
        execute(defs, "nightly", instance, tags=demo.PARTITION)
        wait_until_all_is_shown(instance, data_rentgen)
    [revenue] = [
        dataset
        for dataset in data_rentgen.datasets()
        if (dataset.namespace, dataset.name) == (namespace, "marts/revenue")
    ]
    lineage = data_rentgen.lineage_of_dataset(revenue)
    assert lineage.datasets[revenue.id].fields == (("customer", "text"), ("amount", "numeric"))
    names = {key: (each.namespace, each.name) for key, each in lineage.datasets.items()}
    graph = nightly(namespace)
    assert {(names[source], names[target]) for source, target in lineage.inputs} == {
        (dataset, made)
        for dataset, reader in graph.reads or ()
        for job, made in graph.writes or ()
        if reader == job
    }
