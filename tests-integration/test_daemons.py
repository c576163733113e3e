"""Webserver, GraphQL and every daemon on an instance that is wrapped, on PostgreSQL."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster import DagsterRunStatus

import daemon_project
from dagster_home import DagsterHome
from delivered import check_delivered
from delivery import has_delivered_all, is_delivered
from deployment import Deployment, deployed
from receiver import Receiver


def configuration(url: str) -> dict[str, Any]:
    def on_postgres(module: str, name: str) -> dict[str, Any]:
        return {"module": module, "class": name, "config": {"postgres_url": url}}

    return {
        "telemetry": {"enabled": False},
        "run_storage": on_postgres("dagster_postgres.run_storage", "PostgresRunStorage"),
        "schedule_storage": on_postgres(
            "dagster_postgres.schedule_storage", "PostgresScheduleStorage"
        ),
        "event_log_storage": {
            "module": "dagster_openlineage",
            "class": "OpenLineageEventLogStorage",
            "config": {
                "wrapped": on_postgres("dagster_postgres.event_log", "PostgresEventLogStorage"),
            },
        },
        "run_retries": {"enabled": True},
        "run_monitoring": {"enabled": True, "poll_interval_seconds": 1},
        "concurrency": {"runs": {"max_concurrent_runs": 4}, "pools": {"granularity": "op"}},
    }


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture(scope="module")
def deployment(
    tmp_path_factory: pytest.TempPathFactory, make_database: Callable[[], str], receiver: Receiver
) -> Iterator[Deployment]:
    home = DagsterHome(
        tmp_path_factory.mktemp("deployment") / "home",
        receiver.url,
        content=configuration(make_database()),
    )
    with home.instance() as instance:
        instance.event_log_storage.set_concurrency_slots(daemon_project.POOL, 1)
    with deployed(home, "daemon_project", "-m", "daemon_project") as deployment:
        yield deployment


def test_a_queued_run_is_launched_and_makes_what_has_a_condition_follow(
    deployment: Deployment,
) -> None:
    run_id = deployment.launch("source_job")
    deployment.wait_for_status(run_id, DagsterRunStatus.SUCCESS)
    key = dg.AssetKey("follows")
    deployment.wait_until(
        lambda: deployment.instance.get_latest_materialization_event(key) is not None,
        "the asset with a condition",
    )


def test_a_run_that_fails_is_retried(deployment: Deployment, tmp_path: Path) -> None:
    tags = {"dagster/max_retries": "1", daemon_project.STAMP: str(tmp_path / "stamp")}
    run_id = deployment.launch("fails_once_job", **tags)
    deployment.wait_for_status(run_id, DagsterRunStatus.FAILURE)
    [retry] = deployment.wait_for_job("fails_once_job", 1, DagsterRunStatus.SUCCESS)
    assert retry.parent_run_id == run_id


def test_a_backfill_runs_every_partition(deployment: Deployment) -> None:
    days = daemon_project.DAYS.get_partition_keys()
    deployment.launch_backfill([["by_day"]], days[0], days[-1])
    key = dg.AssetKey("by_day")
    log = deployment.instance.event_log_storage
    deployment.wait_until(
        lambda: log.get_materialized_partitions(key) == set(days), "all partitions"
    )


def test_a_pool_of_one_is_held_by_one_step_at_a_time(deployment: Deployment) -> None:
    runs = [deployment.launch("pooled_job") for _ in range(2)]
    for run_id in runs:
        deployment.wait_for_status(run_id, DagsterRunStatus.SUCCESS)
    held = sorted(
        (step.start_time, step.end_time)
        for run_id in runs
        for step in deployment.instance.get_run_step_stats(run_id)
        if step.start_time is not None and step.end_time is not None
    )
    assert len(held) == 6
    for (_, end), (start, _) in itertools.pairwise(held):
        assert end <= start


def test_a_run_that_takes_too_long_is_ended(deployment: Deployment) -> None:
    run_id = deployment.launch("sleeps_job", **{"dagster/max_runtime": "5"})
    deployment.wait_for_status(run_id, DagsterRunStatus.FAILURE)


def test_the_pages_of_the_ui_are_answered(deployment: Deployment) -> None:
    answer = deployment.ask(
        """{
          instance {
            info hasInfo runQueuingSupported
            concurrencyLimits { concurrencyKey slotCount }
            daemonHealth { allDaemonStatuses { daemonType healthy required lastHeartbeatErrors
                                               { message } } }
          }
          runsOrError(limit: 20) {
            __typename
            ... on Runs { results { runId status stats { __typename }
                          stepStats { stepKey status }
                          eventConnection(limit: 50) { events { __typename } hasMore } } }
          }
          assetsOrError { __typename ... on AssetConnection { nodes { key { path } } } }
          assetNodes { assetKey { path } assetMaterializations(limit: 2) { runId }
                       partitionStats { numMaterialized } }
        }"""
    )
    assert answer["runsOrError"]["__typename"] == "Runs"
    assert answer["assetsOrError"]["__typename"] == "AssetConnection"
    [limit] = answer["instance"]["concurrencyLimits"]
    assert limit == {"concurrencyKey": daemon_project.POOL, "slotCount": 1}
    for status in answer["instance"]["daemonHealth"]["allDaemonStatuses"]:
        assert not status["lastHeartbeatErrors"], status


def test_every_event_of_all_that_is_delivered(deployment: Deployment, receiver: Receiver) -> None:
    """The last test of this module: what the others did arrives, and nothing else."""
    deployment.wait_until(
        lambda: deployment.is_idle() and is_delivered(deployment.instance), "the rest"
    )
    assert has_delivered_all(deployment.instance)
    assert check_delivered(deployment.instance, receiver.events, daemon_project.DEFINITIONS) > 50


def test_nothing_of_ours_was_said_in_any_process(deployment: Deployment) -> None:
    for log in ("daemon.log", "webserver.log"):
        text = (deployment.home.path / log).read_text()
        assert "OpenLineage: " not in text
        assert "NotImplementedError" not in text
