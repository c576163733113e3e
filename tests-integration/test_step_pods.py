"""Steps in pods whose disks vanish with them: the event log has all, and all of it arrives."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterRunStatus

import pods_project
from dagster_home import DagsterHome, wait_until
from delivered import check_order, check_same, each_once, expected_log, run_id_of
from delivery import has_delivered_all, wait_until_delivered
from openlineage_dagster_core.deliverer_state import HEARTBEAT_ROW, Heartbeat, configuration_of
from openlineage_dagster_core.key_values import KeyValues
from pods import ENVIRONMENT, in_pod, skip_without_pods
from process_group import ProcessGroup
from receiver import Receiver

EVENTS = 10
"""START and COMPLETE of the run, of two steps and of two assets."""

RUN_SECONDS = 240.0
DELIVERY_SECONDS = 150.0
"""A deliverer whose pod ended without a word counts as dead a minute later."""

EXECUTE = ("-m", "dagster", "job", "execute", "-m", "pods_project", "-j", "nightly")


def on_postgres(url: str) -> dict[str, Any]:
    wrapped = {
        "module": "dagster_postgres",
        "class": "DagsterPostgresStorage",
        "config": {"postgres_url": url},
    }
    storage = {
        "module": "dagster_openlineage",
        "class": "OpenLineageDagsterStorage",
        "config": {"wrapped": wrapped},
    }
    return {"telemetry": {"enabled": False}, "storage": {"custom": storage}}


@pytest.fixture
def home(tmp_path: Path, receiver: Receiver, make_database: Callable[[], str]) -> DagsterHome:
    skip_without_pods()
    # What the pods of steps say; each pod has a temporary directory of its own.
    for name in ("logs", "temporary"):
        (tmp_path / name).mkdir()
    return DagsterHome(
        tmp_path / "home",
        receiver.url,
        environ={
            **ENVIRONMENT,
            pods_project.LOGS: str(tmp_path / "logs"),
            "TMPDIR": str(tmp_path / "temporary"),
        },
        content=on_postgres(make_database()),
    )


def check_all_arrived(home: DagsterHome, receiver: Receiver) -> None:
    """Be another process of the deployment, and fail unless all events come in order."""
    with home.instance() as instance:
        wait_until_delivered(instance, DELIVERY_SECONDS)
        assert has_delivered_all(instance)
        [run] = [run for run in instance.get_runs() if run.job_name == "nightly"]
        assert run.status is DagsterRunStatus.SUCCESS
        expected = [
            event
            for event in expected_log(instance, pods_project.DEFINITIONS)
            if run_id_of(event) == run.run_id
        ]
    events = [event for event in receiver.events if run_id_of(event) == run.run_id]
    assert len(expected) == EVENTS
    check_order(each_once(events), expected, "of the run in pods")
    check_same(each_once(events), expected)
    [made] = [
        event
        for event in each_once(events)
        if event["job"]["name"] == "mart" and event["eventType"] == "COMPLETE"
    ]
    assert [each["name"] for each in made["inputs"]] == ["raw"]


def test_every_event_of_steps_in_pods_arrives_in_order(
    home: DagsterHome, receiver: Receiver
) -> None:
    process = home.start(*EXECUTE)
    assert process.wait(RUN_SECONDS) == 0, (home.path / "process.log").read_text()
    check_all_arrived(home, receiver)


def test_every_event_arrives_where_the_run_is_in_a_pod_as_well(
    home: DagsterHome, receiver: Receiver
) -> None:
    run_in_pod(home)
    # The end of the run waits for its delivery: nothing in the pod goes on after it.
    assert len(each_once(receiver.events)) == EVENTS
    check_all_arrived(home, receiver)


@pytest.mark.parametrize("next_process", ["a run of another job", "an idle daemon"])
def test_what_a_backend_did_not_take_before_all_pods_were_gone_another_process_brings(
    home: DagsterHome, receiver: Receiver, next_process: str
) -> None:
    receiver.answer = lambda _: 503
    run_in_pod(home)
    assert receiver.events == []
    receiver.answer = lambda _: 201
    if next_process == "a run of another job":
        assert home.start_job("orders_project", "tenant").wait(RUN_SECONDS) == 0
        wait_until(lambda: "tenant" in jobs(receiver), DELIVERY_SECONDS, "the other run")
    else:
        # It has nothing to do, and nothing else looks at the instance until all has arrived.
        daemon = home.start("-m", "dagster._daemon", "run", "-m", "pods_project")
        group = ProcessGroup(daemon, home.path / "process.log")
        try:
            receiver.wait_for(lambda: len(each_once(receiver.events)) >= EVENTS, DELIVERY_SECONDS)
        finally:
            group.stop()
    check_all_arrived(home, receiver)


def test_the_end_of_a_run_does_not_take_the_word_of_a_deliverer_that_has_gone_with_its_pod(
    home: DagsterHome, receiver: Receiver
) -> None:
    with home.instance() as instance:
        storage: Any = instance.event_log_storage
        configuration = configuration_of(storage.settings, home.environment())
        now = time.time()
        gone = Heartbeat(
            at=now - 20,
            next_by=now + 3600,
            namespace="of a pod that is gone",
            configuration=configuration.digest,
        )
        KeyValues(instance).put({HEARTBEAT_ROW: gone.to_text()})
    assert home.start_job("orders_project", "tenant").wait(RUN_SECONDS) == 0
    wait_until(lambda: "tenant" in jobs(receiver), DELIVERY_SECONDS, "the run")


def jobs(receiver: Receiver) -> set[str]:
    return {event["job"]["name"] for event in receiver.events}


def run_in_pod(home: DagsterHome) -> None:
    """Execute the job in a pod, and wait until all in it has ended."""
    process = home.start_program(*in_pod(EXECUTE))
    assert process.wait(RUN_SECONDS) == 0, (home.path / "process.log").read_text()
