"""`openlineage-dagster replay` as a process, on PostgreSQL: stopped, killed, gone on with."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from dagster_home import TESTING, wait_until
from delivered import run_id_of
from delivery import deliver
from drivers import StorageDriver, opened
from many_runs import store_runs
from receiver import Receiver
from recorded_run import execute

RUNS, AT_A_TIME = 12, 3
COMMAND = (sys.executable, "-m", "openlineage_dagster_core.cli")
CODE = ("-m", "fifty_assets")
PARENT = "3f5e83fa-3480-44ff-99c5-ff943904e5e8"


class Home:
    """An instance on PostgreSQL, and how the command line is started for it."""

    def __init__(self, path: Path, database: str | None, backend: str) -> None:
        self.path = path
        self.backend = backend
        if database is not None:
            self.write(database)

    def write(self, database: str) -> None:
        content = {
            "telemetry": {"enabled": False},
            "storage": {"postgres": {"postgres_url": database}},
        }
        (self.path / "dagster.yaml").write_text(yaml.safe_dump(content))

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        kept = {name: value for name, value in os.environ.items() if "OPENLINEAGE" not in name}
        return subprocess.Popen(
            [*COMMAND, *arguments],
            env={
                **kept,
                "DAGSTER_HOME": str(self.path),
                "OPENLINEAGE_URL": self.backend,
                "PYTHONPATH": str(TESTING),
                "PYTHONWARNINGS": "ignore",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.path,
        )

    def run(self, *arguments: str) -> tuple[int, str, str]:
        with self.start(*arguments) as process:
            out, err = process.communicate(timeout=300)
        assert "Traceback" not in out + err
        return process.returncode, out, err


@pytest.fixture(scope="module")
def database(make_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> str:
    """One with many runs."""
    url = make_database()
    storage = {"postgres": {"postgres_url": url}}
    folder = str(tmp_path_factory.mktemp("storing"))
    with dg.DagsterInstance.local_temp(folder, overrides={"storage": storage}) as instance:
        store_runs(instance, RUNS, at_a_time=AT_A_TIME)
    return url


@pytest.fixture
def home(database: str, tmp_path: Path, receiver: Receiver) -> Iterator[Home]:
    yield Home(tmp_path, database, receiver.url)
    receiver.released.set()


def identities(events: list[dict[str, Any]]) -> Counter[str]:
    return Counter(json.dumps(event, sort_keys=True) for event in events)


def check_order(events: list[dict[str, Any]]) -> None:
    """Of each run of a job, START comes first and the end last."""
    states: dict[tuple[str, str], list[str]] = {}
    for event in events:
        states.setdefault((event["run"]["runId"], event["job"]["name"]), []).append(
            event["eventType"]
        )
    assert {tuple(each) for each in states.values()} == {("START", "COMPLETE")}


def test_what_is_stopped_or_killed_goes_on_where_it_was(home: Home, receiver: Receiver) -> None:
    status, out, _ = home.run("replay", *CODE, "--json")
    everything = list(receiver.events)
    assert status == 0
    assert json.loads(out)["runs"] == RUNS
    check_order(everything)
    receiver.events.clear()
    receiver.delay = 0.002
    # Several runs are under way at a time, and it takes a while until one is done.
    for blow, expected, sent in (
        (signal.SIGINT, 130, 2 * len(everything) // 3),
        (signal.SIGKILL, -signal.SIGKILL, len(everything)),
    ):
        with home.start("replay", *CODE) as process:
            wait_until(lambda: len(receiver.events) >= sent)  # noqa: B023
            process.send_signal(blow)
            _, err = process.communicate(timeout=60)
        assert process.returncode == expected
        if blow == signal.SIGINT:
            assert "The same command continues from there" in err
            assert "Traceback" not in err
    receiver.delay = 0.0
    status, out, _ = home.run("replay", *CODE, "--json")
    assert status == 0
    result = json.loads(out)
    assert result["runs"] + result["runs_sent_before"] == RUNS
    # What was in the middle is sent once more, and no more than that.
    assert result["runs_sent_before"] > RUNS // 4
    found = identities(receiver.events)
    assert found.keys() == identities(everything).keys()
    assert max(found.values()) <= 3
    assert not list(home.path.glob("openlineage/replays/*"))


def test_a_backend_that_never_answers_is_left_in_time(home: Home, receiver: Receiver) -> None:
    receiver.released.clear()
    with home.start("replay", *CODE) as process:
        wait_until(lambda: receiver.is_connected)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in out + err


def test_a_database_that_is_down_is_said(home: Home) -> None:
    home.write("postgresql://ann:hunter2@127.0.0.1:1/nowhere")
    status, out, err = home.run("replay")
    assert status == 2
    assert "cannot be opened" in err
    assert "Connection refused" in err
    assert "hunter2" not in out + err
    assert len(err.splitlines()) == 1


def deployed(version: str) -> dg.Definitions:
    """A project whose next deployment defines another description, column, upstream and job."""
    column = dg.TableColumn(f"column_of_{version}", "int")

    @dg.asset(
        deps=[f"raw_{version}"],
        description=f"As deployed in {version}.",
        metadata={"dagster/column_schema": dg.TableSchema([column])},
        check_specs=[dg.AssetCheckSpec(f"check_of_{version}", asset="orders")],
    )
    def orders() -> Iterator[Any]:
        yield dg.MaterializeResult(metadata={"rows": 7})
        yield dg.AssetCheckResult(passed=version == "first")

    return dg.Definitions([orders], jobs=[dg.define_asset_job("nightly", tags={version: "yes"})])


def test_deployments_later_another_machine_replays_what_was_sent_and_no_more(
    make_database: Callable[[], str],
    tmp_path: Path,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the runs' processes knew is in the database alone; the code is gone."""
    url = make_database()
    driver = StorageDriver({"environment_variables": ["IMAGE"], "namespace": "lake"})
    with opened(driver, tmp_path / "first", url) as instance:
        for version, is_disabled in (("first", "no"), ("second", "true"), ("third", "no")):
            monkeypatch.setenv("OPENLINEAGE_DISABLED", is_disabled)
            monkeypatch.setenv("IMAGE", f"registry/image:{version}")
            monkeypatch.setenv("OPENLINEAGE_PARENT_ID", f"airflow/{version}/{PARENT}")
            execute(deployed(version), "nightly", instance)
        deliver(instance)
    sent = identities(receiver.events)
    words = " ".join(sent)
    for version, is_sent in (("first", True), ("second", False), ("third", True)):
        for word in ("raw_{}", "column_of_{}", "in {}.", "image:{}", "check_of_{}", '"{}"'):
            assert (word.format(version) in words) == is_sent, (word, version)
    receiver.events.clear()
    with opened(driver, tmp_path / "second", url):
        other = Home(tmp_path / "second", None, receiver.url)
    status, _, err = other.run("replay")
    assert (status, err) == (0, "")
    assert identities(receiver.events) == sent


def test_who_reads_less_than_is_written_gets_no_traceback(home: Home) -> None:
    with dg.DagsterInstance.from_config(str(home.path)) as instance:
        run_id = instance.get_runs(limit=1)[0].run_id
    with home.start("show", run_id, "--json", *CODE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr is not None
        err = process.stderr.read()
        process.wait(timeout=60)
    assert "Traceback" not in err
    assert "Exception ignored" not in err


def test_a_run_that_is_chosen_is_sent_alone(home: Home, receiver: Receiver) -> None:
    with dg.DagsterInstance.from_config(str(home.path)) as instance:
        run_id = instance.get_runs(limit=1)[0].run_id
    status, _, err = home.run("replay", "--run", run_id, *CODE)
    assert status == 0
    assert err.startswith("Note: neither mechanism is in sight")
    assert {run_id_of(event) for event in receiver.events} == {run_id}
