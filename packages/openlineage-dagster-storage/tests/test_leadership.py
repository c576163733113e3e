"""One process leads, and one that has lost the lock knows it."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from openlineage_dagster_storage.leadership import LOCK_FILE, acquire, is_vacant

HOLD = """
import sys, time, dagster as dg
from openlineage_dagster_storage.leadership import acquire
with dg.DagsterInstance.from_config(sys.argv[1]) as instance:
    leadership = acquire(instance)
    print(leadership is not None, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with dg.DagsterInstance.from_config(str(tmp_path)) as made:
        yield made


def lock_of(instance: dg.DagsterInstance) -> Path:
    [lock] = Path(instance.root_directory).rglob(LOCK_FILE)
    return lock


def test_one_leads_at_a_time(instance: dg.DagsterInstance) -> None:
    first = acquire(instance)
    assert first is not None
    assert first.is_held()
    assert acquire(instance) is None
    first.release()
    assert not first.is_held()
    second = acquire(instance)
    assert second is not None
    second.release()


def test_of_a_log_of_one_machine_nothing_is_said_and_no_file_is_made(
    instance: dg.DagsterInstance,
) -> None:
    assert not is_vacant(instance)
    assert not list(Path(instance.root_directory).rglob(LOCK_FILE))


def test_the_lock_lies_beside_the_database_and_is_its_owners(instance: dg.DagsterInstance) -> None:
    leadership = acquire(instance)
    assert leadership is not None
    assert lock_of(instance).stat().st_mode & 0o077 == 0
    leadership.release()


def test_a_death_frees_the_lock(instance: dg.DagsterInstance) -> None:
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", HOLD, instance.root_directory],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "True"
        assert acquire(instance) is None
    finally:
        process.kill()
        process.communicate()
    leadership = acquire(instance)
    assert leadership is not None
    leadership.release()


@pytest.mark.parametrize("is_made_anew", [False, True])
def test_a_lock_whose_file_is_gone_is_lost(
    instance: dg.DagsterInstance, is_made_anew: bool
) -> None:
    leadership = acquire(instance)
    assert leadership is not None
    lock = lock_of(instance)
    lock.unlink()
    successor = None
    if is_made_anew:
        successor = acquire(instance)
        assert successor is not None
    assert not leadership.is_held()
    leadership.release()
    if successor is not None:
        assert successor.is_held()
        successor.release()


def test_waiting_takes_as_long_as_it_is_told(instance: dg.DagsterInstance) -> None:
    leadership = acquire(instance)
    assert leadership is not None
    assert not leadership.announces
    began = time.monotonic()
    leadership.wait(0.05)
    assert time.monotonic() - began >= 0.05
    leadership.release()
