"""The process that hosts us: nothing reaches it, nothing stays in it, nothing holds it up."""

import contextlib
import json
import os
import re
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import dagster as dg
import pytest
from dagster import DagsterRunStatus

import many_instances
import orders_project
import start_methods
import telling_project
from dagster_home import DagsterHome, wait_until
from delivered import check_delivered
from delivery import deliverers, wait_until_delivered
from pods import ENVIRONMENT
from receiver import Receiver
from recorded_run import execute

EVENTS_TOLD = 10
"""Of a run of `telling_project`: two of the run, of each step and of each asset."""

AT_EXIT = "at_exit.json"

CYCLES = 200

FEWER = 2
"""What Dagster itself leaves behind shows in so many times fewer cycles."""

ROOM_BYTES = 10_000_000
"""What the allocator of memory may keep; a kilobyte for each of so many cycles is a tenth of it."""


def group_is_alive(process: subprocess.Popen[bytes]) -> bool:
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    return True


def end_of(process: subprocess.Popen[bytes], seconds: float = 120.0) -> int:
    """Wait for a process and all that came of it: a deadlock fails the test."""
    try:
        status = process.wait(seconds)
        wait_until(lambda: not group_is_alive(process), 30, "its children to end")
        return status
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("job", start_methods.JOBS)
def test_however_steps_are_started_the_run_succeeds_and_all_is_delivered(
    tmp_path: Path, receiver: Receiver, job: str
) -> None:
    home = DagsterHome(tmp_path / "home", receiver.url)
    assert end_of(home.start_job("start_methods", job)) == 0
    log = (home.path / "process.log").read_text()
    assert "Traceback" not in log
    assert "OpenLineage" not in log
    with home.instance() as instance:
        wait_until_delivered(instance)
        [run] = instance.get_runs()
        assert run.status is DagsterRunStatus.SUCCESS
        assert check_delivered(instance, receiver.events, start_methods.DEFINITIONS) == 14


@pytest.mark.parametrize("job", start_methods.JOBS)
def test_a_backend_that_hangs_keeps_no_process_from_its_end(
    tmp_path: Path, receiver: Receiver, job: str
) -> None:
    receiver.released.clear()
    receiver.hold = 600.0
    home = DagsterHome(tmp_path / "home", receiver.url)
    process = home.start_job("start_methods", job)
    # The receiver lets go much later, and the process has to end before.
    assert end_of(process, 300) == 0
    assert receiver.events == []
    receiver.released.set()


def test_without_a_transport_no_deliverer_starts_and_one_process_of_a_run_says_so_once(
    tmp_path: Path,
) -> None:
    home = DagsterHome(tmp_path / "home", None, environ={"HOME": str(tmp_path)})
    assert end_of(home.start_job("start_methods", "from_a_fork_server")) == 0
    assert deliverers() == []
    log = (home.path / "process.log").read_text()
    assert log.count("nothing is emitted") == 1
    assert "OPENLINEAGE_URL" in log


def test_several_instances_in_one_process_keep_to_themselves(
    tmp_path: Path, receiver: Receiver
) -> None:
    homes = [DagsterHome(tmp_path / name, receiver.url) for name in ("one", "two", "three")]
    with contextlib.ExitStack() as stack:
        # Two of each home.
        instances = [stack.enter_context(home.instance()) for home in homes for _ in range(2)]
        for job in ("nightly", "doomed"):
            for instance in instances:
                execute(orders_project.DEFINITIONS, job, instance)
        # One goes, and the other of its home goes on.
        instances[0].dispose()
        execute(orders_project.DEFINITIONS, "tenant", instances[1])
        for instance in instances[1::2]:
            wait_until_delivered(instance)
        for number, instance in enumerate(instances):
            assert len(instance.get_runs()) == (5 if number < 2 else 4)
            assert check_delivered(instance, receiver.events, orders_project.DEFINITIONS) > 0


