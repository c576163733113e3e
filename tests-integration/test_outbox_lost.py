"""An outbox that is full, in the way, gone or broken: runs of real processes do not notice."""

import contextlib
import gc
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from dagster import DagsterRunStatus

import orders_project
import start_methods
from dagster_home import DagsterHome, wait_until
from delivered import expected_events, summary
from openlineage_dagster_core.delivery import gap_notes
from openlineage_dagster_core.delivery.outbox import read_status
from receiver import Receiver
from recorded_run import execute, states_by_run

JOB = "from_a_fork_server"


@pytest.fixture(autouse=True)
def _notes_are_here(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Where gaps are noted while the outbox cannot be written; of child processes, too."""
    # Not below `tmp_path`: a fork server's socket there would have too long a name.
    with tempfile.TemporaryDirectory() as directory:
        monkeypatch.setenv("TMPDIR", directory)
        monkeypatch.setattr("tempfile.tempdir", directory)
        yield


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of a megabyte."""
    directory = tmp_path / "disk"
    directory.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(directory)]
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root on Linux can mount a small disk")
    done = subprocess.run(mount, check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no small disk: {done.stderr}")
    yield directory
    subprocess.run(["umount", "-l", str(directory)], check=True)


class HomeElsewhere(DagsterHome):
    """Its outbox may be elsewhere."""

    @property
    def outbox_in_use(self) -> Path:
        return Path(self.options.get("outbox_directory", self.outbox))


def end_of(process: subprocess.Popen[bytes]) -> int:
    try:
        return process.wait(120)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def check_run_is_whole(home: DagsterHome) -> None:
    """Fail unless the one run has all its events, and nothing was raised."""
    assert "Traceback" not in (home.path / "process.log").read_text()
    with home.instance() as instance:
        [run] = instance.get_runs()
        assert run.status is DagsterRunStatus.SUCCESS
        stored = [
            record.event_log_entry.get_dagster_event().event_type_value
            for record in instance.get_records_for_run(run.run_id).records
            if record.event_log_entry.dagster_event
        ]
    for kind in ("STEP_START", "ASSET_MATERIALIZATION", "STEP_SUCCESS"):
        assert stored.count(kind) == 3, kind
    assert stored.count("PIPELINE_SUCCESS") == 1


def check_everything_arrives(home: HomeElsewhere, receiver: Receiver) -> None:
    """Be the next process: every event comes, and each run's end is the last that is said of it.

    The definitions may have been lost with the outbox, and their facets. What was lost may come
    after what was stored later; then that comes once more.
    """
    with home.instance() as instance:
        wait_until(
            lambda: bool(receiver.events) and read_status(home.outbox_in_use).is_drained,
            60,
            "gaps to be filled",
        )
        [run] = instance.get_runs()
        expected = expected_events(instance, run.run_id, start_methods.DEFINITIONS)
    assert set(summary(receiver.events)) == set(summary(expected))
    for (name, _), states in states_by_run(receiver.events).items():
        assert states[-1] == "COMPLETE", name


def test_a_full_disk_costs_a_run_nothing_and_its_lineage_comes_later(
    tmp_path: Path, receiver: Receiver, small_disk: Path
) -> None:
    home = HomeElsewhere(
        tmp_path / "home",
        receiver.url,
        options={"outbox_directory": str(small_disk / "openlineage")},
    )
    filler = small_disk / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    assert end_of(home.start_job("start_methods", JOB)) == 0
    check_run_is_whole(home)
    filler.unlink()
    check_everything_arrives(home, receiver)


def test_a_disk_that_fills_up_underway_costs_nothing_either(
    tmp_path: Path, receiver: Receiver, small_disk: Path
) -> None:
    home = HomeElsewhere(
        tmp_path / "home",
        receiver.url,
        options={"outbox_directory": str(small_disk / "openlineage")},
    )
    filler = small_disk / "filler"
    process = home.start_job("start_methods", JOB)
    wait_until((small_disk / "openlineage" / "outbox.db").exists, 60, "the outbox")
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    assert end_of(process) == 0
    check_run_is_whole(home)
    filler.unlink()
    check_everything_arrives(home, receiver)


def test_a_disk_that_is_read_only_costs_nothing_either(
    tmp_path: Path, receiver: Receiver, small_disk: Path
) -> None:
    home = HomeElsewhere(
        tmp_path / "home",
        receiver.url,
        options={"outbox_directory": str(small_disk / "openlineage")},
    )
    remount = ["mount", "-o", "remount,{}", str(small_disk)]
    # Files that this process has open keep a disk from it.
    gc.collect()
    subprocess.run([part.format("ro") for part in remount], check=True)
    try:
        assert end_of(home.start_job("start_methods", JOB)) == 0
        check_run_is_whole(home)
    finally:
        subprocess.run([part.format("rw") for part in remount], check=True)
    check_everything_arrives(home, receiver)


def put_a_file_in_the_way(outbox: Path) -> None:
    shutil.rmtree(outbox, ignore_errors=True)
    outbox.write_text("in the way")


def delete_it(outbox: Path) -> None:
    shutil.rmtree(outbox)


def overwrite_it(outbox: Path) -> None:
    for path in outbox.glob("outbox.db*"):
        path.write_bytes(b"nonsense" * 4096)


def delete_the_journals(outbox: Path) -> None:
    for path in outbox.glob("*.journal"):
        path.unlink()


def overwrite_the_journals(outbox: Path) -> None:
    for path in outbox.glob("*.journal"):
        path.write_bytes(b"nonsense" * 4096)


HARMS = pytest.mark.parametrize(
    "harm",
    [put_a_file_in_the_way, delete_it, overwrite_it, delete_the_journals, overwrite_the_journals],
)


@HARMS
def test_whatever_happens_to_the_outbox_underway_the_run_is_whole_and_arrives_later(
    tmp_path: Path, receiver: Receiver, harm: Callable[[Path], None]
) -> None:
    receiver.answer = lambda _: 503
    home = HomeElsewhere(tmp_path / "home", receiver.url)
    process = home.start_job("start_methods", JOB)
    wait_until(
        lambda: (home.outbox / "outbox.db").exists() and read_status(home.outbox).depth >= 2,
        60,
        "the run to be underway",
    )
    harm(home.outbox)
    assert end_of(process) == 0
    check_run_is_whole(home)
    if home.outbox.is_file():
        home.outbox.unlink()
    receiver.answer = lambda _: 201
    check_everything_arrives(home, receiver)


def test_what_was_noted_and_could_not_be_recorded_yet_is_there_at_the_next_try(
    tmp_path: Path,
) -> None:
    gap_notes.write(tmp_path, "run-1", 1.0, "disk full")
    for _ in gap_notes.take(tmp_path):
        # As when it cannot be recorded, because the disk is still full.
        break
    gap_notes.write(tmp_path, "run-2", 2.0, "disk full")
    assert {key for key, _, _ in gap_notes.take(tmp_path)} == {"run-1", "run-2"}


@HARMS
def test_after_dispose_no_thread_is_left_whatever_happened_to_the_outbox(
    tmp_path: Path, receiver: Receiver, harm: Callable[[Path], None]
) -> None:
    home = DagsterHome(tmp_path / "home", receiver.url)
    before = set(threading.enumerate())
    # It lives on, as instances do that somebody still refers to.
    with home.instance() as instance:
        execute(orders_project.DEFINITIONS, "tenant", instance)
        harm(home.outbox)
        assert execute(orders_project.DEFINITIONS, "tenant", instance).success
    wait_until(
        lambda: (
            "openlineage-shipper"
            not in {thread.name for thread in threading.enumerate() if thread not in before}
        ),
        15,
        "the thread to end",
    )
    assert instance.root_directory, "it is still referred to"
