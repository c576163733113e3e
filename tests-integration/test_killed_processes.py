"""SIGKILL at any moment: what the event log holds is delivered, as if nothing had happened."""

import os
import random
import signal
import sqlite3
import subprocess
from pathlib import Path

import pytest
from dagster import DagsterRunStatus

import dying_storage
import fifty_assets
import orders_project
from dagster_home import DagsterHome, wait_until
from delivered import check_delivered
from delivery import has_delivered_all, wait_until_delivered
from receiver import Receiver

KILLS = 6
SEED = int(os.environ.get("CHAOS_SEED", "20261124"))


def logs_of(home: DagsterHome) -> set[Path]:
    """List the logs of runs."""
    return set((home.path / "history" / "runs").glob("*-*.db"))


def entries_stored(home: DagsterHome, before: set[Path]) -> int:
    """Count the rows of the one new log, without a part in it."""
    for log in logs_of(home) - before:
        try:
            with sqlite3.connect(f"{log.as_uri()}?mode=ro", uri=True, timeout=1) as connection:
                row = connection.execute("SELECT count(*) FROM event_logs").fetchone()
        except sqlite3.Error:
            continue
        return int(row[0])
    return 0


def children_of(pid: int) -> list[int]:
    """List the processes below one: the fork server's children are the steps."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            child = int(status.parent.name)
            found += [child, *children_of(child)]
    return found


def steps_of(process: subprocess.Popen[bytes]) -> list[int]:
    """List the step processes: the children of the fork server, which is a child."""
    direct = [
        child
        for child in children_of(process.pid)
        if not any(child in children_of(other) for other in children_of(process.pid))
    ]
    return [child for each in direct for child in children_of(each)]


def next_steps_of(process: subprocess.Popen[bytes]) -> list[int]:
    """Wait for steps: between one and the next there may be none."""
    steps: list[int] = []

    def are_there() -> bool:
        steps[:] = steps_of(process)
        return bool(steps) or process.poll() is not None

    wait_until(are_there, 60, "a step")
    return steps


def group_is_alive(process: subprocess.Popen[bytes]) -> bool:
    """Tell whether anything is left that came of this process, also when it is dead."""
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    return True


def is_alive(process: subprocess.Popen[bytes]) -> bool:
    return process.poll() is None


def wait_for_entries(
    home: DagsterHome, before: set[Path], count: int, process: subprocess.Popen[bytes]
) -> None:
    wait_until(
        lambda: entries_stored(home, before) >= count or not is_alive(process),
        120,
        f"{count} entries",
    )


def deliver_the_rest(home: DagsterHome) -> None:
    """Be the next process: nothing but an instance."""
    with home.instance() as instance:
        wait_until_delivered(instance, 120)
        assert has_delivered_all(instance)


@pytest.mark.parametrize(
    ("storage", "event", "is_stored"),
    [
        ("DiesAfterStoring", "ASSET_MATERIALIZATION", True),
        ("DiesAfterStoring", "PIPELINE_START", True),
        ("DiesAfterStoring", "PIPELINE_SUCCESS", True),
        ("DiesBeforeStoring", "ASSET_MATERIALIZATION", False),
    ],
)
def test_a_process_killed_in_the_middle_of_a_write_loses_and_invents_nothing(
    tmp_path: Path, receiver: Receiver, storage: str, event: str, is_stored: bool
) -> None:
    home = DagsterHome(
        tmp_path / "home",
        receiver.url,
        wrapped={"module": "dying_storage", "class": storage},
        environ={dying_storage.VARIABLE: event},
    )
    home.start_job("orders_project", "nightly").wait(60)
    deliver_the_rest(home)
    with home.instance() as instance:
        [run] = instance.get_runs()
        assert run.status is not DagsterRunStatus.SUCCESS
        stored = [
            record.event_log_entry.get_dagster_event().event_type_value
            for record in instance.get_records_for_run(run.run_id).records
            if record.event_log_entry.dagster_event
        ]
        assert (event in stored) == is_stored
        assert check_delivered(instance, receiver.events, orders_project.DEFINITIONS) > 0


def test_kills_at_random_moments_of_runs_of_fifty_assets(
    tmp_path: Path, receiver: Receiver
) -> None:
    # The seed is in a failing test's output.
    chance = random.Random(SEED)
    home = DagsterHome(tmp_path / "home", receiver.url)
    killed_steps = 0
    for number in range(KILLS):
        before = logs_of(home)
        # RUN_START is about the hundredth: two planned events an asset come before it.
        first, later = chance.randint(100, 150), chance.randint(5, 30)
        process = home.start_job("fifty_assets", fifty_assets.JOB)
        wait_for_entries(home, before, first, process)
        steps = next_steps_of(process) if number % 3 == 2 else []
        if steps:
            # The run worker notices, and the run goes on without that step.
            os.kill(chance.choice(steps), signal.SIGKILL)
            killed_steps += 1
            wait_for_entries(home, before, first + later, process)
        if number % 3 == 1:
            # The run worker alone: the steps that it has started go on and store what they do.
            process.kill()
            process.wait()
            wait_until(lambda: not group_is_alive(process), 120, "the orphans")  # noqa: B023
        else:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    assert killed_steps > 0
    deliver_the_rest(home)
    with home.instance() as instance:
        assert len(instance.get_runs()) == KILLS
        different = check_delivered(instance, receiver.events, fifty_assets.DEFINITIONS)
    assert different > KILLS * 10
