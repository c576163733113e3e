"""Webserver, GraphQL and every daemon on an instance that is wrapped, on PostgreSQL."""

import itertools
import json
import socket
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster import DagsterRunStatus, RunsFilter
from dagster._core.storage.dagster_run import IN_PROGRESS_RUN_STATUSES

import daemon_project
from dagster_home import DagsterHome, wait_until
from delivered import check_delivered
from openlineage_dagster_core.delivery.outbox import read_status
from receiver import Receiver

SECONDS = 240.0
LOCATION = {
    "repositoryLocationName": "daemon_project",
    "repositoryName": "__repository__",
}


@dataclass
class Deployment:
    """A webserver and a daemon on one home."""

    home: DagsterHome
    receiver: Receiver
    address: str
    instance: dg.DagsterInstance

    def ask(self, query: str, **variables: Any) -> Any:
        """Ask GraphQL as the UI does."""
        request = urllib.request.Request(
            f"{self.address}/graphql",
            json.dumps({"query": query, "variables": variables}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            answer = json.load(response)
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    def launch(self, job: str, **tags: str) -> str:
        """Launch a run as the UI does."""
        launched = self.ask(
            """mutation ($params: ExecutionParams!) {
                 launchRun(executionParams: $params) {
                   __typename
                   ... on LaunchRunSuccess { run { runId } }
                   ... on PythonError { message }
                 }
               }""",
            params={
                "selector": {**LOCATION, "jobName": job},
                "executionMetadata": {
                    "tags": [{"key": key, "value": value} for key, value in tags.items()]
                },
            },
        )["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        run_id: str = launched["run"]["runId"]
        return run_id

    def wait_for_status(self, run_id: str, *statuses: DagsterRunStatus) -> None:
        def has_it() -> bool:
            run = self.instance.get_run_by_id(run_id)
            return run is not None and run.status in statuses

        wait_until(has_it, SECONDS, f"run {run_id} to be {statuses}")

    def wait_for_job(self, job: str, count: int, status: DagsterRunStatus) -> list[dg.DagsterRun]:
        def runs() -> list[dg.DagsterRun]:
            return list(self.instance.get_runs(RunsFilter(job_name=job, statuses=[status])))

        wait_until(lambda: len(runs()) >= count, SECONDS, f"{count} of {job} to be {status}")
        return runs()


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
def deployment(
    tmp_path_factory: pytest.TempPathFactory, make_database: Callable[[], str]
) -> Iterator[Deployment]:
    receiver = Receiver()
    home = DagsterHome(
        tmp_path_factory.mktemp("deployment") / "home",
        receiver.url,
        content=configuration(make_database()),
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with home.instance() as instance:
        instance.event_log_storage.set_concurrency_slots(daemon_project.POOL, 1)
        server = home.start(
            "-m", "dagster_webserver", "-m", "daemon_project", "-h", "127.0.0.1", "-p", str(port),
            log=home.path / "webserver.log",
        )  # fmt: skip
        daemon = home.start(
            "-m", "dagster._daemon", "run", "-m", "daemon_project", log=home.path / "daemon.log"
        )
        made = Deployment(home, receiver, f"http://127.0.0.1:{port}", instance)
        try:
            wait_until(lambda: is_listening(port), SECONDS, "the webserver")
            yield made
        finally:
            for process in (daemon, server):
                process.terminate()
            for process in (daemon, server):
                process.wait(60)
            receiver.close()


def is_listening(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def test_a_queued_run_is_launched_and_makes_what_has_a_condition_follow(
    deployment: Deployment,
) -> None:
    run_id = deployment.launch("source_job")
    deployment.wait_for_status(run_id, DagsterRunStatus.SUCCESS)
    key = dg.AssetKey("follows")
    wait_until(
        lambda: deployment.instance.get_latest_materialization_event(key) is not None,
        SECONDS,
        "the asset with a condition",
    )


def test_a_run_that_fails_is_retried(deployment: Deployment, tmp_path: Path) -> None:
    tags = {"dagster/max_retries": "1", daemon_project.STAMP: str(tmp_path / "stamp")}
    run_id = deployment.launch("fails_once_job", **tags)
    deployment.wait_for_status(run_id, DagsterRunStatus.FAILURE)
    [retry] = deployment.wait_for_job("fails_once_job", 1, DagsterRunStatus.SUCCESS)
    assert retry.parent_run_id == run_id


def test_a_backfill_runs_every_partition(deployment: Deployment) -> None:
    answer = deployment.ask(
        """mutation ($params: LaunchBackfillParams!) {
             launchPartitionBackfill(backfillParams: $params) {
               __typename
               ... on LaunchBackfillSuccess { backfillId }
               ... on PythonError { message }
             }
           }""",
        params={
            "assetSelection": [{"path": ["by_day"]}],
            "partitionNames": list(daemon_project.DAYS.get_partition_keys()),
        },
    )["launchPartitionBackfill"]
    assert answer["__typename"] == "LaunchBackfillSuccess", answer
    key = dg.AssetKey("by_day")
    wait_until(
        lambda: (
            deployment.instance.event_log_storage.get_materialized_partitions(key)
            == set(daemon_project.DAYS.get_partition_keys())
        ),
        SECONDS,
        "all partitions",
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


def test_every_event_of_all_that_is_delivered(deployment: Deployment) -> None:
    """The last test of this module: what the others did arrives, and nothing else."""

    def has_arrived() -> bool:
        running = deployment.instance.get_runs_count(
            RunsFilter(statuses=list(IN_PROGRESS_RUN_STATUSES))
        )
        return not running and not read_status(deployment.home.outbox).depth

    wait_until(has_arrived, SECONDS, "the rest")
    status = read_status(deployment.home.outbox)
    assert (status.parked, status.gaps) == (0, ())
    events = deployment.receiver.events
    assert check_delivered(deployment.instance, events, daemon_project.DEFINITIONS) > 50


def test_nothing_of_ours_was_said_in_any_process(deployment: Deployment) -> None:
    for log in ("daemon.log", "webserver.log"):
        text = (deployment.home.path / log).read_text()
        assert "OpenLineage: " not in text
        assert "NotImplementedError" not in text
