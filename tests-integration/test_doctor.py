"""`openlineage-dagster doctor` as users call it: real storages, sensors, backends and failures."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from dagster_home import DagsterHome
from kafka_server import Topic
from marquez import Marquez
from orders_project import DEFINITIONS
from receiver import Receiver
from recorded_run import execute
from sensor_daemon import SensorDaemon

DOCTOR = ("-m", "openlineage_dagster_core.cli", "doctor")
POSTGRES = {"module": "dagster_postgres.event_log", "class": "PostgresEventLogStorage"}


class Diagnosis(NamedTuple):
    """What the doctor found."""

    status: int
    findings: list[dict[str, Any]]

    def of(self, check: str, status: str | None = None) -> list[str]:
        return [
            each["message"]
            for each in self.findings
            if each["check"] == check and status in (None, each["status"])
        ]

    def bad(self) -> list[tuple[str, str]]:
        return [
            (each["check"], each["message"])
            for each in self.findings
            if each["status"] in ("warning", "problem")
        ]


def examine(home: DagsterHome, *arguments: str) -> Diagnosis:
    done = subprocess.run(
        [sys.executable, *DOCTOR, "--json", *arguments],
        env=home.environment(),
        cwd=home.path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.stderr == ""
    diagnosis = Diagnosis(done.returncode, json.loads(done.stdout))
    for finding in diagnosis.findings:
        assert set(finding) == {"check", "status", "message", "remedy"}
        assert finding["remedy"] or finding["status"] in ("ok", "note")
    return diagnosis


def wrapped(inner: dict[str, Any], **options: Any) -> dict[str, Any]:
    return {
        "module": "dagster_openlineage",
        "class": "OpenLineageDagsterStorage",
        "config": {"wrapped": inner, **options},
    }


def whole_postgres(url: str, **options: Any) -> dict[str, Any]:
    inner = {
        "module": "dagster_postgres",
        "class": "DagsterPostgresStorage",
        "config": {"postgres_url": url},
    }
    return {
        "telemetry": {"enabled": False},
        "storage": {"custom": wrapped(inner, **options)},
    }


def event_log_on_postgres(url: str) -> dict[str, Any]:
    inner = {**POSTGRES, "config": {"postgres_url": url}}
    storage = {**wrapped(inner), "class": "OpenLineageEventLogStorage"}
    return {"telemetry": {"enabled": False}, "event_log_storage": storage}


@pytest.fixture
def hanging() -> Iterator[int]:
    """The port of somebody who takes connections and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(50)
        yield server.getsockname()[1]


def test_all_is_well_on_postgres_and_a_test_event_arrives(
    tmp_path: Path, make_database: Callable[[], str], receiver: Receiver
) -> None:
    content = whole_postgres(make_database(), namespace="acme")
    home = DagsterHome(tmp_path / "home", receiver.url, content=content)

    found = examine(home, "-m", "orders_project", "--send")

    assert found.bad() == []
    assert found.status == 0
    assert "Mechanism A" in found.of("mechanisms", "ok")[0]
    assert found.of("clocks")[0] == "the database's clock agrees with this machine's"
    assert "asset raw/orders: dataset 'acme', 'raw/orders'" in found.of("namespaces")
    assert "job nightly: 'acme', 'nightly'" in found.of("namespaces")
    assert [event["eventType"] for event in receiver.events] == ["START", "COMPLETE"]
    assert {event["job"]["name"] for event in receiver.events} == {"openlineage_dagster_doctor"}


def test_the_clock_of_each_database_is_read(
    tmp_path: Path, bare_storage: dict[str, Any], receiver: Receiver
) -> None:
    home = DagsterHome(tmp_path / "home", receiver.url, content=bare_storage)

    clocks = examine(home).of("clocks", "ok")

    # The backend's is the other one.
    assert len(clocks) == 1 + ("storage" in bare_storage)


def test_without_send_nothing_is_sent_nor_what_waits(tmp_path: Path, receiver: Receiver) -> None:
    home = DagsterHome(tmp_path / "home", receiver.url, options={"deliver": "external"})
    with home.instance() as instance:
        execute(DEFINITIONS, "nightly", instance)

    found = examine(home)

    assert receiver.requests == 0
    [said] = found.of("delivery", "problem")
    assert "no deliverer is alive, and with `deliver: external` no process" in said


def test_both_mechanisms_are_a_problem(tmp_path: Path, receiver: Receiver) -> None:
    home = DagsterHome(tmp_path / "home", receiver.url)

    found = examine(home, "-m", "sensor_project")

    assert found.status == 2
    (both,) = found.of("mechanisms", "problem")
    assert "both are configured" in both
    assert "openlineage_sensor" in both


