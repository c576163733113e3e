"""A run ends at once, and a process of its own sends what it left: real processes throughout."""

import fcntl
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dagster_home import DagsterHome, wait_until
from delivered import check_delivered
from openlineage_dagster_core.delivery.outbox import Outbox
from openlineage_dagster_storage import delivery_process
from openlineage_dagster_storage.delivery_process import LOCK_NAME, locked
from orders_project import DEFINITIONS
from receiver import Receiver

CAN_OUTLIVE = delivery_process.can_outlive
PROGRAM = "delivery_process import main"


def is_running(home: DagsterHome) -> bool:
    with locked(home.outbox) as lock:
        return lock is None


def run_job(home: DagsterHome) -> None:
    process = home.start_job("orders_project", "nightly")
    assert process.wait(120) == 0, (home.path / "process.log").read_text()


@pytest.fixture
def make_home(tmp_path: Path, receiver: Receiver) -> Callable[..., DagsterHome]:
    def make(**options: Any) -> DagsterHome:
        return DagsterHome(tmp_path / "home", receiver.url, options=options)

    return make


def test_a_run_ends_while_the_backend_still_holds_its_first_event(
    make_home: Callable[..., DagsterHome], receiver: Receiver
) -> None:
    home = make_home(timeout=60.0)
    receiver.released.clear()
    run_job(home)
    assert receiver.events == []
    assert is_running(home)
    receiver.released.set()
    wait_until(lambda: not is_running(home), about="the process to end")
    assert not Outbox(home.outbox).has_work()
    with home.instance() as instance:
        assert check_delivered(instance, receiver.events, DEFINITIONS) > 0


def test_there_is_one_at_a_time_which_sends_what_other_runs_leave(
    make_home: Callable[..., DagsterHome], receiver: Receiver
) -> None:
    home = make_home()
    home.outbox.mkdir(mode=0o700)
    with (home.outbox / LOCK_NAME).open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        run_job(home)
        assert _running_programs(home) == {}
    run_job(home)
    wait_until(lambda: not is_running(home), about="the process to end")
    with home.instance() as instance:
        assert len(instance.get_runs()) == 2
        assert check_delivered(instance, receiver.events, DEFINITIONS) > 0


def test_it_gives_up_where_the_backend_is_dead_and_the_next_run_has_all_sent(
    make_home: Callable[..., DagsterHome], receiver: Receiver
) -> None:
    home = make_home()
    alive, home.url = home.url, "http://127.0.0.1:9"
    run_job(home)
    wait_until(lambda: not is_running(home), about="the process to give up")
    assert Outbox(home.outbox).has_work()
    home.url = alive
    run_job(home)
    wait_until(lambda: not is_running(home), about="the process to end")
    with home.instance() as instance:
        assert check_delivered(instance, receiver.events, DEFINITIONS) > 0


def test_with_a_flush_timeout_the_run_waits_and_no_process_is_started(
    make_home: Callable[..., DagsterHome], receiver: Receiver
) -> None:
    home = make_home(flush_timeout=60.0)
    run_job(home)
    assert not (home.outbox / LOCK_NAME).exists()
    with home.instance() as instance:
        assert check_delivered(instance, receiver.events, DEFINITIONS) > 0


def test_in_a_container_the_run_waits(
    make_home: Callable[..., DagsterHome], receiver: Receiver
) -> None:
    home = make_home()
    home.environ["KUBERNETES_SERVICE_HOST"] = "10.0.0.1"
    run_job(home)
    assert not (home.outbox / LOCK_NAME).exists()
    assert receiver.events


def test_it_is_the_processes_that_a_container_begins_with_that_nothing_outlives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setattr(os, "getpid", lambda: 7)
    monkeypatch.setattr(os, "getppid", lambda: 6)
    assert CAN_OUTLIVE()
    monkeypatch.setattr(os, "getppid", lambda: 1)
    assert not CAN_OUTLIVE()
    monkeypatch.setattr(os, "getpid", lambda: 1)
    monkeypatch.setattr(os, "getppid", lambda: 0)
    assert not CAN_OUTLIVE()


def test_a_step_that_ends_starts_none(
    make_home: Callable[..., DagsterHome], receiver: Receiver
) -> None:
    home = make_home()
    program = (
        "import dagster as dg\n"
        "from dagster._core.test_utils import create_run_for_test\n"
        "from dagster._core.events import DagsterEvent\n"
        "with dg.DagsterInstance.get() as instance:\n"
        "    run = create_run_for_test(instance, job_name='nightly')\n"
        "    event = DagsterEvent('STEP_START', 'nightly', step_key='one')\n"
        "    instance.handle_new_event(dg.EventLogEntry(error_info=None, level=20, "
        "user_message='', run_id=run.run_id, timestamp=1.0, dagster_event=event))\n"
    )
    assert home.start("-c", program).wait(60) == 0, (home.path / "process.log").read_text()
    assert not (home.outbox / LOCK_NAME).exists()
    assert Outbox(home.outbox).has_work()


def test_no_secret_of_the_instance_is_seen_in_the_list_of_processes(
    make_home: Callable[..., DagsterHome], receiver: Receiver
) -> None:
    if not Path("/proc/self/cmdline").exists():
        pytest.skip("there is no list of processes in /proc")
    home = make_home(timeout=60.0, namespace="not-to-be-seen")
    receiver.released.clear()
    run_job(home)
    [command] = _running_programs(home).values()
    assert "not-to-be-seen" not in command
    receiver.released.set()
    wait_until(lambda: not is_running(home), about="the process to end")


def test_what_was_thrown_away_meanwhile_is_not_made_anew(tmp_path: Path) -> None:
    directory = tmp_path / "home" / "openlineage"
    descriptor = os.open(tmp_path, os.O_RDONLY)
    task = {"instance": "", "directory": str(directory), "path": [], "lock": descriptor}
    delivery_process.main(task)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "fault", [FileNotFoundError("no shell"), subprocess.TimeoutExpired("sh", 5), RuntimeError()]
)
def test_where_no_process_can_be_started_the_run_waits(
    make_home: Callable[..., DagsterHome],
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    fault: Exception,
) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise fault

    home = make_home()
    monkeypatch.setattr(delivery_process, "can_outlive", lambda: True)
    with home.instance() as instance:
        assert DEFINITIONS.resolve_job_def("nightly").execute_in_process(instance=instance).success
        monkeypatch.setattr(subprocess, "run", refuse)
    monkeypatch.undo()
    assert receiver.events


def test_a_process_that_ends_without_a_dispose_is_followed_by_one_too(
    make_home: Callable[..., DagsterHome], receiver: Receiver
) -> None:
    home = make_home()
    program = (
        "import dagster as dg, orders_project\n"
        "instance = dg.DagsterInstance.get()\n"
        "job = orders_project.DEFINITIONS.resolve_job_def('nightly')\n"
        "assert job.execute_in_process(instance=instance).success\n"
    )
    assert home.start("-c", program).wait(60) == 0, (home.path / "process.log").read_text()
    assert (home.outbox / LOCK_NAME).exists()
    wait_until(lambda: not is_running(home), about="the process to end")
    with home.instance() as instance:
        assert check_delivered(instance, receiver.events, DEFINITIONS) > 0


def _running_programs(home: DagsterHome) -> dict[str, str]:
    """The commands of all such processes that were started for a home, by process."""
    found = {}
    of_home = f"DAGSTER_HOME={home.path}".encode()
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = each.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            environ = each.with_name("environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if PROGRAM in command and of_home in environ:
            found[each.parent.name] = command
    return found