def test_instances_are_used_and_disposed_of_by_many_threads_at_once(
    tmp_path: Path, receiver: Receiver
) -> None:
    home = DagsterHome(tmp_path / "home", receiver.url)
    failures: list[BaseException] = []

    def use(thread: int) -> None:
        try:
            for number in range(5):
                with dg.DagsterInstance.from_config(str(home.path)) as instance:
                    name = f"asset_{thread}_{number}"
                    instance.report_runless_asset_event(dg.AssetMaterialization(name))
        except BaseException as error:
            failures.append(error)

    threads = [
        threading.Thread(target=use, args=(number,), name=f"user-{number}", daemon=True)
        for number in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive(), "a deadlock"
    assert failures == []
    with home.instance() as instance:
        wait_until_delivered(instance)
    names = {event["job"]["name"] for event in receiver.events}
    assert names == {f"asset_{thread}_{number}" for thread in range(6) for number in range(5)}


@pytest.mark.parametrize("job", start_methods.JOBS)
def test_a_process_that_executes_a_run_has_no_thread_of_ours_and_not_imported_the_client(
    tmp_path: Path, receiver: Receiver, job: str
) -> None:
    """In its steps, and at the exit of a process that has waited for the delivery of the run."""
    told = {}
    wrapped = DagsterHome(tmp_path / "wrapped", receiver.url, options={"flush_timeout": 60.0})
    bare = DagsterHome(tmp_path / "bare", None, content=BARE)
    for home in (wrapped, bare):
        home.environ = {**ENVIRONMENT, telling_project.AT_EXIT: str(home.path / AT_EXIT)}
    processes = [home.start_job("telling_project", job) for home in (wrapped, bare)]
    assert [end_of(process) for process in processes] == [0, 0]
    for home in (wrapped, bare):
        with home.instance() as instance:
            [run] = instance.get_runs()
            told[home.path.name] = [
                has_of(record.event_log_entry)
                for record in instance.get_records_for_run(
                    run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION
                ).records
            ]
        told[home.path.name].append(json.loads((home.path / AT_EXIT).read_text()))
    # The process waited: all is there.
    assert len(receiver.events) == EVENTS_TOLD
    assert len(told["wrapped"]) == len(telling_project.ASSETS) + 1
    for ours, dagsters in zip(told["wrapped"], told["bare"], strict=True):
        assert anonymous(ours["threads"]) == anonymous(dagsters["threads"])
        assert not [name for name in ours["modules"] if name.split(".")[0] == "openlineage"]
        assert not any("delivery.client" in name or "engine" in name for name in ours["modules"])


BARE = {"telemetry": {"enabled": False}}


def has_of(entry: dg.EventLogEntry) -> dict[str, list[str]]:
    """What a process of `telling_project` told."""
    made = entry.asset_materialization
    assert made is not None
    has: dict[str, list[str]] = made.metadata["has"].value  # type: ignore[assignment]
    return has


def anonymous(threads: list[str]) -> list[str]:
    """The names of threads without the numbers that Python gives them."""
    return sorted(re.sub(r"\d+", "", name) for name in threads)


def test_a_process_that_executes_a_run_leaves_no_file_of_ours(
    tmp_path: Path, receiver: Receiver
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    home = DagsterHome(
        tmp_path / "home",
        receiver.url,
        # A deliverer keeps a lock beside the database.
        options={"deliver": "external"},
        environ={"TMPDIR": str(temporary), "HOME": str(tmp_path)},
    )
    before = {path.name for path in home.path.iterdir()}
    assert end_of(home.start_job("orders_project", "nightly")) == 0
    assert not [path for path in tmp_path.rglob("*") if "openlineage" in path.name]
    assert not list(temporary.iterdir())
    assert {path.name for path in home.path.iterdir()} - before <= {
        "process.log",
        "storage",
        "schedules",
        ".telemetry",
        ".nux",
        ".logs_queue",
    }


def test_the_files_of_a_deliverer_are_its_owners_only(tmp_path: Path, receiver: Receiver) -> None:
    home = DagsterHome(tmp_path / "home", receiver.url, environ={"HOME": str(tmp_path)})
    assert end_of(home.start_job("orders_project", "nightly")) == 0
    with home.instance() as instance:
        wait_until_delivered(instance)
    found = [path for path in tmp_path.rglob("*") if "openlineage" in path.name]
    assert [path.name for path in found] == ["openlineage-deliverer.lock"]
    assert stat.S_IMODE(found[0].stat().st_mode) == 0o600


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_hundreds_of_instances_leave_nothing_behind(tmp_path: Path, receiver: Receiver) -> None:
    grown = {}
    wrapped = DagsterHome(tmp_path / "wrapped", receiver.url)
    bare = DagsterHome(tmp_path / "bare", receiver.url)
    (bare.path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    for home, cycles in ((wrapped, CYCLES), (bare, CYCLES // FEWER)):
        output = home.path / "growth.json"
        process = home.start("-m", "many_instances", str(home.path), str(cycles), log=output)
        assert end_of(process, 400) == 0, output.read_text()
        grown[home.path.name] = json.loads(output.read_text().splitlines()[-1])
    ours = grown["wrapped"]
    dagsters = {name: max(0, count) * FEWER for name, count in grown["bare"].items()}
    print(f"grown: {ours}; without us: {dagsters}")  # noqa: T201
    assert {name: count for name, count in ours.items() if "our " in name and count} == {}
    for name in ("threads", "file descriptors", "connections"):
        assert ours[name] <= dagsters[name], name
    assert ours["objects"] < dagsters["objects"] + CYCLES
    assert ours["memory"] < dagsters["memory"] + ROOM_BYTES
    with wrapped.instance() as instance:
        wait_until_delivered(instance)
    sent = sum(event["eventType"] == "COMPLETE" for event in receiver.events)
    assert sent == (CYCLES + many_instances.WARM_UP) // many_instances.EVERY