def test_events_in_postgres_without_the_runs_are_a_warning(
    tmp_path: Path, make_database: Callable[[], str], receiver: Receiver
) -> None:
    content = event_log_on_postgres(make_database())
    home = DagsterHome(tmp_path / "home", receiver.url, content=content)

    found = examine(home)

    assert found.status == 1
    ((check, message),) = found.bad()
    assert check == "mechanisms"
    assert "without run_storage and schedule_storage" in message


def test_a_dead_database_is_one_problem_and_the_rest_is_checked(
    tmp_path: Path, receiver: Receiver
) -> None:
    home = DagsterHome(tmp_path / "home", receiver.url)
    dead = "postgresql://me:geheim@127.0.0.1:9/nothing"
    (home.path / "dagster.yaml").write_text(yaml.safe_dump(whole_postgres(dead)))

    found = examine(home, "--send")

    assert found.status == 2
    ((check, message),) = found.bad()
    assert check == "instance"
    assert "Connection refused" in message
    assert "geheim" not in json.dumps(found.findings)
    assert "Mechanism A" in found.of("mechanisms", "ok")[0]
    assert len(receiver.events) == 2


def test_a_backend_that_hangs_costs_seconds(tmp_path: Path, hanging: int) -> None:
    home = DagsterHome(tmp_path / "home", f"http://127.0.0.1:{hanging}")

    found = examine(home, "--send")

    assert found.status == 2
    assert "has not answered within 5 s" in found.of("connectivity", "problem")[0]
    assert "timed out" in found.of("test event", "problem")[0]


def test_ctrl_c_ends_it_at_once_and_without_a_traceback(tmp_path: Path, hanging: int) -> None:
    home = DagsterHome(tmp_path / "home", "http://127.0.0.1:9")
    hangs = whole_postgres(f"postgresql://me@127.0.0.1:{hanging}/nothing")
    (home.path / "dagster.yaml").write_text(yaml.safe_dump(hangs))
    process = subprocess.Popen(
        [sys.executable, *DOCTOR],
        env={**home.environment(), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    # The next that it does is to open the instance.
    for line in process.stdout:
        if "connectivity" in line:
            break

    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=15)

    assert process.returncode == 130
    assert errors.strip() == "Stopped."


def test_a_sensor_that_a_daemon_evaluates_is_seen_without_definitions(
    tmp_path: Path, receiver: Receiver
) -> None:
    home = DagsterHome(
        tmp_path / "home",
        receiver.url,
        content={"telemetry": {"enabled": False}},
    )
    with home.instance() as instance:
        daemon = SensorDaemon(home, instance, "sensor_project")
        daemon.start()
        try:
            execute(DEFINITIONS, "nightly", instance)
            daemon.wait_until_all_is_sent()
        finally:
            daemon.stop()

    found = examine(home)

    assert found.bad() == []
    assert "Mechanism B: the sensor openlineage_sensor runs" in found.of("mechanisms", "ok")[0]
    assert "is up to date" in found.of("sensor", "ok")[0]
    assert "the last tick of openlineage_sensor said: " in found.of("sensor", "note")[0]


def test_a_broker_and_its_topics_are_asked(tmp_path: Path, kafka_topic: Topic) -> None:
    config = {"bootstrap.servers": kafka_topic.servers}

    def transport(topic: str) -> dict[str, str]:
        content = {"type": "kafka", "topic": topic, "config": config}
        return {"OPENLINEAGE__TRANSPORT": json.dumps(content)}

    home = DagsterHome(tmp_path / "home", None, environ=transport(kafka_topic.name))
    known = examine(home, "--send")
    home.environ = transport("no_such_topic")
    unknown = examine(home)

    assert known.bad() == []
    assert f"has the topic {kafka_topic.name}" in known.of("connectivity", "ok")[0]
    assert "has no topic no_such_topic" in unknown.of("connectivity", "warning")[0]


def test_marquez_shows_the_test_event(
    tmp_path: Path, marquez: Marquez, marquez_namespace: str
) -> None:
    home = DagsterHome(tmp_path / "home", marquez.url, options={"namespace": marquez_namespace})

    found = examine(home, "--send")

    assert found.bad() == []
    assert "is a Marquez" in found.of("connectivity", "ok")[0]
    assert "Marquez shows its run, COMPLETED" in found.of("test event", "ok")[1]
    assert list(marquez.jobs(marquez_namespace)) == ["openlineage_dagster_doctor"]
