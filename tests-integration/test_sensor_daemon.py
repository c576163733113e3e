"""A real daemon evaluates the sensor, on each storage; it is killed, and misses nothing."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster import DagsterRunStatus, RunsFilter
from dagster._core.scheduler.instigation import TickStatus

import location_that_makes
import sensor_project
from dagster_home import DagsterHome, wait_until
from everything_delivered import check_everything_delivered, repeats
from receiver import Receiver
from recorded_run import execute
from sensor_daemon import Gate, SensorDaemon

SECONDS = 90.0
BEFORE_IT_HANGS = 7


@dataclass
class Deployment:
    """A home with a daemon, and a run that waits for a file in the middle."""

    home: DagsterHome
    instance: dg.DagsterInstance
    daemon: SensorDaemon
    receiver: Receiver
    gate: Path

    def execute(self, job: str, **options: Any) -> dg.ExecuteInProcessResult:
        return execute(sensor_project.DEFINITIONS, job, self.instance, **options)

    def start_the_run_that_waits(self) -> subprocess.Popen[bytes]:
        """Until what it has done by then has arrived."""
        process = self.home.start_job("sensor_project", "under_way")
        self.receiver.wait_for(
            lambda: "half_done__checks" in jobs_of(self.receiver), timeout=SECONDS
        )
        assert "never_done" not in ended_jobs_of(self.receiver)
        return process


def jobs_of(receiver: Receiver) -> set[str]:
    return {event["job"]["name"] for event in receiver.events if "job" in event}


def ended_jobs_of(receiver: Receiver) -> set[str]:
    return {
        event["job"]["name"]
        for event in receiver.events
        if event.get("eventType") in {"COMPLETE", "FAIL", "ABORT"}
    }


@pytest.fixture
def deployment(
    tmp_path: Path, bare_storage: dict[str, Any], receiver: Receiver
) -> Iterator[Deployment]:
    gate = tmp_path / "gate"
    home = DagsterHome(
        tmp_path / "home",
        receiver.url,
        environ={sensor_project.GATE: str(gate)},
        content={"telemetry": {"enabled": False}, **bare_storage},
    )
    with home.instance() as instance:
        daemon = SensorDaemon(home, instance, "sensor_project")
        daemon.start()
        try:
            yield Deployment(home, instance, daemon, receiver, gate)
        finally:
            # Whatever has failed: nobody waits.
            gate.touch()
            receiver.released.set()
            daemon.stop()


def test_all_that_happens_while_the_daemon_works_arrives_and_in_order(
    deployment: Deployment,
) -> None:
    instance, receiver = deployment.instance, deployment.receiver
    under_way = deployment.start_the_run_that_waits()
    nightly = deployment.home.start_job("sensor_project", "nightly")
    for job, options in sensor_project.SHORT_JOBS:
        deployment.execute(job, **options)
    sensor_project.report_from_outside(instance)
    instance.report_runless_asset_event(dg.AssetMaterialization("wanted"))
    assert nightly.wait(SECONDS) == 0
    deployment.gate.touch()
    under_way.wait(SECONDS)
    launched = RunsFilter(job_name="follow_up", statuses=[DagsterRunStatus.SUCCESS])
    wait_until(lambda: instance.get_runs_count(launched) == 1, SECONDS, "the run it launches")
    deployment.daemon.wait_until_all_is_sent()
    different = check_everything_delivered(instance, receiver.events, sensor_project.DEFINITIONS)
    assert different == len(receiver.events), "each once"
    assert {"nightly", "retried", "raw/orders__checks", "comes_too_late", "by_day"} <= jobs_of(
        receiver
    )
    assert {"never_done", "report", "warehouse", "by_day__checks"} <= ended_jobs_of(receiver)
    deployment.daemon.check_nothing_went_wrong()


def test_a_code_location_that_only_names_an_asset_sends_the_same_edges(
    tmp_path: Path, receiver: Receiver
) -> None:
    """Of two code locations, each has a sensor; one makes the asset."""
    home = DagsterHome(tmp_path / "home", receiver.url, content={"telemetry": {"enabled": False}})
    with home.instance() as instance:
        makes = location_that_makes.DEFINITIONS
        execute(makes, "make", instance)
        execute(makes, "make", instance, tags={location_that_makes.BREAKS: "yes"})
        instance.report_runless_asset_event(dg.AssetMaterialization("mid"))
        daemon = SensorDaemon(home, instance, "location_that_makes", "location_that_names")
        daemon.start()
        try:
            receiver.wait_for(
                lambda: all(len(mids_of(receiver, each)) == 6 for each in ("makes", "names")),
                timeout=SECONDS,
            )
        finally:
            daemon.stop()
    made, named = (mids_of(receiver, each) for each in ("makes", "names"))
    assert edges(named) == edges(made)
    assert {inputs for _, inputs, _ in edges(made)} == {("raw",)}
    [of_maker], [of_other] = (
        {"tags" in e["outputs"][0]["facets"] for e in x} for x in (made, named)
    )
    assert (of_maker, of_other) == (True, False), "the group is known where the asset is made"


def mids_of(receiver: Receiver, namespace: str) -> list[dict[str, Any]]:
    """List the events of `mid` that the sensor with this namespace sent."""
    return [
        event
        for event in receiver.events
        if event.get("job")
        and (event["job"]["namespace"], event["job"]["name"]) == (namespace, "mid")
    ]


def edges(events: list[dict[str, Any]]) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    """List the states, inputs and outputs of events."""
    return [
        (
            event["eventType"],
            *(tuple(each["name"] for each in event[side]) for side in ("inputs", "outputs")),
        )
        for event in events
    ]


@pytest.mark.parametrize("bare_storage", ["sqlite", "postgres"], indirect=True)
def test_a_daemon_that_is_killed_in_the_middle_of_a_tick_misses_nothing(
    deployment: Deployment,
) -> None:
    instance, receiver, daemon = deployment.instance, deployment.receiver, deployment.daemon
    under_way = deployment.start_the_run_that_waits()
    daemon.wait_until_all_is_sent()
    before = receiver.requests
    assert before == len(receiver.events)
    receiver.released = gate = Gate()

    def answer(_: Any) -> int:
        if receiver.requests == before + BEFORE_IT_HANGS:
            gate.clear()
        return 201

    receiver.answer = answer
    for job, options in sensor_project.SHORT_JOBS:
        deployment.execute(job, **options)
    sensor_project.report_from_outside(instance)
    wait_until(gate.holds, SECONDS, "the backend to hang")
    daemon.kill()
    [last, *_] = daemon.ticks()
    assert last.status is TickStatus.STARTED
    # Nobody looks while the run ends whose beginning was sent.
    deployment.gate.touch()
    under_way.wait(SECONDS)
    gate.set()
    daemon.start()
    daemon.wait_until_all_is_sent()
    assert repeats(receiver.events) >= BEFORE_IT_HANGS - 1
    different = check_everything_delivered(instance, receiver.events, sensor_project.DEFINITIONS)
    assert different == len(receiver.events) - repeats(receiver.events)
    assert "never_done" in ended_jobs_of(receiver)
    daemon.check_nothing_went_wrong()
